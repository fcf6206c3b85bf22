package settings

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/pflag"
)

// Prefix begins the name of every variable.
const Prefix = "MAGNETFS_"

// hidden are flags that are no settings: they say where settings are, or how to talk.
var hidden = []string{"config", "help", "json"}

// Origin says where a value came from.
type Origin string

// The kinds of origin, the weakest first.
const (
	Default     Origin = "default"
	FromFile    Origin = "file"
	Environment Origin = "environment"
	Flag        Origin = "flag"
	Running     Origin = "set while mounted"
)

// Setting is the value that one setting has, and why.
type Setting struct {
	Key     string `json:"key"`
	Value   any    `json:"value"` // bool, int64, string or []string
	Origin  Origin `json:"origin"`
	Where   string `json:"where,omitempty"` // the file and section, the variable
	Default any    `json:"default"`
}

// Sources are where values are looked for.
type Sources struct {
	File *File // nil: none
	// Dirs are the spellings of the mount's folder, absolute, for its section.
	Dirs []string
	// Lookup returns a variable of the environment, as os.LookupEnv does.
	Lookup func(string) (string, bool)
}

// Settings remembers where the value of each flag came from.
type Settings struct {
	flags  *pflag.FlagSet
	origin map[string]place
}

type place struct {
	origin Origin
	where  string
}

// Apply gives every flag that the command line does not set its value. fresh makes
// the same flags once more, to try all of the file on. The error says where a bad
// value stands.
func Apply(flags *pflag.FlagSet, from Sources, fresh func() *pflag.FlagSet) (*Settings, error) {
	s := &Settings{flags: flags, origin: map[string]place{}}
	var keys, section map[string]any
	var dir string
	if from.File != nil {
		if err := from.File.check(fresh()); err != nil {
			return nil, err
		}
		keys = from.File.keys
		dir, section = from.File.section(from.Dirs)
	}
	var fault error
	visit(flags, func(f *pflag.Flag) {
		if f.Changed {
			s.origin[f.Name] = place{Flag, "--" + f.Name}
			return
		}
		var err error
		if text, ok := from.Lookup(Variable(f.Name)); ok && text != "" {
			s.origin[f.Name] = place{Environment, Variable(f.Name)}
			err = f.Value.Set(text)
		} else if v, ok := section[f.Name]; ok {
			s.origin[f.Name] = place{FromFile, from.File.in(dir)}
			err = set(f, v)
		} else if v, ok := keys[f.Name]; ok {
			s.origin[f.Name] = place{FromFile, from.File.Path}
			err = set(f, v)
		}
		if err != nil && fault == nil {
			fault = s.Blame(f.Name, err)
		}
	})
	return s, fault
}

// Blame says of which flag, variable or key of a file an error speaks.
func (s *Settings) Blame(key string, err error) error {
	p := s.origin[key]
	switch p.origin {
	case Environment:
		return fmt.Errorf("%s: %w", p.where, err)
	case FromFile:
		return fmt.Errorf("%s: %s: %w", p.where, key, err)
	}
	return fmt.Errorf("--%s: %w", key, err)
}

// Origin returns where the value of a setting came from.
func (s *Settings) Origin(key string) Origin {
	if p, ok := s.origin[key]; ok {
		return p.origin
	}
	return Default
}

// Change gives a setting another value, later.
func (s *Settings) Change(key, text string) error {
	if err := s.flags.Lookup(key).Value.Set(text); err != nil {
		return err
	}
	s.origin[key] = place{origin: Running}
	return nil
}

// List returns all settings with their values of now, in the order of the flags.
func (s *Settings) List() (all []Setting) {
	visit(s.flags, func(f *pflag.Flag) {
		all = append(all, Setting{f.Name, value(f), s.Origin(f.Name), s.origin[f.Name].where, DefaultOf(f)})
	})
	return all
}

// value is the value of a flag with a type of TOML and JSON.
func value(f *pflag.Flag) any {
	if v, ok := f.Value.(pflag.SliceValue); ok {
		return append([]string{}, v.GetSlice()...)
	}
	return typed(f, f.Value.String())
}

// DefaultOf is the default of a flag, as value writes it.
func DefaultOf(f *pflag.Flag) any {
	if _, ok := f.Value.(pflag.SliceValue); ok {
		list := strings.Trim(f.DefValue, "[]")
		if list == "" {
			return []string{}
		}
		return strings.Split(list, ",")
	}
	return typed(f, f.DefValue)
}

func typed(f *pflag.Flag, text string) any {
	switch f.Value.Type() {
	case "bool":
		return text == "true"
	case "int", "uint", "int64":
		var n int64
		if _, err := fmt.Sscan(text, &n); err == nil {
			return n
		}
	}
	return text
}

// Keys are the names of all settings.
func Keys(flags *pflag.FlagSet) (keys []string) {
	visit(flags, func(f *pflag.Flag) { keys = append(keys, f.Name) })
	return keys
}

// Variable is the variable of the environment for a setting.
func Variable(key string) string {
	return Prefix + strings.ToUpper(strings.ReplaceAll(key, "-", "_"))
}

// Misspelt returns a line for each variable that looks as if it were meant to be a
// setting and is none. environment is what os.Environ returns.
func Misspelt(flags *pflag.FlagSet, environment []string) (warnings []string) {
	var known []string
	for _, key := range Keys(flags) {
		known = append(known, Variable(key))
	}
	for _, v := range environment {
		name, _, _ := strings.Cut(v, "=")
		if !strings.HasPrefix(name, Prefix) || slices.Contains(known, name) {
			continue
		}
		for _, k := range known {
			if distance(name, k) == 1 || strings.ReplaceAll(name, "_", "") == strings.ReplaceAll(k, "_", "") {
				warnings = append(warnings, fmt.Sprintf("%s is no setting, did you mean %s?", name, k))
				break
			}
		}
	}
	return warnings
}

// visit calls f for every flag that is a setting, in the order they were defined.
func visit(flags *pflag.FlagSet, f func(*pflag.Flag)) {
	sorted := flags.SortFlags
	flags.SortFlags = false
	defer func() { flags.SortFlags = sorted }()
	flags.VisitAll(func(flag *pflag.Flag) {
		if !slices.Contains(hidden, flag.Name) && !flag.Hidden {
			f(flag)
		}
	})
}

// lookup finds the flag of a setting.
func lookup(flags *pflag.FlagSet, key string) *pflag.Flag {
	f := flags.Lookup(key)
	if f == nil || f.Hidden || slices.Contains(hidden, key) {
		return nil
	}
	return f
}

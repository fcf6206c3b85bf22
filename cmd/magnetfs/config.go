package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"magnetfs/cmd/magnetfs/settings"
	"magnetfs/fs"
)

const (
	configName     = "config"      // the settings of a mount, in its control folder
	configJSONName = "config.json" // the same for programs

	configVariable = settings.Prefix + "CONFIG"
	systemConfig   = "/etc/magnetfs/config.toml"
)

func configFlag(f *pflag.FlagSet, path *string) {
	f.StringVar(path, "config", "", "read this configuration `file` (default $XDG_CONFIG_HOME/magnetfs/config.toml, or "+systemConfig+")")
}

// loadConfig reads the configuration file: the one named, by flag or by variable,
// else the user's, else the system's. Nil if there is none.
func loadConfig(named string) (*settings.File, error) {
	home, _ := os.UserHomeDir() // without one ~ is taken as it stands
	if named == "" {
		named = os.Getenv(configVariable)
	}
	if named != "" {
		f, err := settings.Load(named, home)
		if err != nil {
			return nil, fmt.Errorf("configuration: %w", err)
		}
		return f, nil
	}
	candidates := []string{systemConfig}
	if dir, err := xdg("XDG_CONFIG_HOME", ".config"); err == nil {
		candidates = []string{filepath.Join(dir, "config.toml"), systemConfig}
	}
	for _, path := range candidates {
		f, err := settings.Load(path, home)
		if err == nil {
			return f, nil
		}
		if !errors.Is(err, os.ErrNotExist) {
			return nil, fmt.Errorf("configuration: %w", err)
		}
	}
	return nil, nil
}

// settle gives every flag its value and checks them all. dir is the folder of the
// mount; empty if there is none.
func (o *mountOptions) settle(flags *pflag.FlagSet, dir string) (err error) {
	if o.config, err = loadConfig(o.configFile); err != nil {
		return err
	}
	from := settings.Sources{File: o.config, Lookup: os.LookupEnv}
	if dir != "" {
		if abs, err := filepath.Abs(dir); err == nil {
			from.Dirs = append(from.Dirs, abs)
			// The folder itself is not looked at: whoever serves it may hang.
			if parent, err := filepath.EvalSymlinks(filepath.Dir(abs)); err == nil {
				from.Dirs = append(from.Dirs, filepath.Join(parent, filepath.Base(abs)))
			}
		}
	}
	o.settings, err = settings.Apply(flags, from, settingFlags)
	if err != nil {
		return err
	}
	if bad := o.check(); bad != nil {
		return o.settings.Blame(bad.key, bad.error)
	}
	return o.expandPaths()
}

// settingFlags are the flags of mount, with their defaults.
func settingFlags() *pflag.FlagSet {
	f := pflag.NewFlagSet("mount", pflag.ContinueOnError)
	newMountOptions().register(f)
	return f
}

// expandPaths puts the home folder in the place of ~. What is in a file must not
// depend on the folder that we are started in.
func (o *mountOptions) expandPaths() error {
	home, err := os.UserHomeDir()
	for key, path := range map[string]*string{"state-dir": &o.stateDir, "cache-dir": &o.cacheDir, "log-file": &o.logFile, "blocklist": &o.blocklist} {
		if strings.HasPrefix(*path, "~/") && err != nil {
			return o.settings.Blame(key, err)
		}
		*path = settings.Expand(*path, home)
		if *path != "" && !filepath.IsAbs(*path) && o.settings.Origin(key) == settings.FromFile {
			return o.settings.Blame(key, fmt.Errorf("%q has to be absolute, or begin with ~/", *path))
		}
	}
	return nil
}

// report are the settings as they are now.
func (o *mountOptions) report() *settings.Report {
	r := &settings.Report{Settings: o.settings.List()}
	if o.config != nil {
		r.File = o.config.Path
	}
	return r
}

// configFiles are the control files that tell the settings.
func (o *mountOptions) configFiles() map[string]func() ([]byte, error) {
	return map[string]func() ([]byte, error){
		configName: func() ([]byte, error) {
			var b strings.Builder
			err := o.report().TOML(&b)
			return []byte(b.String()), err
		},
		configJSONName: func() ([]byte, error) {
			var b strings.Builder
			err := o.report().JSON(&b)
			return []byte(b.String()), err
		},
	}
}

func newConfig() *cobra.Command {
	var file string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "config [DIR [KEY=VALUE…]]",
		Short: "Show all settings and where they come from, change limits",
		Long: `Shows the settings of the mount on DIR. If nothing is mounted there, or without DIR,
it shows what a mount would use: the environment (MAGNETFS_…), else the configuration
file, else the defaults. The output has the form of a configuration file; the comments
say where each value comes from.

With KEY=VALUE it changes settings of the mount on DIR, until it ends: down, up and
no-upload can be changed. The same is done by: echo KEY=VALUE > DIR/.magnetfs/set`,
		Example: `  magnetfs config                    what the next mount will use
  magnetfs config ~/t                what the mount on ~/t uses
  MAGNETFS_RAM=1GiB magnetfs config  what a variable does
  magnetfs config ~/t down=2M up=100k     changes the limits of the mount on ~/t
  magnetfs config ~/t down=unlimited
  magnetfs config --json | jq -r '.settings[] | select(.origin != "default") | .key'`,
		Args:              args(cobra.ArbitraryArgs),
		ValidArgsFunction: completeLive,
		RunE: func(cmd *cobra.Command, a []string) error {
			if len(a) > 1 {
				if err := changeLive(a[0], a[1:]); err != nil || !asJSON {
					return err
				}
			}
			r, err := configOf(file, a[:min(1, len(a))])
			if err != nil {
				return err
			}
			if asJSON {
				return r.JSON(cmd.OutOrStdout())
			}
			for _, line := range settings.Misspelt(settingFlags(), os.Environ()) {
				cmd.PrintErrln("magnetfs:", line)
			}
			return r.TOML(cmd.OutOrStdout())
		},
	}
	configFlag(cmd.Flags(), &file)
	jsonFlag(cmd.Flags(), &asJSON)
	return cmd
}

// configOf asks the mount that the argument names, or finds out what one would use.
func configOf(file string, a []string) (*settings.Report, error) {
	dir := ""
	if len(a) == 1 {
		dir = a[0]
		path, err := fs.Find(dir)
		if err == nil {
			raw, err := os.ReadFile(filepath.Join(path, controlName, configJSONName))
			if err != nil {
				return nil, err
			}
			r := &settings.Report{}
			if err := json.Unmarshal(raw, r); err != nil {
				return nil, fmt.Errorf("%s: %w", configJSONName, err)
			}
			return r, nil
		}
		if !errors.Is(err, fs.ErrNotMounted) {
			return nil, err
		}
	}
	next, err := nextMount(file, dir)
	if err != nil {
		return nil, err
	}
	return next.report(), nil
}

// nextMount are the options of a mount on dir that no flags are given for; dir may
// be empty.
func nextMount(configFile, dir string) (*mountOptions, error) {
	o := newMountOptions()
	flags := pflag.NewFlagSet("mount", pflag.ContinueOnError)
	o.register(flags)
	o.configFile = configFile
	if err := o.settle(flags, dir); err != nil {
		return nil, withCode(exitUsage, err)
	}
	_, err := o.folders(dir)
	return o, err
}

// changeLive changes settings of a mount that runs; all of them, or none.
func changeLive(dir string, assignments []string) error {
	path, err := fs.Find(dir)
	if err != nil {
		return err
	}
	var lines []string
	for _, a := range assignments {
		key, text, err := parseLive(a)
		if err != nil {
			return withCode(exitUsage, err)
		}
		lines = append(lines, key+"="+text+"\n")
	}
	return write(path, setName, strings.Join(assignments, " "), []byte(strings.Join(lines, "")))
}

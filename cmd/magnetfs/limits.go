package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/spf13/pflag"

	"magnetfs/fetch"
	"magnetfs/internal/human"
	"magnetfs/swarm"
)

// What can be changed while mounted: the limits of rates. It is written to a control
// file, one KEY=VALUE a line.

const (
	setName        = "set"         // the control file
	limitsJSONName = "limits.json" // what holds at present
)

// live are the settings that can be changed while mounted.
var live = []string{"down", "up", "no-upload"}

// limitsReport is limits.json. Rates are bytes per second, 0: no limit.
type limitsReport struct {
	Down     int64 `json:"down"`
	Up       int64 `json:"up"`
	NoUpload bool  `json:"no_upload"`
}

// liveLimits are the limits of a mount that runs.
type liveLimits struct {
	mu      sync.Mutex // guards the limits of options, and where its settings are from
	options *mountOptions
	session *swarm.Session
}

func (o *mountOptions) limits() swarm.Limits {
	return swarm.Limits{Down: int64(o.down), Up: int64(o.up), NoUpload: o.noUpload}
}

// set takes one line.
func (l *liveLimits) set(line string) error {
	key, text, err := parseLive(line)
	if err != nil {
		return fmt.Errorf("%w: %w", fetch.ErrInvalid, err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.options.settings.Change(key, text); err != nil {
		return fmt.Errorf("%w: %w", fetch.ErrInvalid, err)
	}
	l.session.SetLimits(l.options.limits())
	return nil
}

// parseLive splits KEY=VALUE, and checks both.
func parseLive(line string) (key, text string, err error) {
	key, text, ok := strings.Cut(line, "=")
	key, text = strings.TrimSpace(key), strings.Trim(strings.TrimSpace(text), `"`)
	if !ok {
		return "", "", fmt.Errorf("%q is not KEY=VALUE", line)
	}
	if !slices.Contains(live, key) {
		return "", "", fmt.Errorf("%q cannot be changed while mounted; %s can", key, strings.Join(live, ", "))
	}
	flags := pflag.NewFlagSet("mount", pflag.ContinueOnError)
	newMountOptions().register(flags)
	if err := flags.Lookup(key).Value.Set(text); err != nil {
		if _, wrong := strconv.ParseBool(text); wrong != nil && flags.Lookup(key).Value.Type() == "bool" {
			err = fmt.Errorf("%q is neither true nor false", text)
		}
		return "", "", fmt.Errorf("%s: %w", key, err)
	}
	return key, text, nil
}

// current is what holds now.
func (l *liveLimits) current() swarm.Limits {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.options.limits()
}

// files are the control files that tell the limits and all settings.
func (l *liveLimits) files() map[string]func() ([]byte, error) {
	all := map[string]func() ([]byte, error){limitsJSONName: func() ([]byte, error) {
		c := l.current()
		b, err := json.Marshal(limitsReport{c.Down, c.Up, c.NoUpload})
		return append(b, '\n'), err
	}}
	for name, text := range l.options.configFiles() {
		all[name] = func() ([]byte, error) {
			l.mu.Lock()
			defer l.mu.Unlock()
			return text()
		}
	}
	return all
}

func (l *liveLimits) commands() map[string]func(string) error {
	return map[string]func(string) error{setName: l.set}
}

// notice is the line of the status about limits, empty without any.
func (l *liveLimits) notice() string {
	c := l.current()
	var parts []string
	if c.Down > 0 {
		parts = append(parts, "down at most "+human.Size(c.Down)+"/s")
	}
	switch {
	case c.NoUpload:
		parts = append(parts, "nothing is uploaded")
	case c.Up > 0:
		parts = append(parts, "up at most "+human.Size(c.Up)+"/s")
	}
	if len(parts) == 0 {
		return ""
	}
	return "Limits: " + strings.Join(parts, ", ")
}

package main

import (
	"strings"

	"magnetfs/cache/disk"
	"magnetfs/fetch"
)

// warningsName is the control file that says what is wrong with the mount.
const warningsName = "warnings"

// warnings are about what does not work and fails nothing at present.
type warnings struct {
	library *fetch.Library
	tier    *disk.Tier // nil: pieces are kept in memory only
	disk    error      // why there is no tier; nil: none is wanted
	reach   *reach
}

// list has a line for each.
func (w *warnings) list() (lines []string) {
	if err := w.library.Unsaved(); err != nil {
		lines = append(lines, err.Error()+": what is added or removed now may be forgotten at the end")
	}
	if line := w.reach.warning(); line != "" {
		lines = append(lines, line)
	}
	text := ""
	if w.disk != nil {
		text = w.disk.Error()
	} else if w.tier != nil {
		text = problemOf(w.tier.Stats())
	}
	if text != "" {
		lines = append(lines, text+": pieces are kept in memory only")
	}
	return lines
}

// notice is what status begins with, empty if all is well.
func (w *warnings) notice() string {
	lines := w.list()
	for i := range lines {
		lines[i] = "Warning: " + lines[i]
	}
	return strings.Join(lines, "\n")
}

// files are the control files.
func (w *warnings) files() map[string]func() ([]byte, error) {
	return map[string]func() ([]byte, error){warningsName: func() ([]byte, error) {
		var b []byte
		for _, line := range w.list() {
			b = append(append(b, line...), '\n')
		}
		return b, nil
	}}
}

// notices are the lines of all that have something to say.
func notices(all ...func() string) func() string {
	return func() string {
		var lines []string
		for _, f := range all {
			if line := f(); line != "" {
				lines = append(lines, line)
			}
		}
		return strings.Join(lines, "\n")
	}
}

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// What commands print for programs: with --json one object a line on standard output,
// errors as objects on standard error.

const jsonName = "json"

func jsonFlag(f *pflag.FlagSet, asJSON *bool) {
	f.BoolVar(asJSON, jsonName, false, "for programs: print JSON, errors too")
}

// emit prints one object in one line.
func emit(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false) // magnets are full of &
	return enc.Encode(v)
}

// errorReport is an error for programs.
type errorReport struct {
	Error string   `json:"error"`
	Code  exitCode `json:"code"` // the exit status
	Name  string   `json:"name"` // of the code
}

// printError says why a command failed. cmd is the one that did, args the whole
// command line.
func printError(w io.Writer, cmd *cobra.Command, args []string, err error) {
	asJSON := wantsJSON(cmd, args)
	for _, e := range failures(err) {
		if asJSON {
			_ = emit(w, errorReport{e.Error(), codeOf(e), codeOf(e).name()})
		} else {
			fmt.Fprintln(w, "magnetfs:", e)
		}
	}
}

// wantsJSON looks for the flag. When the flags cannot be parsed, those behind the
// faulty one are not known.
func wantsJSON(cmd *cobra.Command, args []string) bool {
	f := cmd.Flags().Lookup(jsonName)
	if f == nil {
		return false
	}
	if end := slices.Index(args, "--"); end >= 0 {
		args = args[:end]
	}
	return f.Value.String() == "true" || !f.Changed && slices.Contains(args, "--"+jsonName)
}

// name is the name of a code, as --help has it.
func (c exitCode) name() string {
	for _, e := range exitText {
		if e.code == c {
			return e.name
		}
	}
	return fmt.Sprint(int(c))
}

// several are the errors of a command that went on after the first.
type several []error

func (s several) Error() string {
	var lines []string
	for _, err := range s {
		lines = append(lines, err.Error())
	}
	return strings.Join(lines, "\n")
}

func (s several) Unwrap() []error { return s }

// failures are the errors that err consists of.
func failures(err error) []error {
	var s several
	if errors.As(err, &s) {
		return s
	}
	return []error{err}
}

// each calls f for all arguments, also when some fail. The exit status is that of the
// first that does.
func each(args []string, f func(string) error) error {
	var s several
	for _, a := range args {
		if err := f(a); err != nil {
			s = append(s, failures(err)...)
		}
	}
	switch len(s) {
	case 0:
		return nil
	case 1:
		return s[0]
	}
	return withCode(codeOf(s[0]), s)
}

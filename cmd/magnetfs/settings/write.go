package settings

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
)

// Report is what a program reads.
type Report struct {
	File     string    `json:"file,omitempty"` // that was read
	Settings []Setting `json:"settings"`
}

// JSON writes the report for programs.
func (r *Report) JSON(w io.Writer) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(r)
}

// TOML writes the report as a configuration file, each value with its origin in a
// comment.
func (r *Report) TOML(w io.Writer) error {
	file := r.File
	if file == "" {
		file = "no configuration file"
	}
	if _, err := fmt.Fprintf(w, "# %s\n", file); err != nil {
		return err
	}
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, s := range r.Settings {
		why := string(s.Origin)
		if s.Where != "" && s.Where != r.File {
			why = s.Where
		}
		fmt.Fprintf(tw, "%s = %s\t# %s\n", s.Key, Literal(s.Value), why)
	}
	return tw.Flush()
}

// Literal writes a value as TOML has it.
func Literal(value any) string {
	switch v := value.(type) {
	case []string:
		var all []string
		for _, s := range v {
			all = append(all, quoted(s))
		}
		return "[" + strings.Join(all, ", ") + "]"
	case []any: // read back from JSON
		var all []string
		for _, s := range v {
			all = append(all, Literal(s))
		}
		return "[" + strings.Join(all, ", ") + "]"
	case string:
		return quoted(v)
	case float64: // read back from JSON
		return strconv.FormatFloat(v, 'f', -1, 64)
	}
	return fmt.Sprint(value)
}

// quoted is a basic string of TOML.
func quoted(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r < ' ' || r == 0x7f:
			fmt.Fprintf(&b, `\u%04X`, r)
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}

package manual

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"magnetfs/cmd/magnetfs/settings"
)

// Manual is what the pages are made of.
type Manual struct {
	Root     *cobra.Command
	Settings *pflag.FlagSet // the flags of mount
	Version  string
	Date     time.Time
	// Exit are the exit codes and what they mean.
	Exit []Exit
	// Ignored are the options of mount(8) that mean nothing to us.
	Ignored []string
}

// Exit is one exit code.
type Exit struct {
	Code       int
	Name, Text string
}

// Write writes all pages into a folder, each as NAME.SECTION, and returns their
// names.
func (m *Manual) Write(dir string) (names []string, err error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	pages := m.pages()
	for _, name := range slices.Sorted(maps.Keys(pages)) {
		if err := writePage(filepath.Join(dir, name), pages[name]); err != nil {
			return names, err
		}
		names = append(names, name)
	}
	return names, nil
}

func writePage(path string, write func(*page)) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	p := &page{w: f}
	write(p)
	return errors.Join(p.err, f.Close())
}

// pages are the pages by file name.
func (m *Manual) pages() map[string]func(*page) {
	pages := map[string]func(*page){
		"magnetfs-config.5": m.configPage,
		"mount.magnetfs.8":  m.helperPage,
	}
	var walk func(c *cobra.Command)
	walk = func(c *cobra.Command) {
		pages[pageName(c)+".1"] = func(p *page) { m.commandPage(p, c) }
		if c.Name() == "completion" {
			return // one page for all shells
		}
		for _, sub := range c.Commands() {
			if shown(sub) {
				walk(sub)
			}
		}
	}
	walk(m.Root)
	return pages
}

func shown(c *cobra.Command) bool { return !c.Hidden && c.Name() != "help" }

func pageName(c *cobra.Command) string { return strings.ReplaceAll(c.CommandPath(), " ", "-") }

// head begins a page.
func (m *Manual) head(p *page, name string, section int, what string) {
	p.printf(".\\\" Made by magnetfs man; do not edit.\n")
	p.printf(".TH %s %d %s \"%s\" \"magnetfs manual\"\n", escape(strings.ToUpper(name)), section,
		m.Date.UTC().Format(time.DateOnly), escape(strings.ReplaceAll("magnetfs "+m.Version, `"`, "")))
	p.section("NAME")
	p.words(strings.Fields(escape(name) + ` \- ` + escape(what)))
}

// commandPage is the page of a command; that of the root tells all of them.
func (m *Manual) commandPage(p *page, c *cobra.Command) {
	m.head(p, pageName(c), 1, lowerFirst(c.Short))
	p.section("SYNOPSIS")
	m.synopsis(p, c)
	p.section("DESCRIPTION")
	if c.HasParent() {
		p.prose(orElse(c.Long, c.Short+"."))
	} else {
		before, _, _ := strings.Cut(c.Long, "Exit status")
		p.prose(before)
	}
	m.subcommands(p, c)
	if flags := c.NonInheritedFlags(); flags.HasAvailableFlags() {
		p.section("OPTIONS")
		flags.VisitAll(func(f *pflag.Flag) { optionItem(p, f) })
	}
	if c.Example != "" {
		p.section("EXAMPLES")
		p.literal(c.Example)
	}
	if !c.HasParent() {
		m.environment(p)
		m.files(p)
	}
	p.section("EXIT STATUS")
	if c.HasParent() {
		p.prose("0, or one of the numbers in magnetfs(1).")
	} else {
		p.prose("Scripts can rely on the numbers: they are never changed.")
		for _, e := range m.Exit {
			p.item(bold(fmt.Sprint(e.Code))+" "+escape(e.Name), sentence(e.Text))
		}
	}
	p.section("SEE ALSO")
	p.words(m.seeAlso(c))
}

func (m *Manual) synopsis(p *page, c *cobra.Command) {
	if subs := available(c); len(subs) > 0 && c.Name() != "completion" {
		p.printf("%s \\fICOMMAND\\fR [\\fIARGUMENT\\fR ...]\n", bold(c.CommandPath()))
		return
	}
	use := c.Use
	if c.HasParent() {
		use = c.Parent().CommandPath() + " " + c.Use
	}
	rest := strings.TrimSpace(strings.TrimPrefix(use, c.CommandPath()))
	if c.Name() == "completion" {
		rest = "bash|zsh|fish|powershell"
	}
	line := bold(c.CommandPath())
	if c.NonInheritedFlags().HasAvailableFlags() {
		line += ` [\fIOPTION\fR ...]`
	}
	if rest != "" {
		line += " " + escape(rest)
	}
	p.words(strings.Fields(line))
}

func available(c *cobra.Command) (subs []*cobra.Command) {
	for _, sub := range c.Commands() {
		if shown(sub) {
			subs = append(subs, sub)
		}
	}
	return subs
}

func (m *Manual) subcommands(p *page, c *cobra.Command) {
	subs := available(c)
	if len(subs) == 0 || c.Name() == "completion" {
		return
	}
	p.section("COMMANDS")
	for _, sub := range subs {
		p.item(bold(sub.Use), sub.Short+".")
	}
}

// optionItem tells one flag.
func optionItem(p *page, f *pflag.Flag) {
	if f.Hidden {
		return
	}
	name, usage := pflag.UnquoteUsage(f)
	term := bold("--" + f.Name)
	if f.Shorthand != "" {
		term = bold("-"+f.Shorthand) + ", " + term
	}
	if name != "" && f.Value.Type() != "bool" {
		term += "=" + italic(name)
	}
	p.item(term, sentence(usage)+defaultText(f))
}

// defaultText says what holds without a flag, unless its usage does.
func defaultText(f *pflag.Flag) string {
	switch {
	case strings.Contains(f.Usage, "(default"), f.DefValue == "", f.DefValue == "false", f.DefValue == "[]", f.DefValue == "0":
		return ""
	}
	return " Default: " + f.DefValue + "."
}

func (m *Manual) environment(p *page) {
	p.section("ENVIRONMENT")
	p.item(bold("MAGNETFS_*"), "The settings: MAGNETFS_ and the name of a flag of \"magnetfs mount\" in capitals, with _ for -. See magnetfs-config(5).")
	p.item(bold("MAGNETFS_CONFIG"), "The configuration file.")
	p.item(bold("XDG_STATE_HOME")+", "+bold("XDG_CACHE_HOME")+", "+bold("XDG_CONFIG_HOME"),
		"Where the folders named below are; ~/.local/state, ~/.cache and ~/.config without them.")
	p.item(bold("NO_COLOR"), "If it is not empty, no colours are used.")
	p.item(bold("NOTIFY_SOCKET")+", "+bold("WATCHDOG_USEC")+", "+bold("JOURNAL_STREAM")+", "+bold("STATE_DIRECTORY")+", "+bold("CACHE_DIRECTORY"),
		"Are set by systemd for its services, and honoured.")
}

func (m *Manual) files(p *page) {
	p.section("FILES")
	for _, f := range [][2]string{
		{"~/.config/magnetfs/config.toml, /etc/magnetfs/config.toml", "The settings; the first that exists is read. See magnetfs-config(5)."},
		{"~/.local/state/magnetfs", "The torrents, the port and the log. What is in it cannot be fetched again."},
		{"~/.cache/magnetfs/pieces", "What was fetched."},
		{"DIR/.magnetfs", "In a mount, not listed: its state as files, for programs."},
		{"/etc/fuse.conf", "Has a line user_allow_other if ordinary users may use --allow-other."},
	} {
		p.item(italic(f[0]), f[1])
	}
}

// seeAlso names the other pages.
func (m *Manual) seeAlso(c *cobra.Command) (words []string) {
	var names []string
	if c.HasParent() {
		names = append(names, "magnetfs(1)")
		if c.Parent().HasParent() {
			names = append(names, pageName(c.Parent())+"(1)")
		}
	}
	for _, sub := range available(c) {
		if c.Name() != "completion" {
			names = append(names, pageName(sub)+"(1)")
		}
	}
	names = append(names, "magnetfs-config(5)", "mount.magnetfs(8)")
	for i, name := range names {
		base, section, _ := strings.Cut(name, "(")
		word := bold(base) + "(" + section
		if i < len(names)-1 {
			word += ","
		}
		words = append(words, word)
	}
	return words
}

// sentence makes a usage text one.
func sentence(s string) string {
	s = strings.TrimSpace(s)
	if s == "" {
		return s
	}
	s = strings.ToUpper(s[:1]) + s[1:]
	if !strings.HasSuffix(s, ".") {
		s += "."
	}
	return s
}

func lowerFirst(s string) string { return strings.ToLower(s[:min(1, len(s))]) + s[min(1, len(s)):] }

func orElse(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

// unit says what a setting takes.
func unit(f *pflag.Flag) string {
	switch f.Value.Type() {
	case "bool":
		return "true or false"
	case "int":
		return "a number"
	case "size":
		return `a size, a number of bytes or a text such as "256MiB", "1.5GiB", "10GB"`
	case "rate":
		return `bytes per second, or a text such as "500k", "2MiB", "16Mbit", "unlimited"`
	case "url":
		return "an address such as socks5://host:1080"
	case "duration":
		return `a duration such as "90s", "5m", "1h30m"; 0 is written 0`
	case "stringSlice", "stringArray":
		return `a list of texts: ["…", "…"]; in a variable with commas`
	}
	if name, _ := pflag.UnquoteUsage(f); strings.Contains(name, "|") {
		return "one of " + strings.ReplaceAll(name, "|", ", ")
	}
	if name, _ := pflag.UnquoteUsage(f); name == "level" {
		return "one of debug, info, warn, error"
	}
	return "a text"
}

// keys calls f for every setting.
func (m *Manual) keys(f func(*pflag.Flag)) {
	for _, key := range settings.Keys(m.Settings) {
		f(m.Settings.Lookup(key))
	}
}

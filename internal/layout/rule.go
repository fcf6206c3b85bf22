package layout

import (
	"fmt"
	"slices"
	"strings"
)

// rule says what the packages in some folders may import of ours, and what their
// tests may beside that. Patterns are folders from the root; "x/..." is x and all
// below it, "x/*" what is below it.
type rule struct {
	in    []string
	may   []string
	tests []string
}

// rules are tried in order; the first that fits a folder counts. A folder without
// a rule is a fault: a new part of the tree has to find its place here.
var rules = []rule{
	{in: []string{"cmd/..."}, may: []string{"..."}},
	{in: []string{"integration/..."}, may: []string{"..."}}, // tests of the whole
	{in: []string{"fs/..."}, may: []string{"fs/...", "fetch", "internal/..."}},
	{
		in:    []string{"fetch/..."},
		may:   []string{"fetch/...", "swarm", "swarm/metainfo", "cache/...", "internal/..."},
		tests: []string{"swarm/*"}, // to build what a swarm would deliver
	},
	{in: []string{"swarm/picker/...", "swarm/utp/...", "cache/disk/..."}},
	{in: []string{"swarm"}, may: []string{"swarm/...", "internal/..."}},
	{in: []string{"swarm/..."}, may: []string{"swarm/*", "internal/..."}}, // parts do not know the whole
	{in: []string{"cache/..."}, may: []string{"cache/...", "internal/..."}},
	{in: []string{"internal/simnet", "internal/layout"}},
	// Test aids share the encoding with the engine and nothing else.
	{in: []string{"internal/swarmtest"}, may: []string{"swarm/benc", "swarm/wire", "swarm/metainfo", "swarm/endpoint"}},
	{in: []string{"internal/..."}},
}

// isAid tells packages that are imported by tests and by each other. Like
// net/http/httptest they have names that end in test, but for two.
func isAid(dir string) bool {
	return strings.HasSuffix(dir, "test") || dir == "internal/simnet" || dir == "internal/layout"
}

// keepers are modules that only some folders may import.
var keepers = []struct {
	module string
	in     []string
}{
	{"github.com/hanwen/go-fuse", []string{"fs/...", "cmd/...", "integration/..."}},
	{"github.com/dgraph-io/ristretto", []string{"cache/..."}},
	{"charm.land", []string{"cmd/magnetfs/watch"}}, // only the view needs a terminal's libraries
}

// vague names say nothing about a package.
var vague = []string{"util", "utils", "common", "types", "helpers", "helper", "misc"}

// Check returns what breaks the rule, one line each, sorted; nil if nothing does.
func Check(files []File) []string {
	var faults []string
	add := func(format string, args ...any) { faults = append(faults, fmt.Sprintf(format, args...)) }
	comments := make(map[string][]string)
	for _, f := range files {
		name := strings.TrimSuffix(f.Package, "_test")
		if slices.Contains(vague, name) {
			add("%s: package %s: name it for what it holds", f.Path(), name)
		}
		if !f.Test {
			comments[f.Dir] = append(comments[f.Dir], "")
			if f.Comment {
				comments[f.Dir] = append(comments[f.Dir], f.Name)
			}
		}
		for _, imp := range f.Imports {
			if why := forbidden(f, imp); why != "" {
				add("%s: imports %s: %s", f.Path(), imp, why)
			}
		}
	}
	for dir, names := range comments {
		names = slices.DeleteFunc(names, func(s string) bool { return s == "" })
		if len(names) != 1 {
			add("%s: %d package comments %q, want one", dir, len(names), names)
		}
	}
	slices.Sort(faults)
	return faults
}

// forbidden says why f may not import imp; "" when it may.
func forbidden(f File, imp string) string {
	for _, k := range keepers {
		if (imp == k.module || strings.HasPrefix(imp, k.module+"/")) && !matchAny(k.in, f.Dir) {
			return "only " + strings.Join(k.in, ", ") + " may"
		}
	}
	if imp == module {
		return "the root is no package"
	}
	target, ours := strings.CutPrefix(imp, module+"/")
	if !ours || target == f.Dir {
		return "" // not ours, or a package's own external test
	}
	if isAid(target) {
		if f.Test || isAid(f.Dir) || matchAny([]string{"integration/..."}, f.Dir) {
			return ""
		}
		return "an aid for tests"
	}
	for _, r := range rules {
		if !matchAny(r.in, f.Dir) {
			continue
		}
		if matchAny(r.may, target) || f.Test && matchAny(r.tests, target) {
			return ""
		}
		if len(r.may) == 0 {
			return f.Dir + " may import nothing of ours"
		}
		return f.Dir + " may import " + strings.Join(r.may, ", ")
	}
	return "no rule for " + f.Dir
}

func matchAny(patterns []string, dir string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool { return match(p, dir) })
}

// match reports whether a folder fits a pattern: "..." is everything, "x/..." is x
// and all below, "x/*" all below x, others are the folder itself.
func match(pattern, dir string) bool {
	switch {
	case pattern == "...":
		return true
	case strings.HasSuffix(pattern, "/..."):
		top := strings.TrimSuffix(pattern, "/...")
		return dir == top || strings.HasPrefix(dir, top+"/")
	case strings.HasSuffix(pattern, "/*"):
		return strings.HasPrefix(dir, strings.TrimSuffix(pattern, "*"))
	}
	return dir == pattern
}

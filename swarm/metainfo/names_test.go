package metainfo

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestSafeName(t *testing.T) {
	tests := []struct{ name, in, want string }{
		{"plain", "film.mkv", "film.mkv"},
		{"blanks stay", " foo bar ", " foo bar "},
		{"unicode stays", "Ünïcödé 日本語 🎬.mkv", "Ünïcödé 日本語 🎬.mkv"},
		{"names of Windows stay", "CON", "CON"},
		{"trailing dot stays", "foo.", "foo."},
		{"hidden file", ".bashrc", ".bashrc"},
		{"replacement character stays", "a\uFFFDb", "a\uFFFDb"},

		{"empty", "", "fallback"},
		{"dot", ".", "fallback"},
		{"dots", "..", "fallback"},
		{"three dots", "...", "..."},
		{"slash", "/", "fallback"},
		{"backslash", `\`, "fallback"},
		{"dots behind a slash", "../", "fallback"},
		{"dots between slashes", "./.", "fallback"},
		{"absolute", "/etc/passwd", "etcpasswd"},
		{"backslashes", `..\..\x`, "....x"},

		{"NUL", "a\x00b", "a_b"},
		{"every control character", "\x01\x1f\x7f\u0080\u009f", "_____"},
		{"newline", "a\nb", "a_b"},
		{"escape sequence", "\x1b[31mred", "_[31mred"},
		{"bad bytes in a run", "a\xff\xfe\xfdb", "a_b"},
		{"bad bytes in two runs", "\xffa\xff", "_a_"},
		{"bad bytes between controls", "\x01\xff\xff\x02", "___"},
		{"overlong slash", "a\xc0\xafb", "a_b"},
		{"surrogate", "a\xed\xa0\x80b", "a_b"},
		{"beyond unicode", "a\xf4\x90\x80\x80b", "a_b"},
		{"cut character", "a\xe2\x82", "a_"},
		{"right-to-left override", "exe\u202Egpj.mkv", "exegpj.mkv"},
		{"zero width", "a\u200bb\u200fc\u2060d\u2064e\ufefff\u061cg\u2066h\u2069", "abcdefgh"},
		{"nothing but invisible", "\u200b\u202e", "fallback"},
		{"invisible between dots", ".\u200b.", "fallback"},
		{"neighbours of the invisible stay", "\u200a\u2010\u2029\u2065\u206a", "\u200a\u2010\u2029\u2065\u206a"},

		{"240 bytes", strings.Repeat("a", 240), strings.Repeat("a", 240)},
		{"241 bytes", strings.Repeat("a", 241), strings.Repeat("a", 240)},
		{"long with extension", strings.Repeat("a", 300) + ".mkv", strings.Repeat("a", 236) + ".mkv"},
		{"long with nine", strings.Repeat("a", 300) + ".123456789", strings.Repeat("a", 230) + ".123456789"},
		{"long with ten", strings.Repeat("a", 300) + ".1234567890", strings.Repeat("a", 240)},
		{"long without a stem", "." + strings.Repeat("a", 300), "." + strings.Repeat("a", 239)},
		{"cut at a character", strings.Repeat("a", 235) + "日日.mkv", strings.Repeat("a", 235) + ".mkv"},
		{"four bytes a character", strings.Repeat("🎬", 100), strings.Repeat("🎬", 60)},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got := SafeName(test.in, "fallback")
			require.Equal(t, test.want, got)
			checkName(t, got)
			require.Equal(t, got, SafeName(got, "other"), "a safe name stays")
		})
	}
	require.Equal(t, "_", SafeName("..", ""))
}

func TestUniqueNames(t *testing.T) {
	tests := []struct {
		name  string
		files string // one path for each word
		want  string
	}{
		{"nothing to do", "a b/a b/b", "a b/a b/b"},
		{"twice", "x.txt x.txt", "x.txt x.1.txt"},
		{"many", "x.txt x.txt x.txt x.txt", "x.txt x.1.txt x.2.txt x.3.txt"},
		{"in a folder", "d/x d/x x", "d/x d/x.1 x"},
		{"the new name is taken before", "x.1.txt x.txt x.txt", "x.1.txt x.txt x.2.txt"},
		{"the new name is taken later", "x.txt x.txt x.1.txt", "x.txt x.2.txt x.1.txt"},
		{"file and folder, folder first", "a/b a", "a/b a.1"},
		{"file and folder, file first", "a a/b", "a.1 a/b"},
		{"file and deeper folder", "a/b a/b/c", "a/b.1 a/b/c"},
		{"folder has the new name", "a a/b a.1/c", "a.2 a/b a.1/c"},
		{"equal after cleaning", "a\x01 a\x02 a_", "a_ a_.1 a_.2"},
		{"folders equal after cleaning merge", "d\x01/a d\x02/a", "d_/a d_/a.1"},
		{"case differs", "A a", "A a"},
		{"hidden file", ".rc .rc", ".rc .rc.1"},
		{"long extension", "a.longextension a.longextension", "a.longextension a.longextension.1"},
		{"dots and slashes", ".. . / \\", "_ _.1 _.2 _.3"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var files []dict
			for _, p := range strings.Fields(test.files) {
				f := file(p, 1)
				if strings.Trim(p, "/\\") == "" {
					f["path"] = list{p}
				}
				files = append(files, f)
			}
			fi, err := ParseInfo(encode(t, multi(16384, files...)))
			require.NoError(t, err)
			checkInvariants(t, fi)
			require.Equal(t, strings.Fields(test.want), visible(fi))
		})
	}
}

func TestRawPathSurvivesRenaming(t *testing.T) {
	fi, err := ParseInfo(encode(t, multi(16384, file("d/x", 1), file("d/x", 1), file("d/\x01", 1))))
	require.NoError(t, err)
	require.Equal(t, []string{"d", "x"}, fi.Files[0].RawPath())
	require.Equal(t, []string{"d", "x"}, fi.Files[1].RawPath())
	require.Equal(t, []string{"d", "x.1"}, fi.Files[1].Path)
	require.Equal(t, []string{"d", "\x01"}, fi.Files[2].RawPath())
}

func TestSymlinks(t *testing.T) {
	tests := []struct {
		name  string
		files string // paths, links as path>target
		want  string // the links that stay
	}{
		{"to a file", "d/f d/l>d/f", "d/l>d/f"},
		{"to a folder", "d/f l>d", "l>d"},
		{"to a folder above", "d/f d/l>d", "d/l>d"},
		{"to a file listed later", "l>f f", "l>f"},
		{"to nothing", "f l>g", ""},
		{"to below a file", "f l>f/g", ""},
		{"to itself", "f l>l", ""},
		{"to each other", "f a>b b>a", ""},
		{"three in a circle, and one outside", "f a>b b>c c>a d>a", ""},
		{"chain", "f a>b b>c c>f", "a>b b>c c>f"},
		{"through a linked folder", "d/f l>d m>l/f", "l>d m>l/f"},
		{"through a linked folder listed later", "m>l/f l>d d/f", "m>l/f l>d"},
		{"through a bad link", "d/f l>x m>l/f", ""},
		{"a folder's link through itself", "d/f d/l>d/l/f", ""},
		{"folder of itself", "d/f d/l>d m>d/l/l/l/f", "d/l>d m>d/l/l/l/f"},
		{"dots", "d/f d/l>../d/f", ""},
		{"relative to its folder", "d/f d/l>f", "d/l>d/f"},
		{"relative to its folder through a link", "v/A/f v/c>A l>v/c/f", "v/c>v/A l>v/c/f"},
		{"the root wins over its folder", "d/f f d/l>f", "d/l>f"},
		{"name clashes with a folder", "l/f l>l/f", "l.1>l/f"},
		{"target renamed", "f f l>f.1", "l>f.1"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var files []dict
			for _, word := range strings.Fields(test.files) {
				if p, target, ok := strings.Cut(word, ">"); ok {
					files = append(files, link(p, target))
				} else {
					files = append(files, file(word, 1))
				}
			}
			fi, err := ParseInfo(encode(t, multi(16384, files...)))
			require.NoError(t, err)
			checkInvariants(t, fi)
			got := []string{}
			for i := range fi.Files {
				if f := &fi.Files[i]; f.Symlink != nil {
					got = append(got, strings.Join(f.Path, "/")+">"+strings.Join(f.Symlink, "/"))
				}
				require.Equal(t, fi.Files[i].BadLink, !fi.Files[i].Visible())
			}
			require.Equal(t, strings.Fields(test.want), got)
		})
	}
}

func TestSymlinkToTheRoot(t *testing.T) {
	l := with(link("d/l", "x"), dict{"symlink path": list{}})
	fi, err := ParseInfo(encode(t, multi(16384, file("d/f", 1), l)))
	require.NoError(t, err)
	require.True(t, fi.Files[1].BadLink)
}

// TestSymlinkChainLength: Linux follows 40 links and no more.
func TestSymlinkChainLength(t *testing.T) {
	for _, backwards := range []bool{false, true} {
		files := []dict{file("l0", 1)}
		for i := 1; i <= 100; i++ {
			files = append(files, link(fmt.Sprint("l", i), fmt.Sprint("l", i-1)))
		}
		if backwards {
			slices.Reverse(files)
		}
		fi, err := ParseInfo(encode(t, multi(16384, files...)))
		require.NoError(t, err)
		checkInvariants(t, fi)
		require.Len(t, visible(fi), 41, "40 links and the file, in any order of the list")
	}
}

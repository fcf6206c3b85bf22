package metainfo

import (
	"strings"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

// checkInvariants holds every promise of Info and its methods against an Info that was accepted.
func checkInvariants(t require.TestingT, fi *Info) {
	checkName(t, fi.Name)
	require.NotEmpty(t, fi.Files)
	require.True(t, fi.V1 || fi.V2)
	checkTree(t, fi)
	checkLayout(t, fi)
	checkPieces(t, fi)
}

// checkName tests that s is a possible and harmless file name.
func checkName(t require.TestingT, s string) {
	require.NotEmpty(t, s)
	require.LessOrEqual(t, len(s), 255)
	require.True(t, utf8.ValidString(s), "%q", s)
	require.NotContains(t, []string{".", ".."}, s)
	for _, r := range s {
		require.False(t, r == '/' || r == '\\' || isControl(r) || isInvisible(r), "%q", s)
	}
}

// checkTree tests that the visible files make up a tree in which every name means one thing and links lead somewhere.
func checkTree(t require.TestingT, fi *Info) {
	files := make(map[string]bool)
	folders := map[string]bool{"": true}
	links := make(map[string]string)
	for i := range fi.Files {
		f := &fi.Files[i]
		require.NotEmpty(t, f.Path)
		require.LessOrEqual(t, len(f.Path), maxPathElements)
		for _, e := range f.Path {
			checkName(t, e)
		}
		if f.Pad {
			require.Nil(t, f.Symlink)
			continue
		}
		path := strings.Join(f.Path, "/")
		require.False(t, files[path], "two files %q", path)
		files[path] = true
		for n := range f.Path {
			folders[strings.Join(f.Path[:n], "/")] = true
		}
		if f.Symlink != nil {
			require.True(t, f.Visible())
			require.NotEmpty(t, f.Symlink)
			require.Zero(t, f.Length)
			links[path] = strings.Join(f.Symlink, "/")
		}
	}
	for path := range files {
		require.False(t, folders[path], "%q is a file and a folder", path)
	}
	for path := range links {
		require.True(t, resolves(path, files, folders, links), "%q leads nowhere", path)
	}
}

// resolves follows a path the way a kernel does: element by element, no more than 40 links.
func resolves(path string, files, folders map[string]bool, links map[string]string) bool {
	at, rest := "", strings.Split(path, "/")
	for follows := 0; len(rest) > 0; {
		if !folders[at] {
			return false
		}
		at = strings.TrimPrefix(at+"/"+rest[0], "/")
		rest = rest[1:]
		if target, ok := links[at]; ok {
			if follows++; follows > maxLinkFollows {
				return false
			}
			at, rest = "", append(strings.Split(target, "/"), rest...)
		}
	}
	return files[at] || folders[at]
}

// checkLayout tests that the files lie one after the other, and that sizes add up.
func checkLayout(t require.TestingT, fi *Info) {
	var end, size int64
	for i, f := range fi.Files {
		require.GreaterOrEqual(t, f.Length, int64(0))
		switch {
		case fi.V1 || f.Length == 0:
			require.Equal(t, end, f.Offset)
		default:
			require.Zero(t, f.Offset%fi.PieceLength)
			require.Less(t, f.Offset-end, fi.PieceLength)
			require.GreaterOrEqual(t, f.Offset, end)
		}
		end = f.Offset + f.Length
		if !f.Pad {
			size += f.Length
		}
		if f.Length > 0 {
			require.Equal(t, i, fi.FileAt(f.Offset))
			require.Equal(t, i, fi.FileAt(end-1))
		}
	}
	require.Equal(t, fi.Length, end)
	require.Equal(t, fi.Size, size)
	require.Equal(t, -1, fi.FileAt(-1))
	require.Equal(t, -1, fi.FileAt(fi.Length))
}

// checkPieces tests that pieces and files agree on who has which bytes. It looks at a few thousand pieces at most.
func checkPieces(t require.TestingT, fi *Info) {
	require.LessOrEqual(t, fi.NumPieces(), MaxPieces)
	var total int64
	for i := range min(fi.NumPieces(), 3000) {
		size := fi.PieceSize(i)
		require.Positive(t, size)
		require.LessOrEqual(t, size, fi.PieceLength)
		at := int64(0)
		for _, s := range fi.PieceSpans(i) {
			f := &fi.Files[s.File]
			require.Equal(t, at, s.Begin)
			require.Positive(t, s.Length)
			require.Equal(t, int64(i)*fi.PieceLength+s.Begin, f.Offset+s.FileOffset)
			require.LessOrEqual(t, s.FileOffset+s.Length, f.Length)
			first, last := fi.FilePieces(s.File)
			require.True(t, first <= i && i <= last)
			at += s.Length
		}
		require.Equal(t, size, at)
		total += size
		if fi.V1 {
			_ = fi.PieceHash(i)
		} else {
			require.Zero(t, fi.PieceHash(i))
		}
		fi.PieceHashV2(i)
		require.ErrorIs(t, fi.VerifyPiece(i, nil), ErrPieceHash)
	}
	if fi.NumPieces() <= 3000 {
		want := fi.Length
		if !fi.V1 {
			want = fi.Size
		}
		require.Equal(t, want, total)
	}
	for i := range fi.Files {
		first, last := fi.FilePieces(i)
		require.Equal(t, fi.Files[i].Length == 0, first > last)
		require.Less(t, last, fi.NumPieces())
	}
}

// checkRoundTrip tests that a file written from m reads as m.
func checkRoundTrip(t require.TestingT, m *Metainfo) {
	raw, err := m.Marshal()
	require.NoError(t, err)
	again, err := ParseMetainfo(raw)
	require.NoError(t, err)
	require.Equal(t, m, again)

	link := m.Magnet()
	parsed, err := ParseMagnet(link.String())
	require.NoError(t, err)
	require.Equal(t, link.InfoHash, parsed.InfoHash)
	require.True(t, parsed.Matches(m.Info.Raw))

	info, err := ParseInfo(m.Info.Raw)
	require.NoError(t, err)
	require.Equal(t, m.Info.Files, info.Files)
}

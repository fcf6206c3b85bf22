package fs_test

import (
	"bytes"
	"os"
	"testing"

	"magnetfs/fetch/fetchtest"
)

func TestReadTree(t *testing.T) {
	m := mountWith(t, serveConfig{})
	if err := os.Mkdir(m.path(magnetOf("tree")), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"README", "sub/run.sh", "sub/deep/data.bin", "ünï cödé ☃.txt"} {
		got, err := os.ReadFile(m.path("tree", name))
		if err != nil {
			t.Error(err)
			continue
		}
		want, err := fetchtest.Payload(torrent("tree"), name)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s: %d bytes read differ from the %d of the torrent", name, len(got), len(want))
		}
	}
}

package fs_test

import (
	"errors"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

const pinAttr = "user.magnetfs.pin"

func (m *mounted) pin(path, value string) error {
	return unix.Setxattr(m.path(path), pinAttr, []byte(value), 0)
}

func (m *mounted) pinned(path string) string {
	m.t.Helper()
	buf := make([]byte, 16)
	n, err := unix.Getxattr(m.path(path), pinAttr, buf)
	if err != nil {
		m.t.Errorf("%s: %v", path, err)
		return ""
	}
	return string(buf[:n])
}

func TestPinAttribute(t *testing.T) {
	t.Parallel()
	m := mountWith(t, serveConfig{Torrents: []string{"tree", "large", "dead"}, RAM: 24 << 20})
	for _, step := range []struct {
		path, value string
		err         error
		pinned      string // of "tree tree/sub tree/sub/run.sh tree/README"
	}{
		{"tree/sub", "1", nil, "0 1 1 0"},
		{"tree/sub", "yes\n", nil, "0 1 1 0"},
		{"tree/sub/run.sh", "0", nil, "0 0 0 0"},
		{"tree", "true", nil, "1 1 1 1"},
		{"tree/README", "off", nil, "0 1 1 0"},
		{"tree", "perhaps", unix.EINVAL, "0 1 1 0"},
		{"large", "1", unix.ENOSPC, "0 1 1 0"},
		{"large/large", "1", unix.ENOSPC, "0 1 1 0"},
		{"tree", "", nil, "0 0 0 0"},
	} {
		if err := m.pin(step.path, step.value); !errors.Is(err, step.err) {
			t.Errorf("%s=%q: %v, want %v", step.path, step.value, err, step.err)
		}
		var got []string
		for _, path := range []string{"tree", "tree/sub", "tree/sub/run.sh", "tree/README"} {
			got = append(got, m.pinned(path))
		}
		if strings.Join(got, " ") != step.pinned {
			t.Errorf("after %s=%q: %q, want %q", step.path, step.value, got, step.pinned)
		}
	}
	if err := unix.Setxattr(m.path("tree"), pinAttr, []byte("1"), unix.XATTR_CREATE); !errors.Is(err, unix.EEXIST) {
		t.Errorf("create: %v", err)
	}
	eventually(t, "a log line that says why a pin was refused", func() bool {
		return strings.Contains(m.log.String(), "24 MiB are more than the 18 MiB that can be pinned")
	})
	m.contains(".magnetfs/pins.json", `"capacity": 18874368`)

	if err := m.pin("tree/sub", "1"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "what is pinned is here", func() bool {
		b, _ := os.ReadFile(m.path(".magnetfs/by-hash", hashOf("tree"), "status"))
		return strings.Contains(string(b), "2 files pinned, 101 KiB of 101 KiB here")
	})
	if err := unix.Removexattr(m.path("tree/sub"), pinAttr); err != nil || m.pinned("tree/sub") != "0" {
		t.Errorf("remove: %v", err)
	}
	// What is removed needs no pin.
	if err := m.pin("tree/README", "1"); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(m.path("tree/README")); err != nil {
		t.Fatal(err)
	}
	b, _ := os.ReadFile(m.path(".magnetfs/by-hash", hashOf("tree"), "status"))
	if strings.Contains(string(b), "pinned") {
		t.Errorf("still pinned after rm:\n%s", b)
	}
}

func TestWaitingReadsAreShown(t *testing.T) {
	t.Parallel()
	m := mountWith(t, serveConfig{Torrents: []string{"stall"}})
	f, err := os.Open(m.path("stall/stall"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	buf := make([]byte, 1000)
	if _, err := f.ReadAt(buf, 0); err != nil {
		t.Fatal(err)
	}
	read := make(chan error, 1)
	go func() {
		_, err := f.ReadAt(make([]byte, 1000), 40*pieceLength-500)
		read <- err
	}()
	dir := ".magnetfs/by-hash/" + hashOf("stall")
	eventually(t, "the read is shown", func() bool {
		b, _ := os.ReadFile(m.path(dir, "reads"))
		s := string(b)
		return strings.Contains(s, "stall: fs.test (") && strings.Contains(s, "probe at") &&
			strings.Contains(s, "waits for 1000 B at 1.2 MiB of stall since ") && strings.Contains(s, "piece 39, 0 of 2 blocks here") && strings.Contains(s, "; piece 40,")
	})
	m.contains(dir+"/status", "waits for 1000 B")
	m.contains(dir+"/status.json", `"offset": 1310220`, `"mode": "probe"`)
	m.contains(dir+"/pieces", "# here", "       0  #......................................!!")
	m.call("release")
	if err := <-read; err != nil {
		t.Error(err)
	}
	if b, _ := os.ReadFile(m.path(dir, "reads")); strings.Contains(string(b), "waits") {
		t.Errorf("it waits no more:\n%s", b)
	}
}

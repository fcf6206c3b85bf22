package fs

import (
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// fakeProc makes a procfs with one thread, number 7.
func fakeProc(t *testing.T, files map[string]string) procs {
	t.Helper()
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "7"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, "7", name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return procs(dir)
}

func TestAhead(t *testing.T) {
	walk := []string{"magnet:x&tr=udp:", "h:1"}
	tests := []struct {
		name  string
		files map[string]string
		walk  []string
		want  ahead
	}{
		{"nothing known", nil, walk, unknown},
		{"the argument goes on", map[string]string{"cmdline": "mkdir\x00m/magnet:x&tr=udp://h:1/announce\x00"}, walk, more},
		{"the argument ends", map[string]string{"cmdline": "mkdir\x00m/magnet:x&tr=udp://h:1\x00"}, walk, last},
		{"a script that holds the text tells nothing",
			map[string]string{"cmdline": "sh\x00-c\x00mkdir 'm/magnet:x&tr=udp://h:1' && true\x00"}, walk, unknown},
		{"arguments contradict each other",
			map[string]string{"cmdline": "mkdir\x00magnet:x&tr=udp://h:1\x00magnet:x&tr=udp://h:1/announce\x00"}, walk, unknown},
		{"mkdir -p has cut its argument",
			map[string]string{"cmdline": "mkdir\x00-p\x00magnet:x&tr=udp://h:1\x00announce\x00", "comm": "mkdir\n"}, walk, more},
		{"mkdir of two magnets",
			map[string]string{"cmdline": "mkdir\x00magnet:x&tr=udp://h:1\x00magnet:y\x00", "comm": "mkdir\n"}, walk, last},
		{"nobody means a magnet that ends in a scheme",
			map[string]string{"cmdline": "mkdir\x00-p\x00magnet:x&tr=udp:\x00/h:1/announce\x00"}, walk[:1], more},
		{"running, not in a system call",
			map[string]string{"syscall": "running\n"}, walk, unknown},
		{"addresses that lead nowhere",
			map[string]string{"syscall": "83 0xffffffffffffff9c 0x0 0x0 0x0 0x0 0x0 0x7ffd 0x7f\n", "mem": ""}, walk, unknown},
	}
	for _, tt := range tests {
		if got := fakeProc(t, tt.files).ahead(7, tt.walk); got != tt.want {
			t.Errorf("%s: %d, want %d", tt.name, got, tt.want)
		}
	}
	if got := procs("/proc").ahead(0, walk); got != unknown {
		t.Errorf("a caller without a number: %d", got)
	}
}

// The path argument is found through the caller's memory: here the memory of a
// fake, whose path lies at address 100.
func TestAheadInMemory(t *testing.T) {
	mem := string(make([]byte, 100)) + "/mnt/magnet:x&tr=udp://h:1/announce\x00"
	p := fakeProc(t, map[string]string{"syscall": "83 0x64 0x1ff 0x0 0x0 0x0 0x0 0x7ffd 0x7f\n", "mem": mem})
	for i, want := range []ahead{more, more, last} {
		walk := []string{"magnet:x&tr=udp:", "h:1", "announce"}[:i+1]
		if got := p.ahead(7, walk); got != want {
			t.Errorf("%q: %d, want %d", walk, got, want)
		}
	}
}

func TestMakesDirectory(t *testing.T) {
	tests := []struct {
		name  string
		files map[string]string
		want  bool
	}{
		{"mkdirat", map[string]string{"syscall": itoa(unix.SYS_MKDIRAT) + " 0x3 0x4 0x5 0x0 0x0 0x0 0x1 0x2"}, true},
		{"openat", map[string]string{"syscall": itoa(unix.SYS_OPENAT) + " 0x3 0x4 0x5 0x0 0x0 0x0 0x1 0x2", "comm": "mkdir"}, false},
		{"only the name is known", map[string]string{"comm": "mkdir\n"}, true},
		{"another name", map[string]string{"comm": "ls\n"}, false},
		{"nothing known", nil, false},
	}
	for _, tt := range tests {
		if got := fakeProc(t, tt.files).makesDirectory(7); got != tt.want {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
}

func itoa(n int) string { return decimal(int64(n)) }

// Where the system call of the caller cannot be read (Yama, another user), the
// command line of mv tells what it gives a name to.
func TestRenamesTo(t *testing.T) {
	tests := []struct {
		comm, args, name string
		want             bool
	}{
		{"mv", "mv\x00/t/old\x00/t/new\x00", "new", true},
		{"mv", "mv\x00-v\x00/t/old\x00new/\x00", "new", true},
		{"mv", "mv\x00/t/old\x00/t/new\x00", "old", false},
		{"mv", "mv\x00/t/new\x00/t/new\x00", "new", false},
		{"mv", "mv\x00-t\x00/t/old\x00/t/new\x00", "new", false},
		{"mv", "mv\x00new\x00", "new", false},
		{"ls", "ls\x00/t/old\x00/t/new\x00", "new", false},
	}
	for _, tt := range tests {
		p := fakeProc(t, map[string]string{"comm": tt.comm + "\n", "cmdline": tt.args})
		if got := p.renamesTo(7, tt.name); got != tt.want {
			t.Errorf("%q, looking up %s: %v", tt.args, tt.name, got)
		}
	}
}

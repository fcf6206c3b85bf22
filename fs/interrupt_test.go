package fs_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// stalledAt is where the data of the torrent "stall" ends.
const stalledAt = 32 * pieceLength

// reader is a program that reads from the mount.
type reader struct {
	t    testing.TB
	cmd  *exec.Cmd
	out  *bufio.Reader
	tid  int
	dead chan struct{}
}

// read starts a program of tasks_test.go and waits until it is about to read.
func (m *mounted) read(args ...string) *reader {
	m.t.Helper()
	r := &reader{t: m.t, cmd: task(args[0], args[1:]...), dead: make(chan struct{})}
	out, err := r.cmd.StdoutPipe()
	if err != nil {
		m.t.Fatal(err)
	}
	r.out = bufio.NewReader(out)
	if err := r.cmd.Start(); err != nil {
		m.t.Fatal(err)
	}
	if _, err := fmt.Fscanf(r.out, "reading %d\n", &r.tid); err != nil {
		m.t.Fatalf("%v: %v", args, err)
	}
	// Once might be a part that comes.
	for range 2 {
		m.waiting(r.cmd.Process.Pid, r.tid)
		time.Sleep(100 * time.Millisecond)
	}
	return r
}

// waiting returns when a thread sleeps in a call to the mount.
func (m *mounted) waiting(pid, tid int) {
	m.t.Helper()
	eventually(m.t, fmt.Sprintf("thread %d waits for the mount", tid), func() bool {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/wchan", pid, tid))
		where := string(b)
		return err == nil && (strings.Contains(where, "request_wait_answer") || strings.Contains(where, "folio"))
	})
}

// result is what the program says after the read; it must come soon.
func (r *reader) result(within time.Duration) string {
	r.t.Helper()
	killer := time.AfterFunc(within, func() { _ = r.cmd.Process.Kill() })
	line, err := r.out.ReadString('\n')
	if !killer.Stop() {
		r.t.Errorf("no answer within %v", within)
	} else if err != nil && err != io.EOF {
		r.t.Error(err)
	}
	return strings.TrimSpace(line)
}

// ended waits for the end of the program and returns the signal that killed it.
func (r *reader) ended(within time.Duration) unix.Signal {
	r.t.Helper()
	killer := time.AfterFunc(within, func() { r.t.Errorf("still there after %v", within); _ = r.cmd.Process.Kill() })
	defer killer.Stop()
	_ = r.cmd.Wait()
	if st, ok := r.cmd.ProcessState.Sys().(interface{ Signal() unix.Signal }); ok {
		return st.Signal()
	}
	return 0
}

func (r *reader) signal(sig unix.Signal) { _ = r.cmd.Process.Signal(sig) }

// eachMode runs a check on a mount that reads past the page cache, as far as it
// may, and on one that always reads through it.
func eachMode(t *testing.T, torrents []string, check func(t *testing.T, m *mounted)) {
	for name, cached := range map[string]bool{"direct": false, "page cache": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			check(t, mountWith(t, serveConfig{Torrents: torrents, Cached: cached}))
		})
	}
}

// Signals that end a program end its read at once.
func TestFatalSignals(t *testing.T) { eachMode(t, []string{"stall"}, checkFatalSignals) }

func checkFatalSignals(t *testing.T, m *mounted) {
	file := m.path("stall/stall")
	programs := map[string][]string{
		"cat": {"cat", file},
		"dd":  {"dd", "if=" + file, "bs=64k", "of=/dev/null"},
	}
	for name, args := range programs {
		for _, sig := range []unix.Signal{unix.SIGINT, unix.SIGTERM, unix.SIGHUP, unix.SIGKILL} {
			r := &reader{t: t, cmd: exec.Command(args[0], args[1:]...)}
			if err := r.cmd.Start(); err != nil {
				t.Fatal(err)
			}
			m.waiting(r.cmd.Process.Pid, r.cmd.Process.Pid)
			r.signal(sig)
			if got := r.ended(time.Second); got != sig {
				t.Errorf("%s: ended by %v, not by %v", name, got, sig)
			}
		}
	}
	// The file is as usable as before.
	within(t, time.Second, "reading what is there", func() {
		got := make([]byte, stalledAt)
		if f, err := os.Open(file); err != nil {
			t.Error(err)
		} else if _, err := io.ReadFull(f, got); err != nil || !bytes.Equal(got, torrent("stall").Payload[:stalledAt]) {
			t.Errorf("wrong bytes, %v", err)
		} else {
			f.Close()
		}
	})
}

// A signal that the program catches ends the read with EINTR. Through the page
// cache only one that asks it to end does: whether the program is in a read or in a
// page fault cannot be told there.
func TestCaughtSignals(t *testing.T) { eachMode(t, []string{"stall"}, checkCaughtSignals) }

func checkCaughtSignals(t *testing.T, m *mounted) {
	file := m.path("stall/stall")
	signals := []unix.Signal{unix.SIGINT, unix.SIGTERM}
	if strings.HasSuffix(t.Name(), "direct") {
		signals = append(signals, unix.SIGUSR1)
	}
	for _, sig := range signals {
		r := m.read("read", file, decimalOf(stalledAt), "100", "caught")
		_ = unix.Tgkill(r.cmd.Process.Pid, r.tid, sig)
		if got := r.result(time.Second); got != "-1 EINTR" {
			t.Errorf("%v: %q", sig, got)
		}
		r.ended(time.Second)
	}
}

// The kernel cuts a large read into several. Broken off in the second, it returns
// what it has; the program that comes back for the rest is sent away too.
func TestBrokenOffInTheMiddle(t *testing.T) {
	t.Parallel()
	m := mountWith(t, serveConfig{Torrents: []string{"stall"}})
	r := m.read("read", m.path("stall/stall"), "0", decimalOf(3<<20), "caught", "again")
	_ = unix.Tgkill(r.cmd.Process.Pid, r.tid, unix.SIGINT)
	if got := r.result(time.Second); got != decimalOf(stalledAt)+" ok" {
		t.Errorf("the first part: %q", got)
	}
	if got := r.result(time.Second); got != "-1 EINTR" {
		t.Errorf("the rest: %q", got)
	}
	r.ended(time.Second)
}

// The SIGURG by which Go moves its goroutines about does not harm a read, and
// neither do other signals of that kind.
func TestHarmlessSignals(t *testing.T) { eachMode(t, []string{"stall"}, checkHarmlessSignals) }

func checkHarmlessSignals(t *testing.T, m *mounted) {
	r := m.read("read", m.path("stall/stall"), decimalOf(stalledAt), "100", "caught")
	for range 10 {
		_ = unix.Tgkill(r.cmd.Process.Pid, r.tid, unix.SIGURG)
		r.signal(unix.SIGWINCH)
		time.Sleep(20 * time.Millisecond)
	}
	m.call("release")
	if got := r.result(5 * time.Second); got != "100 ok" {
		t.Errorf("after ten signals: %q", got)
	}
	r.ended(time.Second)
}

// The kernel sends one INTERRUPT only: a real signal that comes after a harmless
// one must be seen all the same.
func TestHarmlessThenReal(t *testing.T) { eachMode(t, []string{"stall"}, checkHarmlessThenReal) }

func checkHarmlessThenReal(t *testing.T, m *mounted) {
	for _, sig := range []unix.Signal{unix.SIGINT, unix.SIGKILL} {
		r := m.read("read", m.path("stall/stall"), decimalOf(stalledAt), "100", "caught")
		_ = unix.Tgkill(r.cmd.Process.Pid, r.tid, unix.SIGURG)
		time.Sleep(100 * time.Millisecond)
		_ = unix.Tgkill(r.cmd.Process.Pid, r.tid, sig)
		if got := r.result(time.Second); sig == unix.SIGINT && got != "-1 EINTR" {
			t.Errorf("%v: %q", sig, got)
		}
		r.ended(time.Second)
	}
}

// Mapped files show the right bytes, and a page that never comes can be left.
func TestMapped(t *testing.T) { eachMode(t, []string{"stall"}, checkMapped) }

func checkMapped(t *testing.T, m *mounted) {
	for _, kind := range []string{"shared", "private"} {
		for _, off := range []int{0, 12345, stalledAt - 1} {
			r := &reader{t: t, cmd: task("map", m.path("stall/stall"), decimalOf(off), kind)}
			var out []byte
			var err error
			within(t, 2*time.Second, "a byte that is there", func() { out, err = r.cmd.Output() })
			want := decimalOf(int(torrent("stall").Payload[off]))
			if err != nil || !strings.HasSuffix(string(out), "\n"+want+"\n") {
				t.Errorf("%s, byte %d: %q, %v; want %s", kind, off, out, err, want)
			}
		}
		for _, sig := range []unix.Signal{unix.SIGTERM, unix.SIGKILL} {
			r := m.read("map", m.path("stall/stall"), decimalOf(3<<20), kind)
			r.signal(sig)
			r.ended(time.Second)
		}
		r := m.read("map", m.path("stall/stall"), decimalOf(3<<20), kind, "caught")
		_ = unix.Tgkill(r.cmd.Process.Pid, r.tid, unix.SIGINT)
		r.ended(2 * time.Second)
	}
	// Nobody left a page locked behind.
	within(t, 2*time.Second, "mapping it once more", func() {
		if err := task("map", m.path("stall/stall"), "0", "shared").Run(); err != nil {
			t.Error(err)
		}
	})
}

// A dead torrent does not slow another, whatever number of reads waits for it.
func TestStalledReadersHarmNobody(t *testing.T) {
	t.Parallel()
	m := mountWith(t, serveConfig{Torrents: []string{"dead", "stall", "film"}}, "GOMAXPROCS=1")
	before := m.call("descriptors")
	var waiting []*exec.Cmd
	for i := range 40 {
		cmd := exec.Command("cat", m.path("dead/dead"))
		if i%2 == 0 {
			cmd = task("map", m.path("stall/stall"), decimalOf(2<<20+i*4096), "private")
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		waiting = append(waiting, cmd)
	}
	time.Sleep(500 * time.Millisecond)
	within(t, 3*time.Second, "reading another file", func() { m.compare(m.path("film/film"), torrent("film").Payload) })
	within(t, time.Second, "listing", func() { m.names("film") })
	within(t, time.Second, "adding", func() {
		if err := unix.Mkdir(m.path(hashOf("tree")), 0o755); err != nil {
			t.Error(err)
		}
	})
	within(t, 3*time.Second, "killing all", func() {
		for _, cmd := range waiting {
			_ = cmd.Process.Kill()
		}
		for _, cmd := range waiting {
			_ = cmd.Wait()
		}
	})
	eventually(t, "no descriptor is left", func() bool { return m.call("descriptors") == before })
}

// Many readers at many places of one file, through descriptors of their own and
// shared ones.
func TestConcurrentReaders(t *testing.T) {
	t.Parallel()
	m := mountWith(t, serveConfig{Torrents: []string{"large"}, RAM: 16 << 20})
	all := torrent("large").Payload
	shared, err := os.Open(m.path("large/large"))
	if err != nil {
		t.Fatal(err)
	}
	defer shared.Close()
	var group sync.WaitGroup
	for i := range 16 {
		group.Go(func() {
			f := shared
			if i%2 == 0 {
				own, err := os.Open(m.path("large/large"))
				if err != nil {
					t.Error(err)
					return
				}
				defer own.Close()
				f = own
			}
			buf := make([]byte, 300_000)
			for k := range 20 {
				off := int64((i*7919 + k*104729*13) % (len(all) - len(buf)))
				if _, err := f.ReadAt(buf, off); err != nil || !bytes.Equal(buf, all[off:off+int64(len(buf))]) {
					t.Errorf("reader %d at %d: wrong bytes, %v", i, off, err)
					return
				}
			}
		})
	}
	group.Wait()
}

package fs

import (
	"fmt"
	"testing"

	"golang.org/x/sys/unix"
)

func TestInterrupted(t *testing.T) {
	caught := signalSet(unix.SIGINT, unix.SIGUSR1, unix.SIGURG, unix.SIGWINCH, unix.SIGPROF, unix.SIGALRM)
	tests := []struct {
		name       string
		state      threadState
		want, page bool // for a program's read, for the page cache
	}{
		{"nothing waits", threadState{caught: caught}, false, false},
		{"Ctrl-C by default", threadState{shared: signalSet(unix.SIGINT)}, true, true},
		{"Ctrl-C caught", threadState{shared: signalSet(unix.SIGINT), caught: caught}, true, true},
		{"Ctrl-C ignored", threadState{shared: signalSet(unix.SIGINT), ignored: signalSet(unix.SIGINT)}, false, false},
		{"Ctrl-C blocked by this thread", threadState{shared: signalSet(unix.SIGINT), blocked: signalSet(unix.SIGINT)}, false, false},
		{"kill -9, whatever is blocked", threadState{own: signalSet(unix.SIGKILL), blocked: ^signals(0)}, true, true},
		{"a goroutine is preempted", threadState{own: signalSet(unix.SIGURG), caught: caught}, false, false},
		{"a profile is taken", threadState{own: signalSet(unix.SIGPROF), caught: caught}, false, false},
		{"SIGPROF would end the program", threadState{own: signalSet(unix.SIGPROF)}, true, true},
		{"the window changes", threadState{shared: signalSet(unix.SIGWINCH), caught: caught}, false, false},
		{"a timer", threadState{shared: signalSet(unix.SIGALRM), caught: caught}, true, false},
		{"SIGURG and Ctrl-C", threadState{own: signalSet(unix.SIGURG), shared: signalSet(unix.SIGINT), caught: caught}, true, true},
		{"the thread is gone", threadState{gone: true}, true, true},
	}
	for _, tt := range tests {
		if got := tt.state.interrupted(false); got != tt.want {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
		if got := tt.state.interrupted(true); got != tt.page {
			t.Errorf("%s, for the page cache: %v, want %v", tt.name, got, tt.page)
		}
	}
}

func TestToldToEnd(t *testing.T) {
	has := threadState{caught: signalSet(unix.SIGINT, unix.SIGTERM, unix.SIGUSR1)}
	tests := []struct {
		name string
		now  threadState
		want bool
	}{
		{"handlers as before", has, false},
		{"SIGINT back to its default", threadState{caught: signalSet(unix.SIGTERM, unix.SIGUSR1)}, true},
		{"SIGINT ignored from now on", threadState{caught: signalSet(unix.SIGTERM), ignored: signalSet(unix.SIGINT)}, false},
		{"another handler is gone", threadState{caught: signalSet(unix.SIGINT, unix.SIGTERM)}, false},
	}
	for _, tt := range tests {
		if got := tt.now.toldToEnd(has); got != tt.want {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
	if has.toldToEnd(threadState{}) {
		t.Error("a program that only now catches SIGINT was told to end")
	}
}

func TestThreadState(t *testing.T) {
	const status = "Name:\tcat\nState:\t%s\nSigQ:\t0/1\nSigPnd:\t0000000000000100\nShdPnd:\t0000000000000002\n" +
		"SigBlk:\t0000000000010000\nSigIgn:\t0000000000001000\nSigCgt:\t0000000180004002\n"
	p := fakeProc(t, map[string]string{"status": fmt.Sprintf(status, "D (disk sleep)")})
	got := p.state(7)
	want := threadState{own: 0x100, shared: 2, blocked: 0x10000, ignored: 0x1000, caught: 0x180004002}
	if got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	if got := parseState(fmt.Appendf(nil, status, "Z (zombie)")); !got.gone {
		t.Error("a zombie is not gone")
	}
	if got := p.state(8); !got.gone {
		t.Error("a thread that is not there is not gone")
	}
}

func FuzzThreadState(f *testing.F) {
	f.Add([]byte("State:\tS\nSigPnd:\t0\n"))
	f.Fuzz(func(_ *testing.T, raw []byte) { parseState(raw) })
}

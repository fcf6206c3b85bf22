package fs

import (
	"bytes"
	"io"
	"strconv"

	"golang.org/x/sys/unix"
)

// signals is a set of signal numbers, bit n-1 for signal n, as in
// /proc/<tid>/status.
type signals uint64

func signalSet(nums ...unix.Signal) (s signals) {
	for _, n := range nums {
		s |= 1 << (n - 1)
	}
	return s
}

// housekeeping are signals that programs catch for their own affairs and do not
// want their reads broken by: SIGURG preempts goroutines, SIGPROF and SIGVTALRM
// drive profilers, SIGCHLD, SIGCONT and SIGWINCH are news. They count only where
// they would end the program, which of these SIGPROF and SIGVTALRM do.
var housekeeping = signalSet(unix.SIGURG, unix.SIGPROF, unix.SIGVTALRM,
	unix.SIGCHLD, unix.SIGCONT, unix.SIGWINCH)

// enders are the signals that ask a program to end.
var enders = signalSet(unix.SIGINT, unix.SIGTERM, unix.SIGHUP, unix.SIGQUIT)

// threadState is what /proc/<tid>/status says of a thread.
type threadState struct {
	gone    bool // there is no such thread, or it has ended
	own     signals
	shared  signals // pending for the process
	blocked signals
	ignored signals
	caught  signals
}

// interrupted tells whether a signal waits for the thread that ends its program
// or that the program catches. In a read for the page cache a caught signal counts
// only if it asks the program to end: no handler can run before the page is there,
// and a program with a timer does not deserve a SIGBUS.
func (t threadState) interrupted(page bool) bool {
	if t.gone {
		return true
	}
	passed := housekeeping & t.caught
	if page {
		passed = t.caught &^ enders
	}
	kill := signalSet(unix.SIGKILL)
	pending := t.own | t.shared
	return pending&kill != 0 || pending&^t.blocked&^t.ignored&^passed != 0
}

// toldToEnd tells whether the program has given up a handler of a signal that asks
// it to end, since it was in the state before. mpv takes SIGINT in another thread
// than the one that reads, with a handler for one time only, and then waits for
// the reading thread: nothing else can be seen of its Ctrl-C.
func (t threadState) toldToEnd(before threadState) bool {
	return before.caught&enders&^t.caught&^t.ignored != 0
}

// state reads the state of a thread. One that was there before and is gone now has
// ended; one that never was there cannot be seen from here.
func (p procs) state(tid uint32) threadState {
	raw := readUpTo(p.file(tid, "status"), 16<<10)
	if len(raw) == 0 {
		return threadState{gone: true}
	}
	return parseState(raw)
}

func parseState(raw []byte) (t threadState) {
	fields := map[string]*signals{
		"SigPnd": &t.own, "ShdPnd": &t.shared,
		"SigBlk": &t.blocked, "SigIgn": &t.ignored, "SigCgt": &t.caught,
	}
	for line := range bytes.SplitSeq(raw, []byte{'\n'}) {
		key, value, _ := bytes.Cut(line, []byte{':'})
		value = bytes.TrimSpace(value)
		if string(key) == "State" && len(value) > 0 {
			t.gone = value[0] == 'Z' || value[0] == 'X'
		}
		if set := fields[string(key)]; set != nil {
			v, err := strconv.ParseUint(string(value), 16, 64)
			if err == nil {
				*set = signals(v)
			}
		}
	}
	return t
}

// readAll returns at most n bytes.
func readAll(r io.Reader, n int64) []byte {
	b, err := io.ReadAll(io.LimitReader(r, n))
	if err != nil {
		return nil
	}
	return b
}

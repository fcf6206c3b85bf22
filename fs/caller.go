package fs

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// LOOKUP does not tell whether a component is the last one of the path, nor which
// system call it serves. For the rare names where the right answer depends on it
// (magnets with slashes, a hash that was never typed) the calling thread is asked:
// its command line, which is public, and the path argument of the system call it
// sleeps in, which needs the right to trace it (same user, no Yama). If neither
// can be read the answer is a guess.

// procs reads what the kernel tells about other threads. The value is the mount
// point of procfs, "/proc".
type procs string

// file returns a file of a thread. tid is a thread id in our own pid namespace; 0
// means that the kernel could not name the caller.
func (p procs) file(tid uint32, name string) string {
	return filepath.Join(string(p), strconv.FormatUint(uint64(tid), 10), name)
}

const (
	maxCmdline = 1 << 20 // bytes of arguments looked at
	pathMax    = 4096    // PATH_MAX of Linux
)

// ahead tells what follows the walk in the caller's own words. The command line
// comes first, since it tells what is meant where system calls go step by step.
func (p procs) ahead(tid uint32, walk []string) ahead {
	if tid == 0 {
		return unknown
	}
	a := p.aheadInArguments(tid, walk)
	if a == unknown {
		a = p.aheadInSyscall(tid, walk)
	}
	if a == last && endsInScheme(walk[len(walk)-1]) {
		// One directory after the other is made, by mkdir -p or os.makedirs:
		// nobody means a magnet that ends in "udp:".
		return more
	}
	return a
}

// aheadInArguments finds the walk in the command line. Arguments that contradict
// each other tell nothing.
func (p procs) aheadInArguments(tid uint32, walk []string) ahead {
	args := p.arguments(tid)
	found := unknown
	for i, arg := range args {
		a := aheadIn(components(arg), walk)
		if a == last && i+1 < len(args) && cutAfter(args[:i], args[i+1]) && p.command(tid) == "mkdir" {
			a = more
		}
		if a == unknown {
			continue
		}
		if found != unknown && found != a {
			return unknown
		}
		found = a
	}
	return found
}

// cutAfter tells whether two arguments may be halves of one: mkdir -p puts a NUL in
// the place of each slash of its argument in turn, and makes what is left of it.
func cutAfter(before []string, next string) bool {
	parents := slices.ContainsFunc(before, func(arg string) bool {
		short := strings.HasPrefix(arg, "-") && !strings.HasPrefix(arg, "--")
		return short && strings.Contains(arg, "p") || strings.HasPrefix(arg, "--p")
	})
	return parents && !strings.HasPrefix(next, "-") && !slices.ContainsFunc(components(next), isMagnetStart)
}

// aheadInSyscall finds the walk in the path argument of the system call that the
// thread sleeps in: the first argument (mkdir, stat) or the second (mkdirat,
// newfstatat, openat). A path that is relative to a directory in the middle of the
// walk holds only its end.
func (p procs) aheadInSyscall(tid uint32, walk []string) ahead {
	_, args := p.syscall(tid)
	if len(args) < 2 {
		return unknown
	}
	var paths [][]string
	for _, addr := range args[:2] {
		if text := p.text(tid, addr); text != "" {
			paths = append(paths, components(text))
		}
	}
	for _, path := range paths {
		if a := aheadIn(path, walk); a != unknown {
			return a
		}
	}
	for _, path := range paths {
		if a := aheadAtTail(path, walk); a != unknown {
			return a
		}
	}
	return unknown
}

// syscall returns number and arguments of the system call that a thread sleeps
// in; nr is -1 if that is unknown.
func (p procs) syscall(tid uint32) (nr int, args []uint64) {
	fields := strings.Fields(string(readUpTo(p.file(tid, "syscall"), 1024)))
	if len(fields) < 3 {
		return -1, nil // "running", or not allowed
	}
	nr, err := strconv.Atoi(fields[0])
	if err != nil {
		return -1, nil
	}
	for _, f := range fields[1:min(len(fields), 7)] {
		v, err := strconv.ParseUint(f, 0, 64)
		if err != nil || int64(v) < 0 {
			v = 0
		}
		args = append(args, v)
	}
	return nr, args
}

// text reads a text from the memory of a thread, empty if that is not allowed or
// there is none.
func (p procs) text(tid uint32, addr uint64) string {
	mem, err := os.Open(p.file(tid, "mem"))
	if err != nil {
		return ""
	}
	defer mem.Close()
	buf := make([]byte, pathMax)
	n, _ := mem.ReadAt(buf, int64(addr)) // a wrong address reads nothing
	return string(buf[:max(0, bytes.IndexByte(buf[:n], 0))])
}

// arguments is the caller's command line.
func (p procs) arguments(tid uint32) []string {
	raw := readUpTo(p.file(tid, "cmdline"), maxCmdline)
	return strings.Split(strings.TrimSuffix(string(raw), "\x00"), "\x00")
}

// makesDirectory tells whether the caller is about to make a directory.
func (p procs) makesDirectory(tid uint32) bool {
	if tid == 0 {
		return false
	}
	if nr, _ := p.syscall(tid); nr >= 0 {
		return nr == unix.SYS_MKDIRAT || slices.Contains(mkdirSyscalls, nr)
	}
	return p.command(tid) == "mkdir"
}

// command is the name of the caller's program.
func (p procs) command(tid uint32) string {
	return strings.TrimSpace(string(readUpTo(p.file(tid, "comm"), 64)))
}

// readUpTo returns at most n bytes of a file, nothing if it cannot be read.
func readUpTo(name string, n int64) []byte {
	f, err := os.Open(name)
	if err != nil {
		return nil
	}
	defer f.Close()
	return readAll(f, n)
}

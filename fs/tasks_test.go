package fs_test

import (
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// The readers below make their system calls themselves: os.File would hide EINTR.
// They say "reading <thread id>" before the call that is meant to wait, and after
// it what it returned.

// readTask reads n bytes at an offset with one pread. "caught" makes it catch the
// signals that the test sends, "again" makes it try once more.
//
//	read FILE OFFSET N [caught] [again]
func readTask(args []string) int {
	flags := " " + strings.Join(args[3:], " ") + " "
	if strings.Contains(flags, " caught ") {
		c := make(chan os.Signal, 10)
		signal.Notify(c, unix.SIGINT, unix.SIGTERM, unix.SIGUSR1)
	}
	runtime.LockOSThread()
	fd, err := unix.Open(args[0], unix.O_RDONLY, 0)
	if err != nil {
		fmt.Println(err)
		return 3
	}
	off, n := number(args[1]), int(number(args[2]))
	fmt.Println("reading", unix.Gettid())
	got, err := unix.Pread(fd, make([]byte, n), off)
	fmt.Println(got, name(err))
	if strings.Contains(flags, " again ") {
		got, err = unix.Pread(fd, make([]byte, n), off+int64(max(got, 0)))
		fmt.Println(got, name(err))
	}
	return 0
}

// mapTask maps a file and touches a byte.
//
//	map FILE OFFSET shared|private [caught]
func mapTask(args []string) int {
	if args[len(args)-1] == "caught" {
		signal.Notify(make(chan os.Signal, 10), unix.SIGINT)
	}
	fd, err := unix.Open(args[0], unix.O_RDONLY, 0)
	if err != nil {
		fmt.Println(err)
		return 3
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		fmt.Println(err)
		return 3
	}
	flags := unix.MAP_SHARED
	if args[2] == "private" {
		flags = unix.MAP_PRIVATE
	}
	runtime.LockOSThread()
	b, err := unix.Mmap(fd, 0, int(st.Size), unix.PROT_READ, flags)
	if err != nil {
		fmt.Println(err)
		return 3
	}
	fmt.Println("reading", unix.Gettid())
	fmt.Println(b[number(args[1])])
	return 0
}

func number(s string) int64 {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		panic(err)
	}
	return n
}

func name(err error) string {
	if errno, ok := err.(unix.Errno); ok {
		return unix.ErrnoName(errno)
	}
	return "ok"
}

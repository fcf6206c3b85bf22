//go:build linux && (386 || amd64 || arm || mips || mips64 || mips64le || mipsle || ppc64 || ppc64le || s390x)

package fs

import "golang.org/x/sys/unix"

// mkdirSyscalls are the system calls beside mkdirat that make a directory.
var mkdirSyscalls = []int{unix.SYS_MKDIR}

// The system calls that rename: by (old, new), and by (folder, old, folder, new).
var (
	renameSyscalls   = []int{unix.SYS_RENAME}
	renameatSyscalls = []int{unix.SYS_RENAMEAT, unix.SYS_RENAMEAT2}
)

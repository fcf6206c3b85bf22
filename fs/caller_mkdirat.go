//go:build linux && !(386 || amd64 || arm || mips || mips64 || mips64le || mipsle || ppc64 || ppc64le || s390x)

package fs

import "golang.org/x/sys/unix"

// mkdirSyscalls are the system calls beside mkdirat that make a directory: newer
// architectures have none.
var mkdirSyscalls []int

// The system calls that rename: by (old, new), and by (folder, old, folder, new).
// 38 is renameat in the table that these architectures share; not all have it.
var (
	renameSyscalls   []int
	renameatSyscalls = []int{38, unix.SYS_RENAMEAT2}
)

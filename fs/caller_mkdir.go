//go:build linux && (386 || amd64 || arm || mips || mips64 || mips64le || mipsle || ppc64 || ppc64le || s390x)

package fs

import "golang.org/x/sys/unix"

// mkdirSyscalls are the system calls beside mkdirat that make a directory.
var mkdirSyscalls = []int{unix.SYS_MKDIR}

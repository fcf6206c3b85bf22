//go:build linux && !(386 || amd64 || arm || mips || mips64 || mips64le || mipsle || ppc64 || ppc64le || s390x)

package fs

// mkdirSyscalls are the system calls beside mkdirat that make a directory: newer
// architectures have none.
var mkdirSyscalls []int

package fs

import (
	"context"
	"errors"
	"syscall"

	"magnetfs/fetch"
)

// errno is the one place that turns errors into what programs see. what names the
// call and its object for the log.
//
// Nothing maps to EAGAIN: no program expects it of a file.
func (m *mount) errno(what string, err error) syscall.Errno {
	switch {
	case err == nil:
		return 0
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return syscall.EINTR
	case errors.Is(err, fetch.ErrTimeout):
		return syscall.ETIMEDOUT
	case errors.Is(err, fetch.ErrRemoved):
		return syscall.ESTALE
	case errors.Is(err, fetch.ErrClosed):
		return syscall.ECANCELED // unmounting
	case errors.Is(err, fetch.ErrExists):
		return syscall.EEXIST
	case errors.Is(err, fetch.ErrNotEmpty):
		return syscall.ENOTEMPTY
	case errors.Is(err, fetch.ErrNameTooLong):
		return syscall.ENAMETOOLONG
	case errors.Is(err, fetch.ErrInvalid):
		m.log.Warn(what, "err", err)
		return syscall.EINVAL
	case errors.Is(err, fetch.ErrTooLarge):
		m.log.Warn(what, "err", err)
		return syscall.EFBIG
	case errors.Is(err, fetch.ErrNoRoom):
		m.log.Warn(what, "err", err)
		return syscall.ENOSPC
	case errors.Is(err, fetch.ErrNotReady):
		return syscall.ENODATA
	default:
		m.log.Error(what, "err", err)
		return syscall.EIO
	}
}

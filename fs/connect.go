package fs

import (
	"fmt"
	"log/slog"
	"os"
	"os/user"
	"strings"

	"golang.org/x/sys/unix"
)

// connect prepares the target and mounts a connection on it, unless there is one.
func (c *Config) connect() (target string, device int, err error) {
	if c.Device != 0 { // nothing answers yet if the target is looked at
		return c.Target, c.Device, nil
	}
	return c.connectFor(os.Geteuid(), os.Getegid())
}

func (c *Config) connectFor(uid, gid int) (target string, device int, err error) {
	target, err = prepareTarget(c.Target, c.Create, c.Log)
	if err != nil {
		return "", -1, err
	}
	device, err = openMount(&connection{
		target: target, source: source(uid), uid: uid, gid: gid,
		allowOther: c.AllowOther, readOnly: c.ReadOnly, noExec: c.NoExec,
	})
	return target, device, err
}

// Connect mounts on cfg.Target a connection that belongs to another user, which
// only root may. It does not answer yet: a process of that user has to be given the
// descriptor, as Config.Device. The errors are those of Mount.
func Connect(cfg Config, uid, gid int) (target string, device *os.File, err error) {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	target, fd, err := cfg.connectFor(uid, gid)
	if err != nil {
		return "", nil, err
	}
	return target, os.NewFile(uintptr(fd), fuseDevice), nil
}

// AllowOtherPermitted tells whether ordinary users may let others in: whether
// /etc/fuse.conf has a line user_allow_other. A file that is missing says no.
func AllowOtherPermitted() (bool, error) {
	b, err := os.ReadFile(fuseConf)
	if os.IsNotExist(err) {
		return false, nil
	}
	return permitsOther(string(b)), err
}

// CheckAllowOther returns an error that says what to do if this user may not let
// others into a mount.
func CheckAllowOther() error {
	if unix.Geteuid() == 0 {
		return nil
	}
	if ok, err := AllowOtherPermitted(); ok || err != nil {
		return nil // if it cannot be read, fusermount3 decides
	}
	return fmt.Errorf("%w: letting other users in is left to root here: put a line user_allow_other into %s, or mount without --allow-other", ErrUnavailable, fuseConf)
}

// permitsOther reads fuse.conf as fusermount3 does: # begins a comment, and the
// words stand alone on their line.
func permitsOther(conf string) bool {
	for line := range strings.Lines(conf) {
		line, _, _ = strings.Cut(line, "#")
		if strings.TrimSpace(line) == "user_allow_other" {
			return true
		}
	}
	return false
}

// source is what the mount table calls a mount of this user. The colon tells
// indexers that it is not local.
func source(uid int) string {
	name := fmt.Sprint(uid)
	if u, err := user.LookupId(name); err == nil && u.Username != "" {
		name = u.Username
	}
	return subtype + ":" + name
}

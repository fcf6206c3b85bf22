package fs

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"

	"golang.org/x/sys/unix"
)

// ErrUnavailable is wrapped by every error that says that FUSE is missing or not
// permitted on this system.
var ErrUnavailable = errors.New("FUSE is not available")

const (
	fuseDevice = "/dev/fuse"
	fuseConf   = "/etc/fuse.conf" // settings of fusermount3
)

// connection says how a FUSE connection is mounted.
type connection struct {
	target, source               string
	uid, gid                     int // whose mount it is: who may use it
	allowOther, readOnly, noExec bool
}

// flags are those of mount(2).
func (c *connection) flags() (flags uintptr) {
	flags = unix.MS_NOSUID | unix.MS_NODEV
	if c.readOnly {
		flags |= unix.MS_RDONLY
	}
	if c.noExec {
		flags |= unix.MS_NOEXEC
	}
	return flags
}

// openMount mounts a new FUSE connection and returns its descriptor.
//
// We do not leave it to go-fuse, because its error says "exited with code 256"
// while fusermount3 says why on our standard error, and because a copy of the
// descriptor is the only way to learn that the connection was aborted.
func openMount(c *connection) (device int, err error) {
	if _, err := os.Stat(fuseDevice); err != nil {
		return -1, fmt.Errorf("%w: %s is missing: load the module (modprobe fuse); "+
			"a container must be given the device (--device %s --cap-add SYS_ADMIN)", ErrUnavailable, fuseDevice, fuseDevice)
	}
	var direct error
	if os.Geteuid() == 0 {
		device, direct = mountDirectly(c)
		if direct == nil {
			return device, nil
		}
	}
	device, err = mountByHelper(c)
	if err != nil && direct != nil {
		return -1, fmt.Errorf("%w; mounting as root: %w", err, direct)
	}
	return device, err
}

// mountDirectly uses the system call, which needs CAP_SYS_ADMIN.
func mountDirectly(c *connection) (int, error) {
	device, err := unix.Open(fuseDevice, unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("%w: opening %s: %w", ErrUnavailable, fuseDevice, err)
	}
	data := fmt.Sprintf("fd=%d,rootmode=%o,user_id=%d,group_id=%d,max_read=%d",
		device, unix.S_IFDIR, c.uid, c.gid, maxRead)
	if c.allowOther {
		data += ",allow_other"
	}
	err = unix.Mount(c.source, c.target, FSType, c.flags(), data)
	if err != nil {
		unix.Close(device)
		if errors.Is(err, unix.ENODEV) {
			return -1, fmt.Errorf("%w: the kernel does not know the file system: load the module (modprobe fuse)", ErrUnavailable)
		}
		return -1, fmt.Errorf("%w: mount: %w", ErrUnavailable, err)
	}
	return device, nil
}

// mountByHelper has the set-uid program fusermount3 mount and takes the descriptor
// from it, over a socket whose number it finds in its environment.
func mountByHelper(c *connection) (int, error) {
	helper, err := fusermount()
	if err != nil {
		return -1, err
	}
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("fs: socket pair: %w", err)
	}
	ours, theirs := pair[0], os.NewFile(uintptr(pair[1]), "fusermount")
	defer unix.Close(ours)

	options := []string{"fsname=" + escapeOption(c.source), "subtype=" + subtype,
		fmt.Sprintf("max_read=%d", maxRead), "nosuid", "nodev"}
	for name, on := range map[string]bool{"allow_other": c.allowOther, "ro": c.readOnly, "noexec": c.noExec} {
		if on {
			options = append(options, name)
		}
	}
	var said strings.Builder
	cmd := exec.Command(helper, "-o", strings.Join(options, ","), "--", c.target)
	cmd.Env = append(os.Environ(), "_FUSE_COMMFD=3")
	cmd.ExtraFiles = []*os.File{theirs} // becomes descriptor 3
	cmd.Stderr = &said
	err = cmd.Run()
	theirs.Close()
	if err != nil {
		return -1, helperError(helper, said.String(), err)
	}
	return receiveDescriptor(ours)
}

// helperError turns what fusermount3 said into advice.
func helperError(helper, said string, err error) error {
	said = strings.TrimSpace(said)
	if said == "" {
		said = err.Error()
	}
	var advice string
	switch {
	case strings.Contains(said, "allow_other"):
		advice = ": put a line user_allow_other into /etc/fuse.conf"
	case strings.Contains(said, fuseDevice):
		advice = ": you need the right to read and write it (on most systems its mode is 0666)"
	case strings.Contains(said, "not permitted"):
		advice = ": is " + helper + " set-uid root? In a container, --cap-add SYS_ADMIN is needed"
	}
	return fmt.Errorf("%w: %s%s", ErrUnavailable, said, advice)
}

// escapeOption guards the characters that separate mount options.
func escapeOption(s string) string {
	return strings.NewReplacer(`\`, `\\`, `,`, `\,`).Replace(s)
}

// receiveDescriptor takes the one descriptor that fusermount3 sends.
func receiveDescriptor(socket int) (int, error) {
	buf, oob := make([]byte, 4), make([]byte, unix.CmsgSpace(4))
	_, n, _, _, err := unix.Recvmsg(socket, buf, oob, unix.MSG_CMSG_CLOEXEC)
	if err != nil {
		return -1, fmt.Errorf("fs: waiting for fusermount3: %w", err)
	}
	messages, err := unix.ParseSocketControlMessage(oob[:n])
	if err != nil || len(messages) != 1 {
		return -1, fmt.Errorf("fs: fusermount3 sent no descriptor: %w", err)
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil || len(fds) != 1 {
		return -1, fmt.Errorf("fs: fusermount3 sent no descriptor: %w", err)
	}
	return fds[0], nil
}

// fusermount finds the helper.
func fusermount() (string, error) {
	for _, name := range []string{"fusermount3", "/bin/fusermount3", "fusermount", "/bin/fusermount"} {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("%w: fusermount3 is missing: install the package fuse3 (apt install fuse3)", ErrUnavailable)
}

// unmount takes a mount away; EBUSY if it is in use.
func unmount(target string) error {
	err := unix.Unmount(target, unix.UMOUNT_NOFOLLOW)
	if errors.Is(err, unix.EPERM) {
		return unmountByHelper(target, "-u")
	}
	return err
}

// detach takes a mount away although it is in use.
func detach(target string) error {
	err := unix.Unmount(target, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW)
	if errors.Is(err, unix.EPERM) {
		return unmountByHelper(target, "-uz")
	}
	return err
}

func unmountByHelper(target, flags string) error {
	helper, err := fusermount()
	if err != nil {
		return err
	}
	said, err := exec.Command(helper, flags, "--", target).CombinedOutput()
	switch text := strings.TrimSpace(string(said)); {
	case err == nil:
		return nil
	case strings.Contains(text, "busy"):
		return unix.EBUSY
	default:
		return fmt.Errorf("%s: %w", text, err)
	}
}

// connectionOf returns a function that ends the connection of a mount, which
// fails every request of programs that still use it. It needs the control file
// system of FUSE to be mounted.
func connectionOf(target string) (abort func() error) {
	on, err := mountOn(target)
	if err == nil && on == nil {
		err = unix.EINVAL
	}
	if err != nil {
		return func() error { return err }
	}
	_, minor, _ := strings.Cut(on.device, ":")
	name := fmt.Sprintf("/sys/fs/fuse/connections/%s/abort", minor)
	return func() error { return os.WriteFile(name, []byte("1"), 0) }
}

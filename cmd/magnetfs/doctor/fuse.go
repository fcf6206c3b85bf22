package doctor

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"magnetfs/fs"
)

const device = "/dev/fuse"

// fuseDevice looks whether FUSE is there.
func fuseDevice(*Config) Finding {
	const mend = "modprobe fuse; a container has to be given it: --device " + device + " --cap-add SYS_ADMIN"
	fd, err := unix.Open(device, unix.O_RDWR|unix.O_CLOEXEC, 0)
	switch {
	case err == nil:
		var st unix.Stat_t
		err = unix.Fstat(fd, &st)
		unix.Close(fd)
		if err != nil || st.Rdev != unix.Mkdev(10, 229) { // devices.txt of Linux
			return Finding{Status: Fail, Found: device + " is not the device of FUSE", Mend: "mknod -m 666 " + device + " c 10 229; or " + mend}
		}
		return Finding{Status: OK, Found: device + " can be opened"}
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ENODEV), errors.Is(err, unix.ENXIO):
		return Finding{Status: Fail, Found: device + " is missing",
			Mend: mend}
	case errors.Is(err, unix.EACCES), errors.Is(err, unix.EPERM):
		return Finding{Status: Fail, Found: fmt.Sprintf("%s: %v", device, err),
			Mend: "chmod 666 " + device + " (its mode on most systems), or let your container use the device"}
	}
	return Finding{Status: Fail, Found: fmt.Sprintf("%s: %v", device, err)}
}

// helper looks for the set-uid program that mounts for ordinary users.
func helper(*Config) Finding {
	root := unix.Geteuid() == 0
	path, err := exec.LookPath("fusermount3")
	if err != nil {
		f := Finding{Status: Fail, Found: "fusermount3 is not in PATH", Mend: "apt install fuse3"}
		if root {
			f.Status, f.Found = Warn, f.Found+"; root does without it, others cannot mount"
		}
		return f
	}
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real
	}
	info, err := os.Stat(path)
	if err != nil {
		return Finding{Status: Fail, Found: err.Error(), Mend: "apt install --reinstall fuse3"}
	}
	if info.Mode()&os.ModeSetuid == 0 && !root {
		return Finding{Status: Fail, Found: path + " is not set-uid root", Mend: "chmod u+s " + path + ", as root"}
	}
	return Finding{Status: OK, Found: path}
}

// otherUsers looks whether --allow-other would work.
func otherUsers(cfg *Config) Finding {
	if unix.Geteuid() == 0 {
		return Finding{Status: OK, Found: "root can let other users in"}
	}
	const mend = "put a line user_allow_other into /etc/fuse.conf"
	switch ok, err := fs.AllowOtherPermitted(); {
	case err != nil:
		return Finding{Status: Warn, Found: err.Error()}
	case ok:
		return Finding{Status: OK, Found: "--allow-other is permitted"}
	case cfg.AllowOther:
		return Finding{Status: Fail, Found: "allow-other is set, but not permitted", Mend: mend}
	}
	return Finding{Status: OK, Found: "only you can look into your mounts; for --allow-other " + mend}
}

// kernel tells what this kernel's FUSE can do.
func kernel(*Config) Finding {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return Finding{Status: Warn, Found: err.Error()}
	}
	return judgeKernel(unix.ByteSliceToString(u.Release[:]), hasAdmin())
}

// judgeKernel knows since when kernels do what.
func judgeKernel(release string, admin bool) Finding {
	var major, minor int
	if _, err := fmt.Sscanf(release, "%d.%d", &major, &minor); err != nil {
		return Finding{Status: Warn, Found: "Linux " + release + ", whatever that is"}
	}
	since := func(a, b int) bool { return major > a || major == a && minor >= b }
	found := []string{"Linux " + release}
	if !since(6, 6) {
		return Finding{Status: Warn, Found: found[0] + ": files that are not complete are read page by page",
			Mend: "with Linux 6.6 they are read faster, and Ctrl-C ends more programs at once"}
	}
	switch {
	case !since(6, 9):
		found = append(found, "no passthrough, which needs 6.9")
	case !admin:
		found = append(found, "passthrough is for root only")
	default:
		found = append(found, "passthrough works")
	}
	return Finding{Status: OK, Found: strings.Join(found, ", ")}
}

// hasAdmin tells whether we have CAP_SYS_ADMIN where it counts: as root of the
// machine, not of a user namespace.
func hasAdmin() bool {
	var hdr = unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if unix.Capget(&hdr, &data[0]) != nil || data[0].Effective&(1<<unix.CAP_SYS_ADMIN) == 0 {
		return false
	}
	ids, err := os.ReadFile("/proc/self/uid_map")
	return err == nil && strings.Join(strings.Fields(string(ids)), " ") == "0 0 4294967295"
}

// mounts looks for those that are dead or hang.
func mounts(ctx context.Context, _ *Config) (found []Finding) {
	all, err := fs.Mounted()
	if err != nil {
		return []Finding{{Status: Warn, Found: err.Error()}}
	}
	for _, dir := range all {
		answer := make(chan error, 1)
		go func() {
			_, err := os.Stat(dir)
			answer <- err
		}()
		select {
		case err = <-answer:
		case <-time.After(patience / 2):
			err = context.DeadlineExceeded
		case <-ctx.Done():
			err = ctx.Err()
		}
		mend := "magnetfs umount " + dir
		switch {
		case err == nil:
			found = append(found, Finding{Status: OK, Found: dir + " answers"})
		case errors.Is(err, unix.ENOTCONN):
			found = append(found, Finding{Status: Warn, Found: dir + " was left behind by a process that was killed", Mend: mend + ", or mount there again"})
		case errors.Is(err, unix.EACCES):
			found = append(found, Finding{Status: OK, Found: dir + " is another user's"})
		case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
			found = append(found, Finding{Status: Warn, Found: dir + " does not answer", Mend: mend})
		default:
			found = append(found, Finding{Status: Warn, Found: fmt.Sprintf("%s: %v", dir, err), Mend: mend})
		}
	}
	if len(found) == 0 {
		found = []Finding{{Status: OK, Found: "nothing is mounted"}}
	}
	return found
}

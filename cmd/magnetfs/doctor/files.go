package doctor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"magnetfs/fs"
	"magnetfs/internal/human"
)

// Floor is the space that the disk cache leaves free, see package cache/disk.
const (
	floorBytes   = 5 << 30
	floorPercent = 5
)

// folder looks whether it can be mounted on.
func folder(cfg *Config) Finding {
	if cfg.Dir == "" {
		return Finding{}
	}
	if path, err := fs.Find(cfg.Dir); err == nil {
		return Finding{Status: OK, Found: path + " is a mount of magnetfs"}
	}
	info, err := os.Stat(cfg.Dir)
	if errors.Is(err, os.ErrNotExist) {
		if err := writable(nearest(cfg.Dir)); err != nil {
			return Finding{Status: Fail, Found: cfg.Dir + " does not exist and cannot be made: " + err.Error(), Mend: "choose a folder below one of your own"}
		}
		return Finding{Status: OK, Found: cfg.Dir + " will be made"}
	}
	if err != nil {
		return Finding{Status: Fail, Found: err.Error(), Mend: "choose a folder that you can reach"}
	}
	if !info.IsDir() {
		return Finding{Status: Fail, Found: cfg.Dir + " is not a folder", Mend: "choose an empty folder"}
	}
	d, err := os.Open(cfg.Dir)
	if err != nil {
		return Finding{Status: Fail, Found: err.Error(), Mend: "choose a folder that you can read"}
	}
	defer d.Close()
	if _, err := d.Readdirnames(1); err != io.EOF {
		return Finding{Status: Fail, Found: cfg.Dir + " is not empty", Mend: "choose an empty folder: what is in it would be hidden"}
	}
	if err := writable(cfg.Dir); err != nil {
		return Finding{Status: Fail, Found: cfg.Dir + " is not yours to write to, as fusermount3 demands: " + err.Error(), Mend: "chown it, or choose a folder of your own"}
	}
	return Finding{Status: OK, Found: cfg.Dir + " is an empty folder"}
}

// nearest is the deepest part of a path that exists.
func nearest(path string) string {
	path, _ = filepath.Abs(path)
	for path != "/" {
		if _, err := os.Stat(path); err == nil {
			break
		}
		path = filepath.Dir(path)
	}
	return path
}

func writable(dir string) error {
	return unix.Faccessat(unix.AT_FDCWD, dir, unix.W_OK|unix.X_OK, unix.AT_EACCESS)
}

// stateFolder looks whether torrents can be kept.
func stateFolder(cfg *Config) Finding {
	if err := writable(nearest(cfg.StateDir)); err != nil {
		return Finding{Status: Fail, Found: fmt.Sprintf("%s cannot be written: %v", cfg.StateDir, err), Mend: "chown it, or use --state-dir"}
	}
	return Finding{Status: OK, Found: cfg.StateDir}
}

// cacheFolder looks whether pieces can be kept on disk, and how many. Without a
// disk a mount works all the same.
func cacheFolder(_ context.Context, cfg *Config) []Finding {
	if cfg.CacheDir == "" {
		return []Finding{{Status: OK, Found: "none: pieces are kept in memory only (disk = 0)"}}
	}
	dir := nearest(cfg.CacheDir)
	if err := writable(dir); err != nil {
		return []Finding{{Status: Warn, Found: fmt.Sprintf("%s cannot be written: %v; pieces are kept in memory only", cfg.CacheDir, err), Mend: "chown it, or use --cache-dir"}}
	}
	found := []Finding{{Status: OK, Found: cfg.CacheDir}}
	if err := punches(dir); err != nil {
		found = []Finding{{Status: Warn, Found: fmt.Sprintf("%s: %v", cfg.CacheDir, err), Mend: "use --cache-dir on ext4, xfs, btrfs or tmpfs, or --disk 0"}}
	}
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		return append(found, Finding{Check: "disk", Status: Warn, Found: err.Error()})
	}
	return append(found, judgeSpace(int64(s.Bavail)*int64(s.Bsize), int64(s.Blocks)*int64(s.Bsize)))
}

// judgeSpace compares the free space of a disk with what is left free, in bytes.
func judgeSpace(free, total int64) Finding {
	floor := max(floorBytes, total/100*floorPercent)
	f := Finding{Check: "disk", Status: OK, Found: fmt.Sprintf("%s of %s are free, %s of them stay so", human.Size(free), human.Size(total), human.Size(floor))}
	if free <= floor {
		f.Status, f.Found = Warn, fmt.Sprintf("%s of %s are free: nothing is kept on disk, since %s stay free", human.Size(free), human.Size(total), human.Size(floor))
		f.Mend = "make room, or use --cache-dir on another disk"
	}
	return f
}

// punches tries sparse files, and holes in them, as the cache uses them.
func punches(dir string) error {
	f, err := os.CreateTemp(dir, ".magnetfs-doctor-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	defer f.Close()
	const mib = 1 << 20
	blocks := func() int64 {
		var st unix.Stat_t
		if unix.Fstat(int(f.Fd()), &st) != nil {
			return -1
		}
		return st.Blocks * 512
	}
	if _, err := f.WriteAt(make([]byte, mib), 8*mib); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	before := blocks()
	if before > 4*mib {
		return errors.New("its file system has no sparse files")
	}
	if err := unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, 8*mib, mib); err != nil {
		return fmt.Errorf("its file system cannot free parts of files: %w", err)
	}
	return nil
}

// memory compares the budget with what the machine has.
func memory(cfg *Config) Finding {
	var s unix.Sysinfo_t
	if err := unix.Sysinfo(&s); err != nil {
		return Finding{Status: Warn, Found: err.Error()}
	}
	return judgeMemory(cfg.RAM, int64(s.Totalram)*int64(s.Unit))
}

func judgeMemory(budget, total int64) Finding {
	f := Finding{Status: OK, Found: fmt.Sprintf("%s for pieces, of %s", human.Size(budget), human.Size(total))}
	if budget > total/2 {
		f.Status, f.Mend = Warn, "use a smaller --ram: there has to be room for the rest, and for the page cache"
	}
	return f
}

// openFiles looks at the limit of descriptors: a connection is one.
func openFiles(*Config) Finding {
	var l unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &l); err != nil {
		return Finding{Status: Warn, Found: err.Error()}
	}
	return judgeLimit(l.Max)
}

// judgeLimit takes the hard limit: a Go program raises its own to it.
func judgeLimit(limit uint64) Finding {
	f := Finding{Status: OK, Found: fmt.Sprintf("%d", limit)}
	if limit == unix.RLIM_INFINITY {
		f.Found = "no limit"
	}
	if limit < 4096 {
		f.Status, f.Found, f.Mend = Warn, fmt.Sprintf("%d: few for many torrents at a time", limit), "raise the hard limit (ulimit -Hn, LimitNOFILE=) to 65536"
	}
	return f
}

// clock looks whether the time can be right.
func clock(cfg *Config) Finding {
	var t unix.Timex
	state, err := unix.Adjtimex(&t)
	return judgeClock(time.Now(), cfg.Built, err != nil || state == unix.TIME_ERROR)
}

func judgeClock(now, built time.Time, free bool) Finding {
	f := Finding{Status: OK, Found: now.Format(time.DateTime)}
	const mend = "timedatectl set-ntp true"
	switch {
	case now.Before(built):
		f.Status, f.Found, f.Mend = Warn, f.Found+" is before this program was made: trackers by https will not be trusted", mend
	case free:
		f.Found += ", not synchronised"
	}
	return f
}

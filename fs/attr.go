package fs

import (
	"crypto/sha256"
	"encoding/binary"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"

	"magnetfs/fetch"
)

// How long the kernel may keep what it was told.
const (
	// Names and folders inside torrents never change; removals are notified.
	longValid = time.Hour
	// A file's blocks grow while it is fetched, and shrink when the cache is
	// short of room.
	growingValid = time.Second
	wholeValid   = time.Minute
	// Names in the root are asked for each time (notifyChanges says why).
	notValid = 0
)

const (
	blockSize = 512  // of st_blocks
	ioSize    = 4096 // st_blksize: stdio reads this much, and not more is wanted
)

// inodeNumber is the inode number of a path in a torrent: the same in every mount
// and after every restart. The top bit is clear, which keeps it apart from the
// numbers that go-fuse hands out.
func inodeNumber(torrent [20]byte, path string) uint64 {
	return hashNumber(string(torrent[:]) + path)
}

func hashNumber(s string) uint64 {
	sum := sha256.Sum256([]byte(s))
	n := binary.BigEndian.Uint64(sum[:]) >> 1
	return max(n, 2) // 1 is the root
}

// fill sets what all objects have in common.
func (m *mount) fill(a *fuse.Attr, mode uint32, at time.Time) {
	a.Mode = mode
	a.Nlink = 1
	a.Uid, a.Gid = m.uid, m.gid
	a.Blksize = ioSize
	a.SetTimes(&at, &at, &at)
}

// fillNode sets the attributes of something inside a torrent and returns how long
// they hold. Blocks are bytes cached, so that du shows what is here.
func (f *folder) fillNode(a *fuse.Attr, n *fetch.Node) time.Duration {
	f.m.fill(a, 0, f.t.Added())
	a.Ino = inodeNumber(f.t.ID(), n.Path)
	switch n.Kind {
	case fetch.Dir:
		a.Mode = fuse.S_IFDIR | 0o555
		return longValid
	case fetch.Symlink:
		a.Mode = fuse.S_IFLNK | 0o777
		a.Size = uint64(n.Size)
		return longValid
	}
	a.Mode = fuse.S_IFREG | 0o444
	if n.Executable {
		a.Mode |= 0o111
	}
	a.Size = uint64(n.Size)
	cached := f.t.CachedBytes(n)
	a.Blocks = uint64(cached+blockSize-1) / blockSize
	if cached < n.Size {
		return growingValid
	}
	return wholeValid
}

// fillRoot sets the attributes of the torrent's folder. Its time moves when the
// metadata arrives: it is a second early before, which it is again after a restart.
func (f *folder) fillRoot(a *fuse.Attr) time.Duration {
	at, valid := f.t.Added(), longValid
	if f.t.Root() == nil {
		at, valid = at.Add(-time.Second), growingValid
	}
	f.m.fill(a, fuse.S_IFDIR|0o555, at)
	a.Ino = inodeNumber(f.t.ID(), "")
	return valid
}

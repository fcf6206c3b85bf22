package fs

import (
	"bytes"
	"context"
	"sync"
	"syscall"

	fusefs "github.com/hanwen/go-fuse/v2/fs"
)

// maxLine bounds a line that is not complete yet, in bytes. A magnet with a
// hundred trackers has 8 KiB.
const maxLine = 128 << 10

// addHandle is an open descriptor of .magnetfs/add: whatever is written into it is
// added. Lines are magnets or hashes, taken as soon as they are complete; a .torrent
// file is taken when it is closed. The first thing written decides which it is.
type addHandle struct {
	m *mount

	mu   sync.Mutex
	rest []byte // guarded by mu; not taken yet
	file bool   // guarded by mu; a .torrent file is being written
	over bool   // guarded by mu; too much was written

	judged int           // guarded by mu; bytes of rest that verdict is about
	errno  syscall.Errno // guarded by mu; the verdict
}

var (
	_ fusefs.FileWriter  = (*addHandle)(nil)
	_ fusefs.FileFlusher = (*addHandle)(nil)
)

// Write implements fusefs.FileWriter. Offsets do not matter.
func (h *addHandle) Write(_ context.Context, data []byte, _ int64) (uint32, syscall.Errno) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.rest) == 0 && len(data) > 0 {
		h.file = data[0] == 'd' && !isHexLine(data)
	}
	limit := maxLine
	if h.file {
		limit = maxTorrentFile
	}
	if h.over = h.over || len(h.rest)+len(data) > limit && (h.file || !bytes.Contains(data, []byte{'\n'})); h.over {
		h.rest = nil
		return 0, syscall.EFBIG
	}
	h.rest = append(h.rest, data...)
	if h.file {
		return uint32(len(data)), 0
	}
	for {
		line, rest, ok := bytes.Cut(h.rest, []byte{'\n'})
		if !ok {
			return uint32(len(data)), 0
		}
		h.rest = rest
		if errno := h.line(line); errno != 0 {
			return 0, errno
		}
	}
}

// isHexLine tells a hash that begins with d from a metainfo dictionary, whose
// first key begins with its length.
func isHexLine(data []byte) bool {
	return !bytes.Contains(data[:min(len(data), 16)], []byte{':'})
}

func (h *addHandle) line(line []byte) syscall.Errno {
	text := string(bytes.TrimSpace(line))
	if text == "" {
		return 0
	}
	_, _, err := h.m.lib.Add(text)
	return h.m.errno("add", err)
}

// Flush implements fusefs.FileFlusher: what is left without a newline is taken.
// A file that is not complete is kept: another program may write on.
func (h *addHandle) Flush(context.Context) syscall.Errno {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.over {
		return syscall.EFBIG
	}
	if len(h.rest) == 0 {
		return 0
	}
	if !h.file {
		line := h.rest
		h.rest = nil
		return h.line(line)
	}
	if h.judged == len(h.rest) {
		return h.errno
	}
	_, _, err := h.m.lib.AddMetainfo(bytes.Clone(h.rest))
	h.judged, h.errno = len(h.rest), h.m.errno("add", err)
	if h.errno == 0 {
		h.rest, h.judged = nil, 0
	}
	return h.errno
}

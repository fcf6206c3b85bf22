package fs

import (
	"sync"

	"github.com/hanwen/go-fuse/v2/fuse"
)

// rawFS stands between the kernel and go-fuse's nodes for what the nodes are not
// told, whether a READ fills a page of the page cache, and for what they cannot
// tell, the backing id of an open file.
//
// A read that fills a page is made for a mapping, or for a file that is here as a whole. The
// program does not wait for it in a system call: an error of it is a SIGBUS, or is
// asked for again in pieces.
type rawFS struct {
	fuse.RawFileSystem
	pageReads *pageReads
	through   *passthrough
}

// Open implements fuse.RawFileSystem.
func (r *rawFS) Open(cancel <-chan struct{}, in *fuse.OpenIn, out *fuse.OpenOut) fuse.Status {
	status := r.RawFileSystem.Open(cancel, in, out)
	if id, ok := r.through.opened.LoadAndDelete(cancel); ok {
		out.BackingID = id.(int32)
	}
	return status
}

// pageReads are those under way, by their cancel channel, which is the only thing
// of a request that reaches the nodes.
type pageReads struct{ all sync.Map }

func (p *pageReads) has(cancel <-chan struct{}) bool {
	_, ok := p.all.Load(cancel)
	return ok
}

// Read implements fuse.RawFileSystem. The kernel names the owner of locks for
// reads of programs, and for them only.
func (r *rawFS) Read(cancel <-chan struct{}, in *fuse.ReadIn, buf []byte) (fuse.ReadResult, fuse.Status) {
	if in.ReadFlags&fuse.READ_LOCKOWNER == 0 {
		r.pageReads.all.Store(cancel, true)
		defer r.pageReads.all.Delete(cancel)
	}
	return r.RawFileSystem.Read(cancel, in, buf)
}

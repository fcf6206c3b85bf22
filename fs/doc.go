// Package fs shows the torrents of a fetch.Library as folders: it is the only
// package that speaks FUSE.
//
// # What it owns
//
//   - [Server]: one mount, from the checks of the mount point to the last reply.
//   - rootNode: one folder per torrent; mkdir of a magnet adds, rmdir removes,
//     rename gives a label (label.go), a .torrent file written into it is added when it is closed (uploads.go).
//   - dirNode, fileNode, linkNode: the inside of torrents, which never changes.
//   - transientNode: the middle of a magnet with slashes in it (transient.go).
//   - the control folder .magnetfs (control.go).
//
// It knows nothing of pieces: a read is handed to fetch, which waits for it, and
// the slices that come back are written to the kernel without a copy.
//
// # Goroutines
//
// go-fuse runs every call in a goroutine of its own. Beside them there are the
// goroutine that serves the mount, one that tells the kernel about changes
// (changes.go), and one for each call that waits, which watches whether its
// caller still wants to (request.go). Server.Wait returns after all have ended.
// Locks are leaves: none is held during a call into fetch or the kernel. Only
// uploads.mu comes before upload.mu.
//
// # Kernel facts that the code relies on
//
// Tried on Linux 6.18; the tests of this package repeat what matters.
//
//   - A program that is killed stays until we answer a direct read of its thread.
//     So each waiting call watches its caller.
//   - The kernel sends INTERRUPT for the first signal only, of whatever kind.
//   - An error of a read through the page cache is asked for again, page by page.
//   - A directory can have one name: looking it up under a second one moves the
//     kernel's entry. So every alias is a directory of its own with the same inode
//     number (folders.go).
//   - LOOKUP does not tell what it is for (caller.go).
//   - All handles of a file must be passed through, or none (passthrough.go).
//   - A notification about a name in a folder blocks while a call in it is being
//     handled, for ever if we are killed meanwhile (changes.go).
package fs

package fetch

import "errors"

// The errors of this package. They arrive wrapped: compare with errors.Is.
var (
	// ErrInvalid: the text is neither a magnet link nor an info-hash, or the
	// bytes are not a metainfo file; also a read at a negative offset.
	ErrInvalid = errors.New("invalid")

	// ErrTooLarge: a metainfo file of more than 16 MiB.
	ErrTooLarge = errors.New("too large")

	// ErrNameTooLong: a name for a folder of more than 240 bytes.
	ErrNameTooLong = errors.New("name too long")

	// ErrExists: the name is another torrent's.
	ErrExists = errors.New("already exists")

	// ErrNotEmpty: something in the folder can be seen.
	ErrNotEmpty = errors.New("folder is not empty")

	// ErrLocked: another process uses the state directory.
	ErrLocked = errors.New("in use by another process")

	// ErrTimeout: no source delivered the data in time. Another try may succeed.
	ErrTimeout = errors.New("no source delivered the data in time")

	// ErrRemoved: the torrent was removed from the library.
	ErrRemoved = errors.New("torrent was removed")

	// ErrClosed: the library or the reader is closed.
	ErrClosed = errors.New("closed")

	// ErrIO: the data is held but could not be read.
	ErrIO = errors.New("input/output error")

	// ErrNoRoom: what is to be pinned is more than may be pinned.
	ErrNoRoom = errors.New("no room")

	// ErrNotReady: the metadata has not arrived yet.
	ErrNotReady = errors.New("metadata has not arrived yet")
)

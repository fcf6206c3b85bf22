package fetch

import "time"

// Torrent is one torrent of a library. All methods are safe for concurrent use.
type Torrent struct{}

// Name is the folder's name now. It may change once, when metadata arrives.
func (t *Torrent) Name() string { return "" }

// ID is the info-hash: v1, or the first 20 bytes of v2's if there is no v1.
func (t *Torrent) ID() [20]byte { return [20]byte{} }

// HashString is ID in 40 lower-case hex digits.
func (t *Torrent) HashString() string { return "" }

// Added is when the torrent was first added; it survives restarts.
func (t *Torrent) Added() time.Time { return time.Time{} }

// TypedAs tells whether the torrent was ever added under exactly this spelling.
func (t *Torrent) TypedAs(text string) bool { return false }

// Magnet is a link to the torrent with all trackers and peers that were given.
func (t *Torrent) Magnet() string { return "" }

// Metainfo returns the .torrent file, or ErrNotReady.
func (t *Torrent) Metainfo() ([]byte, error) { return nil, ErrNotReady }

// Ready is closed when the metadata is there.
func (t *Torrent) Ready() <-chan struct{} { return nil }

// Removed is closed when the torrent was removed, or the library closed.
func (t *Torrent) Removed() <-chan struct{} { return nil }

// Root is the torrent's folder, nil until Ready.
func (t *Torrent) Root() *Node { return nil }

// Status is a snapshot of the torrent's swarm.
func (t *Torrent) Status() Status { return Status{} }

// CachedBytes is how much of a file, or of the files below a folder, is here.
func (t *Torrent) CachedBytes(n *Node) int64 { return 0 }

// Complete tells whether the whole file, or every file below a folder, is here.
func (t *Torrent) Complete(n *Node) bool { return false }

// Open starts reading a file of this torrent's tree. It never waits.
func (t *Torrent) Open(n *Node) (*Reader, error) { return nil, ErrNotReady }

package disk

import (
	"cmp"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"
)

var (
	// ErrLocked: another process uses the cache directory.
	ErrLocked = errors.New("in use by another process")
	// ErrNoHoles: the file system of the cache directory cannot punch holes, so
	// nothing could ever be evicted there.
	ErrNoHoles = errors.New("file system cannot punch holes")
	// ErrClosed: the tier, or the torrent, was closed.
	ErrClosed = errors.New("disk: closed")
	// ErrMissing: the piece is not here, or was unreadable and is not any more.
	ErrMissing = errors.New("disk: piece is not here")
	// ErrIncomplete: the file is not here as a whole.
	ErrIncomplete = errors.New("disk: file is not complete")
	// ErrUnverified: parts of the file have to be checked first, by VerifyFile.
	ErrUnverified = errors.New("disk: file is not verified")
	// ErrOpen: the torrent is open already.
	ErrOpen = errors.New("disk: torrent is open already")
)

const (
	defaultQueue       = 32 << 20
	defaultFreeBytes   = 5 << 30
	defaultFreePercent = 5

	// syncAfter is how old unsynced data gets: what the loss of power can take.
	// Guess: twice as often costs a busy rotating disk too many seeks.
	syncAfter = 2 * time.Second
	// syncBytes of unsynced data are not kept waiting.
	syncBytes = 64 << 20
	// checkEvery is how often the free space is looked at when nothing happens.
	checkEvery = 30 * time.Second
	// timesAfter is how soon the map learns that pieces were read, if nothing
	// else changes it.
	timesAfter = 5 * time.Minute
	// dormantFor is how long dormant torrents are left alone after the start,
	// since they are about to be opened.
	dormantFor = time.Minute

	maxLoads = 16 // reads of the disk at a time
)

// Config says where a tier is and how large. Dir and Bytes are required.
type Config struct {
	// Dir is the cache directory, made if missing. Nobody else may write in it.
	Dir string

	// Bytes is the budget: stored pieces, in blocks of 4 KiB, never exceed it.
	Bytes int64

	// FreeBytes and FreePercent (of the file system) are the space that is left
	// free for others; the larger one counts. 0 means 5 GiB and 5 %, negative
	// none. If others take it, pieces are evicted until it is free again.
	FreeBytes   int64
	FreePercent int

	// QueueBytes bounds the pieces that wait to be written; 0 means 32 MiB.
	QueueBytes int64

	Log *slog.Logger // nil: nothing is logged
}

// ID names a torrent: its info-hash, or the first 20 bytes of one of version 2.
type ID [20]byte

// String is the name of the torrent's folder: 40 hex digits.
func (id ID) String() string { return hex.EncodeToString(id[:]) }

// parseID reads the name of a folder.
func parseID(name string) (id ID, ok bool) {
	raw, err := hex.DecodeString(name)
	if err != nil || len(raw) != len(id) || hex.EncodeToString(raw) != name {
		return ID{}, false
	}
	return ID(raw), true
}

// Tier is a cache directory in use. All methods are safe for concurrent use.
type Tier struct {
	cfg   Config
	files files
	lock  *os.File // nil in tests
	log   *slog.Logger
	start time.Time

	loads chan struct{} // a token for each load under way
	wake  chan struct{} // the keeper's; capacity 1
	tell  chan struct{} // the notifier's; capacity 1
	stop  chan struct{} // closed when keeper and notifier shall end
	wg    sync.WaitGroup
	once  sync.Once

	mu   sync.Mutex // leaf; guards what follows and the state of torrents and entries
	cond sync.Cond  // something of it changed

	folders map[ID]*folder
	backing map[*Backing]struct{} // open files that must not get holes
	lost    map[*Torrent]map[int]struct{}

	lru     list  // written and unpinned pieces, least recently read first
	queue   list  // pieces to be written, oldest first
	queued  int64 // bytes in queue
	seq     uint64
	writing uint64 // seq of the piece being written, 0: none
	used    int64  // of the budget: pieces written or being written, dormant torrents
	leaving int64  // the part of used that the keeper is about to free
	dirty   int64  // bytes written and not synced

	dirtySince time.Time // zero: nothing for the keeper to do
	readSince  time.Time // zero: the maps know when pieces were read last
	urgent     bool      // the keeper shall not wait
	turns      uint64    // begun by the keeper
	turned     uint64    // the last one that ended
	opening    int       // calls of OpenTorrent that read the disk
	closed     bool      // no more pieces are taken
	drained    bool      // the writer has ended
	idle       bool      // so has the keeper

	off      outage
	doubtful bool // a read failed with EIO
	stats    counters
}

// folder is a torrent on the disk.
type folder struct {
	t    *Torrent // nil: dormant, unless busy
	busy bool     // being read, written out or removed; nobody may open it
	doom bool     // to be removed by the keeper, while dormant
	cost int64    // while dormant
	last uint32   // minute of the last read, while dormant
}

// Open takes a cache directory into use. Pieces of earlier processes become
// available torrent by torrent, by OpenTorrent.
//
// It fails with ErrLocked or ErrNoHoles, or if the directory cannot be made or
// listed. A full disk is no error.
func Open(cfg Config) (*Tier, error) {
	if cfg.Dir == "" || cfg.Bytes <= 0 {
		return nil, errors.New("disk: directory and budget are required")
	}
	lock, err := takeLock(cfg.Dir)
	if err != nil {
		return nil, err
	}
	fs, err := newOSFiles(cfg.Dir)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("disk: cache directory: %w", err), lock.Close())
	}
	d, err := open(cfg, fs)
	if err != nil {
		return nil, errors.Join(err, fs.close(), lock.Close())
	}
	d.lock = lock
	return d, nil
}

// open is Open on any files.
func open(cfg Config, fs files) (*Tier, error) {
	cfg.QueueBytes = cmp.Or(cfg.QueueBytes, defaultQueue)
	cfg.FreeBytes = cmp.Or(cfg.FreeBytes, defaultFreeBytes)
	cfg.FreePercent = cmp.Or(cfg.FreePercent, defaultFreePercent)
	d := &Tier{
		cfg:     cfg,
		files:   fs,
		log:     cfg.Log,
		start:   time.Now(),
		loads:   make(chan struct{}, maxLoads),
		wake:    make(chan struct{}, 1),
		tell:    make(chan struct{}, 1),
		stop:    make(chan struct{}),
		folders: make(map[ID]*folder),
		backing: make(map[*Backing]struct{}),
		lost:    make(map[*Torrent]map[int]struct{}),
	}
	d.cond.L = &d.mu
	d.lru.init()
	d.queue.init()
	if d.log == nil {
		d.log = slog.New(slog.DiscardHandler)
	}
	if err := d.probe(); err != nil {
		return nil, err
	}
	if err := d.survey(); err != nil {
		return nil, err
	}
	d.wg.Go(d.write)
	d.wg.Go(d.keep)
	d.wg.Go(d.notify)
	return d, nil
}

// NeedsRead tells whether OpenTorrent would have to read the disk, because there
// is something of the torrent on it. It does not wait.
func (d *Tier) NeedsRead(id ID) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.folders[id] != nil
}

// Budget is what Config.Bytes said.
func (d *Tier) Budget() int64 { return d.cfg.Bytes }

// Used is how much of the budget is taken.
func (d *Tier) Used() int64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.used
}

// Flush waits until the pieces put so far are in their files and on the map, or
// are dropped. It returns why the tier is off, if it is.
func (d *Tier) Flush() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	seq := d.seq
	for !d.drained && (d.writing != 0 && d.writing <= seq || d.queue.n > 0 && d.queue.oldest().seq <= seq) {
		d.cond.Wait()
	}
	d.turn()
	return d.off.err
}

// turn makes the keeper go round and waits until it has; mu is held, but not all
// the time.
func (d *Tier) turn() {
	n := d.turns + 1
	d.kick(true)
	for d.turned < n && !d.idle {
		d.cond.Wait()
	}
}

// kick wakes the keeper; mu is held.
func (d *Tier) kick(urgent bool) {
	d.urgent = d.urgent || urgent
	select {
	case d.wake <- struct{}{}:
	default:
	}
}

// Close writes what is queued, syncs, writes the maps and unlocks the directory.
// Afterwards Put takes nothing and Get finds nothing. It may be called more than
// once, but not from an OnLost callback.
func (d *Tier) Close() error {
	var err error
	d.once.Do(func() {
		d.mu.Lock()
		d.closed = true
		d.cond.Broadcast()
		for !d.drained || d.opening > 0 {
			d.cond.Wait()
		}
		for _, f := range d.folders {
			if f.t != nil && !f.t.gone {
				f.t.end(closing)
			}
		}
		d.mu.Unlock()
		close(d.stop)
		d.wg.Wait()
		err = d.files.close()
		if d.lock != nil {
			err = errors.Join(err, d.lock.Close())
		}
	})
	return err
}

func minuteOf(t time.Time) uint32 { return uint32(max(0, t.Unix()/60)) }

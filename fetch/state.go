package fetch

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/google/renameio/v2"
	bolt "go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"
	"golang.org/x/sys/unix"

	"magnetfs/swarm/metainfo"
)

// The files of a state directory.
const (
	lockFile = "lock"          // held while a process uses the directory
	dbFile   = "library.db"    // bbolt: records and metadata
	listFile = "torrents.json" // the records again, from which the database can be rebuilt
)

// The buckets of the database.
var (
	bucketTorrents = []byte("torrents") // info-hash, 20 bytes → record, JSON
	bucketMetadata = []byte("metadata") // info-hash, 20 bytes → info dictionary as received
)

// dbTimeout is how long to wait for the database's own lock. Ours is held by then,
// so only a foreign program can have it.
const dbTimeout = 2 * time.Second

// stateDir is the state directory in use. Only one goroutine at a time uses it.
type stateDir struct {
	dir  string
	log  *slog.Logger
	lock *os.File
	db   *bolt.DB // nil after it failed and could not be made anew
}

// stored is a torrent as it was found on disk.
type stored struct {
	rec  record
	info *metainfo.Info // nil: unknown
}

// openState locks the directory and returns what is in it. A database that cannot
// be read is put aside and made anew from the list; what was in neither is
// fetched from the swarm again.
func openState(dir string, log *slog.Logger) (*stateDir, []stored, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, nil, fmt.Errorf("fetch: state directory: %w", err)
	}
	d := &stateDir{dir: dir, log: log}
	if err := d.takeLock(); err != nil {
		return nil, nil, err
	}
	found, err := d.load()
	if err == nil {
		return d, found, nil
	}
	if !errors.Is(err, errNew) && !isDamage(err) {
		d.close()
		return nil, nil, fmt.Errorf("fetch: %s: %w", d.path(dbFile), err)
	}
	if !errors.Is(err, errNew) {
		aside, renameErr := d.putAside(err)
		if renameErr != nil {
			d.close()
			return nil, nil, fmt.Errorf("fetch: damaged database: %w", errors.Join(err, renameErr))
		}
		log.Warn("the torrent database was damaged; it is rebuilt from the list", "err", err, "old", aside)
	}
	recs, err := d.readList()
	if err != nil {
		aside := d.path(listFile) + ".damaged-" + stamp()
		renameErr := os.Rename(d.path(listFile), aside)
		log.Warn("the torrent list was damaged", "err", err, "old", aside, "rename", renameErr)
	}
	found = found[:0]
	for _, rec := range recs {
		found = append(found, stored{rec: rec})
	}
	if err := d.rebuild(found); err != nil {
		d.close()
		return nil, nil, fmt.Errorf("fetch: %s: %w", d.path(dbFile), err)
	}
	return d, found, nil
}

func (d *stateDir) path(name string) string { return filepath.Join(d.dir, name) }

func stamp() string { return time.Now().UTC().Format("20060102T150405.000") }

// takeLock makes sure that no other process uses the directory. The lock ends with
// the process, however it ends.
func (d *stateDir) takeLock() error {
	f, err := os.OpenFile(d.path(lockFile), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("fetch: state directory: %w", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		defer f.Close()
		if !errors.Is(err, unix.EWOULDBLOCK) {
			return fmt.Errorf("fetch: lock %s: %w", f.Name(), err)
		}
		by := ""
		if pid, err := os.ReadFile(f.Name()); err == nil && len(bytes.TrimSpace(pid)) > 0 {
			by = " (process " + strings.TrimSpace(string(pid)) + ")"
		}
		return fmt.Errorf("fetch: state directory %s: %w%s", d.dir, ErrLocked, by)
	}
	d.lock = f
	// For the message above only.
	if err := f.Truncate(0); err == nil {
		_, _ = f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	}
	return nil
}

// errNew: the database was empty, as at the first start.
var errNew = errors.New("new database")

// load opens the database and reads all of it.
func (d *stateDir) load() (found []stored, err error) {
	err = guard(func() error {
		db, err := bolt.Open(d.path(dbFile), 0o600, &bolt.Options{Timeout: dbTimeout})
		if err != nil {
			return err
		}
		d.db = db
		return db.View(func(tx *bolt.Tx) error {
			torrents, metadata := tx.Bucket(bucketTorrents), tx.Bucket(bucketMetadata)
			if torrents == nil || metadata == nil {
				return errNew
			}
			return torrents.ForEach(func(hash, value []byte) error {
				var s stored
				if err := json.Unmarshal(value, &s.rec); err != nil || s.rec.check() != nil {
					return fmt.Errorf("record %x is not readable", hash)
				}
				if raw := metadata.Get(hash); raw != nil {
					s.info = d.withLayers(tx, metainfo.InfoHash(hash), d.parse(s.rec.Hash, bytes.Clone(raw)))
				}
				found = append(found, s)
				return nil
			})
		})
	})
	return found, err
}

// parse returns nil for metadata that is not what it should be: it is fetched
// again.
func (d *stateDir) parse(hash string, raw []byte) *metainfo.Info {
	info, err := metainfo.ParseInfo(raw)
	if err == nil && info.InfoHash.String() != hash && info.InfoHashV2.Truncated().String() != hash {
		err = errors.New("of another info-hash")
	}
	if err != nil {
		d.log.Warn("metadata on disk is damaged and fetched again", "hash", hash, "err", err)
		return nil
	}
	return info
}

// check tells what is wrong with a record that was read.
func (r *record) check() error {
	if _, err := metainfo.ParseInfoHash(r.Hash); err != nil || len(r.Hash) != 40 {
		return fmt.Errorf("info-hash %q", r.Hash)
	}
	if r.Name == "" || r.Name == "." || r.Name == ".." || len(r.Name) > maxFolderName || strings.ContainsAny(r.Name, "/\x00") {
		return fmt.Errorf("name %q", r.Name)
	}
	return nil
}

// readList reads the list; none at all is an empty one.
func (d *stateDir) readList() ([]record, error) {
	raw, err := os.ReadFile(d.path(listFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var recs []record
	if err := json.Unmarshal(raw, &recs); err != nil {
		return nil, err
	}
	good := recs[:0]
	for _, rec := range recs {
		if err := rec.check(); err != nil {
			d.log.Warn("an entry of the torrent list is not readable", "err", err)
			continue
		}
		good = append(good, rec)
	}
	return good, nil
}

// putAside gives the database that failed with cause another name. After a panic
// its locks may be held for ever, so it is not closed but left alone, with its
// descriptor.
func (d *stateDir) putAside(cause error) (string, error) {
	if d.db != nil && !errors.Is(cause, errPanic) {
		_ = guard(d.db.Close)
	}
	d.db = nil
	aside := d.path(dbFile) + ".damaged-" + stamp()
	err := os.Rename(d.path(dbFile), aside)
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return aside, err
}

// rebuild fills a new database.
func (d *stateDir) rebuild(all []stored) error {
	return guard(func() error {
		if d.db == nil {
			db, err := bolt.Open(d.path(dbFile), 0o600, &bolt.Options{Timeout: dbTimeout})
			if err != nil {
				return err
			}
			d.db = db
		}
		return d.db.Update(func(tx *bolt.Tx) error {
			for _, name := range [][]byte{bucketTorrents, bucketMetadata} {
				if _, err := tx.CreateBucketIfNotExists(name); err != nil {
					return err
				}
			}
			for _, s := range all {
				if err := put(tx, s); err != nil {
					return err
				}
			}
			return nil
		})
	})
}

// put writes a torrent; metadata and piece layers only if they are known and not
// there yet.
func put(tx *bolt.Tx, s stored) error {
	hash, err := metainfo.ParseInfoHash(s.rec.Hash)
	if err != nil {
		return err
	}
	value, err := json.Marshal(s.rec)
	if err != nil {
		return err
	}
	if err := tx.Bucket(bucketTorrents).Put(hash[:], value); err != nil {
		return err
	}
	if s.info == nil {
		return nil
	}
	if metadata := tx.Bucket(bucketMetadata); metadata.Get(hash[:]) == nil {
		if err := metadata.Put(hash[:], s.info.Raw); err != nil {
			return err
		}
	}
	return putLayers(tx, hash, s.info)
}

// change is what happened to a torrent since the last write.
type change struct {
	stored
	removed bool
}

// write makes changes durable in the database. A damaged one is put aside and made
// anew of all, which is in memory. On an error the changes have to be written
// again.
func (d *stateDir) write(changes map[metainfo.InfoHash]change, all []stored) error {
	err := d.update(changes)
	if err != nil && (d.db == nil || isDamage(err)) {
		aside, renameErr := d.putAside(err)
		d.log.Warn("the torrent database is damaged; it is made anew", "err", err, "old", aside, "rename", renameErr)
		if err = errors.Join(renameErr, d.rebuild(all)); err != nil {
			err = fmt.Errorf("fetch: %s: %w", d.path(dbFile), err)
		}
	}
	return err
}

// writeList writes the list of all.
func (d *stateDir) writeList(all []stored) error {
	recs := make([]record, 0, len(all))
	for _, s := range all {
		recs = append(recs, s.rec)
	}
	list, err := json.MarshalIndent(recs, "", " ")
	if err == nil {
		err = renameio.WriteFile(d.path(listFile), append(list, '\n'), 0o600)
	}
	if err != nil {
		return fmt.Errorf("fetch: torrent list: %w", err)
	}
	return nil
}

func (d *stateDir) update(changes map[metainfo.InfoHash]change) error {
	if d.db == nil {
		return errors.New("database is not open")
	}
	return guard(func() error {
		return d.db.Update(func(tx *bolt.Tx) error {
			for hash, c := range changes {
				if !c.removed {
					if err := put(tx, c.stored); err != nil {
						return err
					}
					continue
				}
				if err := tx.Bucket(bucketTorrents).Delete(hash[:]); err != nil {
					return err
				}
				if err := tx.Bucket(bucketMetadata).Delete(hash[:]); err != nil {
					return err
				}
				if err := dropLayers(tx, hash); err != nil {
					return err
				}
			}
			return nil
		})
	})
}

// close unlocks the directory.
func (d *stateDir) close() error {
	var err error
	if d.db != nil {
		err = guard(d.db.Close)
		d.db = nil
	}
	return errors.Join(err, d.lock.Close())
}

var errPanic = errors.New("panic in the database")

// guard turns panics into errors: bbolt panics on a damaged file, and reading
// beyond the end of a truncated one through its memory map is a fault.
func guard(f func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("%w: %v", errPanic, v)
		}
	}()
	return f()
}

// isDamage tells whether an error says that the database's content is bad, and not
// that the system refuses to read or write it now (no space, no permission).
func isDamage(err error) bool {
	var errno syscall.Errno
	return err != nil && !errors.As(err, &errno) && !errors.Is(err, bolterrors.ErrTimeout)
}

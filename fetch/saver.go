package fetch

import (
	"log/slog"
	"sync"
	"time"

	"magnetfs/swarm/metainfo"
)

const (
	// saveWait bounds how long Add and Remove wait until what they did is on
	// disk. Usually that takes a millisecond, and then a crash right after them
	// loses nothing; a slow disk must not hold them up.
	saveWait = 100 * time.Millisecond
	// saveRetry is the pause after a write that failed.
	saveRetry = 5 * time.Second
	// listEvery is how often the list beside the database is written. It holds all
	// torrents, so that writing it for each of a thousand that are added in a row
	// takes longer each time; what changed is durable before, in the database.
	listEvery = time.Second
)

// saver writes what changed to the state directory, from a goroutine of its own.
// Changes that come while it writes are written together.
type saver struct {
	disk     *stateDir // used by run, and by close after its end
	snapshot func() []stored
	log      *slog.Logger
	wake     chan struct{} // capacity 1

	// Used by run, and by close after its end.
	listOld bool      // it does not say what the database says
	listed  time.Time // when it was written last

	mu    sync.Mutex // leaf; guards:
	dirty map[metainfo.InfoHash]bool
	done  chan struct{} // closed when what is dirty now was written, or could not be
	err   error         // of the last write; nil if it went well
}

func newSaver(d *stateDir, snapshot func() []stored, log *slog.Logger) *saver {
	return &saver{
		disk:     d,
		snapshot: snapshot,
		log:      log,
		wake:     make(chan struct{}, 1),
		dirty:    make(map[metainfo.InfoHash]bool),
		done:     make(chan struct{}),
	}
}

// mark notes that a torrent changed, came or went.
func (s *saver) mark(hash metainfo.InfoHash) (done <-chan struct{}) {
	s.mu.Lock()
	s.dirty[hash] = true
	done = s.done
	s.mu.Unlock()
	select {
	case s.wake <- struct{}{}:
	default:
	}
	return done
}

// save is mark, and waits a little for the write, unless the disk takes nothing at
// present.
func (s *saver) save(t *Torrent) {
	if s.problem() != nil {
		s.mark(t.hash)
		return
	}
	timer := time.NewTimer(saveWait)
	defer timer.Stop()
	select {
	case <-s.mark(t.hash):
	case <-timer.C:
	}
}

func (s *saver) run(stop <-chan struct{}) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	<-timer.C
	for {
		select {
		case <-stop:
			return
		case <-s.wake:
		case <-timer.C:
		}
		if s.write(false) != nil {
			timer.Reset(saveRetry)
			select {
			case <-stop:
				return
			case <-timer.C: // whatever comes meanwhile
			}
			timer.Reset(0)
		} else if s.listOld {
			timer.Reset(time.Until(s.listed.Add(listEvery)))
		}
	}
}

// write makes what is dirty durable, and writes the list if that is due, or in any
// case if last is set. On an error all of it has to be done again.
func (s *saver) write(last bool) error {
	err := s.flush()
	if err == nil && s.listOld && (last || time.Since(s.listed) >= listEvery) {
		if err = s.disk.writeList(s.snapshot()); err == nil {
			s.listOld, s.listed = false, time.Now()
		}
	}
	s.mu.Lock()
	before := s.err
	s.err = err
	s.mu.Unlock()
	switch {
	case err != nil && before == nil:
		s.log.Error("the torrent list cannot be saved", "err", err, "retry", saveRetry)
	case err == nil && before != nil:
		s.log.Info("the torrent list is saved again")
	}
	return err
}

// problem is why nothing can be saved at present, nil if it can.
func (s *saver) problem() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// flush makes what is dirty durable; on an error it stays dirty.
func (s *saver) flush() error {
	s.mu.Lock()
	dirty, done := s.dirty, s.done
	s.dirty, s.done = make(map[metainfo.InfoHash]bool), make(chan struct{})
	s.mu.Unlock()
	defer close(done)
	if len(dirty) == 0 {
		return nil
	}
	all := s.snapshot()
	changes := make(map[metainfo.InfoHash]change)
	for hash := range dirty {
		changes[hash] = change{removed: true}
	}
	for _, st := range all {
		if hash, err := metainfo.ParseInfoHash(st.rec.Hash); err == nil && dirty[hash] {
			changes[hash] = change{stored: st}
		}
	}
	err := s.disk.write(changes, all)
	if err != nil {
		s.mu.Lock()
		for hash := range dirty {
			s.dirty[hash] = true
		}
		s.mu.Unlock()
		return err
	}
	s.listOld = true
	return nil
}

// close writes what is left; run has ended.
func (s *saver) close() error {
	err := s.write(true)
	if closeErr := s.disk.close(); err == nil {
		err = closeErr
	}
	return err
}

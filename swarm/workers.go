package swarm

import (
	"sync"

	"magnetfs/swarm/metainfo"
)

// workers runs jobs that a loop must not: hashing, reading the store. Handing a
// job over never waits; the number of jobs is bounded by those who submit (pieces
// under construction, requests that peers may have waiting).
type workers struct {
	mu     sync.Mutex // guards jobs and closed; a leaf
	wake   *sync.Cond
	jobs   []func()
	closed bool
	wg     sync.WaitGroup
}

func newWorkers(n int) *workers {
	w := &workers{}
	w.wake = sync.NewCond(&w.mu)
	for range n {
		w.wg.Go(w.run)
	}
	return w
}

func (w *workers) submit(job func()) {
	w.mu.Lock()
	w.jobs = append(w.jobs, job)
	w.mu.Unlock()
	w.wake.Signal()
}

func (w *workers) run() {
	for {
		w.mu.Lock()
		for len(w.jobs) == 0 && !w.closed {
			w.wake.Wait()
		}
		if len(w.jobs) == 0 {
			w.mu.Unlock()
			return
		}
		job := w.jobs[0]
		w.jobs[0] = nil
		w.jobs = w.jobs[1:]
		w.mu.Unlock()
		job()
	}
}

// close returns when the jobs at hand are done.
func (w *workers) close() {
	w.mu.Lock()
	w.closed = true
	w.mu.Unlock()
	w.wake.Broadcast()
	w.wg.Wait()
}

// hashJob is a complete piece whose hash is to be checked. blocks are only read;
// their owner keeps them until the result has come.
type hashJob struct {
	piece  int
	blocks [][]byte
	size   int
	info   *metainfo.Info
}

// run returns the piece in one slice, nil if its hash is wrong.
func (j hashJob) run() []byte {
	data := make([]byte, 0, j.size)
	for _, b := range j.blocks {
		data = append(data, b...)
	}
	if j.info.VerifyPiece(j.piece, data) != nil {
		return nil
	}
	return data
}

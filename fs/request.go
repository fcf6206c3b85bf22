package fs

import (
	"context"
	"sync"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"
)

const (
	// After the kernel has passed on one signal it passes on no other for the
	// same request, so from then on the thread is looked at this often.
	pollInterrupted = 25 * time.Millisecond
	// Reads through the page cache (mmap, complete files) are not interrupted
	// by signals that the program catches. Their threads are looked at too.
	pollQuiet = 200 * time.Millisecond
)

// request is the context of a file system call that may wait. It ends when the
// caller is interrupted, when its thread is gone, and when the file system is
// unmounted.
//
// An INTERRUPT message of the kernel alone does not end it: the kernel sends one
// for every signal, the SIGURG of the Go runtime included. Only a signal that
// waits for the thread and that ends its program, or that the program catches,
// counts (signals.go).
//
// The goroutine that watches the caller starts with the first call of Done, which
// whoever does not wait never makes: a read from the cache costs one allocation.
type request struct {
	m      *mount
	parent context.Context // ends on INTERRUPT
	tid    uint32          // of the calling thread, 0 if unknown
	page   bool            // a read for the page cache, see rawFS

	once sync.Once
	done chan struct{}
	stop chan struct{} // closed by end; made by Done

	mu      sync.Mutex
	started bool  // guarded by mu
	ended   bool  // guarded by mu
	err     error // guarded by mu; set before done is closed
}

// begin wraps the context of a call. end must follow.
func (m *mount) begin(ctx context.Context) *request {
	r := &request{m: m, parent: ctx, page: m.pageReads.has(ctx.Done())}
	if c, ok := fuse.FromContext(ctx); ok {
		r.tid = c.Pid // the kernel sends the id of the thread
	}
	return r
}

// end stops watching. The request must not be waited on after it.
func (r *request) end() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ended = true
	if r.started {
		close(r.stop)
	}
}

// Deadline implements context.Context: there is none.
func (r *request) Deadline() (time.Time, bool) { return time.Time{}, false }

// Value implements context.Context: there are none.
func (r *request) Value(any) any { return nil }

// Err implements context.Context.
func (r *request) Err() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.err
}

// Done implements context.Context.
func (r *request) Done() <-chan struct{} {
	r.once.Do(func() {
		r.done, r.stop = make(chan struct{}), make(chan struct{})
		r.mu.Lock()
		defer r.mu.Unlock()
		if !r.ended {
			r.started = true
			r.m.watchers.Add(1)
			go r.watch()
		}
	})
	return r.done
}

func (r *request) cancel(err error) {
	r.mu.Lock()
	r.err = err
	r.mu.Unlock()
	close(r.done)
}

// watch ends the request when there is a reason to.
func (r *request) watch() {
	defer r.m.watchers.Done()
	interrupt := r.parent.Done()
	timer := time.NewTimer(pollQuiet)
	defer timer.Stop()
	// A thread whose state cannot be read (another pid namespace, hidepid)
	// tells nothing: for it every INTERRUPT counts.
	first := r.m.procs.state(r.tid)
	known := r.tid != 0 && !first.gone
	every := pollQuiet
	for {
		select {
		case <-r.stop:
			return
		case <-r.m.closing:
			r.cancel(errUnmounting)
			return
		case <-interrupt:
			interrupt = nil // closed for good
			every = pollInterrupted
			if !known && !r.page {
				r.cancel(context.Canceled)
				return
			}
		case <-timer.C:
		}
		if !r.m.alive() {
			r.cancel(errUnmounting)
			return
		}
		if now := r.m.procs.state(r.tid); known && (now.interrupted(r.page) || now.toldToEnd(first)) {
			r.cancel(context.Canceled)
			return
		}
		timer.Reset(every)
	}
}

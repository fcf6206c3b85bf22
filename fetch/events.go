package fetch

import "sync"

// ChangeKind tells what happened to a torrent.
type ChangeKind uint8

// The kinds of changes. When metadata arrives and brings another name, Renamed
// comes before Ready; Labelled is another name that the user chose.
const (
	Added ChangeKind = iota
	Ready
	Renamed
	Labelled
	Removed
)

// Change is something that happened to a torrent.
type Change struct {
	Torrent *Torrent
	Kind    ChangeKind
	// Name is the folder's name after the change (before it, for Removed).
	Name string
	// Old is the folder's name before a Renamed or Labelled.
	Old string
}

// OnChange calls f for every later change, in order, from a goroutine of the
// library's own. f may call the library, but not Close.
func (l *Library) OnChange(f func(Change)) { l.events.listen(f) }

// events is a queue without bound, so that no sender waits for a listener. It
// holds a few entries a torrent at the most.
type events struct {
	wake chan struct{} // capacity 1

	mu        sync.Mutex // leaf; guards:
	queue     []Change
	listeners []func(Change)
}

func newEvents() *events { return &events{wake: make(chan struct{}, 1)} }

func (e *events) listen(f func(Change)) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.listeners = append(e.listeners, f)
}

func (e *events) send(c Change) {
	e.mu.Lock()
	e.queue = append(e.queue, c)
	e.mu.Unlock()
	select {
	case e.wake <- struct{}{}:
	default:
	}
}

func (e *events) run(stop <-chan struct{}) {
	for {
		select {
		case <-stop:
			return
		case <-e.wake:
		}
		e.mu.Lock()
		queue, listeners := e.queue, e.listeners
		e.queue = nil
		e.mu.Unlock()
		for _, c := range queue {
			for _, f := range listeners {
				f(c)
			}
		}
	}
}

package tracker

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// stopTimeout bounds the stopped events (libtorrent's).
const stopTimeout = 5 * time.Second

// Config describes a torrent to its trackers. Client, InfoHash, PeerID and Port
// are required.
type Config struct {
	Client   *Client
	InfoHash [20]byte // of v2 torrents the first 20 bytes
	PeerID   [20]byte
	Port     uint16 // where we listen for peers
	// PortNow, if set, is the port by which others reach us at the moment; 0: Port.
	PortNow func() uint16
	// Key is a random number, the same for all torrents of a session: by it a
	// tracker knows us when our address has changed.
	Key    uint32
	Crypto Crypto
	// Tiers are the trackers' URLs. Of a magnet, each is a tier of its own.
	Tiers [][]string
	// Private torrents use one tracker at a time.
	Private bool
	State   State // at the start

	// OnPeers is called with the peers of each reply as it comes, from one of
	// several goroutines. It may wait; until it returns, the announce is not
	// over. It must not call Stop, nor wait for someone who does.
	OnPeers func(Peers)
	// OnExternal is called when a tracker says which address we have (BEP 24);
	// one vote, not a fact. The same rules hold.
	OnExternal func(ours netip.Addr, tracker netip.Addr)
	Log        *slog.Logger // nil: nothing is logged
}

// Peers are the peers of one reply. Their addresses have not been checked
// against any policy.
type Peers struct {
	Tracker string     // its URL
	From    netip.Addr // its address; invalid through a proxy
	Addrs   []netip.AddrPort
}

// talker does the exchanges; Client is the real one.
type talker interface {
	announce(ctx context.Context, t target, r Request, each func(answer)) error
	scrape(ctx context.Context, t target, hash [20]byte) (Counts, error)
}

// Announcer keeps the trackers of one torrent informed. Its methods may be
// called from any goroutine.
type Announcer struct {
	cfg   Config
	talk  talker
	log   *slog.Logger
	inbox chan any      // events, handled one by one
	done  chan struct{} // closed when the loop has ended
	wg    sync.WaitGroup
	rows  atomic.Pointer[[]Status]

	ctx    context.Context // of the announces under way; ends first
	cancel context.CancelFunc
	core   *core // owned by run
}

// Events of the inbox.
type (
	evState struct{ state State }
	evHurry struct{}
	evRetry struct{}
	evAdd   struct{ tiers [][]string }
	evReply struct {
		entry *entry
		event Event
		reply Reply
	}
	evFinished struct {
		entry *entry
		err   error
	}
	evScraped struct {
		entry  *entry
		counts Counts
	}
	evStop struct {
		ctx   context.Context
		state *State // nil: as it was
	}
)

// New starts announcing to all tiers at once.
func New(cfg Config) (*Announcer, error) {
	if cfg.Client == nil {
		return nil, errors.New("tracker: no client")
	}
	return newAnnouncer(cfg, cfg.Client)
}

func newAnnouncer(cfg Config, talk talker) (*Announcer, error) {
	if cfg.Port == 0 {
		return nil, errors.New("tracker: no port to announce")
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.OnPeers == nil {
		cfg.OnPeers = func(Peers) {}
	}
	if cfg.OnExternal == nil {
		cfg.OnExternal = func(netip.Addr, netip.Addr) {}
	}
	a := &Announcer{
		cfg: cfg, talk: talk, log: cfg.Log,
		inbox: make(chan any),
		done:  make(chan struct{}),
		core:  &core{private: cfg.Private, state: cfg.State, jitter: jitter, shuffle: rand.Shuffle},
	}
	a.ctx, a.cancel = context.WithCancel(context.Background())
	a.core.add(cfg.Tiers)
	a.publish()
	go a.run()
	return a, nil
}

// jitter returns a random duration below d, or 0.
func jitter(d time.Duration) time.Duration {
	if d <= 0 {
		return 0
	}
	return rand.N(d)
}

// SetState replaces the state that announces report. It causes one only when
// the torrent has become complete.
func (a *Announcer) SetState(s State) { a.post(evState{s}) }

// AnnounceNow asks for announces without delay: trackers that work are asked
// again if their last announce is a minute old and they do not demand more,
// those in back-off are tried again.
func (a *Announcer) AnnounceNow() { a.post(evHurry{}) }

// Retry asks for announces to all trackers that did not answer, at once: they could
// not be reached, and can now.
func (a *Announcer) Retry() { a.post(evRetry{}) }

// port is the one that is announced.
func (a *Announcer) port() uint16 {
	if a.cfg.PortNow != nil {
		if p := a.cfg.PortNow(); p != 0 {
			return p
		}
	}
	return a.cfg.Port
}

// AddTrackers adds tiers; trackers that are known already are skipped.
func (a *Announcer) AddTrackers(tiers [][]string) { a.post(evAdd{tiers}) }

// Status returns the rows of all trackers, in tiers. It never waits. The slice
// is shared: do not change it.
func (a *Announcer) Status() []Status { return *a.rows.Load() }

// Stop ends all announces and tells the trackers that have heard of us that we
// leave, for at most five seconds or as long as ctx lasts. When it returns, all
// goroutines have ended. Calling it again only waits for that.
func (a *Announcer) Stop(ctx context.Context) { a.end(evStop{ctx: ctx}) }

// Finish is Stop with a last state to tell.
func (a *Announcer) Finish(ctx context.Context, s State) { a.end(evStop{ctx, &s}) }

func (a *Announcer) end(ev evStop) {
	a.post(ev)
	<-a.done
	a.wg.Wait()
}

// post hands an event to the loop; without effect after Stop.
func (a *Announcer) post(ev any) {
	select {
	case a.inbox <- ev:
	case <-a.done:
	}
}

// run owns core until the stop event.
func (a *Announcer) run() {
	defer close(a.done)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case ev := <-a.inbox:
			if !a.handle(time.Now(), ev) {
				return
			}
		case <-timer.C:
		}
		jobs, next := a.core.tick(time.Now())
		for _, j := range jobs {
			a.wg.Go(func() { a.do(j) })
		}
		a.publish()
		if next.IsZero() {
			timer.Stop()
		} else {
			timer.Reset(time.Until(next))
		}
	}
}

// handle takes one event; false means that it was the last.
func (a *Announcer) handle(now time.Time, ev any) bool {
	switch ev := ev.(type) {
	case evState:
		a.core.setState(now, ev.state)
	case evHurry:
		a.core.hurry(now)
	case evRetry:
		a.core.retry(now)
	case evAdd:
		a.core.add(ev.tiers)
	case evReply:
		a.core.reply(now, ev.entry, ev.event, ev.reply)
	case evFinished:
		a.core.finished(now, ev.entry, ev.err)
	case evScraped:
		a.core.scraped(now, ev.entry, ev.counts)
	case evStop:
		if ev.state != nil {
			a.core.setState(now, *ev.state)
		}
		a.stop(ev.ctx)
		return false
	}
	return true
}

func (a *Announcer) publish() {
	rows := a.core.status()
	a.rows.Store(&rows)
}

// do announces, and scrapes if the replies leave the counts open.
func (a *Announcer) do(j job) {
	if j.only {
		a.scrape(j)
		return
	}
	var counted atomic.Bool
	err := a.talk.announce(a.ctx, j.target, a.complete(j.request), func(r answer) {
		if r.Seeds >= 0 {
			counted.Store(true)
		}
		a.post(evReply{j.entry, j.request.Event, r.Reply})
		if a.ctx.Err() != nil {
			return
		}
		if r.External.IsValid() {
			a.cfg.OnExternal(r.External, r.from)
		}
		if len(r.Peers) > 0 {
			a.cfg.OnPeers(Peers{j.entry.url, r.from, r.Peers})
		}
	})
	if err != nil && a.ctx.Err() == nil {
		a.log.Debug("tracker did not answer", "host", j.target.host, "err", describe(err))
	}
	a.post(evFinished{j.entry, err})
	if err == nil && !counted.Load() && j.scrape {
		a.scrape(j)
	}
}

// scrape asks for the counts.
func (a *Announcer) scrape(j job) {
	counts, err := a.talk.scrape(a.ctx, j.target, a.cfg.InfoHash)
	if err != nil {
		a.log.Debug("tracker was not scraped", "host", j.target.host, "err", describe(err))
	}
	a.post(evScraped{j.entry, counts})
}

// complete fills in what core does not know.
func (a *Announcer) complete(r Request) Request {
	r.InfoHash, r.PeerID = a.cfg.InfoHash, a.cfg.PeerID
	r.Port, r.Key, r.Crypto = a.port(), a.cfg.Key, a.cfg.Crypto
	return r
}

// stop cancels what is under way and sends the stopped events; Stop waits for
// them.
func (a *Announcer) stop(ctx context.Context) {
	a.cancel()
	ctx, cancel := context.WithTimeout(ctx, stopTimeout)
	var sent sync.WaitGroup
	for _, list := range a.core.stop() {
		sent.Go(func() {
			for _, j := range list {
				if err := a.talk.announce(ctx, j.target, a.complete(j.request), func(answer) {}); err != nil {
					a.log.Debug("tracker did not hear that we stop", "host", j.target.host, "err", describe(err))
				}
			}
		})
	}
	a.wg.Go(func() {
		sent.Wait()
		cancel()
	})
	a.publish()
}

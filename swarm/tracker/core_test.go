package tracker

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// sim drives a core without jitter and with a shuffle that reverses.
type sim struct {
	t   *testing.T
	c   *core
	now time.Time
	// answers says what each tracker, by its host, does; default: no answer.
	answers map[string]func() (Reply, error)
	trace   []string
}

func newSim(t *testing.T, tiers ...string) *sim {
	s := &sim{t: t, now: epoch, answers: make(map[string]func() (Reply, error))}
	s.c = &core{
		jitter: func(time.Duration) time.Duration { return 0 },
		shuffle: func(n int, swap func(i, j int)) {
			for i := range n / 2 {
				swap(i, n-1-i)
			}
		},
	}
	s.c.add(tiersOf(tiers...))
	return s
}

// tiersOf makes tiers of strings such as "a b": two UDP trackers.
func tiersOf(tiers ...string) (list [][]string) {
	for _, tier := range tiers {
		var urls []string
		for _, host := range strings.Fields(tier) {
			urls = append(urls, "udp://"+host+":80")
		}
		list = append(list, urls)
	}
	return list
}

func works(peers int, interval time.Duration) func() (Reply, error) {
	return func() (Reply, error) {
		return Reply{Peers: addrs("1.2.3.4:5", "1.2.3.4:6", "1.2.3.4:7")[:peers], Interval: interval, Counts: Counts{peers, 0, -1}}, nil
	}
}

func fails(err error) func() (Reply, error) {
	return func() (Reply, error) { return Reply{}, err }
}

// run lets the core act up to d after epoch. Announces take no time. It returns
// what was asked, as "seconds host event".
func (s *sim) run(d time.Duration) string {
	s.t.Helper()
	s.trace = nil
	for range 10000 {
		jobs, next := s.c.tick(s.now)
		for _, j := range jobs {
			if j.only {
				s.trace = append(s.trace, fmt.Sprintf("%.0f %s scrape", s.now.Sub(epoch).Seconds(), j.target.host))
				n := noCounts
				if answer := s.answers[j.target.host]; answer != nil {
					r, _ := answer()
					n = r.Counts
				}
				s.c.scraped(s.now, j.entry, n)
				continue
			}
			s.trace = append(s.trace, strings.TrimSpace(fmt.Sprintf("%.0f %s %v", s.now.Sub(epoch).Seconds(), j.target.host, j.request.Event)))
			answer := s.answers[j.target.host]
			if answer == nil {
				answer = fails(errTimeout)
			}
			r, err := answer()
			if err == nil {
				s.c.reply(s.now, j.entry, j.request.Event, r)
			}
			s.c.finished(s.now, j.entry, err)
		}
		if len(jobs) > 0 {
			continue
		}
		if next.IsZero() || next.After(epoch.Add(d)) {
			s.now = epoch.Add(d)
			return strings.Join(s.trace, ", ")
		}
		s.now = next
	}
	s.t.Fatal("the core never comes to rest")
	return ""
}

func (s *sim) want(d time.Duration, want string) {
	s.t.Helper()
	if got := s.run(d); got != want {
		s.t.Errorf("asked %q\nwant  %q", got, want)
	}
}

// words returns the status words, "host: word; …".
func (s *sim) words() string {
	var list []string
	for _, r := range s.c.status() {
		list = append(list, strings.TrimSuffix(strings.TrimPrefix(r.URL, "udp://"), ":80")+": "+r.Status)
	}
	return strings.Join(list, "; ")
}

func (s *sim) wantWords(want string) {
	s.t.Helper()
	if got := s.words(); got != want {
		s.t.Errorf("status %q\nwant   %q", got, want)
	}
}

func TestTiersInParallelTrackersInTurn(t *testing.T) {
	s := newSim(t, "a b c", "d", "e")
	s.answers["b"] = works(1, 20*time.Minute)
	s.answers["d"] = works(0, 30*time.Minute)
	s.wantWords("c: not contacted yet; b: not contacted yet; a: not contacted yet; d: not contacted yet; e: not contacted yet")
	// c fails, b follows at once; d and e do not wait for that tier
	s.want(0, "0 c started, 0 d started, 0 e started, 0 b started, 0 a scrape")
	s.wantWords("b: working; c: timed out, 2nd try; a: not contacted yet; d: working (nobody found); e: timed out, 2nd try")
	s.want(3*time.Minute, "18 e started, 72 e started") // after 17.5 s, and 55 s more
}

func TestBackoff(t *testing.T) {
	for n, want := range map[int]time.Duration{
		1: 17500 * time.Millisecond, 2: 55 * time.Second, 3: 117500 * time.Millisecond, 17: time.Hour, 1 << 40: time.Hour,
	} {
		if got := backoff(n); got != want {
			t.Errorf("after %d failures %v, want %v", n, got, want)
		}
	}
}

// The tracker that works is used until it fails; then the others get their
// turn at once, and what answers moves to the front.
func TestFailover(t *testing.T) {
	s := newSim(t, "a b")
	s.answers["b"] = works(1, 10*time.Minute)
	s.want(25*time.Minute, "0 b started, 0 a scrape, 600 b, 1200 b")
	delete(s.answers, "b")
	s.answers["a"] = works(1, 10*time.Minute)
	s.want(45*time.Minute, "1800 b, 1800 a started, 2400 a")
	s.wantWords("a: working; b: timed out, 2nd try")
}

func TestIntervals(t *testing.T) {
	for _, tt := range []struct {
		name string
		r    Reply
		want time.Duration
	}{
		{"none given", Reply{}, 30 * time.Minute},
		{"given", Reply{Interval: 40 * time.Minute}, 40 * time.Minute},
		{"too short", Reply{Interval: time.Second}, 5 * time.Minute},
		{"too long", Reply{Interval: 1 << 31 * time.Second}, 24 * time.Hour},
		{"minimum above", Reply{Interval: 10 * time.Minute, MinInterval: time.Hour}, time.Hour},
		{"minimum below", Reply{Interval: 10 * time.Minute, MinInterval: time.Minute}, 10 * time.Minute},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newSim(t, "a")
			s.answers["a"] = func() (Reply, error) { return tt.r, nil }
			s.run(0)
			if got := s.c.status()[0].Next.Sub(epoch); got != tt.want {
				t.Errorf("next after %v, want %v", got, tt.want)
			}
		})
	}
}

func TestRetryIn(t *testing.T) {
	s := newSim(t, "a", "b", "c")
	s.answers["a"] = fails(&Failure{Reason: "closed", RetryIn: 10 * time.Minute})
	s.answers["b"] = fails(&Failure{Reason: "gone", Never: true})
	s.answers["c"] = fails(&httpError{code: 503, retryIn: time.Second})
	s.want(50*time.Second, "0 a started, 0 b started, 0 c started")
	s.c.hurry(s.now) // cannot change what trackers demand
	s.want(11*time.Minute, "60 c started, 120 c started, 180 c started, 240 c started, 300 c started, 360 c started, 420 c started, 480 c started, 540 c started, 600 a started, 600 c started, 660 c started")
	s.wantWords("a: error: closed; b: error: gone; c: error: HTTP 503 Service Unavailable")
	if next := s.c.status()[1].Next; !next.IsZero() {
		t.Errorf("a tracker that is gone is due at %v", next)
	}
}

func TestEvents(t *testing.T) {
	s := newSim(t, "a", "b")
	s.answers["a"] = works(1, 10*time.Minute)
	s.c.setState(s.now, State{Left: 100, Known: true})
	s.want(10*time.Second, "0 a started, 0 b started")
	s.c.setState(s.now, State{Left: 0, Known: true})
	s.want(15*time.Second, "10 a completed")
	s.answers["b"] = works(1, 10*time.Minute)
	s.want(20*time.Second, "18 b started") // it learns that we are complete by left=0
	s.c.setState(s.now, State{Left: 50, Known: true})
	s.c.setState(s.now, State{Left: 0, Known: true}) // evicted and fetched again: said once is enough
	s.want(11*time.Minute, "610 a, 618 b")
	var stops []string
	for _, list := range s.c.stop() {
		for _, j := range list {
			stops = append(stops, j.target.host+" "+j.request.Event.String())
			if j.request.NumWant != 0 {
				t.Errorf("stopping, %s is asked for %d peers", j.target.host, j.request.NumWant)
			}
		}
	}
	if got := strings.Join(stops, ", "); got != "a stopped, b stopped" {
		t.Errorf("at the end %q", got)
	}
	s.want(time.Hour, "")
	s.wantWords("a: disabled; b: disabled")
}

// Who is complete when it stops says so first.
func TestCompletedBeforeStopped(t *testing.T) {
	s := newSim(t, "a", "b")
	s.answers["a"] = works(1, 10*time.Minute)
	s.c.setState(s.now, State{Left: 100, Known: true})
	s.want(0, "0 a started, 0 b started")
	s.c.setState(s.now, State{Left: 0, Known: true})
	var stops []string
	for _, list := range s.c.stop() {
		for _, j := range list {
			stops = append(stops, j.target.host+" "+j.request.Event.String())
		}
	}
	if got := strings.Join(stops, ", "); got != "a completed, a stopped" {
		t.Errorf("at the end %q", got)
	}
}

// Trackers that stand by are scraped, those of private torrents not.
func TestStandbyIsScraped(t *testing.T) {
	s := newSim(t, "a b c")
	s.answers["b"], s.answers["c"] = works(2, 70*time.Minute), works(1, 70*time.Minute)
	s.want(0, "0 c started, 0 b scrape, 0 a scrape")
	s.wantWords("c: working; b: working; a: not contacted yet")
	s.want(69*time.Minute, "1800 c scrape, 1800 b scrape, 1800 a scrape, 3600 b scrape, 3600 a scrape")
	s.answers["c"] = nil
	s.want(71*time.Minute, "4200 c, 4200 b started") // c is not scraped while it fails
	s = newSim(t)
	s.c.private = true
	s.c.add(tiersOf("a b"))
	s.answers["b"] = works(1, 70*time.Minute)
	s.want(69*time.Minute, "0 b started")
}

// A tracker that refused completed gets it again with the next announce.
func TestCompletedIsRepeated(t *testing.T) {
	s := newSim(t, "a")
	s.answers["a"] = works(1, 10*time.Minute)
	s.c.setState(s.now, State{Left: 100, Known: true})
	s.run(5 * time.Second)
	s.answers["a"] = fails(errTimeout)
	s.c.setState(s.now, State{Known: true})
	s.want(6*time.Second, "5 a completed")
	s.answers["a"] = works(1, 10*time.Minute)
	s.want(11*time.Minute, "22 a completed, 622 a")
}

func TestSilentTrackerIsNotStopped(t *testing.T) {
	s := newSim(t, "a")
	s.run(0)
	if jobs := s.c.stop(); len(jobs) != 0 {
		t.Errorf("%d stopped events for a tracker that never answered", len(jobs))
	}
}

func TestRequests(t *testing.T) {
	for _, tt := range []struct {
		name  string
		state State
		want  Request
	}{
		{"zero value", State{}, Request{Left: -1, NumWant: defaultWant, Event: Started}},
		{"size known", State{Uploaded: 1, Downloaded: 2, Left: 3, Known: true}, Request{Uploaded: 1, Downloaded: 2, Left: 3, NumWant: defaultWant, Event: Started}},
		{"complete", State{Known: true}, Request{Left: 0, NumWant: defaultWant, Event: Started}},
		{"idle", State{NoPeers: true}, Request{Left: -1, NumWant: 0, Event: Started}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newSim(t, "a")
			s.c.setState(s.now, tt.state)
			jobs, _ := s.c.tick(s.now)
			if len(jobs) != 1 || jobs[0].request != tt.want {
				t.Errorf("got %+v, want %+v", jobs, tt.want)
			}
		})
	}
}

func TestTrackerIDIsEchoed(t *testing.T) {
	s := newSim(t, "a")
	s.answers["a"] = func() (Reply, error) { return Reply{TrackerID: "xyz", Interval: 10 * time.Minute}, nil }
	s.run(0)
	jobs, _ := s.c.tick(epoch.Add(10 * time.Minute))
	if len(jobs) != 1 || jobs[0].request.TrackerID != "xyz" {
		t.Errorf("got %+v", jobs)
	}
}

func TestHurry(t *testing.T) {
	s := newSim(t, "a", "b", "c")
	s.answers["a"] = works(1, time.Hour)
	s.answers["b"] = func() (Reply, error) {
		return Reply{Interval: time.Hour, MinInterval: 20 * time.Minute}, nil
	}
	s.want(10*time.Minute, "0 a started, 0 b started, 0 c started, 18 c started, 72 c started, 190 c started, 395 c started")
	s.c.hurry(s.now)
	s.want(15*time.Minute, "600 a, 600 c started") // c is in its next back-off until 1060
	s.c.hurry(s.now)
	s.want(16*time.Minute, "900 a, 900 c started")
	s.c.hurry(epoch.Add(15*time.Minute + 30*time.Second))
	s.want(17*time.Minute, "960 a, 960 c started")
	s.want(21*time.Minute, "1200 b") // as soon as it allows
}

// When the network is back, those that did not answer are asked at once, and no others.
func TestRetry(t *testing.T) {
	s := newSim(t, "a", "b")
	s.answers["a"] = works(1, time.Hour)
	s.want(5*time.Minute, "0 a started, 0 b started, 18 b started, 72 b started, 190 b started")
	s.c.retry(s.now)
	s.want(6*time.Minute, "300 b started")
}

func TestPrivateUsesOneTrackerAtATime(t *testing.T) {
	s := newSim(t)
	s.c.private = true
	s.c.add(tiersOf("a b", "c"))
	s.answers["c"] = works(1, 10*time.Minute)
	s.want(time.Second, "0 b started, 0 a started, 0 c started")
	s.wantWords("b: timed out, 2nd try; a: timed out, 2nd try; c: working") // c stays behind the first tier
	s.answers["a"] = works(1, 10*time.Minute)
	s.want(11*time.Minute, "600 b started, 600 a started")
	s.wantWords("a: working; b: timed out, 3rd try; c: working")
	if st := s.c.status(); st[0].Next.IsZero() || !st[2].Next.IsZero() {
		t.Errorf("due: %v and %v, want only the first", st[0].Next, st[2].Next)
	}
}

func TestAdd(t *testing.T) {
	s := newSim(t, "a")
	s.run(0)
	s.c.add([][]string{{"udp://A:80", " udp://b:80 "}, {""}, {"wss://w/announce", "wss://w/announce"}, {"udp://c"}})
	s.wantWords("a: timed out, 2nd try; b: not contacted yet; wss://w/announce: error: scheme is not supported: \"wss\"; c: error: no port given")
	for i, r := range s.c.status() {
		if r.Tier != i {
			t.Errorf("%s is in tier %d, want %d", r.URL, r.Tier, i)
		}
	}
	var many [][]string
	for i := range 1000 {
		many = append(many, []string{fmt.Sprintf("udp://t%d:80", i)})
	}
	s.c.add(many)
	if n := len(s.c.status()); n != maxTrackers {
		t.Errorf("%d trackers kept, want %d", n, maxTrackers)
	}
}

// Two families answer one after the other: peers add up, counts do not.
func TestTwoReplies(t *testing.T) {
	s := newSim(t, "a")
	jobs, _ := s.c.tick(s.now)
	e := jobs[0].entry
	s.c.reply(s.now, e, Started, Reply{Peers: addrs("1.2.3.4:5"), Interval: time.Hour, Counts: Counts{5, 7, -1}})
	s.wantWords("a: working")
	s.c.reply(s.now.Add(time.Second), e, Started, Reply{Peers: addrs("[2001:db8::1]:5"), Interval: 10 * time.Minute, Counts: Counts{6, 2, 9}})
	s.c.finished(s.now.Add(time.Second), e, nil)
	want := Status{URL: "udp://a:80", Status: "working", Next: s.now.Add(time.Hour), Seeds: 6, Peers: 7, Downloaded: 9, Found: 2}
	if got := s.c.status()[0]; got != want {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestStatusWords(t *testing.T) {
	s := newSim(t, "a")
	jobs, _ := s.c.tick(s.now)
	s.wantWords("a: announcing")
	e := jobs[0].entry
	for _, tt := range []struct {
		name string
		r    Reply
		err  error
		want string
	}{
		{"peers", Reply{Peers: addrs("1.2.3.4:5"), Counts: noCounts}, nil, "working"},
		{"only ourselves", Reply{Counts: Counts{0, 1, -1}}, nil, "working (nobody found)"},
		{"only ourselves, named", Reply{Peers: addrs("1.2.3.4:5"), Counts: Counts{0, 1, -1}}, nil, "working (nobody found)"},
		{"a seed", Reply{Peers: addrs("1.2.3.4:5"), Counts: Counts{1, 0, -1}}, nil, "working"},
		{"no peers, no counts", Reply{Counts: noCounts}, nil, "working (nobody found)"},
		{"counted, though not named", Reply{Counts: Counts{3, 0, -1}}, nil, "working"},
		{"timed out", Reply{}, errTimeout, "timed out, 2nd try"},
		{"timed out again", Reply{}, errTimeout, "timed out, 3rd try"},
		{"refused", Reply{}, errors.New("connection refused"), "error: connection refused"},
		{"working again", Reply{Peers: addrs("1.2.3.4:5"), Counts: noCounts}, nil, "working"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			e.next = time.Time{}
			e.tier.busy, e.tier.using, e.answered, e.counts = e, nil, false, noCounts
			if tt.err == nil {
				s.c.reply(s.now, e, None, tt.r)
			}
			s.c.finished(s.now, e, tt.err)
			s.wantWords("a: " + tt.want)
		})
	}
}

func TestStatusWordsOfASeed(t *testing.T) {
	for name, tt := range map[string]struct {
		counts Counts
		want   string
	}{
		"only ourselves": {Counts{1, 0, -1}, "a: working (nobody found)"},
		"a leecher":      {Counts{0, 1, -1}, "a: working"},
		"both":           {Counts{1, 1, -1}, "a: working"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSim(t, "a")
			s.c.setState(s.now, State{Known: true})
			s.answers["a"] = func() (Reply, error) { return Reply{Peers: addrs("1.2.3.4:5"), Counts: tt.counts}, nil }
			s.run(0)
			s.wantWords(tt.want)
		})
	}
}

func TestOrdinal(t *testing.T) {
	for n, want := range map[int]string{1: "1st", 2: "2nd", 3: "3rd", 4: "4th", 11: "11th", 12: "12th", 13: "13th", 21: "21st", 102: "102nd", 111: "111th"} {
		if got := ordinal(n); got != want {
			t.Errorf("%d: %s, want %s", n, got, want)
		}
	}
}

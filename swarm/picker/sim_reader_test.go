package picker

import (
	"slices"
	"time"
)

// simReader wants pieces from next up to end: the one it sleeps on, and a window
// of ahead pieces (at least one).
type simReader struct {
	next, end, ahead int
	// pace is how long a player takes for one piece; 0: reads as fast as pieces
	// come.
	pace   time.Duration
	playAt time.Time // when it needs next; it sleeps since then if that is past
	// step is the time between the deadlines of two pieces: what the reader was
	// measured to take for one.
	step time.Duration

	stalls   int
	stalled  time.Duration
	finished time.Time // zero: not yet
}

func (r *simReader) blocked(now time.Time) bool {
	return r.next < r.end && !now.Before(r.playAt)
}

func (r *simReader) wants(s *sim) (w []Want) {
	if r.next >= r.end {
		return nil
	}
	for i := r.next; i < min(r.next+r.ahead, r.end); i++ {
		w = append(w, Want{Piece: i, Deadline: later(r.playAt, s.now).Add(time.Duration(i-r.next) * r.step)})
	}
	if r.blocked(s.now) {
		w[0].Blocked, w[0].Deadline = true, r.playAt
	}
	return w
}

// advance lets readers take what is there, and tells the picker what they want.
func (s *sim) advance() {
	for _, r := range s.readers {
		for r.blocked(s.now) && s.Had(r.next) {
			r.next++
			if late := s.now.Sub(r.playAt); late > 0 {
				r.stalls++
				r.stalled += late
			}
			if r.pace == 0 {
				r.step += (s.now.Sub(r.playAt) - r.step) / 8
				r.playAt = s.now
				continue
			}
			r.playAt = s.now.Add(r.pace)
			s.at(r.playAt, func() {
				s.advance()
				s.schedule()
			})
		}
		if r.next >= r.end && r.finished.IsZero() {
			r.finished = s.now
		}
	}
	s.apply()
}

// apply hands the wants of all readers to the picker.
func (s *sim) apply() {
	var all []Want
	for i, r := range s.readers {
		for _, w := range r.wants(s) {
			w.Reader = uint64(i)
			if !s.Had(w.Piece) {
				all = append(all, w)
			}
		}
	}
	s.cancel(s.SetWants(all, s.now))
}

// reader starts a reader.
func (s *sim) reader(r *simReader) *simReader {
	r.ahead = max(r.ahead, 1)
	r.playAt = s.now
	r.step = max(r.pace, 80*ms)
	s.readers = append(s.readers, r)
	s.advance()
	s.schedule()
	return r
}

// seek moves a reader.
func (s *sim) seek(r *simReader, to int) {
	r.next, r.finished = to, time.Time{}
	r.playAt = s.now
	s.advance()
	s.schedule()
}

// read wants one piece and nothing else, and returns how long it took.
func (s *sim) read(piece int) time.Duration {
	r := s.reader(&simReader{next: piece, end: piece + 1})
	d := s.run(time.Minute, func() bool { return !r.finished.IsZero() })
	s.readers = s.readers[:len(s.readers)-1]
	s.apply()
	return d
}

// stream reads n pieces as fast as they come with a window of ahead pieces, and
// returns bytes per second.
func (s *sim) stream(first, n, ahead int) float64 {
	r := s.reader(&simReader{next: first, end: first + n, ahead: ahead})
	d := s.run(10*time.Minute, func() bool { return !r.finished.IsZero() })
	if r.finished.IsZero() {
		s.t.Errorf("stream: %d of %d pieces after %v", r.next-first, n, d)
	}
	s.readers = s.readers[:len(s.readers)-1]
	s.apply()
	return float64(int64(n)*s.PieceSize(0)) / d.Seconds()
}

// durations are times of a kind.
type durations []time.Duration

func (d durations) median() time.Duration { return slices.Sorted(slices.Values(d))[len(d)/2] }
func (d durations) max() time.Duration    { return slices.Max(d) }

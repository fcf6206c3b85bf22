package tracker

import (
	"fmt"
	"net/netip"
	"time"
)

// Event says why we announce; the numbers are those of BEP 15.
type Event uint32

// The events. None is a regular announce.
const (
	None Event = iota
	Completed
	Started
	Stopped
)

// String returns the word used by HTTP trackers; empty for None.
func (e Event) String() string {
	switch e {
	case None:
		return ""
	case Completed:
		return "completed"
	case Started:
		return "started"
	case Stopped:
		return "stopped"
	}
	return fmt.Sprintf("event %d", uint32(e))
}

// Crypto says what we tell HTTP trackers about encrypted connections.
type Crypto uint8

// The choices: nothing, that we support them, that we require them.
const (
	CryptoUnknown Crypto = iota
	CryptoSupported
	CryptoRequired
)

// unknownLeft is announced while the size of the torrent is not known; any
// number but 0 would do. libtorrent sends the same.
const unknownLeft = 16384

// Request is what an announce says.
type Request struct {
	InfoHash   [20]byte // of v2 torrents the first 20 bytes
	PeerID     [20]byte
	Port       uint16
	Uploaded   int64 // payload bytes since the started event
	Downloaded int64 // likewise
	Left       int64 // bytes; negative means unknown
	Event      Event
	NumWant    int    // peers we ask for; negative leaves it to the tracker
	Key        uint32 // constant for a session
	Crypto     Crypto // HTTP only
	TrackerID  string // as in an earlier reply; HTTP only
}

// left returns what is announced as left, never 0 by accident.
func (r Request) left() int64 {
	if r.Left < 0 {
		return unknownLeft
	}
	return r.Left
}

// Counts are the numbers a tracker gives about a swarm. -1 means not given.
type Counts struct {
	Seeds      int // complete
	Leechers   int // incomplete
	Downloaded int // completed downloads ever
}

var noCounts = Counts{-1, -1, -1}

// Reply is what a tracker answered to an announce.
type Reply struct {
	Peers       []netip.AddrPort // port never 0; not checked further; at most maxPeers
	Interval    time.Duration    // asked between announces; 0 if not given
	MinInterval time.Duration    // demanded between announces; 0 if not given
	Counts
	Warning   string // for people; cleaned
	TrackerID string // to be sent next time
	External  netip.Addr
}

// Failure is an error that the tracker itself reported.
type Failure struct {
	Reason  string        // for people; cleaned
	RetryIn time.Duration // BEP 31; 0 if not given
	Never   bool          // BEP 31: it will never work
}

func (f *Failure) Error() string { return f.Reason }

const (
	// maxPeers are taken from one reply. It is the budget for all peers from
	// trackers of a torrent; we ask for 200.
	maxPeers = 1000
	// maxText bounds texts from trackers that are shown, bytes.
	maxText = 160
	// maxTrackerID bounds the tracker id, which we send back in a URL, bytes.
	maxTrackerID = 256
)

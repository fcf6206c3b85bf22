package dht

import "time"

// AnnounceInterval is how often a torrent is announced (libtorrent,
// dht_announce_interval). Nodes forget an announce after 30 to 60 minutes.
const AnnounceInterval = 15 * time.Minute

// FewPeers is below which a swarm is looked for again soon: somebody may join any
// minute, and a reader waits for just that.
const FewPeers = 8

const (
	// firstAgain is the first pause then, and mostAgain the longest; guesses.
	firstAgain = 15 * time.Second
	mostAgain  = 5 * time.Minute
	// triesAgain is how often in a row, some 40 minutes (guess).
	triesAgain = 12
)

// Again returns when a torrent is to be looked up and announced again after a
// lookup that found that many peers, the tries-th in a row that found few (1 the
// first time): after 15 and 30 seconds, 1, 2, 4, 5, 5 … minutes while there are
// few, else after AnnounceInterval.
func Again(peers, tries int) time.Duration {
	if peers >= FewPeers || tries > triesAgain {
		return AnnounceInterval
	}
	return min(mostAgain, firstAgain<<max(0, min(tries-1, 5)))
}

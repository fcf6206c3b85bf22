package store

import (
	"crypto/hmac"
	"crypto/sha1"
	"encoding/binary"
	"net/netip"
	"time"

	"magnetfs/swarm/dht/krpc"
)

// tokenLife is how long one secret serves. A token is valid for this time at
// least and twice as long at most (BEP 5, get_peers).
const tokenLife = 5 * time.Minute

// tokenLen is the length of a token in bytes.
const tokenLen = 8

// Tokens makes and checks the write tokens that get_peers and get hand out. It
// keeps no list of them: a token is a MAC of the requester's IP address and the
// target, under a secret that changes every five minutes. The target is part of
// it so that one query does not give the right to announce under every hash
// (bittorrent.org issue 47); the port is not, since some NATs change it.
type Tokens struct{ secret [32]byte }

// NewTokens returns tokens under a secret, which should be random.
func NewTokens(secret [32]byte) *Tokens { return &Tokens{secret} }

// Make returns the token for a requester and target.
func (t *Tokens) Make(ip netip.Addr, target krpc.ID, now time.Time) []byte {
	return t.make(ip, target, epoch(now))
}

// Valid tells whether token was made for this requester and target lately.
func (t *Tokens) Valid(token []byte, ip netip.Addr, target krpc.ID, now time.Time) bool {
	e := epoch(now)
	return hmac.Equal(token, t.make(ip, target, e)) || hmac.Equal(token, t.make(ip, target, e-1))
}

func epoch(now time.Time) int64 { return now.UnixNano() / int64(tokenLife) }

func (t *Tokens) make(ip netip.Addr, target krpc.ID, epoch int64) []byte {
	mac := hmac.New(sha1.New, t.secret[:])
	var e [8]byte
	binary.BigEndian.PutUint64(e[:], uint64(epoch))
	mac.Write(e[:])
	mac.Write(target[:])
	addr := ip.Unmap().As16()
	mac.Write(addr[:])
	return mac.Sum(nil)[:tokenLen]
}

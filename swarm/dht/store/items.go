package store

import (
	"crypto/ed25519"
	"crypto/sha1"
	"fmt"
	"net/netip"
	"time"

	"magnetfs/swarm/dht/krpc"
)

// Bounds of stored items.
const (
	maxItems = 700           // libtorrent, dht_max_dht_items
	itemLife = 2 * time.Hour // BEP 44, "Expiration"
)

// Item is a stored value (BEP 44).
type Item struct {
	Value []byte // bencoded
	Key   []byte // ed25519 public key of a mutable item; nil for an immutable one
	Sig   []byte
	Seq   int64
}

// PutError tells why an item was not stored, as the code and text of the KRPC
// error to answer with.
type PutError struct {
	Code int
	Text string
}

func (e *PutError) Error() string { return fmt.Sprintf("store: error %d: %s", e.Code, e.Text) }

// Items holds the items that were put. It is owned by one goroutine.
type Items struct {
	byTarget map[krpc.ID]*item
	fair     ledger[*item]
}

type item struct {
	Item
	target krpc.ID
	at     time.Time
	place  place
}

func (it *item) placed() *place { return &it.place }

// NewItems returns an empty store.
func NewItems() *Items { return &Items{byTarget: make(map[krpc.ID]*item)} }

// Len returns the number of items.
func (s *Items) Len() int { return len(s.byTarget) }

// Get returns the item under target; nil if there is none.
func (s *Items) Get(target krpc.ID, now time.Time) *Item {
	it := s.byTarget[target]
	if it == nil || now.Sub(it.at) >= itemLife {
		return nil
	}
	return &it.Item
}

// Target returns the target that the put query m writes to: the SHA-1 of the
// value, or of the public key and the salt.
func Target(m *krpc.Message) krpc.ID {
	if m.Key == nil {
		return sha1.Sum(m.Value)
	}
	h := sha1.New()
	h.Write(m.Key)
	h.Write(m.Salt)
	return krpc.ID(h.Sum(nil))
}

// Signed returns the bytes that the signature of a mutable item covers. They
// look like the inside of a bencoded dictionary (BEP 44, "mutable items").
func Signed(salt []byte, seq int64, value []byte) []byte {
	var b []byte
	if len(salt) > 0 {
		b = fmt.Appendf(b, "4:salt%d:%s", len(salt), salt)
	}
	b = fmt.Appendf(b, "3:seqi%de1:v", seq)
	return append(b, value...)
}

// Put stores the item of the put query m. The caller has checked the token. The
// error is a *PutError.
func (s *Items) Put(m *krpc.Message, from netip.Addr, now time.Time) error {
	refuse := func(code int, text string) error { return &PutError{code, text} }
	switch {
	case len(m.Value) == 0:
		return refuse(krpc.ErrProtocol, "no v")
	case len(m.Value) > krpc.MaxValue:
		return refuse(krpc.ErrValueTooBig, "v too big")
	case len(m.Salt) > krpc.MaxSalt:
		return refuse(krpc.ErrSaltTooBig, "salt too big")
	case m.Key != nil && (m.Sig == nil || !m.HasSeq || m.Seq < 0):
		return refuse(krpc.ErrProtocol, "no sig or seq")
	case m.Key != nil && !ed25519.Verify(m.Key, Signed(m.Salt, m.Seq, m.Value), m.Sig):
		return refuse(krpc.ErrSignature, "invalid signature")
	}
	target := Target(m)
	old := s.byTarget[target]
	if old != nil && m.Key != nil {
		switch {
		case m.HasCAS && m.CAS != old.Seq:
			return refuse(krpc.ErrCASMismatch, "cas mismatch")
		case m.Seq < old.Seq, m.Seq == old.Seq && string(m.Value) != string(old.Value):
			return refuse(krpc.ErrSequenceOlder, "seq too low")
		}
	}
	if old != nil {
		s.remove(old)
	}
	if len(s.byTarget) >= maxItems {
		s.remove(s.fair.victim(from))
	}
	it := &item{target: target, at: now, Item: Item{Value: clone(m.Value), Seq: m.Seq}}
	if m.Key != nil {
		it.Key, it.Sig = clone(m.Key), clone(m.Sig)
	}
	s.byTarget[target] = it
	s.fair.add(it, from)
	return nil
}

func (s *Items) remove(it *item) {
	s.fair.remove(it)
	delete(s.byTarget, it.target)
}

// Expire forgets what was put too long ago.
func (s *Items) Expire(now time.Time) {
	s.fair.expire(func(it *item) bool { return now.Sub(it.at) >= itemLife }, s.remove)
}

func clone(b []byte) []byte { return append([]byte(nil), b...) }

package tracker

import (
	"errors"
	"fmt"
	"math"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"magnetfs/swarm/benc"
	"magnetfs/swarm/endpoint"
)

// maxBody bounds the body of a reply, before and after decompression, bytes
// (libtorrent's limit).
const maxBody = 1 << 20

// replyLimits bound the bencoding of replies. A full body of peer dictionaries
// in the old form, some 50 bytes and 7 tokens each, must pass.
var replyLimits = benc.Limits{MaxBytes: maxBody, MaxDepth: 16, MaxTokens: 200_000}

var (
	errNotBencoded = errors.New("reply is not a tracker's")
	errNoCounts    = errors.New("scrape reply does not name the torrent")
)

// parseAnnounce reads the reply of an HTTP tracker. Wrong types and impossible
// values of single keys are treated as if the key were missing; trailing bytes
// are ignored. The error is a *Failure if the tracker reported one.
func parseAnnounce(b []byte) (Reply, error) {
	v, _, err := benc.ParsePrefix(b, replyLimits)
	if err != nil {
		return Reply{}, fmt.Errorf("%w: %w", errNotBencoded, err)
	}
	if v.Kind() != benc.Dict {
		return Reply{}, errNotBencoded
	}
	if err := failure(v); err != nil {
		return Reply{}, err
	}
	r := Reply{
		Interval:    seconds(v.Get("interval")),
		MinInterval: seconds(v.Get("min interval")),
		Counts:      counts(v),
		Warning:     text(v.Get("warning message")),
		External:    address(v.Get("external ip")),
	}
	if id, ok := v.Get("tracker id").Bytes(); ok && len(id) <= maxTrackerID {
		r.TrackerID = string(id)
	}
	peers := v.Get("peers")
	if b, ok := peers.Bytes(); ok {
		r.addCompact(b, endpoint.Compact4Len)
	}
	for p := range peers.Items() {
		r.addPeer(peerOf(p))
	}
	if b, ok := v.Get("peers6").Bytes(); ok {
		r.addCompact(b, endpoint.Compact6Len)
	}
	return r, nil
}

// failure returns the error that the reply reports, if any (BEP 3, 31).
func failure(v benc.Value) error {
	reason := v.Get("failure reason")
	if reason.Kind() == benc.Invalid {
		return nil
	}
	f := &Failure{Reason: text(reason)}
	if f.Reason == "" {
		f.Reason = "refused without a reason"
	}
	retry := v.Get("retry in")
	if b, ok := retry.Bytes(); ok && strings.EqualFold(string(b), "never") {
		f.Never = true
	} else if n, ok := number(retry); ok && n > 0 {
		f.RetryIn = time.Duration(min(n, 1<<20)) * time.Minute
	}
	return f
}

// parseScrape reads the reply to an HTTP scrape (BEP 48) for one torrent.
func parseScrape(b []byte, hash [20]byte) (Counts, error) {
	v, _, err := benc.ParsePrefix(b, replyLimits)
	if err != nil {
		return noCounts, fmt.Errorf("%w: %w", errNotBencoded, err)
	}
	if err := failure(v); err != nil {
		return noCounts, err
	}
	files := v.Get("files").Get(string(hash[:]))
	if files.Kind() != benc.Dict {
		return noCounts, errNoCounts
	}
	return counts(files), nil
}

// counts reads the numbers of a swarm from an announce or scrape dictionary.
func counts(v benc.Value) Counts {
	c := noCounts
	for key, p := range map[string]*int{"complete": &c.Seeds, "incomplete": &c.Leechers, "downloaded": &c.Downloaded} {
		if n, ok := number(v.Get(key)); ok && n >= 0 {
			*p = int(min(n, math.MaxInt32))
		}
	}
	return c
}

// addCompact adds peers of size bytes each; a rest is ignored.
func (r *Reply) addCompact(b []byte, size int) {
	b = b[:len(b)-len(b)%size]
	parse := endpoint.ParseCompact4
	if size == endpoint.Compact6Len {
		parse = endpoint.ParseCompact6
	}
	peers, err := parse(b[:min(len(b), maxPeers*size)])
	if err != nil {
		return
	}
	for _, p := range peers {
		r.addPeer(p)
	}
}

func (r *Reply) addPeer(p netip.AddrPort) {
	if p.Port() != 0 && p.Addr().IsValid() && !p.Addr().IsUnspecified() && len(r.Peers) < maxPeers {
		r.Peers = append(r.Peers, p)
	}
}

// peerOf reads a peer in the old form, a dictionary of ip and port. Names are
// not resolved: whoever runs a tracker could make us ask for any.
func peerOf(v benc.Value) netip.AddrPort {
	ip, ok := v.Get("ip").Bytes()
	if !ok || len(ip) > 64 {
		return netip.AddrPort{}
	}
	addr, err := netip.ParseAddr(string(ip))
	port, ok := number(v.Get("port"))
	if err != nil || !ok || port < 1 || port > 65535 {
		return netip.AddrPort{}
	}
	return endpoint.Unmap4(netip.AddrPortFrom(addr.WithZone(""), uint16(port)))
}

// number reads an integer, also one that is written as a string.
func number(v benc.Value) (int64, bool) {
	if n, ok := v.Int(); ok {
		return n, true
	}
	b, ok := v.Bytes()
	if !ok || len(b) > 20 {
		return 0, false
	}
	n, err := strconv.ParseInt(string(b), 10, 64)
	return n, err == nil
}

// seconds reads a duration; 0 if it is missing, negative or absurd.
func seconds(v benc.Value) time.Duration {
	n, ok := number(v)
	if !ok || n < 0 || n > 1<<32 {
		return 0
	}
	return time.Duration(n) * time.Second
}

func text(v benc.Value) string {
	b, _ := v.Bytes()
	return clean(b)
}

// address reads an address of 4 or 16 bytes (BEP 24).
func address(v benc.Value) netip.Addr {
	b, _ := v.Bytes()
	a, _ := netip.AddrFromSlice(b)
	return a.Unmap()
}

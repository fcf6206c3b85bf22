package tracker

import (
	"encoding/binary"
	"errors"
	"math"
	"time"

	"magnetfs/swarm/endpoint"
)

// Actions of BEP 15.
const (
	actionConnect  = 0
	actionAnnounce = 1
	actionScrape   = 2
	actionError    = 3
)

// protocolID stands where later packets have the connection ID (BEP 15).
const protocolID = 0x41727101980

// maxScrape is how many info-hashes fit a scrape (BEP 15).
const maxScrape = 74

var errShort = errors.New("reply is too short")

// Option types of BEP 41.
const optionURLData = 2

// appendConnect appends a connect request, 16 bytes.
func appendConnect(b []byte, tid uint32) []byte {
	b = binary.BigEndian.AppendUint64(b, protocolID)
	b = binary.BigEndian.AppendUint32(b, actionConnect)
	return binary.BigEndian.AppendUint32(b, tid)
}

// appendUDPAnnounce appends an announce request: 98 bytes, then the path and
// query of the tracker's URL in pieces of up to 255 bytes (BEP 41).
func appendUDPAnnounce(b []byte, conn uint64, tid uint32, r Request, request string) []byte {
	b = binary.BigEndian.AppendUint64(b, conn)
	b = binary.BigEndian.AppendUint32(b, actionAnnounce)
	b = binary.BigEndian.AppendUint32(b, tid)
	b = append(b, r.InfoHash[:]...)
	b = append(b, r.PeerID[:]...)
	b = binary.BigEndian.AppendUint64(b, uint64(r.Downloaded))
	b = binary.BigEndian.AppendUint64(b, uint64(r.left()))
	b = binary.BigEndian.AppendUint64(b, uint64(r.Uploaded))
	b = binary.BigEndian.AppendUint32(b, uint32(r.Event))
	b = binary.BigEndian.AppendUint32(b, 0) // our address: where this comes from
	b = binary.BigEndian.AppendUint32(b, r.Key)
	b = binary.BigEndian.AppendUint32(b, uint32(int32(max(r.NumWant, -1))))
	b = binary.BigEndian.AppendUint16(b, r.Port)
	for len(request) > 0 {
		n := min(len(request), 255)
		b = append(b, optionURLData, byte(n))
		b = append(b, request[:n]...)
		request = request[n:]
	}
	return b
}

// appendUDPScrape appends a scrape request for up to maxScrape info-hashes.
func appendUDPScrape(b []byte, conn uint64, tid uint32, hashes [][20]byte) []byte {
	b = binary.BigEndian.AppendUint64(b, conn)
	b = binary.BigEndian.AppendUint32(b, actionScrape)
	b = binary.BigEndian.AppendUint32(b, tid)
	for _, h := range hashes {
		b = append(b, h[:]...)
	}
	return b
}

// parseHeader returns action and transaction ID of a reply; false if it is too
// short for both.
func parseHeader(b []byte) (action, tid uint32, ok bool) {
	if len(b) < 8 {
		return 0, 0, false
	}
	return binary.BigEndian.Uint32(b), binary.BigEndian.Uint32(b[4:]), true
}

// parseConnect returns the connection ID. Header checked by the caller, as in
// the parsers below.
func parseConnect(b []byte) (uint64, error) {
	if len(b) < 16 {
		return 0, errShort
	}
	return binary.BigEndian.Uint64(b[8:]), nil
}

// parseUDPAnnounce reads the reply to an announce. The size of a peer follows
// the address family over which the reply came, not its length.
func parseUDPAnnounce(b []byte, v6 bool) (Reply, error) {
	if len(b) < 20 {
		return Reply{}, errShort
	}
	r := Reply{
		Interval: time.Duration(binary.BigEndian.Uint32(b[8:])) * time.Second,
		Counts:   Counts{Leechers: count(b[12:]), Seeds: count(b[16:]), Downloaded: -1},
	}
	size := endpoint.Compact4Len
	if v6 {
		size = endpoint.Compact6Len
	}
	r.addCompact(b[20:], size)
	return r, nil
}

// parseUDPScrape reads the reply to a scrape of n info-hashes.
func parseUDPScrape(b []byte, n int) ([]Counts, error) {
	if n > maxScrape || len(b) < 8+12*n {
		return nil, errShort
	}
	list := make([]Counts, n)
	for i := range list {
		p := b[8+12*i:]
		list[i] = Counts{Seeds: count(p), Downloaded: count(p[4:]), Leechers: count(p[8:])}
	}
	return list, nil
}

// count reads a number of peers; what is negative as int32 is not known (some
// trackers answer a scrape that way).
func count(b []byte) int {
	if n := binary.BigEndian.Uint32(b); n <= math.MaxInt32 {
		return int(n)
	}
	return -1
}

// parseError returns the text of an error reply.
func parseError(b []byte) error {
	f := &Failure{Reason: clean(b[8:])}
	if f.Reason == "" {
		f.Reason = "refused without a reason"
	}
	return f
}

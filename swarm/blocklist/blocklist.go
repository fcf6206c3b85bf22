// Package blocklist reads lists of addresses that nothing is to be exchanged with, and
// answers whether an address is on one. It takes the forms that people have, line by
// line, also mixed in one file, and packed with gzip:
//
//	Some name:1.2.3.4-1.2.3.255                 PeerGuardian (.p2p)
//	001.002.003.004 - 001.002.003.255 , 000 , x  eMule (ipfilter.dat)
//	1.2.3.0/24  2001:db8::/32  1.2.3.4           a network, or an address
//
// Ranges include both their ends. In eMule's form those of a level over 127 are
// allowed, as there. What begins with # or // is a comment. A list is immutable and
// searched by halving; ranges of IPv4 have 8 bytes, of IPv6 32.
package blocklist

import (
	"bufio"
	"bytes"
	"cmp"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"slices"
	"sort"
	"strconv"
	"strings"
)

const (
	// maxRanges bounds the memory: the largest lists that are handed out have some
	// hundred thousand.
	maxRanges = 8 << 20
	// maxBytes bounds what is read, unpacked.
	maxBytes = 1 << 30
	maxLine  = 4 << 10
)

// List is a list. Nil blocks nobody.
type List struct {
	v4 []range4
	v6 []range6
}

type range4 struct{ lo, hi uint32 }

type range6 struct{ lo, hi key6 }

// key6 is an IPv6 address that can be compared, the upper half first.
type key6 [2]uint64

func (k key6) compare(l key6) int {
	return cmp.Or(cmp.Compare(k[0], l[0]), cmp.Compare(k[1], l[1]))
}

// Report tells what was read.
type Report struct {
	Ranges int   // of the list, those that touch taken as one
	Bad    int   // lines that say nothing
	First  error // of the first of these, with the number of the line
}

// Open reads a file.
func Open(path string) (*List, Report, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, Report{}, err
	}
	defer f.Close()
	l, r, err := Read(f)
	if err != nil {
		return nil, r, fmt.Errorf("%s: %w", path, err)
	}
	return l, r, nil
}

// Read reads a list. Bad lines are counted; the error is of r, or of a size beyond all
// reason.
func Read(r io.Reader) (*List, Report, error) {
	in := bufio.NewReader(r)
	if head, _ := in.Peek(2); bytes.Equal(head, []byte{0x1f, 0x8b}) {
		z, err := gzip.NewReader(in)
		if err != nil {
			return nil, Report{}, err
		}
		in = bufio.NewReader(z)
	}
	bounded := &io.LimitedReader{R: in, N: maxBytes}
	lines := bufio.NewReaderSize(bounded, maxLine)
	l, report := &List{}, Report{}
	for n := 1; ; n++ {
		line, more, err := lines.ReadLine()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, report, fmt.Errorf("line %d: %w", n, err)
		}
		if more {
			for more && err == nil {
				_, more, err = lines.ReadLine()
			}
			err = errors.New("longer than any range")
		} else {
			err = l.line(string(line))
		}
		if err != nil {
			if report.Bad++; report.First == nil {
				report.First = fmt.Errorf("line %d: %w", n, err)
			}
		}
		if len(l.v4)+len(l.v6) > maxRanges {
			return nil, report, fmt.Errorf("more than %d ranges", maxRanges)
		}
	}
	if bounded.N <= 0 {
		return nil, report, fmt.Errorf("larger than %d bytes", maxBytes)
	}
	l.sort()
	report.Ranges = len(l.v4) + len(l.v6)
	return l, report, nil
}

// Blocks tells whether an address is on the list.
func (l *List) Blocks(a netip.Addr) bool {
	if l == nil {
		return false
	}
	a = a.Unmap()
	if a.Is4() {
		k := key4(a)
		i := sort.Search(len(l.v4), func(i int) bool { return l.v4[i].hi >= k })
		return i < len(l.v4) && l.v4[i].lo <= k
	}
	k := keyOf6(a)
	i := sort.Search(len(l.v6), func(i int) bool { return l.v6[i].hi.compare(k) >= 0 })
	return i < len(l.v6) && l.v6[i].lo.compare(k) <= 0
}

func key4(a netip.Addr) uint32 {
	b := a.As4()
	return binary.BigEndian.Uint32(b[:])
}

func keyOf6(a netip.Addr) key6 {
	b := a.As16()
	return key6{binary.BigEndian.Uint64(b[:8]), binary.BigEndian.Uint64(b[8:])}
}

// add takes a range.
func (l *List) add(lo, hi netip.Addr) error {
	lo, hi = lo.Unmap().WithZone(""), hi.Unmap().WithZone("")
	switch {
	case lo.Is4() != hi.Is4():
		return errors.New("from IPv4 to IPv6")
	case hi.Less(lo):
		return fmt.Errorf("%v is after %v", lo, hi)
	case lo.Is4():
		l.v4 = append(l.v4, range4{key4(lo), key4(hi)})
	default:
		l.v6 = append(l.v6, range6{keyOf6(lo), keyOf6(hi)})
	}
	return nil
}

// sort makes the ranges ascend, without overlap.
func (l *List) sort() {
	slices.SortFunc(l.v4, func(a, b range4) int { return cmp.Compare(a.lo, b.lo) })
	l.v4 = merge(l.v4, func(a, b range4) (range4, bool) {
		return range4{a.lo, max(a.hi, b.hi)}, b.lo <= a.hi || b.lo == a.hi+1
	})
	slices.SortFunc(l.v6, func(a, b range6) int { return a.lo.compare(b.lo) })
	l.v6 = merge(l.v6, func(a, b range6) (range6, bool) {
		if b.hi.compare(a.hi) > 0 {
			return range6{a.lo, b.hi}, b.lo.compare(a.hi) <= 0
		}
		return a, true
	})
}

// merge joins neighbours that join says can be.
func merge[R any](all []R, join func(a, b R) (R, bool)) []R {
	out := all[:0]
	for _, r := range all {
		if n := len(out); n > 0 {
			if both, ok := join(out[n-1], r); ok {
				out[n-1] = both
				continue
			}
		}
		out = append(out, r)
	}
	return slices.Clip(slices.Clone(out))
}

var errNoRange = errors.New("no range of addresses")

// line takes one line.
func (l *List) line(s string) error {
	s = strings.TrimSpace(strings.TrimPrefix(s, "\ufeff"))
	if s == "" || s[0] == '#' || strings.HasPrefix(s, "//") {
		return nil
	}
	if p, err := netip.ParsePrefix(s); err == nil {
		lo, hi := ends(p)
		return l.add(lo, hi)
	}
	if a, ok := address(s); ok {
		return l.add(a, a)
	}
	first, rest, _ := strings.Cut(s, ",")
	if lo, hi, ok := pair(first); ok { // eMule, or the bare range
		level, _, _ := strings.Cut(rest, ",")
		if n, err := strconv.Atoi(strings.TrimSpace(level)); err == nil && n > 127 {
			return nil
		}
		return l.add(lo, hi)
	}
	// PeerGuardian. Names have colons, and so have addresses: the longest that is a
	// range counts.
	for rest := s; ; {
		_, after, ok := strings.Cut(rest, ":")
		if !ok {
			return errNoRange
		}
		if lo, hi, ok := pair(after); ok {
			return l.add(lo, hi)
		}
		if p, err := netip.ParsePrefix(strings.TrimSpace(after)); err == nil {
			lo, hi := ends(p)
			return l.add(lo, hi)
		}
		rest = after
	}
}

// ends are the first and the last address of a network.
func ends(p netip.Prefix) (lo, hi netip.Addr) {
	p = p.Masked()
	b := p.Addr().AsSlice()
	for i := range b {
		ones := min(max(p.Bits()-8*i, 0), 8)
		b[i] |= 0xff >> ones
	}
	hi, _ = netip.AddrFromSlice(b)
	return p.Addr(), hi
}

// pair reads "address - address".
func pair(s string) (lo, hi netip.Addr, ok bool) {
	from, to, ok := strings.Cut(s, "-")
	if !ok {
		return lo, hi, false
	}
	lo, ok1 := address(strings.TrimSpace(from))
	hi, ok2 := address(strings.TrimSpace(to))
	return lo, hi, ok1 && ok2
}

// address reads an address, in which eMule fills the numbers with zeros to three
// digits.
func address(s string) (netip.Addr, bool) {
	a, err := netip.ParseAddr(s)
	if err == nil {
		return a, true
	}
	parts := strings.Split(s, ".")
	if len(parts) != 4 || len(s) > len("255.255.255.255") {
		return a, false
	}
	var b [4]byte
	for i, p := range parts {
		n, err := strconv.ParseUint(p, 10, 8)
		if err != nil {
			return a, false
		}
		b[i] = byte(n)
	}
	return netip.AddrFrom4(b), true
}

package benc

import (
	"bytes"
	"fmt"
	"math"
)

// Limits bound what a decoder accepts before it allocates anything. A zero or negative field means the default, which
// is the budget of a .torrent file.
type Limits struct {
	MaxBytes  int // encoded size of the value in bytes; default 16 MiB
	MaxDepth  int // nesting of lists and dictionaries; default 100
	MaxTokens int // strings (keys included), integers, lists and dictionaries together; default 3,000,000
}

// Defaults of Limits: the .torrent size is ours, depth and tokens are those of libtorrent.
const (
	defaultMaxBytes  = 16 << 20
	defaultMaxDepth  = 100
	defaultMaxTokens = 3_000_000
)

// maxDigits is the longest run of digits read as one number. int64 needs 19; one more leaves room for a leading zero.
const maxDigits = 20

// withDefaults replaces the fields that are not positive, and keeps offsets within the 32 bits of a token.
func (l Limits) withDefaults() Limits {
	if l.MaxBytes <= 0 {
		l.MaxBytes = defaultMaxBytes
	}
	l.MaxBytes = min(l.MaxBytes, math.MaxInt32)
	if l.MaxDepth <= 0 {
		l.MaxDepth = defaultMaxDepth
	}
	if l.MaxTokens <= 0 {
		l.MaxTokens = defaultMaxTokens
	}
	return l
}

// SyntaxError tells where and why input is not acceptable bencoding. Exceeded limits are reported by it as well.
type SyntaxError struct {
	Offset int    // byte offset in the input
	Reason string // what is wrong there
}

func (e *SyntaxError) Error() string {
	return fmt.Sprintf("benc: offset %d: %s", e.Offset, e.Reason)
}

// Check scans the value at the start of data and returns the number of bytes it occupies. Trailing bytes are allowed.
// It takes linear time and does not allocate unless the nesting is deep. Soft faults (see the package comment) pass.
// The error is a *SyntaxError.
func Check(data []byte, lim Limits) (n int, err error) {
	s, err := scan(data, lim, nil)
	return s.end, err
}

// token is one scanned element: a string, an integer, the start of a list or dictionary, or the 'e' that ends one.
type token struct {
	off  uint32 // offset of its first byte
	next uint32 // index of the token after it and all that it contains
}

// scanned is the outcome of a scan.
type scanned struct {
	end   int          // offset behind the value
	depth int          // deepest nesting met; 0 for a lone string or integer
	count int          // tokens, end marks included
	soft  *SyntaxError // first soft fault, nil if the value is canonical
}

// scan walks the first value of data. It lists the tokens in toks, if that is not nil: it must hold as many as an
// earlier scan counted.
func scan(data []byte, lim Limits, toks []token) (scanned, error) {
	s := scanner{data: data, lim: lim.withDefaults(), toks: toks}
	if s.cut = len(data) > s.lim.MaxBytes; s.cut {
		s.data = data[:s.lim.MaxBytes]
	}
	for {
		if err := s.element(); err != nil {
			return scanned{}, err
		}
		if s.depth == 0 {
			s.out.end = s.pos
			return s.out, nil
		}
	}
}

// scanner is a scan under way.
type scanner struct {
	data     []byte // no more than MaxBytes
	cut      bool   // there was more
	lim      Limits
	toks     []token
	pos      int // data[:pos] was scanned
	elements int // so far, without end marks
	out      scanned

	// The open lists and dictionaries: depth frames, the first in few. Most values nest less, and cost no allocation.
	depth int
	few   [16]frame
	more  []frame
}

// frame is an open list or dictionary.
type frame struct {
	dict      bool
	wantValue bool // dictionary only: a key was read, its value has to follow
	hasKey    bool
	keyBegin  int // of the last key: data[keyBegin:keyEnd]
	keyEnd    int
	tok       int // index of its token
}

// top returns the innermost open list or dictionary, or nil.
func (s *scanner) top() *frame {
	switch {
	case s.depth == 0:
		return nil
	case s.depth <= len(s.few):
		return &s.few[s.depth-1]
	}
	return &s.more[s.depth-len(s.few)-1]
}

// element scans one token: a string, an integer, the start of a list or dictionary, or an end mark.
func (s *scanner) element() error {
	if s.pos == len(s.data) {
		return s.ends("input ends inside a value")
	}
	c := s.data[s.pos]
	if c != 'e' {
		if s.elements++; s.elements > s.lim.MaxTokens {
			return s.fail("more than %d elements", s.lim.MaxTokens)
		}
	}
	if s.toks != nil {
		s.toks[s.out.count] = token{uint32(s.pos), uint32(s.out.count + 1)}
	}
	s.out.count++
	top := s.top()
	var err error
	switch {
	case c == 'e':
		err = s.close(top)
	case top != nil && top.dict && !top.wantValue:
		return s.key(top)
	case c == 'l' || c == 'd':
		return s.open(c == 'd')
	case c == 'i':
		_, end, soft, reason := scanInt(s.data, s.pos)
		err = s.scalar(end, soft, reason)
	case isDigit(c):
		_, end, soft, reason := scanString(s.data, s.pos)
		err = s.scalar(end, soft, reason)
	default:
		return s.fail("unexpected byte %q", c)
	}
	if top = s.top(); err == nil && top != nil {
		top.wantValue = false // a whole value has ended
	}
	return err
}

// scalar takes what was found out about a string or an integer at pos.
func (s *scanner) scalar(end int, soft, reason string) error {
	if reason != "" {
		if end > len(s.data) {
			return s.ends(reason)
		}
		return s.fail("%s", reason)
	}
	s.soften(soft)
	s.pos = end
	return nil
}

// key scans a dictionary key.
func (s *scanner) key(dict *frame) error {
	if !isDigit(s.data[s.pos]) {
		return s.fail("dictionary key is not a string")
	}
	body, end, soft, reason := scanString(s.data, s.pos)
	if reason == "" && dict.hasKey && s.out.soft == nil {
		s.soften(orderFault(s.data[dict.keyBegin:dict.keyEnd], s.data[body:end]))
	}
	if err := s.scalar(end, soft, reason); err != nil {
		return err
	}
	dict.keyBegin, dict.keyEnd, dict.hasKey, dict.wantValue = body, end, true, true
	return nil
}

// open begins a list or dictionary.
func (s *scanner) open(dict bool) error {
	if s.depth == s.lim.MaxDepth {
		return s.fail("nested deeper than %d", s.lim.MaxDepth)
	}
	s.depth++
	if s.depth-len(s.few) > len(s.more) {
		s.more = append(s.more, frame{})
	}
	*s.top() = frame{dict: dict, tok: s.out.count - 1}
	s.out.depth = max(s.out.depth, s.depth)
	s.pos++
	return nil
}

// close ends the innermost list or dictionary.
func (s *scanner) close(top *frame) error {
	if top == nil {
		return s.fail("end mark without a value")
	}
	if top.wantValue {
		return s.fail("dictionary key %q without a value", clip(s.data[top.keyBegin:top.keyEnd]))
	}
	if s.toks != nil {
		s.toks[top.tok].next = uint32(s.out.count)
	}
	s.depth--
	s.pos++
	return nil
}

// soften records the soft fault at pos if it is one and the first.
func (s *scanner) soften(reason string) {
	if reason != "" && s.out.soft == nil {
		s.out.soft = &SyntaxError{s.pos, reason}
	}
}

func (s *scanner) fail(format string, args ...any) error {
	return &SyntaxError{s.pos, fmt.Sprintf(format, args...)}
}

// ends is fail for input that is too short, be it of itself or because it was cut at the limit.
func (s *scanner) ends(reason string) error {
	if s.cut {
		return s.fail("value larger than the limit of %d bytes", s.lim.MaxBytes)
	}
	return s.fail("%s", reason)
}

// scanString reads "<length>:<bytes>" at pos: its bytes are data[body:end]. A reason means that there is none; if more
// input could mend that, end is behind the input.
func scanString(data []byte, pos int) (body, end int, soft, reason string) {
	n, i := 0, pos
	for ; i < len(data) && isDigit(data[i]); i++ {
		if i-pos == maxDigits {
			return 0, 0, "", "string length has too many digits"
		}
		if n = n*10 + int(data[i]-'0'); n > len(data) {
			return 0, len(data) + 1, "", fmt.Sprintf("string longer than the %d bytes left", len(data)-pos)
		}
	}
	if i == len(data) {
		return 0, len(data) + 1, "", "input ends inside a string length"
	}
	if data[i] != ':' {
		return 0, 0, "", fmt.Sprintf("unexpected byte %q in a string length", data[i])
	}
	body = i + 1
	if n > len(data)-body {
		return 0, len(data) + 1, "", fmt.Sprintf("string of %d bytes, %d left", n, len(data)-body)
	}
	if data[pos] == '0' && i-pos > 1 {
		soft = "string length with a leading zero"
	}
	return body, body + n, soft, ""
}

// scanInt reads "i<decimal>e" at pos. A reason means that there is no integer of 64 bits; end is as for scanString.
func scanInt(data []byte, pos int) (v int64, end int, soft, reason string) {
	i := pos + 1
	neg := i < len(data) && data[i] == '-'
	limit := uint64(math.MaxInt64)
	if neg {
		i++
		limit++
	}
	first := i
	var u uint64
	for ; i < len(data) && isDigit(data[i]); i++ {
		d := uint64(data[i] - '0')
		if i-first == maxDigits || u > (limit-d)/10 {
			return 0, 0, "", "integer does not fit 64 bits"
		}
		u = u*10 + d
	}
	switch {
	case i == len(data):
		return 0, len(data) + 1, "", "input ends inside an integer"
	case i == first || data[i] != 'e':
		return 0, 0, "", fmt.Sprintf("unexpected byte %q in an integer", data[i])
	case neg && data[first] == '0':
		return 0, 0, "", "negative integer with a leading zero"
	}
	if data[first] == '0' && i-first > 1 {
		soft = "integer with a leading zero"
	}
	if neg {
		return int64(-u), i + 1, soft, "" // -2^63 wraps onto itself
	}
	return int64(u), i + 1, soft, ""
}

// orderFault names the soft fault of a key that follows prev, or nothing.
func orderFault(prev, key []byte) string {
	switch c := bytes.Compare(prev, key); {
	case c == 0:
		return fmt.Sprintf("dictionary key %q repeated", clip(key))
	case c > 0:
		return fmt.Sprintf("dictionary key %q out of order", clip(key))
	}
	return ""
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

// clip shortens foreign text for a message.
func clip(b []byte) []byte { return b[:min(len(b), 64)] }

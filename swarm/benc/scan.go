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
	s, err := scan(data, lim, false)
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
	soft  *SyntaxError // first soft fault, nil if the value is canonical
	toks  []token      // all tokens, if they were asked for
}

// frame is an open list or dictionary.
type frame struct {
	dict      bool
	wantValue bool // dictionary only: a key was read, its value has to follow
	key       []byte
	hasKey    bool
	tok       int // index of its token, if tokens are recorded
}

// scan walks the first value of data. With record it lists the tokens.
func scan(data []byte, lim Limits, record bool) (s scanned, err error) {
	lim = lim.withDefaults()
	cut := len(data) > lim.MaxBytes
	if cut {
		data = data[:lim.MaxBytes]
	}
	var few [16]frame // most values nest less: no allocation for them
	stack := few[:0]
	pos, count := 0, 0
	fail := func(off int, format string, args ...any) (scanned, error) {
		return scanned{}, &SyntaxError{off, fmt.Sprintf(format, args...)}
	}
	soften := func(off int, reason string) {
		if reason != "" && s.soft == nil {
			s.soft = &SyntaxError{off, reason}
		}
	}
	for {
		if pos == len(data) {
			if cut {
				return fail(pos, "value larger than the limit of %d bytes", lim.MaxBytes)
			}
			return fail(pos, "input ends inside a value")
		}
		start, c := pos, data[pos]
		var top *frame
		if len(stack) > 0 {
			top = &stack[len(stack)-1]
		}
		if c != 'e' {
			if count++; count > lim.MaxTokens {
				return fail(pos, "more than %d elements", lim.MaxTokens)
			}
			if record {
				s.toks = append(s.toks, token{uint32(start), uint32(len(s.toks) + 1)})
			}
		}
		isKey := top != nil && top.dict && !top.wantValue
		if isKey && c != 'e' && !isDigit(c) {
			return fail(pos, "dictionary key is not a string")
		}
		switch {
		case isDigit(c):
			body, end, soft, reason := scanString(data, pos)
			if reason != "" {
				if cut && end > len(data) {
					reason = fmt.Sprintf("value larger than the limit of %d bytes", lim.MaxBytes)
				}
				return fail(pos, "%s", reason)
			}
			soften(pos, soft)
			pos = end
			if isKey {
				key := data[body:end]
				if top.hasKey {
					soften(start, orderFault(top.key, key))
				}
				top.key, top.hasKey, top.wantValue = key, true, true
				continue
			}
		case c == 'i':
			_, end, soft, reason := scanInt(data, pos)
			if reason != "" {
				return fail(pos, "%s", reason)
			}
			soften(pos, soft)
			pos = end
		case c == 'l' || c == 'd':
			if len(stack) == lim.MaxDepth {
				return fail(pos, "nested deeper than %d", lim.MaxDepth)
			}
			stack = append(stack, frame{dict: c == 'd', tok: len(s.toks) - 1})
			s.depth = max(s.depth, len(stack))
			pos++
			continue
		case c == 'e':
			if top == nil {
				return fail(pos, "end mark without a value")
			}
			if top.wantValue {
				return fail(pos, "dictionary key %q without a value", clip(top.key))
			}
			if record {
				s.toks = append(s.toks, token{uint32(start), uint32(len(s.toks) + 1)})
				s.toks[top.tok].next = uint32(len(s.toks))
			}
			stack = stack[:len(stack)-1]
			pos++
		default:
			return fail(pos, "unexpected byte %q", c)
		}
		// A whole value ends at pos.
		if len(stack) == 0 {
			s.end = pos
			return s, nil
		}
		stack[len(stack)-1].wantValue = false
	}
}

// scanString reads "<length>:<bytes>" at pos: its bytes are data[body:end]. A reason means that there is none; if it
// is the claimed length that leaves the input, end is behind the input.
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

// scanInt reads "i<decimal>e" at pos. A reason means that there is no integer of 64 bits.
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
		return 0, 0, "", "input ends inside an integer"
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

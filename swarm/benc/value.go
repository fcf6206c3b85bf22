package benc

import "iter"

// Kind is the type of a bencoded value.
type Kind uint8

// The kinds. Invalid is the kind of the zero Value.
const (
	Invalid Kind = iota
	String
	Int
	List
	Dict
)

func (k Kind) String() string {
	switch k {
	case String:
		return "string"
	case Int:
		return "integer"
	case List:
		return "list"
	case Dict:
		return "dictionary"
	}
	return "nothing"
}

// Value is a part of parsed input. It refers to the input, which must not be changed while a Value or bytes taken from
// it are in use. The zero Value is of kind Invalid: it has no bytes, no number and no members, so that the result of
// [Value.Get] can be asked without a test.
type Value struct {
	doc *document
	tok int // index of its token
}

// document is input together with its tokens. It is never changed after parsing.
type document struct {
	data []byte
	toks []token
}

// Parse reads data as one value. Bytes behind it are an error. The Value refers to data; besides, 8 bytes are
// allocated for every element and every end of a list or dictionary. Soft faults pass, see [Value.Fault]. The error is a *SyntaxError.
func Parse(data []byte, lim Limits) (Value, error) {
	v, n, err := ParsePrefix(data, lim)
	if err == nil && n < len(data) {
		return Value{}, &SyntaxError{n, "bytes after the value"}
	}
	return v, err
}

// ParsePrefix is Parse for input that goes on behind the value; n is the size of the value in bytes.
func ParsePrefix(data []byte, lim Limits) (v Value, n int, err error) {
	s, err := scan(data, lim, nil)
	if err != nil {
		return Value{}, 0, err
	}
	// A second scan is cheaper than tokens that grow as they come: nothing is copied, nothing allocated in vain.
	toks := make([]token, s.count)
	if s, err = scan(data[:s.end], lim, toks); err != nil {
		return Value{}, 0, err
	}
	return Value{doc: &document{data[:s.end:s.end], toks}}, s.end, nil
}

// Kind returns the type of v.
func (v Value) Kind() Kind {
	if v.doc == nil {
		return Invalid
	}
	switch v.doc.data[v.doc.toks[v.tok].off] {
	case 'i':
		return Int
	case 'l':
		return List
	case 'd':
		return Dict
	}
	return String
}

// Raw returns the encoded bytes of v exactly as they stood in the input; nil for the zero Value.
func (v Value) Raw() []byte {
	var end int
	off := v.offset()
	switch v.Kind() {
	case Invalid:
		return nil
	case String:
		_, end, _, _ = scanString(v.doc.data, off)
	case Int:
		_, end, _, _ = scanInt(v.doc.data, off)
	default:
		last := v.doc.toks[v.tok].next - 1 // its end mark
		end = int(v.doc.toks[last].off) + 1
	}
	return v.doc.data[off:end:end]
}

// Bytes returns the contents of a string; false for any other kind.
func (v Value) Bytes() ([]byte, bool) {
	if v.Kind() != String {
		return nil, false
	}
	body, end, _, _ := scanString(v.doc.data, v.offset())
	return v.doc.data[body:end:end], true
}

// Int returns the number of an integer; false for any other kind.
func (v Value) Int() (int64, bool) {
	if v.Kind() != Int {
		return 0, false
	}
	n, _, _, _ := scanInt(v.doc.data, v.offset())
	return n, true
}

// Items iterates over the elements of a list; none for any other kind.
func (v Value) Items() iter.Seq[Value] {
	return func(yield func(Value) bool) {
		if v.Kind() != List {
			return
		}
		for c, end := v.children(); c.tok < end; c.tok = c.next() {
			if !yield(c) {
				return
			}
		}
	}
}

// Entries iterates over the keys and values of a dictionary in the order of the input; none for any other kind. A
// repeated key comes up each time.
func (v Value) Entries() iter.Seq2[[]byte, Value] {
	return func(yield func([]byte, Value) bool) {
		if v.Kind() != Dict {
			return
		}
		for k, end := v.children(); k.tok < end; {
			key, _ := k.Bytes()
			val := Value{v.doc, k.next()}
			if !yield(key, val) {
				return
			}
			k.tok = val.next()
		}
	}
}

// Get returns the first value under key, or the zero Value if v has no such key or is no dictionary.
func (v Value) Get(key string) Value {
	for k, val := range v.Entries() {
		if string(k) == key {
			return val
		}
	}
	return Value{}
}

// Fault returns the first soft fault inside v as a *SyntaxError, with an offset relative to v; nil if the bytes of v
// are the canonical encoding. It scans v again.
func (v Value) Fault() error {
	raw := v.Raw()
	if raw == nil {
		return nil
	}
	n := len(raw) // no value nests deeper or holds more elements than it has bytes
	s, err := scan(raw, Limits{n, n, n}, nil)
	if err != nil {
		return err
	}
	if s.soft != nil {
		return s.soft
	}
	return nil
}

// offset of the value in the input; 0 for the zero Value.
func (v Value) offset() int {
	if v.doc == nil {
		return 0
	}
	return int(v.doc.toks[v.tok].off)
}

// next is the index of the token behind v.
func (v Value) next() int { return int(v.doc.toks[v.tok].next) }

// children returns the first child of a list or dictionary (if there is one) and the index of its end mark.
func (v Value) children() (first Value, end int) {
	return Value{v.doc, v.tok + 1}, v.next() - 1
}

package krpc

import "net/netip"

// Kind is the type of a message, the value of its key y.
type Kind byte

// The kinds of messages.
const (
	Query    Kind = 'q'
	Response Kind = 'r'
	Error    Kind = 'e'
)

// Names of queries.
const (
	Ping             = "ping"
	FindNode         = "find_node"
	GetPeers         = "get_peers"
	AnnouncePeer     = "announce_peer"
	Get              = "get"               // BEP 44
	Put              = "put"               // BEP 44
	SampleInfohashes = "sample_infohashes" // BEP 51
)

// Error codes (BEP 5, "Errors"; BEP 44).
const (
	ErrGeneric       = 201
	ErrServer        = 202
	ErrProtocol      = 203
	ErrMethod        = 204
	ErrValueTooBig   = 205
	ErrSignature     = 206
	ErrSaltTooBig    = 207
	ErrCASMismatch   = 301
	ErrSequenceOlder = 302
)

// Limits of stored items (BEP 44).
const (
	MaxValue = 1000 // bytes of the bencoded value
	MaxSalt  = 64
)

// FilterLen is the size of a Bloom filter of a scrape (BEP 33), bytes.
const FilterLen = 256

// Message is one KRPC message. Byte slices of a decoded message alias the
// packet; copy what is kept.
type Message struct {
	Kind Kind
	T    []byte // transaction ID, chosen by who asks, echoed unchanged
	V    []byte // client version; optional
	RO   bool   // query of a read-only node (BEP 43)

	// IP is the address of the requester as the responder saw it (BEP 42).
	IP netip.AddrPort

	Method string // of a query

	ID    ID // of the sender
	HasID bool

	// Target is the argument target or info_hash. Encode calls it info_hash
	// for get_peers and announce_peer.
	Target    ID
	HasTarget bool

	Want4, Want6 bool // node lists asked for (BEP 32); neither: the sender's own family
	NoSeed       bool // prefers peers that are no seeds (BEP 33)
	Scrape       bool // asks for Bloom filters (BEP 33)
	Seed         bool // announces itself as a seed (BEP 33)
	Port         int  // of announce_peer; -1 when absent, not checked
	ImpliedPort  bool // use the source port of the packet instead
	Token        []byte

	Nodes, Nodes6 []NodeInfo
	Values        []netip.AddrPort
	Seeds, Peers  []byte // BFsd and BFpe, FilterLen bytes each, or nil

	Samples  []ID // BEP 51
	Num      int
	Interval int // seconds

	// BEP 44. Value is bencoded, as it came.
	Value          []byte
	Key            []byte // 32 bytes when present
	Sig            []byte // 64 bytes when present
	Salt           []byte
	Seq, CAS       int64
	HasSeq, HasCAS bool

	Code int // of an error
	Text string

	// HasSamples makes Append write the keys of BEP 51 even without a sample.
	HasSamples bool
}

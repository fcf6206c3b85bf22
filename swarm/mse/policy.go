package mse

import (
	"fmt"

	"github.com/anacrolix/torrent/mse"
)

// Policy says which connections are encrypted. The zero value is Allow.
type Policy uint8

// The policies.
const (
	// Allow takes plain and encrypted connections, and encrypts where the peer insists.
	Allow Policy = iota
	// Prefer takes both, and encrypts where the peer can.
	Prefer
	// Require refuses everything that is not encrypted with RC4 from end to end.
	Require
)

var policyNames = [...]string{"allow", "prefer", "require"}

// String returns the word that ParsePolicy takes.
func (p Policy) String() string {
	if int(p) < len(policyNames) {
		return policyNames[p]
	}
	return fmt.Sprintf("policy %d", uint8(p))
}

// ParsePolicy returns the policy of a word: allow, prefer or require.
func ParsePolicy(s string) (Policy, error) {
	for i, name := range policyNames {
		if s == name {
			return Policy(i), nil
		}
	}
	return Allow, fmt.Errorf("%q is none of allow, prefer and require", s)
}

// MarshalText returns the word of the policy; it makes Policy a value for flags.
func (p Policy) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// UnmarshalText takes the word of a policy.
func (p *Policy) UnmarshalText(text []byte) (err error) {
	*p, err = ParsePolicy(string(text))
	return err
}

// Method is how the bytes of a connection travel.
type Method uint8

// The methods.
const (
	None     Method = iota // plain from the first byte: no MSE
	Obscured               // the handshake was hidden, the rest is plain
	RC4                    // encrypted
)

var methodNames = [...]string{"none", "obscured", "rc4"}

// String returns a word for people.
func (m Method) String() string {
	if int(m) < len(methodNames) {
		return methodNames[m]
	}
	return fmt.Sprintf("method %d", uint8(m))
}

// methodOf translates what the library says.
func methodOf(m mse.CryptoMethod) Method {
	if m == mse.CryptoMethodRC4 {
		return RC4
	}
	return Obscured
}

// offer is what we provide to a peer that we dial (crypto_provide). Under Prefer
// the peer may still choose plain bytes behind the hidden handshake: it may have
// no other peer to ask, and neither may we.
func (p Policy) offer() mse.CryptoMethod {
	if p == Require {
		return mse.CryptoMethodRC4
	}
	return mse.AllSupportedCrypto
}

// choose picks one of the methods that a peer offers (crypto_select); 0: none of
// them will do. Allow picks plain bytes where it may, as libtorrent does: they
// cost less, and the peer has said that they suffice.
func (p Policy) choose(offered mse.CryptoMethod) mse.CryptoMethod {
	plain, rc4 := offered&mse.CryptoMethodPlaintext, offered&mse.CryptoMethodRC4
	switch {
	case p == Require:
		return rc4
	case p == Prefer && rc4 != 0, plain == 0:
		return rc4
	}
	return plain
}

package mse

import (
	"bytes"
	"crypto/rc4"
	"crypto/sha1"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"math/big"
	"net"
	"testing"
)

// The other end, written from the specification a second time and without any of
// the package's code, so that tests can choose every byte of it.

var refPrime, _ = new(big.Int).SetString("ffffffffffffffffc90fdaa22168c234c4c6628b80dc1cd129024e088a67cc74020bbea63b139b22514a08798e3404ddef9519b3cd3a431b302b0a6df25f14374fe1356d6d51c245e485b576625e7ec6f44c42e9a63a36210000000000090563", 16)

func unhex(s string) []byte {
	b, err := hex.DecodeString(s)
	if err != nil {
		panic(err)
	}
	return b
}

func refPublic(x []byte) []byte {
	return new(big.Int).Exp(big.NewInt(2), new(big.Int).SetBytes(x), refPrime).FillBytes(make([]byte, 96))
}

func refSecret(public, x []byte) []byte {
	return new(big.Int).Exp(new(big.Int).SetBytes(public), new(big.Int).SetBytes(x), refPrime).FillBytes(make([]byte, 96))
}

func refHash(parts ...any) []byte {
	h := sha1.New()
	for _, p := range parts {
		fmt.Fprintf(h, "%s", p)
	}
	return h.Sum(nil)
}

func refXor(a, b []byte) []byte {
	out := make([]byte, len(a))
	for i := range a {
		out[i] = a[i] ^ b[i]
	}
	return out
}

// refCipher is the stream from A ("keyA") or B ("keyB").
func refCipher(name string, secret []byte, key [20]byte) *rc4.Cipher {
	c, err := rc4.NewCipher(refHash(name, secret, key[:]))
	if err != nil {
		panic(err)
	}
	c.XORKeyStream(make([]byte, 1024), make([]byte, 1024))
	return c
}

func refEncrypt(c *rc4.Cipher, b []byte) []byte {
	out := make([]byte, len(b))
	c.XORKeyStream(out, b)
	return out
}

// refDialler is A: what it sends.
type refDialler struct {
	x       []byte
	key     [20]byte
	padA    int
	provide uint32
	padC    int
	initial []byte
	after   []byte // payload behind the handshake, in the same write
}

// head is the encrypted part of step 3 before encryption.
func (d refDialler) head() []byte {
	b := binary.BigEndian.AppendUint32(make([]byte, 8), d.provide)
	b = binary.BigEndian.AppendUint16(b, uint16(d.padC))
	b = append(b, make([]byte, d.padC)...)
	b = binary.BigEndian.AppendUint16(b, uint16(len(d.initial)))
	return append(b, d.initial...)
}

// opening is step 1.
func (d refDialler) opening() []byte {
	return append(refPublic(d.x), bytes.Repeat([]byte{0xaa}, d.padA)...)
}

// proof is step 3, for the public key yb, with head in its encrypted part.
func (d refDialler) proof(yb, head []byte, out *rc4.Cipher) []byte {
	s := refSecret(yb, d.x)
	b := refHash("req1", s)
	b = append(b, refXor(refHash("req2", d.key[:]), refHash("req3", s))...)
	return append(b, refEncrypt(out, head)...)
}

// refPeer is the other end after its handshake.
type refPeer struct {
	nc      net.Conn
	method  uint32
	out, in *rc4.Cipher // of the handshake; payload too if method is 2
	initial []byte      // of the dialler, as received
}

// dial plays A.
func (d refDialler) dial(nc net.Conn) (*refPeer, error) {
	sent := make(chan error, 1)
	go func() {
		_, err := nc.Write(d.opening())
		sent <- err
	}()
	yb := make([]byte, 96)
	if _, err := io.ReadFull(nc, yb); err != nil {
		return nil, err
	}
	if err := <-sent; err != nil {
		return nil, err
	}
	s := refSecret(yb, d.x)
	p := &refPeer{nc: nc, out: refCipher("keyA", s, d.key), in: refCipher("keyB", s, d.key)}
	go func() {
		b := d.proof(yb, d.head(), p.out)
		if d.provide == 1 { // B has no choice
			b = append(b, d.after...)
		} else {
			b = append(b, refEncrypt(p.out, d.after)...)
		}
		_, err := nc.Write(b)
		sent <- err
	}()
	if err := p.sync(); err != nil {
		return nil, err
	}
	return p, <-sent
}

// sync reads step 4.
func (p *refPeer) sync() error {
	vc := refEncrypt(p.in, make([]byte, 8))
	window := make([]byte, 8)
	if _, err := io.ReadFull(p.nc, window); err != nil {
		return err
	}
	for n := 8; !bytes.Equal(window, vc); n++ {
		if n == 616 {
			return fmt.Errorf("no check value in %d bytes", n)
		}
		copy(window, window[1:])
		if _, err := io.ReadFull(p.nc, window[7:]); err != nil {
			return err
		}
	}
	head := make([]byte, 6)
	if _, err := io.ReadFull(p.nc, head); err != nil {
		return err
	}
	p.in.XORKeyStream(head, head)
	p.method = binary.BigEndian.Uint32(head)
	pad := make([]byte, binary.BigEndian.Uint16(head[4:]))
	if len(pad) > 512 {
		return fmt.Errorf("padding of %d bytes", len(pad))
	}
	if _, err := io.ReadFull(p.nc, pad); err != nil {
		return err
	}
	p.in.XORKeyStream(pad, pad)
	if !bytes.Equal(pad, make([]byte, len(pad))) {
		return fmt.Errorf("padding is not zero")
	}
	return nil
}

// Read and Write are the payload.
func (p *refPeer) Read(b []byte) (int, error) {
	n, err := p.nc.Read(b)
	if p.method == 2 {
		p.in.XORKeyStream(b[:n], b[:n])
	}
	return n, err
}

func (p *refPeer) Write(b []byte) (int, error) {
	if p.method == 2 {
		b = refEncrypt(p.out, b)
	}
	return p.nc.Write(b)
}

// refAnswerer is B: what it sends.
type refAnswerer struct {
	x     []byte // nil: one for which the secret starts with a zero byte
	key   [20]byte
	padB  int
	pick  uint32
	padD  int
	after []byte // payload behind step 4, in the same write; encrypted if pick is 2
}

// accept plays B.
func (a refAnswerer) accept(nc net.Conn) (*refPeer, error) {
	ya := make([]byte, 96)
	if _, err := io.ReadFull(nc, ya); err != nil {
		return nil, err
	}
	x := a.x
	for i := uint64(1); x == nil; i++ {
		try := binary.BigEndian.AppendUint64(bytes.Repeat([]byte{9}, 12), i)
		if refSecret(ya, try)[0] == 0 {
			x = try
		}
	}
	s := refSecret(ya, x)
	sent := make(chan error, 1)
	go func() {
		_, err := nc.Write(append(refPublic(x), bytes.Repeat([]byte{0xbb}, a.padB)...))
		sent <- err
	}()
	p := &refPeer{nc: nc, out: refCipher("keyB", s, a.key), in: refCipher("keyA", s, a.key), method: a.pick}
	if err := a.readProof(p, s); err != nil {
		return nil, err
	}
	if err := <-sent; err != nil {
		return nil, err
	}
	b := binary.BigEndian.AppendUint32(make([]byte, 8), a.pick)
	b = binary.BigEndian.AppendUint16(b, uint16(a.padD))
	b = refEncrypt(p.out, append(b, make([]byte, a.padD)...))
	if a.pick == 2 {
		b = append(b, refEncrypt(p.out, a.after)...)
	} else {
		b = append(b, a.after...)
	}
	_, err := nc.Write(b)
	return p, err
}

// readProof reads step 3.
func (a refAnswerer) readProof(p *refPeer, s []byte) error {
	want := refHash("req1", s)
	window := make([]byte, 20)
	if _, err := io.ReadFull(p.nc, window); err != nil {
		return err
	}
	for n := 20; !bytes.Equal(window, want); n++ {
		if n == 532 {
			return fmt.Errorf("no hash in %d bytes", n)
		}
		copy(window, window[1:])
		if _, err := io.ReadFull(p.nc, window[19:]); err != nil {
			return err
		}
	}
	if _, err := io.ReadFull(p.nc, window); err != nil {
		return err
	}
	if !bytes.Equal(window, refXor(refHash("req2", a.key[:]), refHash("req3", s))) {
		return fmt.Errorf("wrong torrent")
	}
	read := func(n int) ([]byte, error) {
		b := make([]byte, n)
		_, err := io.ReadFull(p.nc, b)
		p.in.XORKeyStream(b, b)
		return b, err
	}
	head, err := read(14)
	if err != nil || !bytes.Equal(head[:8], make([]byte, 8)) {
		return fmt.Errorf("check value %x, %v", head[:8], err)
	}
	padding := int(binary.BigEndian.Uint16(head[12:]))
	if padding > 512 {
		return fmt.Errorf("padding of %d bytes", padding)
	}
	rest, err := read(padding + 2)
	if err != nil {
		return err
	}
	p.initial, err = read(int(binary.BigEndian.Uint16(rest[padding:])))
	return err
}

// Exponents of the vectors.
var (
	vectorA = unhex("0102030405060708090a0b0c0d0e0f1011121314")
	vectorB = unhex("f1e2d3c4b5a69788796a5b4c3d2e1f0011223344")
	// zeroY is one for which the public key starts with a zero byte.
	zeroY = unhex("f1e2d3c4b5a69788796a5b4c3d2e1f0011220381")
	// zeroS is one for which the secret with vectorA does.
	zeroS = unhex("f1e2d3c4b5a69788796a5b4c3d2e1f001122000f")
)

// TestReference checks the other end of these tests against vectors that were
// computed elsewhere.
func TestReference(t *testing.T) {
	ya, yb := refPublic(vectorA), refPublic(vectorB)
	s := refSecret(yb, vectorA)
	dialler := refDialler{x: vectorA, key: testKey, provide: 3}
	proof := dialler.proof(yb, dialler.head(), refCipher("keyA", s, testKey))
	answer := refEncrypt(refCipher("keyB", s, testKey), []byte{13: 0, 11: 2})
	tests := []struct {
		name string
		got  []byte
		want string
	}{
		{"Ya", ya, "96e112dab29e8c5272accb9b17b26887ce54a144a4e3b697c7d159b7a817e556b0918db2b4c658e02a87f7e5fb14b18a553e084cbf3dad2d30f16596ccb982d406258c61b30c5c1dae2ddc60bdbd48d79896312aad63238c39e1a633821eb693"},
		{"Yb", yb, "f96037d1b51dff8484acace608170e5e8473cbd4e0a64cee55fbb0eaf4df7d763d2325a69aba2916573ea7ea2b9b3fde834545aeaee73db770b8416195164840a0bfbc842e26b4cc34a0580b6442207d8721d88a5c8fb0e4d9913db4a4c70bc0"},
		{"S", s, "b83ac3ff2dfa2a6822724aeb76cfa8bfeab9ee6d832789934cc17ce931d4ed40dc047ae12042777229512c2873f96f3297af4e6a8b26b4b64c729f24acdcaaf9ece602d6f21a0e8922fb3bbb671af0f6c80ca21baaab9843ee51adece24271f9"},
		{"S of B", refSecret(ya, vectorB), hex.EncodeToString(s)},
		{"step 3", proof[:56], "1ad23b30cac90b88c72bd4eb82b80a113a9fdacf" + "6f97528053beb9ef35fe4f7efc37344c9f3a7ec6" + "be33717092f80e51bdf5663e1dd38212"},
		{"step 4", answer, "f69ce68cb60badb2aebf111f828c"},
		{"keyA", refHash("keyA", s, testKey[:]), "a0f4729e20e1d4732f4e1d9a1ee353b20bc0158f"},
		{"keyB", refHash("keyB", s, testKey[:]), "3a9eecf4508696f86fa7ae30c72e1728fd46937b"},
		{"stream of A", refEncrypt(refCipher("keyA", s, testKey), make([]byte, 16)), "be33717092f80e51bdf5663d1dd38212"},
		{"stream of B", refEncrypt(refCipher("keyB", s, testKey), make([]byte, 16)), "f69ce68cb60badb2aebf111d828cb435"},
		{"zero in Y", refPublic(zeroY)[:8], "00e365d432712cf7"},
		{"req1 with zero in Y", refHash("req1", refSecret(refPublic(zeroY), vectorA)), "2cd1cc9eebb7721ffe1e3a499691109077cdba22"},
		{"zero in S", refSecret(refPublic(zeroS), vectorA)[:8], "00b1bdecb29dc282"},
		{"req1 with zero in S", refHash("req1", refSecret(refPublic(zeroS), vectorA)), "6fcd2177842b24e52e077dfc2e83bc006eceeadb"},
	}
	for _, tt := range tests {
		if got := hex.EncodeToString(tt.got); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
		}
	}
}

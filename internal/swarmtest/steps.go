package swarmtest

import (
	"bytes"
	"errors"
	"fmt"
	"time"

	"magnetfs/swarm/wire"
)

// Step is one line of a FakePeer's script.
type Step struct {
	Name string // for error messages: "step 3, await unchoke: …"
	Run  func(p *FakePeer) error
}

// Do makes a step of a function.
func Do(name string, fn func(p *FakePeer) error) Step { return Step{name, fn} }

// Raw sends bytes as they are.
func Raw(b []byte) Step {
	return Step{fmt.Sprintf("send %d raw bytes", len(b)), func(p *FakePeer) error { return p.Write(b) }}
}

// Send sends messages in one write. Nothing is checked.
func Send(msgs ...wire.Message) Step {
	name := "send"
	for _, m := range msgs {
		name += " " + m.String()
	}
	return Step{name, func(p *FakePeer) error { return p.Send(msgs...) }}
}

// SendHandshake sends a handshake.
func SendHandshake(h wire.Handshake) Step {
	return Step{"send handshake", func(p *FakePeer) error { return p.Write(h.Append(nil)) }}
}

// Hello sends the handshake of a peer of t with the extension protocol, the fast
// extension and the DHT.
func Hello(t *Torrent, peerID string) Step {
	h := wire.Handshake{Reserved: wire.NewReserved(true), InfoHash: t.InfoHash}
	copy(h.PeerID[:], peerID)
	return SendHandshake(h)
}

// SendExtension sends an extension handshake.
func SendExtension(h wire.ExtHandshake) Step {
	return Step{"send extension handshake", func(p *FakePeer) error {
		payload, err := h.Marshal()
		if err != nil {
			return err
		}
		return p.Send(wire.Message{ID: wire.Extended, Data: payload})
	}}
}

// ExpectHandshake waits for the other side's handshake, which has to come before
// the first Expect or Await.
func ExpectHandshake(checks ...func(wire.Handshake) error) Step {
	return Step{"expect handshake", func(p *FakePeer) error {
		r := p.await(p.timeout(), func() (r received) {
			r.handshake, r.err = wire.ReadHandshake(p.dec)
			return r
		})
		if r.err != nil {
			return r.err
		}
		p.Theirs = r.handshake
		for _, check := range checks {
			if err := check(r.handshake); err != nil {
				return err
			}
		}
		return nil
	}}
}

// Expect waits for the next message, which must have the given id. Keep-alives do
// not count.
func Expect(id wire.ID, checks ...func(wire.Message) error) Step {
	return Step{"expect " + id.String(), func(p *FakePeer) error {
		m, err := p.Next()
		if err != nil {
			return err
		}
		if m.ID != id {
			return fmt.Errorf("got %v", m)
		}
		return checkAll(m, checks)
	}}
}

// Await skips messages up to the first with the given id.
func Await(id wire.ID, checks ...func(wire.Message) error) Step {
	return AwaitThat(id.String(), func(m wire.Message) bool { return m.ID == id }, checks...)
}

// AwaitThat skips messages up to the first that match accepts.
func AwaitThat(name string, match func(wire.Message) bool, checks ...func(wire.Message) error) Step {
	return Step{"await " + name, func(p *FakePeer) error {
		for {
			m, err := p.Next()
			if err != nil {
				return err
			}
			if match(m) {
				return checkAll(m, checks)
			}
		}
	}}
}

// AwaitExtended skips messages up to the first extended one with the given id and
// hands its payload to check, which may be nil.
func AwaitExtended(id uint8, check func(payload []byte) error) Step {
	return AwaitThat(fmt.Sprintf("extended %d", id),
		func(m wire.Message) bool { return m.ID == wire.Extended && m.ExtID == id },
		func(m wire.Message) error {
			if check == nil {
				return nil
			}
			return check(m.Data)
		})
}

func checkAll(m wire.Message, checks []func(wire.Message) error) error {
	for _, check := range checks {
		if err := check(m); err != nil {
			return fmt.Errorf("%v: %w", m, err)
		}
	}
	return nil
}

// Is checks that a request, cancel, reject or piece is about this block, and a
// have, suggest or allowed fast about this piece.
func Is(piece, begin, length uint32) func(wire.Message) error {
	return func(m wire.Message) error {
		if m.Index != piece || m.Begin != begin || m.Length != length {
			return fmt.Errorf("want %d/%d/%d", piece, begin, length)
		}
		return nil
	}
}

// Sleep lets time pass without reading.
func Sleep(d time.Duration) Step {
	return Step{"sleep " + d.String(), func(*FakePeer) error { time.Sleep(d); return nil }}
}

// Listen reads for some time, whatever comes. A connection that ends is an error.
func Listen(d time.Duration) Step {
	return Step{"listen for " + d.String(), func(p *FakePeer) error {
		return p.listen(d, func(wire.Message) error { return nil })
	}}
}

// ExpectNo reads for some time, in which no message with one of the ids may come;
// without ids no message at all.
func ExpectNo(d time.Duration, ids ...wire.ID) Step {
	return Step{fmt.Sprintf("expect none of %v for %v", ids, d), func(p *FakePeer) error {
		return p.listen(d, func(m wire.Message) error {
			for _, id := range ids {
				if m.ID == id {
					return fmt.Errorf("got %v", m)
				}
			}
			if len(ids) == 0 {
				return fmt.Errorf("got %v", m)
			}
			return nil
		})
	}}
}

func (p *FakePeer) listen(d time.Duration, each func(wire.Message) error) error {
	for end := time.Now().Add(d); ; {
		m, err := p.next(time.Until(end))
		if errors.Is(err, errTimeout) {
			return nil
		}
		if err == nil {
			err = each(m)
		}
		if err != nil {
			return err
		}
	}
}

// ExpectClosed waits until the other side closes the connection. Messages before
// that go to the log.
func ExpectClosed() Step {
	return Step{"expect the connection to be closed", func(p *FakePeer) error {
		for {
			if _, err := p.Next(); err != nil {
				if gone(err) {
					return nil
				}
				return err
			}
		}
	}}
}

// Close closes the connection.
func Close() Step {
	return Step{"close", func(p *FakePeer) error { return p.Close() }}
}

// Reset closes the connection by a TCP reset.
func Reset() Step {
	return Step{"reset", func(p *FakePeer) error { reset(p.Conn); return p.Close() }}
}

// Answer waits for n requests and sends the blocks of t.
func Answer(t *Torrent, n int) Step {
	return Step{fmt.Sprintf("answer %d requests", n), func(p *FakePeer) error {
		for range n {
			if err := Await(wire.Request, func(m wire.Message) error {
				data := t.Block(m.Index, m.Begin, m.Length)
				if data == nil {
					return errors.New("no such block")
				}
				return p.Send(wire.Message{ID: wire.Piece, Index: m.Index, Begin: m.Begin, Data: data})
			}).Run(p); err != nil {
				return err
			}
		}
		return nil
	}}
}

// Fetch downloads pieces one after the other, with all requests of a piece sent
// at once, and compares them with t. The other side must have unchoked us.
func Fetch(t *Torrent, pieces ...int) Step {
	return Step{fmt.Sprintf("fetch pieces %v", pieces), func(p *FakePeer) error {
		for _, i := range pieces {
			if err := p.fetch(t, i); err != nil {
				return fmt.Errorf("piece %d: %w", i, err)
			}
		}
		return nil
	}}
}

func (p *FakePeer) fetch(t *Torrent, piece int) error {
	size := int(t.PieceSize(piece))
	var requests []wire.Message
	for begin := 0; begin < size; begin += wire.BlockSize {
		requests = append(requests, wire.Message{
			ID: wire.Request, Index: uint32(piece), Begin: uint32(begin),
			Length: uint32(min(wire.BlockSize, size-begin)),
		})
	}
	if err := p.Send(requests...); err != nil {
		return err
	}
	for missing := len(requests); missing > 0; {
		m, err := p.Next()
		if err != nil {
			return err
		}
		switch {
		case m.ID == wire.Reject || m.ID == wire.Choke:
			return fmt.Errorf("got %v", m)
		case m.ID == wire.Piece && m.Index == uint32(piece):
			if !bytes.Equal(m.Data, t.Block(m.Index, m.Begin, m.Length)) {
				return fmt.Errorf("%v has wrong data", m)
			}
			missing--
		}
	}
	return nil
}

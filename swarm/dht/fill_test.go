package dht

import (
	"fmt"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"magnetfs/internal/simnet"
	"magnetfs/internal/swarmtest"
)

// TestTableFills: the large buckets are full five minutes after the start among nodes
// that never ask anybody, and then there is peace. Bootstrap hosts are as near to us
// as chance has it; one that is dropped from a bucket must not be looked for again.
func TestTableFills(t *testing.T) {
	for seed := range byte(8) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				net := simnet.New(1)
				defer net.Close()
				host := func(n int) *simnet.Host {
					return net.Host(simLink, netip.AddrFrom4([4]byte{60, byte(n >> 8), byte(n), 1}))
				}
				nodes := swarmtest.NewDHT(1)
				defer nodes.Close()
				var boot []string
				for i := range 300 {
					h := host(i)
					n, err := nodes.Add(t.Context(), h, fmt.Sprint(":", simPort), netip.AddrPortFrom(h.Addr(), simPort))
					if err != nil {
						t.Fatal(err)
					}
					if i < 5 {
						boot = append(boot, n.Addr.String())
					}
				}
				conn, err := host(300).ListenPacket(t.Context(), "udp4", fmt.Sprint(":", simPort))
				if err != nil {
					t.Fatal(err)
				}
				defer conn.Close()
				s, err := New(Config{Conn: conn, Bootstrap: boot, Seed: &[32]byte{seed}})
				if err != nil {
					t.Fatal(err)
				}
				defer s.Close()
				time.Sleep(5 * time.Minute)
				st := s.Stats()
				t.Logf("%d nodes, %d queries", st.Nodes, st.QueriesOut)
				if st.Nodes < 220 || st.QueriesOut > 900 {
					t.Errorf("%d nodes after %d queries", st.Nodes, st.QueriesOut)
				}
				time.Sleep(5 * time.Minute)
				if more := s.Stats().QueriesOut - st.QueriesOut; more > 100 {
					t.Errorf("%d queries in five minutes in which there was nothing to do", more)
				}
			})
		})
	}
}

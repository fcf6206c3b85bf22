package wire

import (
	"sync"
	"testing"
)

func TestBlocks(t *testing.T) {
	b := GetBlock()
	if len(b) != BlockSize || cap(b) != BlockSize {
		t.Fatalf("block of %d, capacity %d", len(b), cap(b))
	}
	PutBlock(b[:5]) // by any length
	PutBlock(nil)
	PutBlock(make([]byte, 100))
	c := GetBlock()
	PutBlock(c[1:]) // not at the start: not taken
	if d := GetBlock(); len(d) != BlockSize {
		t.Fatalf("block of %d", len(d))
	}
}

// TestBlocksAreNotShared: two holders never see each other's bytes.
func TestBlocksAreNotShared(t *testing.T) {
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			for range 200 {
				b := GetBlock()
				for i := 0; i < len(b); i += 1024 {
					b[i] = byte(g)
				}
				for i := 0; i < len(b); i += 1024 {
					if b[i] != byte(g) {
						t.Errorf("holder %d sees %d", g, b[i])
						return
					}
				}
				PutBlock(b)
			}
		})
	}
	wg.Wait()
}

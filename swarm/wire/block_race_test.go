//go:build race

package wire

import "testing"

func TestBlockPutTwicePanics(t *testing.T) {
	b := GetBlock()
	PutBlock(b)
	defer func() {
		if recover() == nil {
			t.Error("the second PutBlock went unnoticed")
		}
	}()
	PutBlock(b)
}

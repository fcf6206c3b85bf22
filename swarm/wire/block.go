package wire

// A block is the buffer behind the Data of a received piece message.
type block [BlockSize]byte

// GetBlock returns a buffer of BlockSize bytes with arbitrary contents. It is the caller's until it is given to
// PutBlock. Safe for concurrent use.
func GetBlock() []byte { return blocks.get()[:] }

// PutBlock gives a buffer back, in any length as long as it starts where GetBlock's did. Nobody may use it afterwards,
// under any name: the next GetBlock hands it to somebody else. Slices that are not from GetBlock, judged by their
// capacity, are left to the garbage collector, nil included. Safe for concurrent use.
func PutBlock(b []byte) {
	if cap(b) == BlockSize {
		blocks.put((*block)(b[:BlockSize]))
	}
}

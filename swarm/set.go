package swarm

import "github.com/bits-and-blooms/bitset"

func allOf(n int) *bitset.BitSet { return bitset.New(uint(n)).Complement() }

func noneOf(n int) *bitset.BitSet { return bitset.New(uint(n)) }

package main

import (
	"fmt"
	"math"

	"github.com/dustin/go-humanize"
)

// size is a flag in bytes, written as people do: 256MiB, 1.5G, 300000000.
type size int64

// String implements pflag.Value.
func (s *size) String() string { return humanize.IBytes(uint64(*s)) }

// Set implements pflag.Value.
func (s *size) Set(text string) error {
	n, err := humanize.ParseBytes(text)
	if err != nil || n > math.MaxInt64 {
		return fmt.Errorf("%q is not a size such as 256MiB or 1G", text)
	}
	*s = size(n)
	return nil
}

// Type implements pflag.Value.
func (s *size) Type() string { return "size" }

package main

import (
	"fmt"
	"math"

	"github.com/dustin/go-humanize"
)

// size is a flag in bytes, written as people do: 256MiB, 1.5G, 300000000.
type size int64

// sizeUnits are those that a size may be written in.
var sizeUnits = []struct {
	name  string
	bytes size
}{
	{"TiB", 1 << 40}, {"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10},
	{"TB", 1e12}, {"GB", 1e9}, {"MB", 1e6}, {"kB", 1e3},
}

// String implements pflag.Value. It is the shortest text with a unit that Set
// understands as exactly this, a plain number if there is none.
func (s *size) String() string {
	best := ""
	for _, u := range sizeUnits {
		if *s == 0 || *s%u.bytes != 0 {
			continue
		}
		if text := fmt.Sprintf("%d%s", *s/u.bytes, u.name); best == "" || len(text) < len(best) {
			best = text
		}
	}
	if best == "" {
		return fmt.Sprint(int64(*s))
	}
	return best
}

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

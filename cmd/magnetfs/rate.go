package main

import (
	"fmt"
	"strings"
)

// rate is a flag in bytes per second, written as people do: 500k, 2MB/s, 1.5MiB,
// 16Mbit. 0 and "unlimited" are no limit.
type rate int64

const (
	unlimitedText = "unlimited"
	// minRate is the least limit. Who writes less means something else: with less,
	// a block takes longer to come than a reader waits.
	minRate = 1000
)

// String implements pflag.Value. Set understands it as exactly this.
func (r *rate) String() string {
	if *r == 0 {
		return unlimitedText
	}
	return (*size)(r).String()
}

// Set implements pflag.Value.
func (r *rate) Set(text string) error {
	word := strings.TrimSuffix(strings.TrimSpace(text), "/s")
	if strings.EqualFold(word, unlimitedText) {
		*r = 0
		return nil
	}
	if stem, ok := strings.CutSuffix(word, "b"); ok {
		return fmt.Errorf("%q may mean bits or bytes: write %sbit or %[2]sB", text, stem)
	}
	word, bits := strings.CutSuffix(word, "bit")
	var n size
	if err := n.Set(word); err != nil {
		return fmt.Errorf("%q is not a rate such as 500k, 2MiB/s or 16Mbit, in bytes or bits per second; 0: unlimited", text)
	}
	if bits {
		n /= 8
	}
	if n > 0 && n < minRate {
		return fmt.Errorf("%q is %d bytes per second, less than %d; %[2]dk is 1000 times as much", text, n, minRate)
	}
	*r = rate(n)
	return nil
}

// Type implements pflag.Value.
func (r *rate) Type() string { return "rate" }

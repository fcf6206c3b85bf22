package peer

import "time"

// Config holds the settings of a connection. The zero value is useful.
type Config struct {
	// KeepAlive is how long we may be silent before a keep-alive is sent; 0: 100 s. BEP 3 wants at most 2 min.
	KeepAlive time.Duration
	// IdleTimeout is how long the peer may be silent before the connection is closed; 0: 150 s. It is longer than
	// the 2 min of BEP 3, since there are clients that send their keep-alive after exactly that time.
	IdleTimeout time.Duration
	// StallTimeout is how long a write may take without progress before the connection is closed; 0: 30 s. Progress
	// is a byte on TCP and a write of at most 32 KiB on anything else.
	StallTimeout time.Duration

	// MaxQueue bounds the encoded messages that wait to be written, in bytes, piece data not counted; 0: 1 MiB. A
	// peer that makes us answer without reading the answers is closed there. It holds four of the largest bitfields.
	MaxQueue int
	// LowWater is the number of unwritten bytes at which Drained is posted; 0: 32 KiB, two blocks.
	LowWater int
	// ManualFlush makes messages wait for Flush. Without it each Send wakes the writer.
	ManualFlush bool
}

const (
	defaultKeepAlive    = 100 * time.Second // Transmission
	defaultIdleTimeout  = 150 * time.Second // see Config
	defaultStallTimeout = 30 * time.Second  // guess
	defaultMaxQueue     = 1 << 20
	defaultLowWater     = 32 << 10
)

func (c Config) withDefaults() Config {
	setDefault(&c.KeepAlive, defaultKeepAlive)
	setDefault(&c.IdleTimeout, defaultIdleTimeout)
	setDefault(&c.StallTimeout, defaultStallTimeout)
	setDefault(&c.MaxQueue, defaultMaxQueue)
	setDefault(&c.LowWater, defaultLowWater)
	return c
}

// setDefault replaces a value that is not positive.
func setDefault[T ~int | ~int64](v *T, value T) {
	if *v <= 0 {
		*v = value
	}
}

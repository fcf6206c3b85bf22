//go:build race

package dht

// simSlow divides the size of the simulations whose cost is traffic and not the
// number of nodes: the race detector makes them five to ten times slower.
const simSlow = 2

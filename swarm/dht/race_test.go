//go:build race

package dht

// simSlow divides the size of the simulations whose cost is traffic.
const simSlow = 10

//go:build !race

package dht

const simSlow = 1

// Package store is what a DHT node keeps for others: the peers announced to it
// (BEP 5, 33), the items put into it (BEP 44), and the tokens that must be shown
// for both. It is pure data, without goroutine, socket or clock; its owner calls
// it with the time.
//
// Everything is bounded, and bounded fairly: entries are counted by the network
// they came from (/24, IPv6: /48). When a bound is reached, the oldest entry of
// the network that holds most gives way. Somebody who announces a thousand
// torrents therefore displaces himself and not the others.
package store

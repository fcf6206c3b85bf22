// Package endpoint holds what the engine knows about addresses of peers: their compact form on the wire (BEP 5, 7, 11,
// 23), where they came from, which of them may be dialled at all, and which of two is to be preferred (BEP 40).
//
// It is pure: no sockets, no state. Whether an address is our own, banned or already connected is for its callers.
//
// IPv4 addresses are always kept as such; the mapped form ::ffff:a.b.c.d, in which a dual-stack socket reports them, is
// undone by every function here. A comparison of addresses elsewhere should go through [Unmap4] first.
package endpoint

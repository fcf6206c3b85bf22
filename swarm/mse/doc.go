// Package mse hides connections between peers from simple filters: message
// stream encryption, also called protocol encryption (MSE/PE). It wraps
// github.com/anacrolix/torrent/mse, which does the key exchange and the ciphers,
// and adds what a net.Conn needs around them.
//
// # What it is
//
// Both sides exchange Diffie-Hellman keys (768 bit) padded with random bytes,
// then prove by hashes that they know the info-hash of the same torrent. What
// follows is encrypted with RC4, or plain if both agree (the handshake alone is
// hidden then). It is neither authentication nor secrecy: whoever knows the
// info-hash can listen in. There is no BEP; the source is the page "Message
// Stream Encryption" of the Vuze wiki, with the numbers of libtorrent where it is
// silent.
//
// # Use
//
// [Client] wraps a stream that we dialled. Its handshake is done by the first
// Write, which carries the beginning of what is written as the initial payload:
// with the BitTorrent handshake written first, MSE costs one round trip more than
// a plain connection. [Accept] finds out whether somebody who dialled us speaks
// plain BitTorrent or MSE, and does the handshake of MSE. [Policy] says what we
// offer and accept.
//
// # Rules
//
// The first error of a [Conn] closes it for ever, timeouts included: a stream
// cipher does not survive a write that was cut short. Close makes blocked calls
// return. Deadlines are those of the stream below, also for the handshake: who
// calls Client sets one. No goroutine is left after a handshake has failed or the
// Conn is closed.
//
// A handshake reads a bounded number of bytes, and none that follow it: those are
// returned by the first Read.
package mse

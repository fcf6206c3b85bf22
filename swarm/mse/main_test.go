package mse

import (
	"iter"
	"slices"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// testKey is the info-hash of the torrent in the tests.
var testKey = [20]byte(unhex("00112233445566778899aabbccddeeff00112233"))

// testKeys are info-hashes that a side has, testKey among them.
func testKeys() iter.Seq[[20]byte] {
	return slices.Values([][20]byte{{1}, {2}, testKey, {3}})
}

// greeting is a BitTorrent handshake for testKey.
var greeting = []byte(plainPrefix + "\x00\x00\x00\x00\x00\x10\x00\x05" + string(testKey[:]) + "-XX0001-abcdefghijkl")

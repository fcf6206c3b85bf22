package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/google/renameio/v2"
)

// What the command line keeps in the state folder, beside what package fetch
// does: the port and the DHT's routing tables. All of it can be lost.

func portFile(state string) string { return filepath.Join(state, "port") }

// savedPort returns the port of earlier runs, 0 if there is none. It is chosen
// once and then kept, so that a hole made for it in a router stays right.
func savedPort(state string) int {
	b, err := os.ReadFile(portFile(state))
	if err != nil {
		return 0
	}
	n, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil || n < 1 || n > 65535 {
		return 0
	}
	return n
}

func savePort(state string, port int) error {
	return renameio.WriteFile(portFile(state), fmt.Appendln(nil, port), 0o600)
}

// tableFile holds the routing table of an address family, IPv4 or IPv6.
func tableFile(state, family string) string {
	return filepath.Join(state, "dht-"+strings.ToLower(family))
}

// loadTable returns what saveTable was given, nil if nothing.
func loadTable(state, family string) []byte {
	b, err := os.ReadFile(tableFile(state, family))
	if err != nil {
		return nil
	}
	return b
}

func saveTable(state, family string, table []byte) error {
	return renameio.WriteFile(tableFile(state, family), table, 0o600)
}

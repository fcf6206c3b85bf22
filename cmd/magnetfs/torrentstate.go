package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"magnetfs/internal/human"
)

// torrentState is what status.json of a torrent says, as far as commands need it.
type torrentState struct {
	Name       string `json:"name"`
	InfoHash   string `json:"info_hash"`
	State      string `json:"state"`
	Reason     string `json:"reason"`
	Seeds      int    `json:"seeds"`
	Peers      int    `json:"peers"`
	Candidates int    `json:"candidates"`
	Down       int64  `json:"down"`
	Pinned     *struct {
		Later   bool   `json:"later"`
		Full    bool   `json:"full"`
		Refused string `json:"refused"`
	} `json:"pinned"`
}

// state asks the mount for the state of the place's torrent.
func (p place) state() (torrentState, error) {
	var s torrentState
	raw, err := os.ReadFile(filepath.Join(p.control(), "status.json"))
	if err != nil {
		return s, err
	}
	if err := json.Unmarshal(raw, &s); err != nil {
		return s, fmt.Errorf("status.json: %w", err)
	}
	return s, nil
}

// doing says in a few words how a torrent comes to its metadata, or its data.
func (s torrentState) doing() string {
	text := human.Clean(s.State)
	if s.Reason != "" {
		text = human.Clean(s.Reason)
	}
	return fmt.Sprintf("%s; %s and %s connected, %d more known", text, human.Amount(s.Seeds, "seed"), human.Amount(s.Peers, "peer"), s.Candidates)
}

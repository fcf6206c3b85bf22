package watch

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// State is what a mount tells at one moment.
type State struct {
	Torrents []Torrent
	// Pieces is the piece map of one torrent, one character a piece as in the
	// file by-hash/<hash>/pieces, and Of its info-hash.
	Pieces string
	Of     string
	Limits Limits
	// Warnings are about what does not work and fails nothing at present.
	Warnings []string
}

// Limits are those of the mount's rates, in bytes per second; 0: none.
type Limits struct {
	Down     int64 `json:"down"`
	Up       int64 `json:"up"`
	NoUpload bool  `json:"no_upload"`
}

// Torrent is one torrent of status.json, as far as it is drawn. Sizes are bytes,
// rates bytes per second, times seconds.
type Torrent struct {
	Name       string   `json:"name"`
	InfoHash   string   `json:"info_hash"`
	State      string   `json:"state"`
	Reason     string   `json:"reason"`
	Size       int64    `json:"size"`
	Have       int64    `json:"have"`
	Pieces     int      `json:"pieces"`
	HavePieces int      `json:"have_pieces"`
	Seeds      int      `json:"seeds"`
	Peers      int      `json:"peers"`
	Candidates int      `json:"candidates"`
	Down       int64    `json:"down"`
	Up         int64    `json:"up"`
	Pinned     *Pinned  `json:"pinned"`
	Readers    []Reader `json:"readers"`
	Sources    []Source `json:"sources"`
	Connected  []Peer   `json:"connected"`
}

// Pinned is what is pinned of a torrent.
type Pinned struct {
	Files   int    `json:"files"`
	Size    int64  `json:"size"`
	Have    int64  `json:"have"`
	Later   bool   `json:"later"`
	Full    bool   `json:"full"`
	Refused string `json:"refused"`
}

// Reader is an open handle.
type Reader struct {
	Owner      string `json:"owner"`
	Path       string `json:"path"`
	Size       int64  `json:"size"`
	Mode       string `json:"mode"`
	Offset     int64  `json:"offset"`
	Rate       int64  `json:"rate"`
	Ahead      int64  `json:"ahead"`
	Window     []int  `json:"window"`
	WindowHave int    `json:"window_have"`
	Waiting    []Read `json:"waiting"`
}

// Read is a read that waits.
type Read struct {
	Offset  int64   `json:"offset"`
	Length  int64   `json:"length"`
	Seconds float64 `json:"seconds"`
	Pieces  []struct {
		Piece    int      `json:"piece"`
		Blocks   int      `json:"blocks"`
		Received int      `json:"received"`
		From     []string `json:"from"`
	} `json:"pieces"`
}

// Source is where peers come from.
type Source struct {
	Name   string   `json:"name"`
	Status string   `json:"status"`
	Next   *float64 `json:"next"`
	Seeds  *int     `json:"seeds"`
	Peers  *int     `json:"peers"`
}

// Peer is a connected peer.
type Peer struct {
	Addr       string  `json:"addr"`
	Client     string  `json:"client"`
	Source     string  `json:"source"`
	Transport  string  `json:"transport"`
	Outgoing   bool    `json:"outgoing"`
	Seed       bool    `json:"seed"`
	Pieces     int     `json:"pieces"`
	Choking    bool    `json:"choking"`
	Interested bool    `json:"interested"`
	Snubbed    bool    `json:"snubbed"`
	Down       int64   `json:"down"`
	RTT        float64 `json:"rtt"`
	Downloaded int64   `json:"downloaded"`
	Uploaded   int64   `json:"uploaded"`
}

// Files is the control folder of a mount.
type Files struct {
	Dir  string // the control folder
	Only string // the info-hash of the only torrent to show; empty: all
}

// Load reads the state. selected is the info-hash of the torrent whose pieces are
// wanted; if there is none of it, the first one's are read.
func (f Files) Load(selected string) (State, error) {
	var s State
	name := "status.json"
	if f.Only != "" {
		name = filepath.Join("by-hash", f.Only, name)
	}
	raw, err := os.ReadFile(filepath.Join(f.Dir, name))
	if err != nil {
		return s, err
	}
	if f.Only != "" {
		raw = append(append([]byte{'['}, raw...), ']')
	}
	if err := json.Unmarshal(raw, &s.Torrents); err != nil {
		return s, fmt.Errorf("%s: %w", name, err)
	}
	if raw, err := os.ReadFile(filepath.Join(f.Dir, "limits.json")); err == nil { // older mounts have none
		if err := json.Unmarshal(raw, &s.Limits); err != nil {
			return s, fmt.Errorf("limits.json: %w", err)
		}
	}
	if raw, err := os.ReadFile(filepath.Join(f.Dir, "warnings")); err == nil { // older mounts have none
		s.Warnings = strings.FieldsFunc(string(raw), func(r rune) bool { return r == '\n' })
	}
	for _, t := range s.Torrents {
		if s.Of == "" || t.InfoHash == selected {
			s.Of = t.InfoHash
		}
	}
	if s.Of == "" {
		return s, nil
	}
	raw, err = os.ReadFile(filepath.Join(f.Dir, "by-hash", s.Of, "pieces"))
	if err != nil && !errors.Is(err, os.ErrNotExist) { // removed in between
		return s, err
	}
	s.Pieces = parsePieces(string(raw))
	return s, nil
}

// parsePieces joins the lines of a piece map: each is the number of its first piece
// and the pieces; a line of another form is the legend.
func parsePieces(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		if len(fields) == 2 && strings.Trim(fields[0], "0123456789") == "" {
			b.WriteString(fields[1])
		}
	}
	return b.String()
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

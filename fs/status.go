package fs

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"magnetfs/fetch"
	"magnetfs/internal/human"
)

// report is the state of one torrent, as the control files show it.
type report struct {
	Name     string    `json:"name"`
	InfoHash string    `json:"info_hash"`
	Magnet   string    `json:"magnet"`
	Added    time.Time `json:"added"`
	State    string    `json:"state"`
	Reason   string    `json:"reason,omitempty"`

	Size       int64 `json:"size"` // bytes, 0 until the metadata is there
	Have       int64 `json:"have"` // bytes here
	Pieces     int   `json:"pieces"`
	HavePieces int   `json:"have_pieces"`

	Seeds      int   `json:"seeds"` // connected
	Peers      int   `json:"peers"` // connected, not seeds
	Candidates int   `json:"candidates"`
	Down       int64 `json:"down"` // bytes per second
	Up         int64 `json:"up"`
	Downloaded int64 `json:"downloaded"` // bytes
	Uploaded   int64 `json:"uploaded"`
	Wasted     int64 `json:"wasted"`

	Pinned    *pinRow       `json:"pinned,omitempty"`
	Waiting   []waitingRead `json:"waiting"`
	Readers   []readerRow   `json:"readers"`
	Sources   []sourceRow   `json:"sources"`
	Connected []peerRow     `json:"connected"`
}

type waitingRead struct {
	Piece    int      `json:"piece"`
	Seconds  float64  `json:"seconds"` // since the read began to wait
	Blocks   int      `json:"blocks"`
	Received int      `json:"received"`
	From     []string `json:"from"`
}

type sourceRow struct {
	Name   string   `json:"name"`
	Status string   `json:"status"`
	Next   *float64 `json:"next"`  // seconds until the next update, null if there is none
	Seeds  *int     `json:"seeds"` // null: not known
	Peers  *int     `json:"peers"` // null: not known
}

type peerRow struct {
	Addr       string  `json:"addr"`
	Client     string  `json:"client"`
	Source     string  `json:"source"`
	Transport  string  `json:"transport"` // tcp or utp
	Outgoing   bool    `json:"outgoing"`
	Seed       bool    `json:"seed"`
	Pieces     int     `json:"pieces"`
	Choking    bool    `json:"choking"`    // it chokes us
	Interested bool    `json:"interested"` // we are interested
	Snubbed    bool    `json:"snubbed"`
	Down       int64   `json:"down"` // bytes per second
	RTT        float64 `json:"rtt"`  // seconds
	Downloaded int64   `json:"downloaded"`
	Uploaded   int64   `json:"uploaded"`
}

// newReport takes the state of a torrent.
func newReport(t *fetch.Torrent, now time.Time) report {
	s := t.Status()
	r := report{
		Name: t.Name(), InfoHash: t.HashString(), Magnet: t.Magnet(), Added: t.Added(),
		State: string(s.State), Reason: s.Reason,
		Pieces: s.Pieces, HavePieces: s.HavePieces,
		Seeds: s.ConnectedSeeds, Peers: s.ConnectedPeers, Candidates: s.Candidates,
		Down: s.DownRate, Up: s.UpRate,
		Downloaded: s.Downloaded, Uploaded: s.Uploaded, Wasted: s.Wasted,
		Waiting: []waitingRead{}, Sources: []sourceRow{}, Connected: []peerRow{},
	}
	if root := t.Root(); root != nil {
		r.Size, r.Have = root.TotalSize(), t.CachedBytes(root) // neither counts padding
	}
	for _, w := range s.Waiting {
		r.Waiting = append(r.Waiting, newWaitingRead(w, now))
	}
	r.Pinned = newPinRow(t.PinStatus())
	r.Readers = newReaderRows(t.Readers(s.Waiting), now)
	for _, src := range s.Sources {
		row := sourceRow{Name: src.Name, Status: src.Status, Seeds: known(src.Seeds), Peers: known(src.Peers)}
		if src.Next >= 0 {
			next := src.Next.Seconds()
			row.Next = &next
		}
		r.Sources = append(r.Sources, row)
	}
	for _, p := range s.Peers {
		r.Connected = append(r.Connected, peerRow{p.Addr, p.Client, p.Source, p.Transport, p.Outgoing, p.Seed, p.Pieces,
			p.PeerChoking, p.AmInterested, p.Snubbed, p.Rate, p.RTT.Seconds(), p.Downloaded, p.Uploaded})
	}
	return r
}

// known returns nil for a number that is not known.
func known(n int) *int {
	if n < 0 {
		return nil
	}
	return &n
}

// reports takes the state of all torrents.
func (m *mount) reports() []report {
	now := time.Now()
	all := []report{}
	for _, t := range m.lib.Torrents() {
		all = append(all, newReport(t, now))
	}
	return all
}

// marshal writes JSON for people to read too.
func marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false) // magnets are full of &
	enc.SetIndent("", "  ")
	err := enc.Encode(v)
	return b.Bytes(), err
}

// text writes the header and the table of one torrent.
func (r *report) text(w io.Writer) {
	fmt.Fprintln(w, r.Name)
	state := r.State
	if r.Reason != "" {
		state += " (" + r.Reason + ")"
	}
	have := "size not known yet"
	if r.Size > 0 {
		have = fmt.Sprintf("%s of %s here", human.Size(r.Have), human.Size(r.Size))
	}
	fmt.Fprintf(w, "%s; %s; %s/s down, %s/s up; %s and %s connected, %d more known\n",
		state, have, human.Size(r.Down), human.Size(r.Up), human.Amount(r.Seeds, "seed"), human.Amount(r.Peers, "peer"), r.Candidates)
	if r.Pinned != nil {
		fmt.Fprintln(w, r.Pinned.text())
	}
	for i := range r.Readers {
		r.Readers[i].waitingText(w)
	}
	r.sourcesText(w)
}

// sourcesText writes the table that every client has.
func (r *report) sourcesText(w io.Writer) {
	const row = "%-40s  %-28s  %9s  %6s  %6s\n"
	fmt.Fprintf(w, row, "Name", "Status", "Update In", "Seeds", "Peers")
	for _, s := range r.Sources {
		next := "-"
		if s.Next != nil {
			next = human.Duration(time.Duration(*s.Next * float64(time.Second)))
		}
		fmt.Fprintf(w, row, s.Name, s.Status, next, human.Count(s.Seeds), human.Count(s.Peers))
	}
}

// peersText lists the connected peers.
func (r *report) peersText(w io.Writer) {
	const row = "%-47s  %-24s  %-10s  %-3s  %-4s  %7s  %10s  %10s  %10s  %8s  %s\n"
	fmt.Fprintf(w, row, "Address", "Client", "Source", "Via", "Dir", "Pieces", "Down/s", "Downloaded", "Uploaded", "RTT", "Flags")
	for _, p := range r.Connected {
		dir := "in"
		if p.Outgoing {
			dir = "out"
		}
		var flags []string
		for name, on := range map[string]bool{"seed": p.Seed, "choking": p.Choking, "interested": p.Interested, "snubbed": p.Snubbed} {
			if on {
				flags = append(flags, name)
			}
		}
		fmt.Fprintf(w, row, p.Addr, p.Client, p.Source, p.Transport, dir, fmt.Sprint(p.Pieces), human.Size(p.Down), human.Size(p.Downloaded),
			human.Size(p.Uploaded), time.Duration(p.RTT*float64(time.Second)).Round(time.Millisecond), joinSorted(flags))
	}
}

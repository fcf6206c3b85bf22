package fetch

import (
	"slices"
	"time"

	"magnetfs/swarm/metainfo"
)

// Bounds on what repeated adding can pile up for one torrent.
const (
	maxSpellings = 256 // the latest are kept
	maxTrackers  = 256
	maxPeers     = 256
	maxOthers    = 64 // web seeds, DHT nodes
	maxOldNames  = 8
)

// record is what outlives the process of one torrent, besides its metadata. It is
// stored as JSON; unknown fields are ignored and missing ones are empty, so that
// versions can differ.
type record struct {
	Hash   string    `json:"hash"`              // 40 hex digits
	HashV1 bool      `json:"hash_v1"`           // Hash is a v1 hash
	HashV2 string    `json:"hash_v2,omitempty"` // 64 hex digits
	Name   string    `json:"name"`              // of the folder
	Added  time.Time `json:"added"`

	Spellings []string `json:"spellings,omitempty"` // as typed
	OldNames  []string `json:"old_names,omitempty"` // the folder had
	Labelled  bool     `json:"labelled,omitempty"`  // the user chose the name

	DisplayName string           `json:"dn,omitempty"`
	Trackers    [][]string       `json:"trackers,omitempty"` // by tier
	Peers       []string         `json:"peers,omitempty"`    // host:port
	WebSeeds    []string         `json:"web_seeds,omitempty"`
	Nodes       []string         `json:"nodes,omitempty"` // DHT, host:port
	Select      []metainfo.Range `json:"select,omitempty"`

	// Files by their index: pinned, and to be pinned when the metadata is there.
	Pins     []metainfo.Range `json:"pins,omitempty"`
	PinLater []metainfo.Range `json:"pin_later,omitempty"`

	// What the user removed: files and links by their index, folders by path.
	Hidden     []metainfo.Range `json:"hidden,omitempty"`
	HiddenDirs []string         `json:"hidden_dirs,omitempty"`
}

// recordOf is the record of a torrent that a link names.
func recordOf(m *metainfo.Magnet) record {
	r := record{
		Hash:        m.InfoHash.String(),
		HashV1:      m.HasV1,
		DisplayName: m.DisplayName,
		Peers:       m.Peers,
		WebSeeds:    m.WebSeeds,
		Nodes:       m.Nodes,
		Select:      m.Select,
		PinLater:    m.Select, // BEP 53: what is selected is wanted whole
	}
	if m.HasV2 {
		r.HashV2 = m.InfoHashV2.String()
	}
	// A link has no tiers: each tracker is one, so that all are asked.
	for _, tr := range m.Trackers {
		r.Trackers = append(r.Trackers, []string{tr})
	}
	return r
}

// clone returns a copy that shares nothing that merge changes.
func (r *record) clone() record {
	c := *r
	c.Spellings = slices.Clone(r.Spellings)
	c.OldNames = slices.Clone(r.OldNames)
	c.Trackers = slices.Clone(r.Trackers)
	c.Peers = slices.Clone(r.Peers)
	c.WebSeeds = slices.Clone(r.WebSeeds)
	c.Nodes = slices.Clone(r.Nodes)
	c.PinLater = slices.Clone(r.PinLater)
	c.HiddenDirs = slices.Clone(r.HiddenDirs)
	return c
}

// truncatedV2 is the form of HashV2 that is used on the wire, zero if there is none.
func (r *record) truncatedV2() metainfo.InfoHash {
	h, err := metainfo.ParseInfoHashV2(r.HashV2)
	if err != nil {
		return metainfo.InfoHash{}
	}
	return h.Truncated()
}

// secondHash is that of version 2 if own is the one of version 1, else zero.
func (r *record) secondHash(own metainfo.InfoHash) metainfo.InfoHash {
	if h := r.truncatedV2(); h != own {
		return h
	}
	return metainfo.InfoHash{}
}

// magnet is a link to the torrent.
func (r *record) magnet(info *metainfo.Info) *metainfo.Magnet {
	m := &metainfo.Magnet{
		HasV1:       r.HashV1,
		DisplayName: r.DisplayName,
		Peers:       r.Peers,
		WebSeeds:    r.WebSeeds,
		Nodes:       r.Nodes,
		Select:      r.Select,
	}
	m.InfoHash, _ = metainfo.ParseInfoHash(r.Hash) // checked when it was loaded
	if h, err := metainfo.ParseInfoHashV2(r.HashV2); err == nil {
		m.InfoHashV2, m.HasV2 = h, true
	}
	if info != nil {
		m.DisplayName = info.Name
	}
	for _, tier := range r.Trackers {
		m.Trackers = append(m.Trackers, tier...)
	}
	return m
}

// merge adds what another link to the same torrent knows. It returns what is new
// to the swarm.
func (r *record) merge(o *record) (trackers [][]string, peers []string) {
	known := make(map[string]bool)
	for _, tier := range r.Trackers {
		for _, tr := range tier {
			known[tr] = true
		}
	}
	for _, tier := range o.Trackers {
		var fresh []string
		for _, tr := range tier {
			if !known[tr] && len(known) < maxTrackers {
				known[tr] = true
				fresh = append(fresh, tr)
			}
		}
		if len(fresh) > 0 {
			trackers = append(trackers, fresh)
		}
	}
	r.Trackers = append(r.Trackers, trackers...)
	peers = addNew(&r.Peers, o.Peers, maxPeers)
	addNew(&r.WebSeeds, o.WebSeeds, maxOthers)
	addNew(&r.Nodes, o.Nodes, maxOthers)
	addNew(&r.PinLater, o.PinLater, maxOthers)
	if r.DisplayName == "" {
		r.DisplayName = o.DisplayName
	}
	if r.HashV2 == "" {
		r.HashV2 = o.HashV2
	}
	return trackers, peers
}

// addNew appends what is not in the list, up to limit entries, and returns that.
func addNew[T comparable](list *[]T, more []T, limit int) (fresh []T) {
	for _, s := range more {
		if len(*list) < limit && !slices.Contains(*list, s) {
			*list = append(*list, s)
			fresh = append(fresh, s)
		}
	}
	return fresh
}

// push appends s to a list of the latest entries.
func push(list *[]string, s string, limit int) (dropped string) {
	*list = append(*list, s)
	if len(*list) > limit {
		dropped = (*list)[0]
		*list = slices.Delete(*list, 0, 1)
	}
	return dropped
}

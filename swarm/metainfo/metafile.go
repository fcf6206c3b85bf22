package metainfo

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"magnetfs/swarm/benc"
)

// Limits on what a .torrent file may name. Real files stay far below; what goes beyond is ignored.
const (
	maxFileTrackers = 256
	maxFileWebSeeds = 256
	maxFileNodes    = 256
)

// Metainfo is a .torrent file.
type Metainfo struct {
	Info *Info // with all piece layers of the file

	InfoHash     InfoHash   // as Info.InfoHash
	InfoHashV2   InfoHashV2 // as Info.InfoHashV2
	HasV1, HasV2 bool       // as Info.V1 and Info.V2

	Trackers [][]string // announce URLs by tier (BEP 12), without repetitions
	WebSeeds []string   // BEP 19, without repetitions
	Nodes    []string   // DHT nodes to start from (BEP 5), host:port

	// For display only: safe to print, set by whoever made the file.
	Comment   string
	CreatedBy string
	Created   time.Time // zero if not given
}

// ParseMetainfo reads a .torrent file. Bytes behind its dictionary are ignored, as are sources that cannot be used;
// everything in the info dictionary is checked as by [ParseInfo], and piece layers have to match it. raw is kept
// and must not be changed.
func ParseMetainfo(raw []byte) (*Metainfo, error) {
	v, _, err := benc.ParsePrefix(raw, benc.Limits{})
	if err != nil {
		return nil, fmt.Errorf("metainfo: not a torrent file: %w", err)
	}
	if v.Kind() != benc.Dict {
		return nil, fmt.Errorf("metainfo: not a torrent file: a %v, not a dictionary", v.Kind())
	}
	info := v.Get("info")
	if info.Kind() == benc.Invalid {
		return nil, errors.New("metainfo: not a torrent file: no info")
	}
	fi, err := parseInfo(info)
	if err != nil {
		return nil, err
	}
	if fi, err = withLayers(fi, v.Get("piece layers")); err != nil {
		return nil, err
	}
	m := &Metainfo{
		Info: fi, InfoHash: fi.InfoHash, InfoHashV2: fi.InfoHashV2, HasV1: fi.V1, HasV2: fi.V2,
		Trackers:  parseTrackers(v),
		WebSeeds:  parseWebSeeds(v.Get("url-list"), len(fi.Files) > 1),
		Nodes:     parseNodes(v.Get("nodes")),
		Comment:   parseText(v, "comment"),
		CreatedBy: parseText(v, "created by"),
		Created:   parseDate(v.Get("creation date")),
	}
	return m, nil
}

// withLayers adds the piece layers of the file. Layers may be missing, in part or all: they can be had from peers.
// v1 torrents have no use for them.
func withLayers(fi *Info, v benc.Value) (*Info, error) {
	if !fi.V2 || v.Kind() == benc.Invalid {
		return fi, nil
	}
	if v.Kind() != benc.Dict {
		return nil, fmt.Errorf("metainfo: %w", missing("piece layers", "dictionary", v))
	}
	layers := make(map[digest][]byte)
	for key, value := range v.Entries() {
		layer, ok := value.Bytes()
		if len(key) != sha256.Size || !ok || len(layer)%sha256.Size != 0 {
			return nil, errors.New("metainfo: piece layers: an entry is not a list of hashes by root")
		}
		if _, twice := layers[digest(key)]; !twice {
			layers[digest(key)] = layer
		}
	}
	return fi.WithPieceLayers(layers)
}

// parseTrackers reads announce-list, or announce if the list has nothing to offer. A string where a tier is due is a
// tier of its own: flat lists exist.
func parseTrackers(v benc.Value) [][]string {
	var tiers [][]string
	seen := make(map[string]bool)
	add := func(tier []string, v benc.Value) []string {
		b, _ := v.Bytes()
		if s, ok := cleanTracker(string(b)); ok && !seen[s] && len(seen) < maxFileTrackers {
			seen[s] = true
			tier = append(tier, s)
		}
		return tier
	}
	for item := range v.Get("announce-list").Items() {
		var tier []string
		if item.Kind() == benc.String {
			tier = add(tier, item)
		}
		for u := range item.Items() {
			tier = add(tier, u)
		}
		if len(tier) > 0 {
			tiers = append(tiers, tier)
		}
	}
	if len(tiers) == 0 {
		if tier := add(nil, v.Get("announce")); len(tier) > 0 {
			tiers = append(tiers, tier)
		}
	}
	return tiers
}

// parseWebSeeds reads url-list: one URL or a list of them. With several files each URL is that of a folder, and gets
// the slash that many creators leave out; with one it may be the file's own.
func parseWebSeeds(v benc.Value, folder bool) []string {
	var seeds []string
	add := func(v benc.Value) {
		b, _ := v.Bytes()
		if s, ok := cleanWebSeed(string(b)); ok {
			if folder && !strings.HasSuffix(s, "/") {
				s += "/"
			}
			seeds = addUnique(seeds, s, maxFileWebSeeds)
		}
	}
	add(v)
	for item := range v.Items() {
		add(item)
	}
	return seeds
}

// parseNodes reads a list of [host, port]. Some files hold "host:port" instead.
func parseNodes(v benc.Value) []string {
	var nodes []string
	for item := range v.Items() {
		var node string
		var ok bool
		if b, isString := item.Bytes(); isString {
			node, ok = cleanHostPort(string(b))
		} else {
			var host []byte
			var port int64
			for part := range item.Items() {
				if b, isString := part.Bytes(); isString && host == nil {
					host = b
				} else if n, isInt := part.Int(); isInt && port == 0 {
					port = n
				}
			}
			node, ok = joinHostPort(string(host), port)
		}
		if ok {
			nodes = addUnique(nodes, node, maxFileNodes)
		}
	}
	return nodes
}

func parseText(v benc.Value, key string) string {
	b, ok := v.Get(key + ".utf-8").Bytes()
	if !ok {
		b, _ = v.Get(key).Bytes()
	}
	return cleanText(string(b))
}

// parseDate reads seconds since 1970. Some creators wrote milliseconds, which would be a date after the year 5000.
func parseDate(v benc.Value) time.Time {
	n, ok := v.Int()
	if ok && n >= 1e11 {
		n /= 1000
	}
	if !ok || n <= 0 || n >= 1e11 {
		return time.Time{}
	}
	return time.Unix(n, 0).UTC()
}

// Marshal returns the torrent as a .torrent file: the info dictionary byte for byte, the sources, the display texts,
// and the known piece layers.
func (m *Metainfo) Marshal() ([]byte, error) {
	file := map[string]any{"info": benc.Bytes(m.Info.Raw)}
	if len(m.Trackers) > 0 && len(m.Trackers[0]) > 0 {
		file["announce"] = m.Trackers[0][0]
		file["announce-list"] = m.Trackers
	}
	if len(m.WebSeeds) > 0 {
		file["url-list"] = m.WebSeeds
	}
	if m.Comment != "" {
		file["comment"] = m.Comment
	}
	if m.CreatedBy != "" {
		file["created by"] = m.CreatedBy
	}
	if !m.Created.IsZero() {
		file["creation date"] = m.Created.Unix()
	}
	var nodes []any
	for _, node := range m.Nodes {
		host, port, err := net.SplitHostPort(node)
		n, perr := strconv.Atoi(port)
		if err != nil || perr != nil {
			return nil, fmt.Errorf("metainfo: node %q is not host:port", node)
		}
		nodes = append(nodes, []any{host, n})
	}
	if len(nodes) > 0 {
		file["nodes"] = nodes
	}
	if m.Info.V2 {
		layers := make(map[string][]byte)
		for root, layer := range m.Info.PieceLayers() {
			layers[string(root[:])] = layer
		}
		file["piece layers"] = layers
	}
	return benc.Marshal(file)
}

// Magnet returns a link to the torrent with its sources.
func (m *Metainfo) Magnet() *Magnet {
	link := &Magnet{
		InfoHash: m.InfoHash, HasV1: m.HasV1, InfoHashV2: m.InfoHashV2, HasV2: m.HasV2,
		DisplayName: m.Info.Name, WebSeeds: m.WebSeeds, Nodes: m.Nodes,
	}
	for _, tier := range m.Trackers {
		link.Trackers = append(link.Trackers, tier...)
	}
	return link
}

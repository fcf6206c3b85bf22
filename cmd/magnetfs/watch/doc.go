// Package watch is the full-screen view of a mount: its torrents, and of one of
// them the waiting reads, the sources, the peers and a map of the pieces.
//
// The model (model.go, view.go) is pure: it takes keys, sizes and states and draws
// lines; only [Run] touches a terminal, and only [Files] the mount. What peers and
// trackers say of themselves is cleaned of control characters before it is drawn.
package watch

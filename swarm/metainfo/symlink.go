package metainfo

import "slices"

// maxLinkFollows is how many links the way to a target may lead through. Linux gives up at 40.
const maxLinkFollows = 40

// linkState is what is known about a symlink while links are resolved.
type linkState struct {
	progress linkProgress
	target   entryID // once good: a folder, or a file that is no link
	follows  int     // once good: links on the way, itself included
}

type linkProgress uint8

const (
	linkUnknown linkProgress = iota
	linkOpen                 // being resolved; meeting it again means a loop
	linkGood
	linkBad
)

// linkWalk is a link being resolved: the elements before next led to at.
type linkWalk struct {
	link     int
	elements []string
	relative bool // elements begin with the link's own folder
	next     int
	at       entryID
	follows  int
}

// resolveLinks checks every symlink: its target must be a file or folder of the torrent, reached without loops. Links
// that fail are marked bad. Targets start at the root (BEP 47); one that is not there is tried from the link's own
// folder, because older creators wrote it so and libtorrent takes it. No target has "..", so none leaves the torrent.
//
// Each link is resolved once, whoever needs it, so the work is linear. A stack of our own takes chains of any length.
func (n *names) resolveLinks() {
	links := make(map[int]*linkState)
	for i := range n.files {
		if n.files[i].Symlink != nil {
			links[i] = &linkState{}
		}
	}
	var stack []linkWalk
	push := func(i int) {
		links[i].progress = linkOpen
		stack = append(stack, linkWalk{link: i, elements: n.files[i].Symlink})
	}
	for i := range n.files {
		if l := links[i]; l == nil || l.progress != linkUnknown {
			continue
		}
		push(i)
		for len(stack) > 0 {
			if needs := n.advance(&stack[len(stack)-1], links); needs >= 0 {
				push(needs)
			} else {
				stack = stack[:len(stack)-1]
			}
		}
	}
}

// advance resolves w until it is decided, and returns -1, or until another link has to be resolved first, and returns
// that one.
func (n *names) advance(w *linkWalk, links map[int]*linkState) (needs int) {
	f, l := &n.files[w.link], links[w.link]
	for {
		needs, ok := n.walk(w, links)
		switch {
		case needs >= 0:
			return needs
		case ok:
			*l = linkState{linkGood, w.at, w.follows + 1}
			f.Symlink = w.elements
			return -1
		case w.relative || len(f.Symlink) == 0:
			l.progress = linkBad
			f.BadLink, f.Symlink = true, nil
			return -1
		}
		folder := f.Path[:len(f.Path)-1]
		*w = linkWalk{link: w.link, elements: slices.Concat(folder, f.Symlink), relative: true}
	}
}

// walk follows the elements of w. It stops at a link that is not resolved yet, and can be called again when it is.
func (n *names) walk(w *linkWalk, links map[int]*linkState) (needs int, ok bool) {
	for ; w.next < len(w.elements); w.next++ {
		if !w.at.isFolder() {
			return -1, false
		}
		id, ok := n.entries[nameKey{w.at, w.elements[w.next]}]
		if !ok {
			return -1, false
		}
		if !id.isFolder() && links[id.file()] != nil {
			via := links[id.file()]
			switch via.progress {
			case linkUnknown:
				return id.file(), false
			case linkOpen, linkBad:
				return -1, false
			}
			if w.follows += via.follows; w.follows >= maxLinkFollows {
				return -1, false
			}
			id = via.target
		}
		w.at = id
	}
	return -1, len(w.elements) > 0 // the root itself would be a loop for whoever walks the tree
}

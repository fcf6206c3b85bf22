// Command magnetfs mounts BitTorrent swarms: mkdir of a magnet link adds a
// torrent, and its files can be read at once.
//
// This package is the command line and the life of the process: flags, folders,
// the log, the way into the background and the way out. What a mount shows is
// decided in package fs.
//
// A running mount is asked and told things through its own files
// (DIR/.magnetfs), so the other commands need no socket. Only umount sends a
// signal: the process that serves a mount can end its blocked reads first, which
// nobody else can.
package main

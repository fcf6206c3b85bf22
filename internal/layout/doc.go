// Package layout holds the rule of which package may import which, and a test
// that keeps the tree to it.
//
// The rule: cmd → fs → fetch → swarm, and fetch → cache. swarm and cache do not
// know each other. fs knows fetch and nothing below it, so that the file system
// can be tested over a fake library and the engine without a kernel. picker, utp
// and cache/disk import nothing of ours: they are decisions and formats. go-fuse
// is seen in fs and cmd only, ristretto in cache only, so that either can be
// replaced in one place. Test aids, which have names that end in test, are imported
// by tests only. Packages are named for what they hold, never util, common, types or
// helpers, and each has one package comment.
//
// Files are parsed and not built, so that files for other systems and tests count
// as well.
package layout

package main

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"magnetfs/cache"
	"magnetfs/cache/disk"
	"magnetfs/fetch"
	"magnetfs/fs"
	"magnetfs/internal/human"
)

// The files of the control folder that are about the cache.
const (
	cacheName = "cache" // the report, as JSON
	purgeName = "purge" // takes the hash of a torrent, or purgeAll
	purgeAll  = "all"
)

// cacheReport says what is cached. All sizes are in bytes.
type cacheReport struct {
	RAM      *tierReport    `json:"ram,omitempty"` // nil: nothing is mounted
	Disk     *tierReport    `json:"disk,omitempty"`
	Problem  string         `json:"problem,omitempty"` // why the disk takes nothing at present
	Torrents []cacheTorrent `json:"torrents"`
}

type tierReport struct {
	Used   int64 `json:"used"`
	Budget int64 `json:"budget,omitempty"`
}

// cacheTorrent is one torrent on disk.
type cacheTorrent struct {
	Hash     string    `json:"hash"`
	Name     string    `json:"name,omitempty"` // while it is in the mount
	Bytes    int64     `json:"bytes"`
	LastRead time.Time `json:"last_read,omitzero"`
}

// cacheFiles are the control files that tell about the cache.
func cacheFiles(library *fetch.Library, pieces *cache.Cache, tier *disk.Tier) map[string]func() ([]byte, error) {
	return map[string]func() ([]byte, error){cacheName: func() ([]byte, error) {
		r := cacheReport{RAM: &tierReport{pieces.Used(), pieces.Budget()}}
		if tier != nil {
			r.add(tier, func(hash string) string {
				if t := library.Lookup(hash); t != nil {
					return t.Name()
				}
				return ""
			})
			r.Disk.Budget = tier.Budget()
		}
		b, err := json.MarshalIndent(r, "", "  ")
		return append(b, '\n'), err
	}}
}

func (r *cacheReport) add(tier *disk.Tier, name func(hash string) string) {
	s := tier.Stats()
	r.Disk, r.Problem = &tierReport{Used: s.Used}, problemOf(s)
	for _, u := range tier.List() {
		if u.Bytes > 0 {
			r.Torrents = append(r.Torrents, cacheTorrent{u.ID.String(), name(u.ID.String()), u.Bytes, u.LastRead})
		}
	}
}

// problemOf says why new pieces are not kept on the disk; empty: they are.
func problemOf(s disk.Stats) string {
	switch {
	case s.Off != nil:
		return s.Off.Error()
	case s.Full:
		return "the disk has no room"
	}
	return ""
}

// cacheCommands are the control files that change the cache.
func cacheCommands(library *fetch.Library, tier *disk.Tier) map[string]func(string) error {
	return map[string]func(string) error{purgeName: func(what string) error {
		if tier == nil {
			return nil
		}
		if what == purgeAll {
			return tier.Clear()
		}
		id, err := parseID(what)
		if err != nil {
			return err
		}
		if t := library.Lookup(what); t == nil {
			tier.Purge(id)
		} else if root := t.Root(); root != nil {
			t.Discard(root)
		}
		return nil
	}}
}

func parseID(hash string) (disk.ID, error) {
	raw, err := hex.DecodeString(hash)
	if err != nil || len(raw) != len(disk.ID{}) {
		return disk.ID{}, fmt.Errorf("%q is not an info-hash of 40 hex digits: %w", hash, fetch.ErrInvalid)
	}
	return disk.ID(raw), nil
}

func newCache() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "cache",
		Short: "Show or clear what is kept on disk",
		Args:  args(cobra.NoArgs),
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newCacheShow(), newCacheClear())
	return cmd
}

// cacheFlags say which cache: the one of a mount, or that of a folder that no mount
// uses.
type cacheFlags struct{ dir, config string }

func (f *cacheFlags) register(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.dir, "cache-dir", "", "the cache of this folder (default: the one that the next mount would use) while nothing is mounted")
	configFlag(cmd.Flags(), &f.config)
}

// open finds the mount, or opens the folder; one of path and tier is set.
func (f *cacheFlags) open(a []string) (path string, tier *disk.Tier, err error) {
	if f.dir == "" {
		path, err = mountOf(a)
		if err == nil || len(a) > 0 || !errors.Is(err, fs.ErrNotMounted) {
			return path, nil, err
		}
		if f.dir, err = keptIn(f.config); err != nil {
			return "", nil, err
		}
	}
	if _, err := os.Stat(f.dir); err != nil {
		return "", nil, withCode(exitNotFound, err) // opening would make it
	}
	tier, err = disk.Open(disk.Config{Dir: f.dir, Bytes: math.MaxInt64, FreeBytes: -1, FreePercent: -1, Log: slog.New(slog.DiscardHandler)})
	if errors.Is(err, disk.ErrLocked) {
		err = fmt.Errorf("%w: name its mount instead", err)
	}
	return "", tier, err
}

// keptIn is the folder that a mount would use.
func keptIn(configFile string) (string, error) {
	o, err := nextMount(configFile, "")
	if err != nil {
		return "", err
	}
	if o.cacheDir != "" {
		return o.cacheDir, nil
	}
	return cacheDir() // of earlier mounts: the next has no disk
}

func newCacheShow() *cobra.Command {
	var f cacheFlags
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "show [DIR]",
		Short: "Show what is kept, by torrent",
		Long: `Shows how much of the cache is used, and by which torrents, those that were removed
from the mount included. DIR can be left out if there is only one mount; if there is
none, it shows what the last one left on disk.`,
		Example: `  magnetfs cache show
  magnetfs cache show --json | jq .disk.used`,
		Args:              args(cobra.MaximumNArgs(1)),
		ValidArgsFunction: completeMounts,
		RunE: func(cmd *cobra.Command, a []string) (err error) {
			r := cacheReport{}
			path, tier, err := f.open(a)
			if err != nil {
				return err
			}
			if tier != nil {
				defer func() { err = errors.Join(err, tier.Close()) }()
				r.add(tier, func(string) string { return "" })
			} else if r, err = cacheOf(path); err != nil {
				return err
			}
			if asJSON {
				enc := json.NewEncoder(cmd.OutOrStdout())
				enc.SetIndent("", "  ")
				return enc.Encode(r)
			}
			return r.print(cmd.OutOrStdout())
		},
	}
	f.register(cmd)
	jsonFlag(cmd.Flags(), &asJSON)
	return cmd
}

// cleared is what cache clear did, for programs: of each torrent, or of all.
type cleared struct {
	InfoHash string `json:"info_hash,omitempty"` // empty: all
	Freed    int64  `json:"freed"`               // bytes
}

func (r *cacheReport) print(w io.Writer) error {
	line := func(name string, t *tierReport) {
		switch {
		case t == nil:
		case t.Budget == 0:
			fmt.Fprintf(w, "%s: %s used\n", name, human.Size(t.Used))
		default:
			fmt.Fprintf(w, "%s: %s of %s used\n", name, human.Size(t.Used), human.Size(t.Budget))
		}
	}
	line("Memory", r.RAM)
	line("Disk", r.Disk)
	if r.RAM != nil && r.Disk == nil {
		fmt.Fprintln(w, "Disk: not used")
	}
	if r.Problem != "" {
		fmt.Fprintln(w, "Nothing is written to disk at present:", r.Problem)
	}
	if len(r.Torrents) == 0 {
		return nil
	}
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "\nOn disk\tLast read\tTorrent")
	for _, t := range r.Torrents {
		last := "-"
		if !t.LastRead.IsZero() {
			last = t.LastRead.Local().Format("2006-01-02 15:04")
		}
		name := t.Name
		if name == "" {
			name = t.Hash
		}
		fmt.Fprintf(tw, "%s\t%s\t%s\n", human.Size(t.Bytes), last, name)
	}
	return tw.Flush()
}

func newCacheClear() *cobra.Command {
	var f cacheFlags
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "clear [DIR [NAME…]]",
		Short: "Free the disk",
		Long: `Removes from disk what no reader is at, of all torrents, or of those named: by their
folder, or by the info-hash that "cache show" lists. It is fetched again when it is
read. DIR can be left out if there is only one mount, or none.`,
		Args: args(cobra.ArbitraryArgs),
		Example: `  magnetfs cache clear
  magnetfs cache clear ~/t 'Big Buck Bunny'`,
		ValidArgsFunction: completeNames,
		RunE: func(cmd *cobra.Command, a []string) (err error) {
			path, tier, err := f.open(a[:min(1, len(a))])
			if err != nil {
				return err
			}
			done := func(hash string, freed int64) error {
				if !asJSON {
					return nil
				}
				return emit(cmd.OutOrStdout(), cleared{hash, max(0, freed)})
			}
			if tier != nil {
				before := tier.Stats().Used
				err := tier.Clear()
				freed := before - tier.Stats().Used
				if err := errors.Join(err, tier.Close()); err != nil {
					return err
				}
				return done("", freed)
			}
			if len(a) < 2 {
				freed, err := clearIn(path, purgeAll)
				if err != nil {
					return err
				}
				return done("", freed)
			}
			return each(a[1:], func(name string) error {
				hash := name
				if h, err := hashOf(path, name); err == nil {
					hash = h
				} else if _, err := parseID(name); err != nil {
					return withCode(exitNotFound, fmt.Errorf("%s: there is no such torrent in %s", name, path))
				}
				freed, err := clearIn(path, hash)
				if err != nil {
					return err
				}
				return done(hash, freed)
			})
		},
	}
	f.register(cmd)
	jsonFlag(cmd.Flags(), &asJSON)
	return cmd
}

// clearIn has a mount free what the disk has, and returns how many bytes that were.
func clearIn(path, what string) (freed int64, err error) {
	before, err := diskUsed(path)
	if err == nil {
		err = purge(path, what)
	}
	if err != nil {
		return 0, err
	}
	after, err := diskUsed(path)
	return before - after, err
}

// diskUsed asks a mount for the size of its cache on disk.
func diskUsed(path string) (int64, error) {
	r, err := cacheOf(path)
	if err != nil || r.Disk == nil {
		return 0, err
	}
	return r.Disk.Used, nil
}

// cacheOf asks a mount for the report.
func cacheOf(path string) (r cacheReport, err error) {
	b, err := os.ReadFile(filepath.Join(path, controlName, cacheName))
	if err != nil {
		return r, err
	}
	if err := json.Unmarshal(b, &r); err != nil {
		return r, fmt.Errorf("%s: %w", cacheName, err)
	}
	return r, nil
}

// hashOf asks a mount for the info-hash of a folder.
func hashOf(path, folder string) (string, error) {
	b := make([]byte, 64)
	n, err := unix.Getxattr(filepath.Join(path, folder), "user.magnetfs.infohash", b)
	if err != nil {
		return "", err
	}
	return string(b[:n]), nil
}

// purge has a mount free what the disk has of a torrent.
func purge(path, what string) error {
	return write(path, purgeName, strings.ToLower(what), []byte(strings.ToLower(what)+"\n"))
}

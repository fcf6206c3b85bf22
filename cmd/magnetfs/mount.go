package main

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"magnetfs/swarm/mse"
)

// mountOptions are the flags of mount.
type mountOptions struct {
	foreground bool

	port       int
	bootstrap  []string
	noDHT      bool
	noLPD      bool
	encryption mse.Policy

	ram          size
	disk         size
	cacheDir     string
	readTimeout  time.Duration
	stallTimeout time.Duration

	allowOther bool

	stateDir string
	logLevel level
	logFile  string
}

func newMount() *cobra.Command {
	o := &mountOptions{ram: 256 << 20, disk: 10 << 30, logLevel: level{slog.LevelInfo}}
	cmd := &cobra.Command{
		Use:   "mount DIR",
		Short: "Mount on an empty folder (it is made if missing)",
		Long: `Mounts on DIR and goes on in the background: when the command returns, the mount
can be used. It ends with "magnetfs umount DIR", or when its process gets SIGINT,
SIGTERM or SIGHUP.

Torrents, the port and the log are kept in $XDG_STATE_HOME/magnetfs
(~/.local/state/magnetfs), so the next mount has the same torrents. What was
fetched is kept in $XDG_CACHE_HOME/magnetfs/pieces (~/.cache/magnetfs/pieces) while there is room.`,
		Args: args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, a []string) error {
			if err := o.check(); err != nil {
				return usageError(cmd, err)
			}
			return o.mount(cmd, a[0])
		},
	}
	f := cmd.Flags()
	f.SortFlags = false
	f.BoolVarP(&o.foreground, "foreground", "f", false, "stay in the foreground and log to standard error")
	f.Var(&o.ram, "ram", "memory for pieces")
	f.Var(&o.disk, "disk", "room for pieces on disk, as far as 5 GiB and 5 % of it stay free; 0: memory only")
	f.StringVar(&o.cacheDir, "cache-dir", "", "folder for pieces on disk (default $XDG_CACHE_HOME/magnetfs/pieces)")
	f.IntVar(&o.port, "port", 0, "port for peers, TCP and UDP (default: chosen at the first start, then kept)")
	f.BoolVar(&o.noDHT, "no-dht", false, "do not use the DHT")
	f.StringSliceVar(&o.bootstrap, "dht-bootstrap", nil, "first DHT nodes to ask, as `host:port`, several with commas (default: the public routers)")
	f.BoolVar(&o.noLPD, "no-lpd", false, "do not look for peers in the local network")
	f.TextVar(&o.encryption, "encryption", mse.Allow, "encrypt connections to peers: `allow|prefer|require`")
	f.DurationVar(&o.readTimeout, "read-timeout", 60*time.Second, "fail a read when nobody has had its data for so long; 0: never")
	f.DurationVar(&o.stallTimeout, "stall-timeout", 300*time.Second, "fail a read when those who have its data sent nothing for so long; 0: never")
	f.BoolVar(&o.allowOther, "allow-other", false, "let other users in (needs user_allow_other in /etc/fuse.conf)")
	f.StringVar(&o.stateDir, "state-dir", "", "folder for torrents, port and log (default $XDG_STATE_HOME/magnetfs)")
	f.Var(&o.logLevel, "log-level", "debug, info, warn or error")
	f.StringVar(&o.logFile, "log-file", "", "log to this file (default: magnetfs.log in the state folder; with -f standard error)")
	cmd.ValidArgsFunction = func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return nil, cobra.ShellCompDirectiveFilterDirs
	}
	return cmd
}

// minRAM is the least that --ram may be: two pieces of 16 MiB, the largest that
// are common, a reader's and the one under way.
const minRAM = 32 << 20

// check finds what is wrong with the flags.
func (o *mountOptions) check() error {
	if o.port < 0 || o.port > 65535 {
		return fmt.Errorf("--port %d is not between 1 and 65535", o.port)
	}
	if o.ram < minRAM {
		minimum := size(minRAM)
		return fmt.Errorf("--ram %v is less than %v", &o.ram, &minimum)
	}
	if o.readTimeout < 0 || o.stallTimeout < 0 {
		return errors.New("a timeout cannot be negative")
	}
	for _, node := range o.bootstrap {
		host, port, err := net.SplitHostPort(node)
		if err != nil || host == "" {
			return fmt.Errorf("--dht-bootstrap: %q is not host:port", node)
		}
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			return fmt.Errorf("--dht-bootstrap: %q has no port between 1 and 65535", node)
		}
	}
	return nil
}

// mount does what the command says, in this process or in a new one.
func (o *mountOptions) mount(cmd *cobra.Command, dir string) error {
	if err := o.resolve(); err != nil {
		return err
	}
	if report, ok := reporter(); ok {
		// We are the one in the background.
		log, err := openLog(o.logFile)
		if err == nil {
			defer log.Close()
			err = o.serve(dir, newLog(log, o.logLevel.Level), func(target string) { report(target, nil) })
		}
		report("", err) // if nobody listens any more, it is in the log
		return err
	}
	if o.foreground {
		return o.serveHere(cmd, dir)
	}
	target, err := startInBackground(cmd.Context(), o.logFile)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s is mounted. Add a torrent with: mkdir %s/'magnet:?xt=…'   End with: magnetfs umount %s\n",
		target, quote(target), quote(target))
	return err
}

// resolve fills in the folders, absolute, so that the process may leave its
// working folder.
func (o *mountOptions) resolve() (err error) {
	if o.stateDir == "" {
		o.stateDir, err = stateDir()
	} else {
		o.stateDir, err = filepath.Abs(o.stateDir)
	}
	if err != nil {
		return err
	}
	if err := os.MkdirAll(o.stateDir, 0o700); err != nil {
		return fmt.Errorf("state folder: %w", err)
	}
	if o.cacheDir != "" {
		o.cacheDir, err = filepath.Abs(o.cacheDir)
	} else if o.disk > 0 {
		o.cacheDir, err = cacheDir()
	}
	if err != nil {
		return err
	}
	switch {
	case o.logFile != "":
		o.logFile, err = filepath.Abs(o.logFile)
	case !o.foreground:
		o.logFile = filepath.Join(o.stateDir, "magnetfs.log")
	}
	return err
}

// serveHere serves in the foreground.
func (o *mountOptions) serveHere(cmd *cobra.Command, dir string) error {
	log := newLog(os.Stderr, o.logLevel.Level)
	if o.logFile != "" {
		f, err := openLog(o.logFile)
		if err != nil {
			return err
		}
		defer f.Close()
		log = newLog(f, o.logLevel.Level)
	}
	return o.serve(dir, log, func(target string) {
		fmt.Fprintf(cmd.OutOrStdout(), "%s is mounted. Add a torrent with: mkdir %s/'magnet:?xt=…'   End with: Ctrl-C\n",
			target, quote(target))
	})
}

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
	"github.com/spf13/pflag"

	"magnetfs/cmd/magnetfs/settings"
	"magnetfs/fs"
	"magnetfs/swarm/mse"
)

// mountOptions are the flags of mount.
type mountOptions struct {
	foreground bool
	asJSON     bool

	port       int
	bootstrap  []string
	noDHT      bool
	noLPD      bool
	utp        onOff
	encryption mse.Policy
	down       rate
	up         rate
	noUpload   bool
	reachOptions

	ram          size
	disk         size
	cacheDir     string
	readTimeout  time.Duration
	stallTimeout time.Duration

	allowOther bool
	readOnly   bool
	noExec     bool
	noPass     bool

	stateDir  string
	logLevel  level
	logFile   string
	logFormat logFormat

	configFile string             // named with --config
	config     *settings.File     // nil: there is none
	settings   *settings.Settings // where the values above are from

	device    int          // descriptor of a connection that is mounted on the folder already, 0: none
	reopenLog func() error // for SIGHUP; nil: it ends the mount
}

func newMount() *cobra.Command {
	o := newMountOptions()
	cmd := &cobra.Command{
		Use:   "mount DIR",
		Short: "Mount on an empty folder (it is made if missing)",
		Long: `Mounts on DIR and goes on in the background: when the command returns, the mount
can be used. It ends with "magnetfs umount DIR", or when its process gets SIGINT or
SIGTERM. SIGHUP has it open its log file and read its block list again; without a log
file, in the foreground, it ends the mount, unless it is a service of systemd.

Torrents, the port and the log are kept in $XDG_STATE_HOME/magnetfs
(~/.local/state/magnetfs), so the next mount has the same torrents. What was
fetched is kept in $XDG_CACHE_HOME/magnetfs/pieces (~/.cache/magnetfs/pieces) while
there is room. A mount on another folder at the same time has torrents and a cache
of its own, in folders below these, and finds them again whenever it is mounted.`,
		Example: `  magnetfs mount ~/t
  magnetfs mount --ram 1GiB --disk 100GiB --port 7001 ~/t
  magnetfs mount --foreground --log-level debug ~/t`,
		Args: args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, a []string) error {
			if err := o.settle(cmd.Flags(), a[0]); err != nil {
				return withCode(exitUsage, err)
			}
			return o.mount(cmd, a[0])
		},
	}
	o.register(cmd.Flags())
	cmd.ValidArgsFunction = func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return nil, cobra.ShellCompDirectiveFilterDirs
	}
	completeValues(cmd)
	return cmd
}

// newMountOptions has the defaults.
func newMountOptions() *mountOptions {
	return &mountOptions{ram: 256 << 20, disk: 10 << 30, logLevel: level{slog.LevelInfo}, logFormat: formatText}
}

// register makes the flags. All of them but --config are settings, see package
// settings.
func (o *mountOptions) register(f *pflag.FlagSet) {
	f.SortFlags = false
	f.BoolVarP(&o.foreground, "foreground", "f", false, "stay in the foreground and log to standard error")
	f.Var(&o.ram, "ram", "memory for pieces")
	f.Var(&o.disk, "disk", "room for pieces on disk, as far as 5 GiB and 5 % of it stay free; 0: memory only")
	f.StringVar(&o.cacheDir, "cache-dir", "", "folder for pieces on disk (default $XDG_CACHE_HOME/magnetfs/pieces)")
	f.IntVar(&o.port, "port", 0, "port for peers, TCP and UDP (default: chosen at the first start, then kept)")
	f.BoolVar(&o.noDHT, "no-dht", false, "do not use the DHT")
	f.StringSliceVar(&o.bootstrap, "dht-bootstrap", nil, "first DHT nodes to ask, as `host:port`, several with commas (default: the public routers)")
	f.BoolVar(&o.noLPD, "no-lpd", false, "do not look for peers in the local network")
	f.TextVar(&o.utp, "utp", onOff(true), "connect to peers by uTP as well as by TCP: `on|off`")
	f.TextVar(&o.encryption, "encryption", mse.Allow, "encrypt connections to peers: `allow|prefer|require`")
	f.Var(&o.down, "down", "most to take from peers per second, all torrents together: a `rate` such as 500k, 2MiB or 16Mbit, 0 is unlimited")
	f.Var(&o.up, "up", "most to give to peers per second, likewise a `rate`")
	f.BoolVar(&o.noUpload, "no-upload", false, "give peers nothing of what is here; many give less in return")
	o.reachOptions.register(f)
	f.DurationVar(&o.readTimeout, "read-timeout", 60*time.Second, "fail a read when nobody has had its data for so long; 0: never")
	f.DurationVar(&o.stallTimeout, "stall-timeout", 300*time.Second, "fail a read when those who have its data sent nothing for so long; 0: never")
	f.BoolVar(&o.allowOther, "allow-other", false, "let other users in (needs user_allow_other in /etc/fuse.conf)")
	f.BoolVar(&o.readOnly, "read-only", false, "let nobody add, remove or pin torrents in the mount")
	f.BoolVar(&o.noExec, "no-exec", false, "let no program of the mount be run")
	f.BoolVar(&o.noPass, "no-passthrough", false, "do not let the kernel read whole files from the disk by itself")
	f.StringVar(&o.stateDir, "state-dir", "", "folder for torrents, port and log (default $XDG_STATE_HOME/magnetfs)")
	f.Var(&o.logLevel, "log-level", "debug, info, warn or error")
	f.StringVar(&o.logFile, "log-file", "", "log to this file (default: magnetfs.log in the state folder; with -f standard error)")
	f.Var(&o.logFormat, "log-format", "of the log, text or json")
	configFlag(f, &o.configFile)
	jsonFlag(f, &o.asJSON)
}

// minRAM is the least that --ram may be: two pieces of 16 MiB, the largest that
// are common, a reader's and the one under way.
const minRAM = 32 << 20

// badSetting is an error about the value of one setting.
type badSetting struct {
	key string
	error
}

// check finds what is wrong with the values beyond their form.
func (o *mountOptions) check() *badSetting {
	if o.port < 0 || o.port > 65535 {
		return &badSetting{"port", fmt.Errorf("%d is not between 1 and 65535", o.port)}
	}
	if o.ram < minRAM {
		minimum := size(minRAM)
		return &badSetting{"ram", fmt.Errorf("%v is less than %v", &o.ram, &minimum)}
	}
	for key, d := range map[string]time.Duration{"read-timeout": o.readTimeout, "stall-timeout": o.stallTimeout} {
		if d < 0 {
			return &badSetting{key, errors.New("a timeout cannot be negative; 0 means never")}
		}
	}
	for _, node := range o.bootstrap {
		host, port, err := net.SplitHostPort(node)
		if err != nil || host == "" {
			return &badSetting{"dht-bootstrap", fmt.Errorf("%q is not host:port", node)}
		}
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			return &badSetting{"dht-bootstrap", fmt.Errorf("%q has no port between 1 and 65535", node)}
		}
	}
	return o.reachOptions.check()
}

// mount does what the command says, in this process or in a new one.
func (o *mountOptions) mount(cmd *cobra.Command, dir string) error {
	beside, err := o.folders(dir)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(o.stateDir, 0o700); err != nil {
		return fmt.Errorf("state folder: %w", err)
	}
	if o.device, err = inheritedDevice(); err != nil {
		return err
	}
	if o.allowOther && o.device == 0 {
		if err := fs.CheckAllowOther(); err != nil {
			return err
		}
	}
	if report, ok := reporter(); ok {
		// We are the one in the background.
		err := o.serveLogged(dir, func(target string) { report(target, nil) })
		report("", err) // if nobody listens any more, it is in the log
		return err
	}
	if o.foreground {
		return o.serveLogged(dir, func(target string) {
			if o.asJSON {
				_ = emit(cmd.OutOrStdout(), o.mountReport(target))
				return
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s is mounted. Add a torrent with: mkdir %s/'magnet:?xt=…'   End with: Ctrl-C\n",
				target, quote(target))
		})
	}
	target, err := startInBackground(cmd.Context(), o.logFile, o.device)
	if err != nil {
		return err
	}
	if o.asJSON {
		return emit(cmd.OutOrStdout(), o.mountReport(target))
	}
	_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s is mounted. Add a torrent with: mkdir %s/'magnet:?xt=…'   End with: magnetfs umount %s\n",
		target, quote(target), quote(target))
	if why := o.unreachable(); err == nil && why != "" {
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "Note: %s.\n", why)
	}
	if err == nil && beside != "" {
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "Its torrents are its own, and kept in %s: those in %s are of %s.\n",
			quote(o.stateDir), quote(filepath.Dir(filepath.Dir(o.stateDir))), quote(beside))
	}
	return err
}

// mountReport is a mount for programs.
type mountReport struct {
	Mount    string `json:"mount"`
	StateDir string `json:"state_dir"`
	CacheDir string `json:"cache_dir,omitempty"` // empty: memory only
	Log      string `json:"log,omitempty"`       // empty: standard error
}

func (o *mountOptions) mountReport(target string) mountReport {
	return mountReport{target, o.stateDir, o.cacheDir, o.logFile}
}

// folders fills in the folders and the log file, absolute, so that the process may
// leave its working folder. beside is set if the mount on dir gets folders of its
// own for the first time: because of that other mount.
func (o *mountOptions) folders(dir string) (beside string, err error) {
	own := ""
	if o.stateDir == "" {
		if o.stateDir, err = mountStateDir(); err == nil {
			o.stateDir, own, beside, err = usual(o.stateDir, dir)
		}
	} else {
		o.stateDir, err = filepath.Abs(o.stateDir)
	}
	if err != nil {
		return "", err
	}
	if o.cacheDir != "" {
		o.cacheDir, err = filepath.Abs(o.cacheDir)
	} else if o.disk > 0 {
		o.cacheDir, err = mountCacheDir(own)
	}
	if err != nil {
		return "", err
	}
	switch {
	case o.logFile != "":
		o.logFile, err = filepath.Abs(o.logFile)
	case !o.foreground:
		o.logFile = filepath.Join(o.stateDir, "magnetfs.log")
	}
	return beside, err
}

// serveLogged serves, with the log in its file or on standard error.
func (o *mountOptions) serveLogged(dir string, ready func(target string)) error {
	if o.logFile == "" {
		return o.serve(dir, newLog(os.Stderr, o.logLevel.Level, o.logFormat), ready)
	}
	f, err := openLog(o.logFile)
	if err != nil {
		return fmt.Errorf("log: %w", err)
	}
	defer f.Close()
	o.reopenLog = f.reopen
	return o.serve(dir, newLog(f, o.logLevel.Level, o.logFormat), ready)
}

package main

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
	"time"

	"magnetfs/cache"
	"magnetfs/cache/disk"
	"magnetfs/cmd/magnetfs/settings"
	"magnetfs/fetch"
	"magnetfs/fs"
	"magnetfs/swarm"
)

// lockPatience is how long the state folder may be in use by a mount that is just
// ending: umount(8) does not wait for its process.
const lockPatience = 2 * time.Second

// engine is a session as fetch sees it.
type engine struct{ *swarm.Session }

// Add implements fetch.Engine.
func (e engine) Add(spec swarm.AddSpec) (fetch.Swarm, error) {
	t, err := e.Session.Add(spec)
	if err != nil {
		return nil, err
	}
	return t, nil
}

// serve mounts on dir and returns when the mount is gone, by a signal or by
// somebody else. ready is called when it can be used.
func (o *mountOptions) serve(dir string, log *slog.Logger, ready func(target string)) (err error) {
	defer func() {
		if err != nil {
			log.Error("stopped", "err", err)
		}
	}()
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	defer signal.Stop(signals)
	hangups := make(chan os.Signal, 1)
	if o.reopenLog != nil || os.Getenv("NOTIFY_SOCKET") != "" { // a service has no terminal
		signal.Notify(hangups, syscall.SIGHUP)
		defer signal.Stop(hangups)
	} else { // our terminal is gone
		signal.Notify(signals, syscall.SIGHUP)
	}

	if path, err := fs.Find(dir); o.device == 0 && err == nil {
		// Here, because the state folder and the port are in use as well.
		if err := notServed(path, log); err != nil {
			return err
		}
	}
	limitMemory(int64(o.ram) + o.writeQueue())
	pieces, err := cache.New(cache.Config{Bytes: int64(o.ram)})
	if err != nil {
		return err
	}
	defer pieces.Close()
	tier, err := o.openDisk(log)
	if errors.Is(err, disk.ErrLocked) {
		return err
	}
	diskErr := err
	if tier != nil {
		defer func() { err = errors.Join(err, tier.Close()) }()
	}
	reach, err := o.openReach(log)
	if err != nil {
		return err
	}
	defer reach.Close()
	session, err := o.openSession(reach, log)
	if err != nil {
		return err
	}
	defer session.Close()
	reach.attach(session)
	open := func() (*fetch.Library, error) {
		return fetch.Open(fetch.Config{
			Engine:          engine{session},
			Cache:           pieces,
			Disk:            tier,
			StateDir:        o.stateDir,
			Log:             log,
			NoPeersTimeout:  patience(o.readTimeout),
			NoBlocksTimeout: patience(o.stallTimeout),
		})
	}
	library, err := open()
	for end := time.Now().Add(lockPatience); errors.Is(err, fetch.ErrLocked) && time.Now().Before(end); library, err = open() {
		time.Sleep(100 * time.Millisecond)
	}
	if errors.Is(err, fetch.ErrLocked) {
		return fmt.Errorf("%w: another mount uses %s; give this one its own with --state-dir", err, o.stateDir)
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, library.Close()) }()
	warn := &warnings{library, tier, diskErr, reach}
	limits := &liveLimits{options: o, session: session}
	server, err := fs.Mount(fs.Config{
		Library:    library,
		Target:     dir,
		Create:     true,
		AllowOther: o.allowOther,
		ReadOnly:   o.readOnly,
		NoExec:     o.noExec,
		Device:     o.device,
		Space:      space(pieces, tier),
		Files:      joined(cacheFiles(library, pieces, tier), limits.files(), reach.files(), warn.files()),
		Commands:   joined(cacheCommands(library, tier), limits.commands()),
		Notice:     notices(warn.notice, reach.notice, limits.notice),
		Log:        log,

		NoPassthrough: o.noPass,
	})
	if err != nil {
		return err
	}
	// The folder we were started in is not ours to hold.
	_ = os.Chdir("/")
	for _, line := range settings.Misspelt(settingFlags(), os.Environ()) {
		log.Warn("environment: " + line)
	}
	log.Info("mounted", "target", server.Target(), "port", session.Port(), "version", versionText(), "pid", os.Getpid())
	if err := saveTarget(o.stateDir, server.Target()); err != nil {
		log.Warn("a second mount will not find out that this one uses the folder", "dir", o.stateDir, "err", err)
	}
	ready(server.Target())
	stopping := func() {}
	if o.foreground {
		stopping = (&notifier{server.Target(), library, log}).start()
	}
	told := o.wait(server, reach, signals, hangups, log)
	stopping()
	if !told {
		return nil
	}
	go force(signals, server.Target(), log)
	return server.Unmount()
}

// joined is all maps in one, the first.
func joined[V any](a map[string]V, more ...map[string]V) map[string]V {
	for _, b := range more {
		maps.Copy(a, b)
	}
	return a
}

// wait returns true when a signal says that the mount has to end, false when it is
// gone already.
func (o *mountOptions) wait(server *fs.Server, reach *reach, signals, hangups <-chan os.Signal, log *slog.Logger) bool {
	for {
		select {
		case <-server.Done():
			log.Info("unmounted by somebody else")
			return false
		case s := <-signals:
			log.Info("unmounting", "signal", s)
			return true
		case <-hangups:
			reach.reload(log)
			if o.reopenLog == nil {
				log.Info("there is no log file to open again")
			} else if err := o.reopenLog(); err != nil {
				log.Error("the log is not opened again", "err", err)
			} else {
				log.Info("the log is opened again")
			}
		}
	}
}

// force ends the process at the next signal, whatever still hangs.
func force(signals <-chan os.Signal, target string, log *slog.Logger) {
	s, ok := <-signals
	if !ok {
		return
	}
	log.Warn("ending at once", "signal", s)
	if err := fs.Unmount(target, true); err != nil && !errors.Is(err, syscall.EINVAL) {
		log.Error("detaching", "err", err)
	}
	os.Exit(int(exitInterrupted))
}

// openSession opens the sockets, on the port of earlier runs if it is free.
func (o *mountOptions) openSession(reach *reach, log *slog.Logger) (*swarm.Session, error) {
	cfg := swarm.Config{
		Port:     o.port,
		MaxBuild: int64(o.ram) / 4,
		DHT: swarm.DHTConfig{
			Disable:   o.noDHT,
			Bootstrap: o.bootstrap,
			Load:      func(family string) []byte { return loadTable(o.stateDir, family) },
			Save: func(family string, table []byte) {
				if err := saveTable(o.stateDir, family, table); err != nil {
					log.Warn("the DHT's routing table is not kept", "err", err)
				}
			},
		},
		DisableLPD: o.noLPD,
		DisableUTP: !bool(o.utp),
		Encryption: o.encryption,
		Limits:     o.limits(),
		Log:        log,
	}
	reach.configure(&cfg)
	if o.port != 0 {
		session, err := swarm.NewSession(cfg)
		if err != nil {
			return nil, withCode(exitPort, err)
		}
		return session, nil
	}
	saved := savedPort(o.stateDir)
	cfg.Port = saved
	session, err := swarm.NewSession(cfg)
	if errors.Is(err, syscall.EADDRINUSE) && saved != 0 {
		log.Warn("the usual port is taken, using another for now", "port", saved)
		cfg.Port = 0
		return swarm.NewSession(cfg)
	}
	if err != nil {
		return nil, err
	}
	if saved == 0 {
		if err := savePort(o.stateDir, session.Port()); err != nil {
			log.Warn("the port is not kept", "err", err)
		}
	}
	return session, nil
}

// writeQueue is how many bytes may wait for the disk, in memory.
func (o *mountOptions) writeQueue() int64 {
	if o.disk == 0 {
		return 0
	}
	return min(32<<20, int64(o.ram)/4)
}

// openDisk opens the disk cache; nil means that pieces are kept in memory only. If
// the error is disk.ErrLocked the folder is in use by another process, which is a
// mistake of the user; whatever else is wrong with the disk, it goes without.
func (o *mountOptions) openDisk(log *slog.Logger) (*disk.Tier, error) {
	if o.disk == 0 {
		return nil, nil
	}
	open := func() (*disk.Tier, error) {
		return disk.Open(disk.Config{Dir: o.cacheDir, Bytes: int64(o.disk), QueueBytes: o.writeQueue(), Log: log})
	}
	tier, err := open()
	for end := time.Now().Add(lockPatience); errors.Is(err, disk.ErrLocked) && time.Now().Before(end); tier, err = open() {
		time.Sleep(100 * time.Millisecond)
	}
	if errors.Is(err, disk.ErrLocked) {
		return nil, fmt.Errorf("%w: a second mount needs its own --state-dir, and its own --cache-dir or --disk 0", err)
	}
	if err != nil {
		log.Warn("nothing is kept on disk", "dir", o.cacheDir, "err", err)
		return nil, fmt.Errorf("nothing is kept on disk: %w", err)
	}
	return tier, nil
}

// space is what df shows.
func space(pieces *cache.Cache, tier *disk.Tier) func() (budget, used int64) {
	return func() (budget, used int64) {
		budget, used = pieces.Budget(), pieces.Used()
		if tier != nil {
			budget, used = budget+tier.Budget(), used+tier.Used()
		}
		return budget, used
	}
}

// patience turns a timeout of the command line, where 0 means never, into one of
// fetch, where that is negative.
func patience(d time.Duration) time.Duration {
	if d == 0 {
		return -1
	}
	return d
}

// collectAt is how many percent the heap may grow before it is collected. Nearly
// all of it is pieces, which hold no pointers and cost nothing to look through.
// Measured, 512 MiB read once with 256 MiB of RAM: peak 430 MB at Go's 100, 340 at
// 40, 300 at 20, with the same processor time.
const collectAt = 20

// limitMemory keeps garbage small beside the pieces, and makes the collector work
// harder when the heap is larger than they, the garbage of one turnover of a
// quarter of them, and 128 MiB (guess) for all the rest. GOGC and GOMEMLIMIT go
// before it.
func limitMemory(ram int64) {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(collectAt)
	}
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(ram + ram/4 + 128<<20)
	}
}

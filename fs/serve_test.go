package fs_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"

	"magnetfs/fetch/fetchtest"
	"magnetfs/fs"
)

// serveConfig is the argument of the serving process.
type serveConfig struct {
	Target   string
	State    string
	RAM      int64         // bytes
	NoPeers  time.Duration // patience of reads, see fetch.Config
	NoBlocks time.Duration
	Create   bool
	Cached   bool     // fs.Config.PageCache
	Others   bool     // fs.Config.AllowOther
	Disk     string   // folder of the disk tier; empty: none
	NoPass   bool     // fs.Config.NoPassthrough
	Torrents []string // added before the mount
}

// serve mounts and obeys: each line of standard input is a command, each answer is
// one line. The first answer is "ready" or an error.
func serve(args []string) int {
	var cfg serveConfig
	if err := json.Unmarshal([]byte(args[0]), &cfg); err != nil {
		fmt.Println(err)
		return 2
	}
	engine := fetchtest.New()
	for name, it := range catalogue {
		if name == "bench" && !slices.Contains(cfg.Torrents, name) {
			continue // takes a while to make
		}
		engine.Offer(torrent(name), it.script)
	}
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelInfo}))
	lib, closeLib, err := fetchtest.Open(engine, fetchtest.Options{StateDir: cfg.State, Bytes: cfg.RAM, DiskDir: cfg.Disk,
		NoPeers: cfg.NoPeers, NoBlocks: cfg.NoBlocks, Log: log})
	if err != nil {
		fmt.Println(err)
		return 2
	}
	defer closeLib()
	for _, name := range cfg.Torrents {
		t, _, err := lib.Add(magnetOf(name))
		if err != nil {
			fmt.Println(err)
			return 2
		}
		if catalogue[name].script.Info == 0 {
			<-t.Ready()
		}
	}
	s, err := fs.Mount(fs.Config{Library: lib, Target: cfg.Target, Create: cfg.Create, Log: log,
		PageCache: cfg.Cached, NoPassthrough: cfg.NoPass, AllowOther: cfg.Others,
		Space: func() (int64, int64) { return 1 << 30, 1 << 20 }})
	if err != nil {
		fmt.Println(strings.ReplaceAll(err.Error(), "\n", " "))
		return 1
	}
	fmt.Println("ready")
	in := bufio.NewScanner(os.Stdin)
	for in.Scan() {
		switch in.Text() {
		case "goroutines":
			fmt.Println(runtime.NumGoroutine())
		case "descriptors":
			all, err := os.ReadDir("/proc/self/fd")
			fmt.Println(len(all), err)
		case "release":
			engine.Release(hashOf("stall"))
			fmt.Println("released")
		case "gone":
			s.Wait()
			fmt.Println("gone")
			return 0
		case "unmount":
			start := time.Now()
			err := s.Unmount()
			fmt.Println(time.Since(start).Milliseconds(), err)
			return 0
		}
	}
	_ = s.Unmount()
	return 0
}

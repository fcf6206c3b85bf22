// Package doctor looks at what a mount needs of the system: FUSE, ports, routes,
// names, folders, limits. It changes nothing but files that it makes and removes in
// the folders it looks at, and sends nothing but the questions for the names that a
// mount asks for when it starts.
//
// Each check runs in a goroutine of its own and returns findings; one that takes
// too long, since a disk or a mount hangs, is told of as such and left behind: the
// process ends soon.
package doctor

import (
	"context"
	"net/netip"
	"sync"
	"time"

	"magnetfs/swarm/socks"
)

// patience bounds every check, and so all of them: they run at a time.
const patience = 2500 * time.Millisecond

// Status is how a finding is to be taken.
type Status string

// The kinds of finding.
const (
	OK   Status = "ok"
	Warn Status = "warn" // it works, but less well
	Fail Status = "fail" // there would be no mount
)

// Finding is what one check found.
type Finding struct {
	Check  string `json:"check"`
	Status Status `json:"status"`
	Found  string `json:"found"`
	Mend   string `json:"mend,omitempty"` // what to do about it; empty if it is ok
}

// Config says what the mount would be like.
type Config struct {
	Dir        string // to mount on; empty: not looked at
	StateDir   string
	CacheDir   string   // of the disk cache; empty: none
	RAM        int64    // bytes
	Port       int      // 0: any
	Bootstrap  []string // host:port, of the DHT; none if it is off
	LPD        bool
	Interface  string           // the only one to use; empty: any
	Servers    []netip.AddrPort // of names, with Interface; none: those of resolv.conf
	Proxy      *socks.Config    // the only one to use; nil: none
	AllowOther bool
	Offline    bool // ask the network nothing
	Built      time.Time
}

// check is one of those below.
type check struct {
	name string
	run  func(ctx context.Context, cfg *Config) []Finding
}

// checks in the order that they are told.
var checks = []check{
	{"fuse device", one(fuseDevice)},
	{"fusermount3", one(helper)},
	{"other users", one(otherUsers)},
	{"kernel", one(kernel)},
	{"folder", one(folder)},
	{"mounts", mounts},
	{"state folder", one(stateFolder)},
	{"cache folder", cacheFolder},
	{"memory", one(memory)},
	{"open files", one(openFiles)},
	{"clock", one(clock)},
	{"port", ports},
	{"interface", one(netInterface)},
	{"proxy", proxy},
	{"routes", routes},
	{"multicast", one(multicast)},
	{"names", names},
}

// one makes a check of a function that finds one thing, or nothing: then there is
// nothing to look at.
func one(f func(*Config) Finding) func(context.Context, *Config) []Finding {
	return func(_ context.Context, cfg *Config) []Finding {
		if found := f(cfg); found.Status != "" {
			return []Finding{found}
		}
		return nil
	}
}

// Run does all checks and returns their findings in a fixed order, after a few
// seconds at most.
func Run(ctx context.Context, cfg Config) []Finding {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return run(ctx, &cfg, checks)
}

func run(ctx context.Context, cfg *Config, checks []check) (all []Finding) {
	found := make([][]Finding, len(checks))
	var wg sync.WaitGroup
	for i, c := range checks {
		wg.Go(func() {
			answer := make(chan []Finding, 1)
			go func() { answer <- c.run(ctx, cfg) }()
			select {
			case found[i] = <-answer:
			case <-ctx.Done():
				select {
				case found[i] = <-answer: // it ended with ctx
				case <-time.After(200 * time.Millisecond):
					found[i] = []Finding{{Status: Warn, Found: "no answer in time: a disk, a mount or a server hangs", Mend: "see dmesg, and whether the folders above can be listed"}}
				}
			}
		})
	}
	wg.Wait()
	for i, c := range checks {
		for _, f := range found[i] {
			if f.Check == "" {
				f.Check = c.name
			}
			all = append(all, f)
		}
	}
	return all
}

// Failed tells whether something has to be mended.
func Failed(all []Finding) bool {
	for _, f := range all {
		if f.Status == Fail {
			return true
		}
	}
	return false
}

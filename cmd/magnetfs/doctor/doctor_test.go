package doctor

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"magnetfs/swarm/socks"
)

// expect compares a finding, whose text has to hold a part.
func expect(t *testing.T, got Finding, status Status, part string) {
	t.Helper()
	if got.Status != status || !strings.Contains(got.Found+" "+got.Mend, part) {
		t.Errorf("%+v, want %s with %q", got, status, part)
	}
	if got.Status == Fail && got.Mend == "" {
		t.Errorf("nothing to be done: %+v", got)
	}
}

func TestJudgements(t *testing.T) {
	built := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	const gib = 1 << 30
	refused := errors.New("refused")
	for _, c := range []struct {
		name   string
		got    Finding
		status Status
		part   string
	}{
		{"old kernel", judgeKernel("5.10.0-28-amd64", true), Warn, "page by page"},
		{"kernel without passthrough", judgeKernel("6.6.1", true), OK, "needs 6.9"},
		{"kernel, as a user", judgeKernel("6.18.44-x", false), OK, "root only"},
		{"kernel, as root", judgeKernel("7.0", true), OK, "passthrough works"},
		{"kernel of another kind", judgeKernel("unknown", true), Warn, "unknown"},
		{"much room", judgeSpace(50*gib, 100*gib), OK, "50 GiB of 100 GiB"},
		{"at the floor", judgeSpace(5*gib, 50*gib), Warn, "nothing is kept"},
		{"floor of a large disk", judgeSpace(40*gib, 1000*gib), Warn, "50 GiB stay free"},
		{"memory", judgeMemory(gib, 8*gib), OK, "1.0 GiB"},
		{"too much memory", judgeMemory(5*gib, 8*gib), Warn, "--ram"},
		{"descriptors", judgeLimit(1 << 20), OK, "1048576"},
		{"no limit of descriptors", judgeLimit(unix.RLIM_INFINITY), OK, "no limit"},
		{"few descriptors", judgeLimit(1024), Warn, "LimitNOFILE"},
		{"clock", judgeClock(built.Add(time.Hour), built, false), OK, "2026"},
		{"clock that nobody sets", judgeClock(built.Add(time.Hour), built, true), OK, "not synchronised"},
		{"clock of long ago", judgeClock(built.Add(-time.Hour), built, true), Warn, "set-ntp"},
		{"names", judgeNames([]string{"a:1", "b:2"}, []error{nil, nil}, nil), OK, "knows the first"},
		{"half of the names", judgeNames([]string{"a:1", "b:2"}, []error{nil, refused}, nil), OK, "1 of 2"},
		{"no names", judgeNames([]string{"a:1"}, []error{refused}, []string{"192.0.2.1"}), Warn, "/etc/resolv.conf"},
		{"no names by systemd", judgeNames([]string{"a:1"}, []error{refused}, []string{"127.0.0.53"}), Warn, "resolvectl"},
		{"interface", judgeServers("wg0", nil, nil, []string{"10.64.0.1"}), OK, "wg0 can be used"},
		{"interface, names by systemd", judgeServers("wg0", nil, nil, []string{"127.0.0.53"}), Warn, "--dns"},
		{"interface, servers given", judgeServers("wg0", nil, []netip.AddrPort{{}}, []string{"127.0.0.53"}), OK, "wg0"},
		{"no interface", netInterface(&Config{Interface: "no-such-device"}), Warn, "no-such-device"},
		{"any interface", netInterface(&Config{}), "", ""},
		{"proxy", judgeProxy("p:1", nil), OK, "TCP and UDP"},
		{"proxy without UDP", judgeProxy("p:1", socks.ErrNoUDP), Warn, "HTTP trackers"},
		{"proxy with a login", judgeProxy("p:1", socks.ErrLogin), Warn, "user:password"},
		{"no proxy there", judgeProxy("p:1", refused), Warn, "running"},
		{"no routes", judgeRoutes("", false, "", false)[0], Warn, "ip route"},
		{"no IPv6", judgeRoutes("192.0.2.2", true, "", false)[1], Warn, "IPv6 only"},
		{"no IPv4", judgeRoutes("", false, "2001:db8::2", true)[0], Warn, "only peers with IPv6"},
		{"local IPv6", judgeRoutes("192.0.2.2", true, "fd00::2", true)[1], Warn, "fd00::2"},
		{"both", judgeRoutes("192.0.2.2", true, "2001:db8::2", true)[1], OK, "2001:db8::2"},
	} {
		t.Run(c.name, func(t *testing.T) { expect(t, c.got, c.status, c.part) })
	}
}

func TestFolder(t *testing.T) {
	dir := t.TempDir()
	full, empty, file := filepath.Join(dir, "full"), filepath.Join(dir, "empty"), filepath.Join(dir, "file")
	for _, d := range []string{full, empty, filepath.Join(full, "x")} {
		if err := os.Mkdir(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	expect(t, folder(&Config{Dir: empty}), OK, "empty folder")
	expect(t, folder(&Config{Dir: filepath.Join(empty, "new", "er")}), OK, "will be made")
	expect(t, folder(&Config{Dir: full}), Fail, "not empty")
	expect(t, folder(&Config{Dir: file}), Fail, "not a folder")
	expect(t, folder(&Config{Dir: filepath.Join(file, "x")}), Fail, "not a directory")
	if got := folder(&Config{}); got.Status != "" {
		t.Errorf("found something about no folder: %+v", got)
	}
}

// What it tries in a folder it takes away.
func TestCacheFolder(t *testing.T) {
	dir := t.TempDir()
	found := cacheFolder(t.Context(), &Config{CacheDir: filepath.Join(dir, "a", "b")})
	if len(found) != 2 || found[1].Check != "disk" {
		t.Errorf("%+v", found)
	}
	if left, _ := os.ReadDir(dir); len(left) != 0 {
		t.Errorf("left %v", left)
	}
	expect(t, cacheFolder(t.Context(), &Config{})[0], OK, "memory only")
	expect(t, cacheFolder(t.Context(), &Config{CacheDir: "/proc/x"})[0], Warn, "")
}

func TestPorts(t *testing.T) {
	l, err := net.Listen("tcp4", "0.0.0.0:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	port := l.Addr().(*net.TCPAddr).Port
	if err := bindable(t.Context(), "tcp4", port); !errors.Is(err, unix.EADDRINUSE) {
		t.Errorf("%v", err)
	}
	for _, network := range []string{"tcp4", "udp4"} {
		if err := bindable(t.Context(), network, 0); err != nil {
			t.Errorf("%s: %v", network, err)
		}
	}
}

func TestServers(t *testing.T) {
	path := filepath.Join(t.TempDir(), "resolv.conf")
	if err := os.WriteFile(path, []byte("# nameserver 1\nsearch x\nnameserver 192.0.2.1\nnameserver\n nameserver ::1 \n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(servers(path), " "); got != "192.0.2.1 ::1" {
		t.Errorf("%q", got)
	}
}

// A check that hangs neither stops the others nor is waited for.
func TestHangingCheck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		end := make(chan struct{})
		defer close(end)
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		start := time.Now()
		all := run(ctx, &Config{}, []check{
			{"hangs", func(context.Context, *Config) []Finding { <-end; return nil }},
			{"obeys", func(ctx context.Context, _ *Config) []Finding {
				<-ctx.Done()
				return []Finding{{Status: OK, Found: "late"}}
			}},
			{"nothing", one(func(*Config) Finding { return Finding{} })},
			{"works", one(func(*Config) Finding { return Finding{Check: "own name", Status: OK} })},
		})
		if took := time.Since(start); took > patience+time.Second {
			t.Errorf("took %v", took)
		}
		if len(all) != 3 || all[0].Check != "hangs" || all[0].Status != Warn || all[1].Found != "late" || all[2].Check != "own name" {
			t.Errorf("%+v", all)
		}
		if Failed(all) || !Failed([]Finding{{Status: Fail}}) {
			t.Error("failed wrongly")
		}
	})
}

package disk

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// childEnv holds "directory seed budget" for a child process, which works on the
// tier until it is killed.
const childEnv = "MAGNETFS_DISK_TEST_CHILD"

// killTorrents are the torrents of the children and of the parent.
func killTorrents(t testing.TB) []*torrent { return []*torrent{many(t, 1), single(t, 2, 400)} }

// fakeTB lets a child use the helpers.
type fakeTB struct{ testing.TB }

func (fakeTB) Helper() {}
func (fakeTB) Fatal(args ...any) {
	fmt.Fprintln(os.Stderr, args...)
	os.Exit(3)
}

// child puts, reads and discards at random. It prints a line for each piece that is
// durable now, and one before each that it discards.
func child() {
	var dir string
	var seed uint64
	var budget int64
	if _, err := fmt.Sscan(os.Getenv(childEnv), &dir, &seed, &budget); err != nil {
		fakeTB{}.Fatal(err)
	}
	tb := fakeTB{}
	d, err := Open(Config{Dir: dir, Bytes: budget, FreeBytes: -1, FreePercent: -1})
	if err != nil {
		tb.Fatal(err)
	}
	all := killTorrents(tb)
	var handles []*Torrent
	for _, x := range all {
		h, err := d.OpenTorrent(x.id, x.options())
		if err != nil {
			tb.Fatal(err)
		}
		handles = append(handles, h)
	}
	fmt.Println("ready")
	rnd := rand.New(rand.NewPCG(seed, 1))
	type place struct{ i, p int }
	var put []place
	for {
		i := rnd.IntN(len(all))
		x, h := all[i], handles[i]
		p := rnd.IntN(x.lay.pieces)
		switch k := rnd.IntN(40); {
		case k < 25:
			if h.Put(p, x.data(p)) {
				put = append(put, place{i, p})
			}
		case k < 36:
			data, err := h.Get(context.Background(), p)
			if err == nil && !bytes.Equal(data, x.data(p)) {
				tb.Fatal("wrong bytes of piece", p, "of torrent", i)
			}
			if err != nil && !errors.Is(err, ErrMissing) {
				tb.Fatal(err)
			}
		case k < 38:
			// Before it is done: the parent may not miss it from then on.
			fmt.Println("discard", i, p)
			h.Discard(p)
		default:
			if err := d.Flush(); err != nil {
				tb.Fatal(err)
			}
			for _, l := range put {
				if handles[l.i].Contains(l.p) {
					fmt.Println("durable", l.i, l.p)
				}
			}
			put = put[:0]
		}
	}
}

// TestKill kills processes at random moments. What they said was durable has to be
// there, if there was room for all, and whatever is served has to be right.
func TestKill(t *testing.T) {
	const rounds = 90
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	rnd := rand.New(rand.NewPCG(3, 4))
	kept, checked := 0, 0
	var dir string
	durable := make(map[string]bool)
	for round := range rounds {
		budget := int64(plenty)
		if round%3 == 2 {
			budget = 60 * piece
		}
		if round%9 == 0 {
			dir = t.TempDir()
			clear(durable)
		}
		for _, line := range runChild(t, exe, dir, uint64(round), budget, time.Duration(rnd.IntN(120))*time.Millisecond) {
			switch what, name, _ := strings.Cut(line, " "); what {
			case "durable":
				durable[name] = true
			case "discard":
				delete(durable, name)
			}
		}
		if budget != plenty {
			clear(durable) // may have been evicted
		}
		d, err := Open(Config{Dir: dir, Bytes: plenty, FreeBytes: -1, FreePercent: -1})
		if err != nil {
			t.Fatal(err)
		}
		for i, x := range killTorrents(t) {
			h := x.open(t, d)
			have := h.Have()
			kept += len(have)
			for p := range x.lay.pieces {
				must := durable[strconv.Itoa(i)+" "+strconv.Itoa(p)]
				if must && !h.Contains(p) {
					t.Fatalf("round %d: piece %d of torrent %d was durable and is gone", round, p, i)
				}
				if !must && rnd.IntN(3) > 0 {
					continue
				}
				data, err := h.Get(context.Background(), p)
				switch {
				case err == nil && !bytes.Equal(data, x.data(p)):
					t.Fatalf("round %d: piece %d of torrent %d: wrong bytes", round, p, i)
				case err == nil:
					checked++
				case must || !errors.Is(err, ErrMissing):
					t.Fatalf("round %d: piece %d of torrent %d: %v", round, p, i, err)
				}
			}
		}
		if err := d.Close(); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d kills: %d pieces found, %d checked", rounds, kept, checked)
	if checked < 20*rounds {
		t.Errorf("only %d pieces were there to be checked", checked)
	}
}

// runChild lets a child work for a while and kills it. It returns what it said.
func runChild(t *testing.T, exe, dir string, seed uint64, budget int64, life time.Duration) (lines []string) {
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%s %d %d", childEnv, dir, seed, budget))
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var kill sync.Once
	for s := bufio.NewScanner(out); s.Scan(); {
		if s.Text() == "ready" {
			kill.Do(func() { time.AfterFunc(life, func() { _ = cmd.Process.Kill() }) })
			continue
		}
		lines = append(lines, s.Text())
	}
	err = cmd.Wait()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
		t.Fatalf("child ended with %v: %s", err, stderr.String())
	}
	return lines
}

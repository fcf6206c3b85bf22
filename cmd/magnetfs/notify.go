package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"

	"magnetfs/fetch"
	"magnetfs/internal/human"
)

// statusEvery is how often systemd is told what the mount does.
const statusEvery = 10 * time.Second

// notifier tells systemd how the mount is, over the socket of sd_notify(3). Without
// NOTIFY_SOCKET everything is silence.
type notifier struct {
	target  string
	library *fetch.Library
	log     *slog.Logger
}

// notify sends one message.
func (n *notifier) notify(state string) {
	if _, err := daemon.SdNotify(false, state); err != nil {
		n.log.Warn("systemd cannot be told", "state", state, "err", err)
	}
}

// start begins to notify; the function it returns says that the mount is ending and
// stops.
func (n *notifier) start() (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		n.run(ctx)
	}()
	return func() {
		cancel()
		<-done
		n.notify("STOPPING=1")
	}
}

// run says that the mount is ready once it answers, and then what it does and, if
// systemd asked for that, that it is alive, until ctx ends.
func (n *notifier) run(ctx context.Context) {
	if os.Getenv("NOTIFY_SOCKET") == "" {
		return
	}
	watchdog, err := daemon.SdWatchdogEnabled(false)
	if err != nil {
		n.log.Warn("WATCHDOG_USEC", "err", err)
	}
	every := statusEvery
	if watchdog > 0 {
		every = min(every, watchdog/3) // two may be late
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	for state := "READY=1\n"; ; {
		if text, ok := n.answers(ctx); ok {
			n.notify(state + "WATCHDOG=1\nSTATUS=" + text)
			state = ""
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// answers goes the way that programs go, through the kernel and every torrent's
// goroutine, and returns what they say in a line; ok is false if there is an error
// or ctx ends first. A mount that hangs is found by systemd, since it hears nothing.
func (n *notifier) answers(ctx context.Context) (text string, ok bool) {
	answer := make(chan string, 1)
	go func() {
		defer close(answer)
		if _, err := os.Stat(filepath.Join(n.target, controlName)); err != nil {
			n.log.Error("the mount does not answer", "err", err)
			return
		}
		torrents := n.library.Torrents()
		var down, up int64
		for _, t := range torrents {
			s := t.Status()
			down, up = down+s.DownRate, up+s.UpRate
		}
		answer <- fmt.Sprintf("%s: %s, %s/s down, %s/s up", n.target, human.Amount(len(torrents), "torrent"),
			human.Size(down), human.Size(up))
	}()
	select {
	case text, ok = <-answer:
		return text, ok
	case <-ctx.Done():
		return "", false
	}
}

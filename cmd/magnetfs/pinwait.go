package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"magnetfs/internal/human"
)

// pinPoll is how often the mount is asked how much of a pin is here.
const pinPoll = 200 * time.Millisecond

// waitPinned returns when all of what was pinned at the place is here. A timeout of 0
// is none.
func (p place) waitPinned(ctx context.Context, timeout time.Duration, told *progress) error {
	defer told.clear()
	if timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, timeout, withCode(exitTimeout, fmt.Errorf("not all of it is here within %v", timeout)))
		defer cancel()
	}
	if _, _, err := p.wait(ctx, 0, told); err != nil {
		return ended(ctx, err)
	}
	tick := time.NewTicker(pinPoll)
	defer tick.Stop()
	start, first := time.Now(), int64(-1)
	for {
		have, size, pinned, err := p.amount()
		if err != nil {
			return p.lost(err)
		}
		s, err := p.state()
		switch {
		case err != nil:
			return p.lost(err)
		case have == size:
			return nil
		case s.Pinned != nil && s.Pinned.Refused != "":
			return withCode(exitNoRoom, errors.New(human.Clean(s.Pinned.Refused)))
		case s.Pinned != nil && s.Pinned.Full:
			return withCode(exitNoRoom, fmt.Errorf("the cache has no room for all of it; %s of %s are here", human.Size(have), human.Size(size)))
		case !pinned:
			return withCode(exitFailed, errors.New("it was unpinned"))
		}
		if first < 0 {
			first = have
		}
		told.step(func() string {
			text := fmt.Sprintf("%s %s of %s  %s/s", told.bar(have, size), human.Size(have), human.Size(size), human.Size(s.Down))
			if spent := time.Since(start); have > first {
				left := time.Duration(float64(spent) * float64(size-have) / float64(have-first))
				text += "  " + human.Duration(left) + " left,"
			}
			return told.bold(human.Clean(s.Name)) + " " + text
		})
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ended(ctx, withCode(exitInterrupted, errors.New("interrupted")))
		}
	}
}

// ended is why ctx ended, if it did by its timeout; else err.
func ended(ctx context.Context, err error) error {
	var c *coded
	if errors.As(context.Cause(ctx), &c) {
		return c
	}
	return err
}

// amount is how many bytes of the place are here, and how many it has, and whether it
// is pinned.
func (p place) amount() (have, size int64, pinned bool, err error) {
	for _, a := range []struct {
		name string
		to   *int64
	}{{"have", &have}, {"size", &size}} {
		text, err := p.attribute(a.name)
		if err != nil {
			return 0, 0, false, err
		}
		if *a.to, err = strconv.ParseInt(text, 10, 64); err != nil {
			return 0, 0, false, fmt.Errorf("user.magnetfs.%s: %w", a.name, err)
		}
	}
	text, err := p.attribute("pin")
	return have, size, text == "1", err
}

// attribute reads one of the place's.
func (p place) attribute(name string) (string, error) {
	b := make([]byte, 64)
	n, err := unix.Getxattr(p.path(), "user.magnetfs."+name, b)
	if err != nil {
		return "", err
	}
	return string(b[:n]), nil
}

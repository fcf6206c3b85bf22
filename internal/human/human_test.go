package human

import (
	"testing"
	"time"
)

func TestSize(t *testing.T) {
	for n, want := range map[int64]string{-5: "0 B", 0: "0 B", 1023: "1023 B", 1024: "1.0 KiB", 20 << 20: "20 MiB", 3 << 29: "1.5 GiB"} {
		if got := Size(n); got != want {
			t.Errorf("%d: %s, want %s", n, got, want)
		}
	}
}

func TestCount(t *testing.T) {
	n := 12
	if got := Count(&n) + Count(nil); got != "12-" {
		t.Errorf("got %s", got)
	}
}

func TestDuration(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0s", 1400 * time.Millisecond: "1s", 59 * time.Second: "59s", 61 * time.Second: "1m 01s", 25*time.Hour + 90*time.Second: "25h 01m", 499 * time.Millisecond: "0s", 59*time.Second + 600*time.Millisecond: "1m 00s", 250 * time.Second: "4m 10s",
		time.Hour: "1h 00m", 26*time.Hour + 61*time.Second: "26h 01m",
	} {
		if got := Duration(d); got != want {
			t.Errorf("%v: %s, want %s", d, got, want)
		}
	}
}

func TestClean(t *testing.T) {
	for in, want := range map[string]string{
		"film.mkv": "film.mkv", "日本語 🎬": "日本語 🎬", "a\x1b[2Jb": "a\uFFFD[2Jb", "a\nb\tc": "a\uFFFDb\uFFFDc", "a\u202eb": "a\uFFFDb",
		"\xff": "\uFFFD", "\u2028": "\uFFFD", "": "",
	} {
		if got := Clean(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

func TestAmount(t *testing.T) {
	if got := Amount(0, "seed") + Amount(1, "seed") + Amount(2, "seed"); got != "0 seeds1 seed2 seeds" {
		t.Errorf("got %s", got)
	}
}

package main

import (
	"testing"
	"time"
)

func TestSize(t *testing.T) {
	for _, c := range []struct {
		text string
		want size // -1: refused
	}{
		{"300000000", 300000000},
		{"256MiB", 256 << 20},
		{"256 MiB", 256 << 20},
		{"1G", 1000000000},
		{"1.5GiB", 3 << 29},
		{"", -1},
		{"-1", -1},
		{"MiB", -1},
		{"1 parsec", -1},
		{"99999999999999999999", -1},
		{"9EiB", -1},
	} {
		got := size(-1)
		if err := got.Set(c.text); (err != nil) != (c.want < 0) || got != c.want {
			t.Errorf("%q: %d, %v, want %d", c.text, got, err, c.want)
		}
	}
}

// What is written is read again as the same.
func TestSizeText(t *testing.T) {
	for n, want := range map[size]string{
		0: "0", 1: "1", 1000: "1kB", 1024: "1KiB", 20 << 10: "20KiB", 256 << 20: "256MiB", 3 << 29: "1536MiB", 2e12: "2TB", 300000000: "300MB",
		10 << 30: "10GiB", 1e12: "1TB", 123456789: "123456789",
	} {
		var back size
		if got := n.String(); got != want || back.Set(got) != nil || back != n {
			t.Errorf("%d: %s, want %s; read again: %d", int64(n), got, want, int64(back))
		}
	}
}

func TestRate(t *testing.T) {
	for _, c := range []struct {
		text string
		want rate // -1: refused
		back string
	}{
		{"0", 0, "unlimited"},
		{"unlimited", 0, "unlimited"},
		{"Unlimited", 0, "unlimited"},
		{"500k", 500_000, "500kB"},
		{"500 kB/s", 500_000, "500kB"},
		{"512KiB", 512 << 10, "512KiB"},
		{"2M", 2_000_000, "2MB"},
		{"1.5MiB/s", 3 << 19, "1536KiB"},
		{"16Mbit", 2_000_000, "2MB"},
		{"800kbit/s", 100_000, "100kB"},
		{"12345", 12345, "12345"},
		{"1000", 1000, "1kB"},
		{"999", -1, ""},
		{"5", -1, ""},
		{"8kb", -1, ""},
		{"8Mb/s", -1, ""},
		{"8Mbps", -1, ""},
		{"", -1, ""},
		{"bit", -1, ""},
		{"-1", -1, ""},
		{"-5k", -1, ""},
		{"fast", -1, ""},
		{"1e9", -1, ""},
		{"9EiB", -1, ""},
	} {
		got, back := rate(-1), rate(-1)
		if err := got.Set(c.text); (err != nil) != (c.want < 0) || got != c.want {
			t.Errorf("%q: %d, %v, want %d", c.text, got, err, c.want)
			continue
		}
		if c.want >= 0 && (got.String() != c.back || back.Set(c.back) != nil || back != got) {
			t.Errorf("%q: written %s, want %s, which is read as %d", c.text, got.String(), c.back, back)
		}
	}
}

func TestParseLive(t *testing.T) {
	for _, c := range []struct{ line, key, text string }{
		{"down=500k", "down", "500k"},
		{" up = \"2M\" ", "up", "2M"},
		{"no-upload=true", "no-upload", "true"},
		{"down", "", ""},
		{"", "", ""},
		{"down=", "", ""},
		{"no-upload=maybe", "", ""},
		{"port=7001", "", ""},
		{"down=5", "", ""},
		{"config=/etc/passwd", "", ""},
	} {
		key, text, err := parseLive(c.line)
		if key != c.key || text != c.text || (err != nil) != (c.key == "") {
			t.Errorf("%q: %q, %q, %v", c.line, key, text, err)
		}
	}
}

func TestLevel(t *testing.T) {
	for _, text := range []string{"debug", "INFO", "warn", "error"} {
		var l level
		if err := l.Set(text); err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
	for _, text := range []string{"", "info+2", "7", "trace"} {
		var l level
		if l.Set(text) == nil {
			t.Errorf("took %q", text)
		}
	}
}

func TestQuote(t *testing.T) {
	for path, want := range map[string]string{
		"/home/u/t":     "/home/u/t",
		"/home/u/my t":  "'/home/u/my t'",
		"/it's":         `'/it'\''s'`,
		"/ü":            "'/ü'",
		"":              "''",
		"/a/$(reboot)":  "'/a/$(reboot)'",
		"/a-b_c.d,e+f%": "/a-b_c.d,e+f%",
	} {
		if got := quote(path); got != want {
			t.Errorf("%s: %s, want %s", path, got, want)
		}
	}
}

// On the command line 0 means for ever.
func TestPatience(t *testing.T) {
	if patience(0) >= 0 || patience(time.Second) != time.Second {
		t.Error("timeouts are turned wrongly")
	}
}

package main

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if behaviour := os.Getenv(childVariable); behaviour != "" {
		child(behaviour)
		return
	}
	goleak.VerifyTestMain(m)
}

// run executes a command line as main does.
func run(t *testing.T, args ...string) (out string, code exitCode) {
	t.Helper()
	t.Setenv("XDG_STATE_HOME", t.TempDir())
	t.Setenv("XDG_CONFIG_HOME", t.TempDir())
	root := newRoot()
	var b bytes.Buffer
	root.SetOut(&b)
	root.SetErr(&b)
	root.SetIn(strings.NewReader(""))
	root.SetArgs(args)
	err := root.Execute()
	if err != nil {
		b.WriteString(err.Error())
	}
	return b.String(), codeOf(err)
}

func TestCommandLine(t *testing.T) {
	dir := t.TempDir()
	for _, c := range []struct {
		name string
		args string
		code exitCode
		says string
	}{
		{"nothing shows help", "", exitOK, "magnetfs mount ~/t"},
		{"version", "version", exitOK, "magnetfs "},
		{"completion", "completion bash", exitOK, "__start_magnetfs"},
		{"unknown command", "mend", exitUsage, `"mend"`},
		{"unknown flag", "mount --loudly DIR", exitUsage, "--loudly"},
		{"too many arguments", "version 2", exitUsage, "Usage: magnetfs version"},
		{"mount without a folder", "mount", exitUsage, "Usage: magnetfs mount DIR"},
		{"size that is none", "mount --ram lots DIR", exitUsage, "256MiB"},
		{"too little memory", "mount --ram 1MiB DIR", exitUsage, "less than 32MiB"},
		{"port out of range", "mount --port 65536 DIR", exitUsage, "65535"},
		{"negative timeout", "mount --read-timeout -1s DIR", exitUsage, "negative"},
		{"bootstrap without a port", "mount --dht-bootstrap router.example DIR", exitUsage, "host:port"},
		{"bootstrap with port 0", "mount --dht-bootstrap a.example:1,b.example:0 DIR", exitUsage, "b.example:0"},
		{"bootstrap without a host", "mount --dht-bootstrap :6881 DIR", exitUsage, "host:port"},
		{"log level that is none", "mount --log-level loud DIR", exitUsage, "debug, info, warn or error"},
		{"umount of a plain folder", "umount " + dir, exitNotMounted, dir},
		{"umount of nothing", "umount " + dir + "/missing", exitNotMounted, "missing"},
		{"status of a plain folder", "status " + dir, exitNotMounted, dir},
		{"add to a plain folder", "add " + dir + " 0123456789012345678901234567890123456789", exitNotMounted, dir},
		{"rm in a plain folder", "rm " + dir + " x", exitNotMounted, dir},
	} {
		t.Run(c.name, func(t *testing.T) {
			out, code := run(t, strings.Fields(c.args)...)
			if code != c.code {
				t.Errorf("exit code %d, want %d: %s", code, c.code, out)
			}
			if !strings.Contains(out, c.says) {
				t.Errorf("%q is not in: %s", c.says, out)
			}
		})
	}
}

// Switches are shown as switches.
func TestHelpIsPlain(t *testing.T) {
	out, _ := run(t, "mount", "--help")
	if strings.Contains(out, "[=") {
		t.Errorf("noise behind flags: %s", out)
	}
}

// Each code has one meaning, and --help knows them all.
func TestExitCodes(t *testing.T) {
	seen := map[exitCode]bool{}
	for _, e := range exitText {
		if seen[e.code] {
			t.Errorf("code %d twice", e.code)
		}
		seen[e.code] = true
	}
	for code := exitFailed; code <= exitNotFound; code++ {
		if !seen[code] {
			t.Errorf("code %d is not described", code)
		}
	}
}

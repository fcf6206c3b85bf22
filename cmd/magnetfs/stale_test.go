package main

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func TestStuck(t *testing.T) {
	dir := t.TempDir()
	status := func(path, name, state, pending string) {
		t.Helper()
		full := filepath.Join(dir, path)
		if err := os.MkdirAll(full, 0o755); err != nil {
			t.Fatal(err)
		}
		text := "Name:\t" + name + "\nState:\t" + state + "\nSigPnd:\t" + pending + "\n"
		if err := os.WriteFile(filepath.Join(full, "status"), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	const none, kill, term = "0000000000000000", "0000000000000100", "0000000000004000"
	tests := []struct {
		pid, name, state, pending string
		threads                   []string
	}{
		{"10", "magnetfs", "S (sleeping)", none, []string{"S (sleeping)"}},
		{"11", "magnetfs", "Z (zombie)", none, []string{"Z (zombie)", "D (disk sleep)"}},
		{"12", "magnetfs", "D (disk sleep)", kill, []string{"D (disk sleep)"}},
		{"13", "magnetfs", "T (stopped)", term, []string{"T (stopped)"}},
		{"14", "magnetfs", "Z (zombie)", none, []string{"Z (zombie)"}}, // nobody has waited for it
		{"15", "other", "Z (zombie)", none, []string{"Z (zombie)", "D (disk sleep)"}},
	}
	for _, tt := range tests {
		status(tt.pid, tt.name, tt.state, tt.pending)
		for i, state := range tt.threads {
			status(filepath.Join(tt.pid, "task", string(rune('0'+i))), tt.name, state, tt.pending)
		}
	}
	if err := os.MkdirAll(filepath.Join(dir, "16"), 0o755); err != nil { // it is gone by now
		t.Fatal(err)
	}
	want := []int{11, 12}
	if got := processes(dir).stuck(); !slices.Equal(got, want) {
		t.Errorf("stuck: %v, want %v", got, want)
	}
}

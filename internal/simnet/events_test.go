package simnet

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// TestEventHeap pushes and pops at random and compares with a sorted list.
func TestEventHeap(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	var h eventHeap
	var model []event
	for seq := range uint64(5000) {
		if len(model) > 0 && r.IntN(3) == 0 {
			slices.SortFunc(model, func(a, b event) int {
				if a.before(b) {
					return -1
				}
				return 1
			})
			if got := h.pop(); got.seq != model[0].seq || got.at != model[0].at {
				t.Fatalf("popped %v/%d, want %v/%d", got.at, got.seq, model[0].at, model[0].seq)
			}
			model = model[1:]
			continue
		}
		e := event{at: time.Duration(r.IntN(50)), seq: seq}
		h.push(e)
		model = append(model, e)
	}
	if len(h) != len(model) {
		t.Errorf("%d events left, want %d", len(h), len(model))
	}
}

func TestQueue(t *testing.T) {
	type step struct {
		at         time.Duration
		size       int
		start, end time.Duration
		ok         bool
	}
	tests := []struct {
		name        string
		rate, limit int
		steps       []step
	}{
		{"no rate", 0, 10, []step{{5, 1000, 5, 5, true}}},
		{"one after the other", 1e9, 0, []step{{0, 10, 0, 10, true}, {5, 10, 10, 20, true}, {100, 1, 100, 101, true}}},
		{"remainder is carried while busy", 3e9, 0, []step{{0, 1, 0, 0, true}, {0, 1, 0, 0, true}, {0, 1, 0, 1, true}, {0, 2, 1, 1, true}, {0, 1, 1, 2, true}}},
		{"remainder is dropped when idle", 3e9, 0, []step{{0, 5, 0, 1, true}, {10, 2, 10, 10, true}, {20, 1, 20, 20, true}}},
		{"limit", 1e9, 25, []step{{0, 20, 0, 20, true}, {0, 6, 0, 0, false}, {0, 5, 20, 25, true}, {1, 2, 0, 0, false}, {10, 10, 25, 35, true}}},
		{"no overflow after a long time", 1, 0, []step{{0, 65507, 0, 65507 * time.Second, true}, {0, 65507, 65507 * time.Second, 131014 * time.Second, true}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var q queue
			for i, s := range tt.steps {
				start, end, ok := q.enter(s.at, s.size, tt.rate, tt.limit)
				if start != s.start || end != s.end || ok != s.ok {
					t.Errorf("step %d: %v to %v, %v; want %v to %v, %v", i, start, end, ok, s.start, s.end, s.ok)
				}
			}
		})
	}
}

package httpapi

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestGatewayFollowsThePace: as many are let in as are answered in the gateway's wait at the pace of the last
// answers, never fewer than least nor more than most.
func TestGatewayFollowsThePace(t *testing.T) {
	clock := time.Unix(1, 0)
	g := newGateway(100, 0).following(10*time.Millisecond, 4)
	g.now = func() time.Time { return clock }
	fill := func(n int) {
		for range n {
			if err := g.enter(); err != nil {
				t.Fatal(err)
			}
		}
	}
	// busy has requests answered one after the other while n are in.
	busy := func(n, answers int, each time.Duration) {
		fill(n)
		for range answers {
			clock = clock.Add(each)
			g.leave()
			fill(1)
		}
		for range n {
			g.leave()
		}
	}
	busy(3, 1000, time.Second) // fewer than least: requests are rare, answers are not slow
	if got := g.limit.Load(); got != 100 {
		t.Errorf("a quiet gateway lets %d in, want 100", got)
	}
	busy(4, 2000, time.Millisecond)
	if got := g.limit.Load(); got != 10 {
		t.Errorf("at an answer in 1 ms it lets %d in, want the 10 of 10 ms", got)
	}
	busy(4, 3000, 20*time.Microsecond)
	if got := g.limit.Load(); got != 100 {
		t.Errorf("at an answer in 20 us it lets %d in, want 100, the most", got)
	}
	busy(4, 3000, time.Second)
	if got := g.limit.Load(); got != 4 {
		t.Errorf("at an answer in a second it lets %d in, want 4, the least", got)
	}
	g.idle = func() time.Duration { return 25 * time.Millisecond } // a slow Redis: 25 ms of waiting stand in nobody's way
	busy(4, 3000, time.Millisecond)
	if got := g.limit.Load(); got != 34 {
		t.Errorf("at an answer in 1 ms that waits 25 ms it lets %d in, want the 34 of 35 ms: the pace comes from above", got)
	}
	g.idle = nil
	busy(4, 3000, time.Second)
	fill(4)
	if g.enter() == nil || !g.full() {
		t.Error("a fifth is let in")
	}
	if got := g.busy.Load(); got != 4 {
		t.Errorf("%d are in, want 4", got)
	}
}

// TestGatewayNeverLosesAPlace: whoever was let in leaves, whoever was refused took no place, at any pace.
func TestGatewayNeverLosesAPlace(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		clock := time.Unix(1, 0)
		g := newReads(rapid.IntRange(-1, 40).Draw(t, "limit"), 2, nil)
		if rapid.Bool().Draw(t, "following") {
			g = newGateway(40, 0).following(8*time.Millisecond, rapid.Int64Range(1, 60).Draw(t, "least"))
		}
		g.now = func() time.Time { return clock }
		in := int64(0)
		for _, step := range rapid.SliceOfN(rapid.IntRange(-3, 5), 0, 400).Draw(t, "steps") {
			clock = clock.Add(time.Duration(rapid.Int64Range(-1e6, 1e8).Draw(t, "pause")))
			if step > 0 {
				full := g.full()
				err := g.enter()
				if full != (err != nil) {
					t.Fatalf("full %v, but %v", full, err)
				}
				if err == nil {
					in++
				}
			} else if in > 0 {
				g.leave()
				in--
			}
			if got := g.busy.Load(); got != in {
				t.Fatalf("%d are in, counted %d", in, got)
			}
			if limit := g.limit.Load(); g.most >= 0 && (limit < g.least || limit > g.most) {
				t.Fatalf("lets %d in: want %d to %d", limit, g.least, g.most)
			}
		}
	})
}

// TestReadsFollowTheProcessors: the thread that Go has beside the processors is none of them.
func TestReadsFollowTheProcessors(t *testing.T) {
	for _, tc := range []struct {
		limit, processors int
		least, most       int64
	}{{0, 2, 32, 128}, {0, 8, 128, 512}, {7, 2, 7, 7}, {-1, 2, -1, -1}} {
		if g := newReads(tc.limit, tc.processors, nil); g.least != tc.least || g.most != tc.most || g.limit.Load() != tc.most {
			t.Errorf("limit %d on %d processors: %d to %d, now %d; want %d to %d", tc.limit, tc.processors, g.least, g.most, g.limit.Load(), tc.least, tc.most)
		}
	}
}

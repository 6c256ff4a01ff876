package file

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// fakeClock moves only when someone sleeps on it.
type fakeClock struct{ now time.Time }

func (c *fakeClock) clock() Clock {
	return Clock{Now: func() time.Time { return c.now }, Sleep: func(ctx context.Context, d time.Duration) error {
		c.now = c.now.Add(d)
		return ctx.Err()
	}}
}

func TestPacerKeepsTheRecordedPace(t *testing.T) {
	recorded := time.Date(2011, 5, 1, 0, 0, 0, 0, time.UTC)
	for _, speed := range []float64{0.5, 1, 60} {
		c := &fakeClock{now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}
		begin := c.now
		p := NewPacer(speed, c.clock())
		for _, s := range []int{0, 60, 60, 90, 30, 3600} { // 30 is late and must not wait
			if err := p.Wait(t.Context(), recorded.Add(time.Duration(s)*time.Second)); err != nil {
				t.Fatal(err)
			}
			c.now = c.now.Add(time.Millisecond) // the work between two events must not add up
		}
		want := time.Duration(float64(time.Hour) / speed)
		if got := c.now.Sub(begin) - time.Millisecond; got != want {
			t.Errorf("speed %v: an hour took %s, want %s", speed, got, want)
		}
	}
}

func TestPacerAtFullSpeedNeverWaits(t *testing.T) {
	p := NewPacer(0, Clock{}) // no clock is needed
	for i := range 3 {
		if err := p.Wait(t.Context(), time.Unix(int64(i)*1e6, 0)); err != nil {
			t.Fatal(err)
		}
	}
}

func TestWallClockSleepsAndStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := NewPacer(1, WallClock())
		begin := time.Now()
		for _, s := range []int64{100, 107} {
			if err := p.Wait(t.Context(), time.Unix(s, 0)); err != nil {
				t.Fatal(err)
			}
		}
		if got := time.Since(begin); got != 7*time.Second {
			t.Errorf("seven recorded seconds took %s", got)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := p.Wait(ctx, time.Unix(1000, 0)); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a cancelled wait gives %v", err)
		}
		if err := p.Wait(ctx, time.Unix(0, 0)); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("an event that is due gives %v in a cancelled context", err)
		}
	})
}

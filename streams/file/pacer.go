package file

import (
	"context"
	"time"
)

// Clock is the time as a Pacer sees it.
type Clock struct {
	Now func() time.Time
	// Sleep waits for d or until ctx is done, and then returns its error.
	Sleep func(ctx context.Context, d time.Duration) error
}

// WallClock is the real time.
func WallClock() Clock {
	return Clock{Now: time.Now, Sleep: func(ctx context.Context, d time.Duration) error {
		timer := time.NewTimer(d)
		defer timer.Stop()
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-timer.C:
			return nil
		}
	}}
}

// Pacer holds events back so that they come at the pace at which they were recorded, or a multiple of
// it. It measures from the first event, so that delays do not add up. Not safe for concurrent use.
type Pacer struct {
	speed   float64
	clock   Clock
	started bool
	event   time.Time // of the first event
	wall    time.Time // when it came
}

// NewPacer returns a pacer: speed 1 is the original pace, 60 an hour in a minute, 0 or less as fast
// as possible.
func NewPacer(speed float64, clock Clock) *Pacer { return &Pacer{speed: speed, clock: clock} }

// Due returns how long the event of that time must still wait; never less than 0.
func (p *Pacer) Due(event time.Time) time.Duration {
	if p.speed <= 0 {
		return 0
	}
	now := p.clock.Now()
	if !p.started {
		p.started, p.event, p.wall = true, event, now
	}
	offset := time.Duration(float64(event.Sub(p.event)) / p.speed)
	return max(0, p.wall.Add(offset).Sub(now))
}

// Wait waits until the event is due. The error is that of ctx.
func (p *Pacer) Wait(ctx context.Context, event time.Time) error {
	if d := p.Due(event); d > 0 {
		return p.clock.Sleep(ctx, d)
	}
	return ctx.Err()
}

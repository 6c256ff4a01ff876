package main

import (
	"context"
	"log/slog"
	"time"
)

// complainEvery bounds how often a background loop logs that it still fails.
const complainEvery = time.Minute

// every calls fn at each tick until it returns true or ctx is done; it tells whether fn did.
func every(ctx context.Context, d time.Duration, fn func() bool) bool {
	tick := time.NewTicker(d)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return false
		case <-tick.C:
			if fn() {
				return true
			}
		}
	}
}

// complainer logs the failures of a loop without filling the log: the first, one a minute, and the
// recovery.
type complainer struct {
	logger *slog.Logger
	what   string
	last   time.Time
	failed bool
}

func (c *complainer) note(ctx context.Context, err error) {
	switch {
	case ctx.Err() != nil:
	case err != nil && (!c.failed || time.Since(c.last) > complainEvery):
		c.failed, c.last = true, time.Now()
		c.logger.Warn(c.what, "error", err)
	case err == nil && c.failed:
		c.failed = false
		c.logger.Info("recovered", "from", c.what)
	}
}

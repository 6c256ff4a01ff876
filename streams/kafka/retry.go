package kafka

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	kafkago "github.com/segmentio/kafka-go"
)

// backoff is a growing pause between attempts.
type backoff struct {
	first, most time.Duration
	attempt     int
}

// wait pauses, longer with each call, and returns the context's error when that ends first.
func (b *backoff) wait(ctx context.Context) error {
	d := b.most
	if b.attempt < 20 {
		d = min(b.most, b.first<<b.attempt)
	}
	b.attempt++
	d = d/2 + rand.N(d/2+1) // so that members do not come back all at once
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// reset makes the next pause short again.
func (b *backoff) reset() { b.attempt = 0 }

// permanent tells whether an answer of the broker will be the same next time.
func permanent(err error) bool {
	var e kafkago.Error
	return errors.As(err, &e) && !e.Temporary() && !e.Timeout()
}

// retry calls fn until it succeeds, fails for good, or limit is over: kafka-go's Client does not
// retry, and after a broker's restart its pooled connections fail one by one. A failed login looks
// like a closed connection to it, hence the hint.
func retry(ctx context.Context, limit time.Duration, what string, fn func(context.Context) error) error {
	limited, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	pause := backoff{first: 20 * time.Millisecond, most: time.Second}
	for {
		attempt, done := context.WithTimeout(limited, requestTimeout)
		err := fn(attempt)
		done()
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return fmt.Errorf("%s: %w", what, ctx.Err())
		case permanent(err):
			return fmt.Errorf("%s: %w", what, err)
		}
		if pause.wait(limited) != nil {
			if ctx.Err() != nil {
				return fmt.Errorf("%s: %w", what, ctx.Err())
			}
			return fmt.Errorf("%s: no success within %s (is the address right, does the listener want TLS or a login?): %w", what, limit, err)
		}
	}
}

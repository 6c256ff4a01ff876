package kafka

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sartorhq/sartor/streams"
)

// ErrRefused is what Partition.Apply returns, possibly wrapped, when the store has understood the batch
// and will refuse it however often it is tried: because of what one of its events says, or of what the
// store holds where that event belongs. The consumer finds that event by halving the batch, writes it
// to the dead letters with the reason, and goes on behind it, so that one event never blocks its
// partition. After ErrRefused the Partition is used on.
var ErrRefused = errors.New("the store refuses the event")

const (
	// refuseTries is how often a single event is tried before it is given up.
	refuseTries = 5
	// mostRefused is how many events in a row may be given up. When more are refused it is not the
	// events' fault, and the partition waits, as for a store that is down.
	mostRefused = 20
)

// give applies records up to last. What the store refuses goes to the dead letters. origins are the
// messages of the records.
func (w *worker) give(ctx context.Context, store Partition, records []streams.Record, origins []message, last int64) error {
	err := store.Apply(ctx, records, last)
	if err == nil && len(records) > 0 {
		w.refused = 0
	}
	if !errors.Is(err, ErrRefused) || len(records) == 0 {
		return err
	}
	if len(records) == 1 {
		return w.giveUp(ctx, store, records[0], origins[0], last)
	}
	half := len(records) / 2
	if err := w.give(ctx, store, records[:half], origins[:half], records[half].Offset-1); err != nil {
		return err
	}
	return w.give(ctx, store, records[half:], origins[half:], last)
}

// giveUp tries one event some times more and then buries it.
func (w *worker) giveUp(ctx context.Context, store Partition, record streams.Record, origin message, last int64) error {
	one := []streams.Record{record}
	var err error
	pause := backoff{first: 20 * time.Millisecond, most: 200 * time.Millisecond}
	for range refuseTries - 1 {
		if pause.wait(ctx) != nil {
			return ctx.Err()
		}
		if err = store.Apply(ctx, one, last); !errors.Is(err, ErrRefused) {
			if err == nil {
				w.refused = 0
			}
			return err
		}
	}
	if w.refused >= mostRefused {
		return fmt.Errorf("%d events in a row were refused, which is not the events' fault: %w", w.refused+1, err)
	}
	w.refused++
	w.reach("refused")
	if err := w.bury(ctx, []letter{{message: origin, reason: err.Error(), refused: true}}); err != nil {
		return err
	}
	w.consumer.metrics.refused.WithLabelValues(string(w.stream)).Inc()
	return store.Apply(ctx, nil, last)
}

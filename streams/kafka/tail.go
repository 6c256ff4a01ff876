package kafka

import (
	"context"
	"errors"
	"log/slog"
	"time"

	kafkago "github.com/segmentio/kafka-go"
)

// tail reads a partition ahead of the store by at most two chunks: while the store is slow, nothing
// is fetched.
type tail struct {
	consumer *Consumer
	cursor   cursor
	chunks   chan chunk
	done     chan struct{} // closed after run
	err      error         // why run ended; valid after done
	log      *slog.Logger
	want     int64 // what the store wants; before it is only looked for repeats
	horizon  int64
	fresh    bool // nothing was ever applied: what the log dropped is not lost to us
	beyond   int  // times in a row that the offset was beyond the end
}

// chunksAhead is how many fetches of a partition are in memory at most: one that is applied, one in the
// channel, and one in the hands of the tail.
const chunksAhead = 3

// newTail makes a tail that starts at an offset, and before it at what the horizon covers.
func newTail(c *Consumer, topic string, partition, fetchBytes int, next, horizon int64) *tail {
	return &tail{
		consumer: c,
		cursor: cursor{pool: c.pool, topic: topic, partition: partition, offset: max(next, 0),
			maxBytes: fetchBytes, maxWait: 250 * time.Millisecond},
		chunks:  make(chan chunk, 1),
		done:    make(chan struct{}),
		log:     c.options.logger().With("topic", topic, "partition", partition),
		want:    max(next, 0),
		horizon: horizon,
		fresh:   next <= 0,
	}
}

// run reads until ctx ends, or an *OffsetError.
func (t *tail) run(ctx context.Context) {
	defer close(t.done)
	t.lookBack(ctx)
	pause := backoff{first: 20 * time.Millisecond, most: time.Second}
	moved := time.Now()
	for ctx.Err() == nil {
		before := t.cursor.offset
		ch, err := t.cursor.fetch(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case errors.Is(err, kafkago.OffsetOutOfRange):
			if err = t.outside(ctx); err != nil {
				t.err = err
				return
			}
		case errors.Is(err, kafkago.NotLeaderForPartition):
			t.log.Info("the partition has a new leader")
			t.consumer.pool.rebuild(metadataTTL / 4) // finds it at once
		case err != nil:
			t.consumer.metrics.fetchErrors.WithLabelValues(t.cursor.topic).Inc()
			t.complain("cannot read from Kafka; trying again", err)
		default:
			t.beyond = 0
			if len(ch.messages) > 0 || ch.next > before {
				select {
				case t.chunks <- ch:
				case <-ctx.Done():
					return
				}
			}
			if ch.next > before || ch.end <= before { // moved, or nothing to read
				moved = time.Now()
				pause.reset()
				continue
			}
		}
		t.watch(&moved)
		_ = pause.wait(ctx)
	}
}

// complain logs what every partition may run into again and again.
func (t *tail) complain(what string, err error) {
	t.consumer.quiet.say(slog.LevelWarn, what, "topic", t.cursor.topic, "partition", t.cursor.partition, "error", err)
}

// lookBack moves the start back by the horizon, as far as the log reaches. Where the store does not fit
// to the log it stays, so that run finds that out.
func (t *tail) lookBack(ctx context.Context) {
	c := &t.cursor
	if t.horizon == 0 || t.want == 0 {
		return
	}
	pause := backoff{first: 20 * time.Millisecond, most: time.Second}
	for beyond := 0; ctx.Err() == nil && beyond < timesBeyond; _ = pause.wait(ctx) {
		first, end, err := c.pool.bounds(ctx, c.topic, c.partition)
		switch {
		case err != nil:
			t.complain("cannot ask Kafka for offsets; trying again", err)
		case t.want > end: // right after a change of leaders, or for good
			beyond++
		default:
			c.offset = min(max(first, t.want-t.horizon), t.want)
			return
		}
	}
}

// watch is the watchdog: connections that bring nothing for long, though there is something to read
// or because every attempt fails, are replaced.
func (t *tail) watch(moved *time.Time) {
	if time.Since(*moved) < t.consumer.config.Stall {
		return
	}
	if t.consumer.pool.rebuild(t.consumer.config.Stall) {
		t.consumer.metrics.rebuilds.Inc()
		t.log.Warn("a partition does not move: connecting anew")
	}
	*moved = time.Now()
}

// The end of a log may be behind for moments after its leader changed.
const timesBeyond = 5

// outside decides what to do when the log does not have the offset: go on at its start, with a count
// of what is lost, or give up when the store is ahead of it.
func (t *tail) outside(ctx context.Context) error {
	c := &t.cursor
	first, end, err := c.pool.bounds(ctx, c.topic, c.partition)
	if err != nil {
		t.complain("cannot ask Kafka for offsets; trying again", err)
		return nil
	}
	switch {
	case c.offset < first:
		from := max(c.offset, t.want) // what is before it is not lost, it is only not there to compare with
		if t.fresh {
			t.log.Info("the log starts later than zero", "first", first)
		} else if from < first {
			t.consumer.metrics.lost.WithLabelValues(c.topic).Add(float64(first - from))
			t.log.Error("events are lost: the log dropped them before they were read; raise its retention, or run more members",
				"from", from, "to", first-1)
		}
		c.offset = first
	case c.offset > end:
		if t.beyond++; t.beyond >= timesBeyond {
			return &OffsetError{Topic: c.topic, Partition: c.partition, Next: c.offset, End: end}
		}
	}
	return nil
}

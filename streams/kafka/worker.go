package kafka

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"time"

	kafkago "github.com/segmentio/kafka-go"

	"github.com/sartorhq/sartor/streams"
	"github.com/sartorhq/sartor/streams/codec"
)

// worker applies one partition for as long as one generation assigns it.
type worker struct {
	*runner
	generation *kafkago.Generation
	topic      string
	partition  int
	stream     streams.Stream
	fetchBytes int // of one fetch, at most
	refused    int // events in a row that the store refused

	next      int64 // behind what is applied
	committed int64 // the largest offset that the group has from us
	asked     time.Time
	pause     backoff
}

// run follows the partition until the generation ends; ended is the generation's context. The store
// gets some time more, so that what it is doing is done and can be committed.
func (w *worker) run(parent, ended context.Context) {
	following, stop := context.WithCancel(context.WithoutCancel(parent))
	defer stop()
	applying, abandon := context.WithCancel(context.WithoutCancel(parent))
	defer abandon()
	defer context.AfterFunc(ended, func() {
		stop()
		time.AfterFunc(w.consumer.config.Drain, abandon)
	})()
	w.pause = backoff{first: 20 * time.Millisecond, most: 2 * time.Second}
	w.next = -1
	log := w.consumer.options.logger().With("topic", w.topic, "partition", w.partition)
	for following.Err() == nil {
		err := w.follow(following, applying)
		var ahead *OffsetError
		switch {
		case following.Err() != nil:
		case errors.As(err, &ahead):
			w.fatal(&fatalError{err})
			<-following.Done() // the group is being closed; leaving early would start a rebalance
		case errors.Is(err, ErrRewind):
			w.consumer.metrics.rewinds.WithLabelValues(w.topic).Inc()
			log.Warn("the store is at another offset: reading again from there", "error", err)
			_ = w.pause.wait(following)
		default:
			w.consumer.metrics.applyErrors.WithLabelValues(w.topic).Inc()
			w.consumer.quiet.say(slog.LevelError, "cannot apply events; trying again", "topic", w.topic, "partition", w.partition, "error", err)
			_ = w.pause.wait(following)
		}
	}
	w.reach("rebalance")
	w.commit(true)
	w.reach("rebalance-committed")
	w.consumer.metrics.lag.DeleteLabelValues(w.topic, strconv.Itoa(w.partition))
}

// follow opens the store and applies what comes until something fails or following ends.
func (w *worker) follow(following, applying context.Context) error {
	store, err := w.open(following, w.topic, w.partition)
	if err != nil {
		return fmt.Errorf("open the store: %w", err)
	}
	w.reach("opened")
	w.next = store.Next()
	reading, stop := context.WithCancel(following)
	t := newTail(w.consumer, w.topic, w.partition, w.fetchBytes, w.next, w.consumer.options.lookBack(w.stream))
	go t.run(reading)
	defer func() {
		stop()
		<-t.done
	}()
	return w.pump(following, applying, store, t)
}

// pump moves what the tail reads into the store: at once when a batch is full, else a short wait
// after its first message.
func (w *worker) pump(following, applying context.Context, store Partition, t *tail) error {
	b := &batch{worker: w, next: w.next, from: w.next, repeats: newRepeats(&w.consumer.options, w.stream),
		visits: streams.NewVisits(w.stream, w.consumer.options.Visits)}
	idle := time.NewTicker(w.consumer.config.IdleEvery)
	defer idle.Stop()
	wait := time.NewTimer(0)
	defer wait.Stop()
	<-wait.C
	waiting := false
	for {
		select {
		case <-following.Done():
			return nil
		case <-t.done:
			return t.err
		case ch := <-t.chunks:
			for i := range ch.messages {
				if b.add(&ch.messages[i]); b.full() {
					if err := w.flush(applying, store, b, ch.end); err != nil {
						return err
					}
				}
				if following.Err() != nil {
					return nil
				}
			}
			b.next, b.end = max(b.next, ch.next), ch.end
			w.lag(ch.end)
			if b.next > w.next && !waiting {
				wait.Reset(w.consumer.config.BatchWait)
				waiting = true
			}
		case <-wait.C:
			waiting = false
			if b.next > w.next {
				if err := w.flush(applying, store, b, b.end); err != nil {
					return err
				}
			}
		case <-idle.C:
			w.reach("before-flush")
			w.reach("during-flush")
			if err := store.Idle(applying); err != nil {
				return fmt.Errorf("keep the fences moving: %w", err)
			}
			w.reach("flushed")
			w.commit(false)
		}
	}
}

// flush writes the dead letters of a batch, then applies it: the offset of a bad message must not
// be passed before its letter is written.
func (w *worker) flush(ctx context.Context, store Partition, b *batch, end int64) error {
	told, ended := b.tell(ctx)
	err := w.settle(told, store, b)
	ended(err)
	if err != nil {
		return err
	}
	w.freshness(b.records)
	w.next = b.next
	w.lag(end)
	w.pause.reset()
	b.clear()
	w.commit(false)
	return nil
}

// settle is the part of flush that can fail.
func (w *worker) settle(ctx context.Context, store Partition, b *batch) error {
	m := w.consumer.metrics
	if len(b.bad) > 0 && !w.consumer.config.NoLetters {
		w.reach("before-letters")
		if err := w.bury(ctx, b.bad); err != nil {
			return err
		}
		w.reach("letters-written")
	}
	w.reach("before-apply")
	w.reach("during-apply")
	start := time.Now()
	if err := w.give(ctx, store, b.records, b.origins, b.next-1); err != nil {
		return fmt.Errorf("apply offsets %d to %d: %w", w.next, b.next-1, err)
	}
	w.reach("applied")
	m.batchSeconds.Observe(time.Since(start).Seconds())
	m.batchEvents.Observe(float64(len(b.records)))
	m.events.WithLabelValues(string(w.stream)).Add(float64(len(b.records)))
	return nil
}

// freshness publishes how old the events were when they were applied.
func (w *worker) freshness(records []streams.Record) {
	now := time.Now()
	ages := w.consumer.metrics.freshness.WithLabelValues(string(w.stream))
	for i := range records {
		ages.Observe(max(now.Sub(records[i].Event.Time).Seconds(), 0))
	}
}

// lag publishes how far the store is behind the end of the log.
func (w *worker) lag(end int64) {
	w.consumer.metrics.lag.WithLabelValues(w.topic, strconv.Itoa(w.partition)).Set(float64(max(end-w.next, 0)))
}

// commit tells the group how far the store is, for dashboards: at a slow pace, and at the end of the
// generation, when the coordinator still accepts it. A commit that fails is not worth more than a
// line, because nothing reads it back.
func (w *worker) commit(last bool) {
	if w.next <= w.committed || !last && time.Since(w.asked) < w.consumer.config.CommitEvery {
		return
	}
	w.asked = time.Now()
	w.reach("before-commit")
	if err := w.generation.CommitOffsets(map[string]map[int]int64{w.topic: {w.partition: w.next}}); err != nil {
		w.consumer.options.logger().Debug("commit", "topic", w.topic, "partition", w.partition, "error", err)
		return
	}
	w.committed = w.next
	w.reach("committed")
}

// batch collects what one Apply gets.
type batch struct {
	worker  *worker
	records []streams.Record
	origins []message // of the records
	bad     []letter
	next    int64 // behind everything that was added or passed over
	end     int64 // of the log, as of the last fetch
	from    int64 // where the store is; what is before it is only looked at for repeats
	repeats *repeats
	visits  *streams.Visits
}

// full tells whether the batch has as many messages as it may.
func (b *batch) full() bool {
	return len(b.records)+len(b.bad) >= b.worker.consumer.config.BatchEvents
}

// clear empties the batch and keeps its memory.
func (b *batch) clear() {
	clear(b.records) // lets go of the events
	clear(b.origins)
	clear(b.bad)
	b.records, b.origins, b.bad = b.records[:0], b.origins[:0], b.bad[:0]
}

// add decodes a message into the batch.
func (b *batch) add(m *message) {
	w := b.worker
	e, err := m.decode(&w.consumer.options, w.stream)
	if m.offset < b.from {
		if err == nil && fromTheFuture(&e, m, w.consumer.config.MaxAhead) == "" {
			if !b.repeats.seen(&e, m.offset) && m.offset >= b.from-streams.VisitHorizon {
				b.visits.Add(&e, m.offset)
			}
		}
		return
	}
	b.next = m.offset + 1
	if errors.Is(err, codec.ErrSkipped) {
		w.consumer.metrics.skipped.WithLabelValues(string(w.stream)).Inc()
		return
	}
	if err != nil {
		w.consumer.metrics.decodeErrors.WithLabelValues(string(w.stream)).Inc()
		b.bad = append(b.bad, letter{message: *m, reason: err.Error()})
		return
	}
	if reason := fromTheFuture(&e, m, w.consumer.config.MaxAhead); reason != "" {
		b.bad = append(b.bad, letter{message: *m, reason: reason})
		return
	}
	if b.repeats.seen(&e, m.offset) {
		w.consumer.metrics.repeated.WithLabelValues(string(w.stream)).Inc()
		return
	}
	b.visits.Add(&e, m.offset)
	if most := w.consumer.config.MaxBehind; most > 0 && m.time.UnixMilli() > 0 && m.time.Sub(e.Time) > most {
		w.consumer.metrics.late.WithLabelValues(string(w.stream)).Inc()
	}
	b.origins = append(b.origins, *m)
	b.records = append(b.records, streams.Record{
		Position: streams.Position{Topic: w.topic, Partition: w.partition, Offset: m.offset},
		Event:    e,
	})
}

// fromTheFuture says what is wrong with an event whose time is more than most ahead of the time at
// which the log received it, or "". The wall clock plays no part, so that reading the log again
// decides alike.
func fromTheFuture(e *streams.Event, m *message, most time.Duration) string {
	ahead := e.Time.Sub(m.time)
	if most <= 0 || m.time.UnixMilli() <= 0 || ahead <= most {
		return ""
	}
	return fmt.Sprintf("time: is %s ahead of the time at which the log received the event; check the producer's clock", ahead.Round(time.Second))
}

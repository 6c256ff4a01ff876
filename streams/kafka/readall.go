package kafka

import (
	"context"
	"errors"
	"fmt"
	"time"

	kafkago "github.com/segmentio/kafka-go"

	"github.com/sartorhq/sartor/streams"
	"github.com/sartorhq/sartor/streams/codec"
)

// ReadAll calls fn with every event of the streams, from the first that their topics hold to the
// last that was there when ReadAll was called: stream by stream, partition by partition, in the order
// of the offsets. Messages that a consumer passes over or, by its default options, dead-letters are left out, and so are repeats.
// It keeps trying while brokers do not answer, up to a minute without progress. An error of fn ends
// the reading and is returned.
func ReadAll(ctx context.Context, options Options, which []streams.Stream, fn func(streams.Record) error) error {
	return ReadAfter(ctx, options, which, func(string, int) int64 { return 0 }, fn)
}

// ReadAfter is ReadAll from the offsets on that start names: for a reader who has what is before them
// from elsewhere. What is before them decides all the same what a repeat is. It fails when a partition
// ends before its start: the topic was created anew, and the two histories do not belong together.
func ReadAfter(ctx context.Context, options Options, which []streams.Stream, start func(topic string, partition int) int64, fn func(streams.Record) error) error {
	sources, done, err := Sources(ctx, options, which, start)
	if err != nil {
		return err
	}
	defer done()
	for i := range sources {
		if err := sources[i].Read(ctx, func(r *streams.Record) error { return fn(*r) }); err != nil {
			return err
		}
	}
	return nil
}

// Sources returns the partitions of the streams as they are now, stream by stream, each to be read from
// the offset that start names, as ReadAfter reads it. done releases the connections.
func Sources(ctx context.Context, options Options, which []streams.Stream, start func(topic string, partition int) int64) (sources []streams.Source, done func(), err error) {
	if err := options.Validate(); err != nil {
		return nil, nil, err
	}
	pool, err := newPool(&options)
	if err != nil {
		return nil, nil, err
	}
	parts, err := pool.parts(ctx, which)
	if err != nil {
		pool.close()
		return nil, nil, err
	}
	fetchBytes := min(4<<20, max(64<<10, sourceBytes/max(len(parts), 1)))
	for _, p := range parts {
		from := start(p.topic, p.partition)
		if from > p.end {
			pool.close()
			return nil, nil, fmt.Errorf("topic %s partition %d ends at offset %d, and it is to be read from %d on: the topic was created anew or cut", p.topic, p.partition, p.end, from)
		}
		p.first = max(p.first, from-options.lookBack(p.stream))
		s := source{options: &options, part: p, from: from, reading: reading{pool: pool, fetchBytes: fetchBytes}}
		sources = append(sources, streams.Source{Topic: p.topic, Partition: p.partition, Next: p.end, Read: s.read})
	}
	return sources, pool.close, nil
}

// sourceBytes bounds the fetches of all sources together, of which each may hold three.
const sourceBytes = 64 << 20

// source is one partition on the way from its messages to its events.
type source struct {
	options *Options
	part    *part
	from    int64
	reading reading
}

// read delivers the events from the offset on.
func (s source) read(ctx context.Context, fn func(*streams.Record) error) error {
	p, bad, known := s.part, 0, newRepeats(s.options, s.part.stream)
	visits := streams.NewVisits(p.stream, s.options.Visits)
	s.reading.each = func(_ *part, m *message) error {
		e, err := m.decode(s.options, p.stream)
		if errors.Is(err, codec.ErrSkipped) {
			return nil
		}
		if err != nil || fromTheFuture(&e, m, maxAhead) != "" {
			bad++
			return nil
		}
		if known.seen(&e, m.offset) || m.offset < s.from-streams.VisitHorizon {
			return nil
		}
		if visits.Add(&e, m.offset); m.offset < s.from {
			return nil
		}
		return fn(&streams.Record{Position: streams.Position{Topic: p.topic, Partition: p.partition, Offset: m.offset}, Event: e})
	}
	err := s.reading.partition(ctx, p)
	if bad > 0 && err == nil {
		s.options.logger().Warn("messages that are not events were passed over", "topic", p.topic, "partition", p.partition, "count", bad)
	}
	return err
}

// readRaw is ReadAll for messages as they are. A message and its bytes are the caller's.
func readRaw(ctx context.Context, options Options, which []streams.Stream, each func(*part, *message) error) error {
	if err := options.Validate(); err != nil {
		return err
	}
	p, err := newPool(&options)
	if err != nil {
		return err
	}
	defer p.close()
	parts, err := p.parts(ctx, which)
	if err != nil {
		return err
	}
	r := reading{pool: p, each: each, fetchBytes: 4 << 20}
	for _, next := range parts {
		if err := r.partition(ctx, next); err != nil {
			return err
		}
	}
	return nil
}

// parts returns the partitions of the streams with the ranges of offsets that they hold now.
func (p *pool) parts(ctx context.Context, which []streams.Stream) ([]*part, error) {
	a := &admin{options: *p.options, wait: patience}
	defer a.close()
	names := make([]string, len(which))
	for i, s := range which {
		names[i] = p.options.Topic(s)
	}
	there, err := a.partitions(ctx, names)
	if err != nil {
		return nil, err
	}
	var parts []*part
	for i, s := range which {
		if _, ok := there[names[i]]; !ok {
			return nil, fmt.Errorf("kafka topic %q: %w", names[i], ErrNoTopic)
		}
		for n := range there[names[i]] {
			next := &part{stream: s, topic: names[i], partition: n}
			err := retry(ctx, patience, "find the end of topic "+names[i], func(ctx context.Context) error {
				var err error
				next.first, next.end, err = p.bounds(ctx, next.topic, next.partition)
				return err
			})
			if err != nil {
				return nil, err
			}
			parts = append(parts, next)
		}
	}
	return parts, nil
}

// patience is how long ReadAll keeps trying without progress.
const patience = time.Minute

// part is one partition and the range of offsets that is read.
type part struct {
	stream     streams.Stream
	topic      string
	partition  int
	first, end int64
}

// reading is the reading of one partition, or of one after the other.
type reading struct {
	pool       *pool
	fetchBytes int
	each       func(*part, *message) error
}

// partition reads one partition; the next chunk is fetched while fn has the current one.
func (r *reading) partition(ctx context.Context, p *part) error {
	if p.first >= p.end {
		return nil
	}
	ctx, cancel := context.WithCancel(ctx)
	chunks := make(chan chunk)
	failed := make(chan error, 1)
	go func() {
		defer close(chunks)
		failed <- r.fetch(ctx, p, chunks)
	}()
	err := r.deliver(p, chunks)
	cancel()
	for range chunks { // until the fetching has ended
	}
	if fetchErr := <-failed; err == nil {
		err = fetchErr
	}
	return err
}

// fetch sends the partition's chunks.
func (r *reading) fetch(ctx context.Context, p *part, chunks chan<- chunk) error {
	c := cursor{pool: r.pool, topic: p.topic, partition: p.partition, offset: p.first, maxBytes: r.fetchBytes, maxWait: 100 * time.Millisecond}
	what := fmt.Sprintf("read topic %s partition %d", p.topic, p.partition)
	moved := time.Now()
	for before := c.offset; c.offset < p.end; before = c.offset {
		var ch chunk
		err := retry(ctx, patience, what, func(ctx context.Context) error {
			var err error
			ch, err = c.fetch(ctx)
			if errors.Is(err, kafkago.OffsetOutOfRange) { // retention was faster
				if c.offset, _, err = r.pool.bounds(ctx, p.topic, p.partition); err == nil {
					ch = chunk{next: c.offset}
				}
			}
			return err
		})
		if err != nil {
			return err
		}
		if c.offset > before {
			moved = time.Now()
		} else if time.Since(moved) > patience {
			return fmt.Errorf("%s: nothing comes from offset %d on, though the log ends at %d", what, c.offset, p.end)
		}
		select {
		case chunks <- ch:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// deliver calls each for the messages of the chunks.
func (r *reading) deliver(p *part, chunks <-chan chunk) error {
	for ch := range chunks {
		for i := range ch.messages {
			m := &ch.messages[i]
			if m.offset >= p.end {
				break
			}
			if err := r.each(p, m); err != nil {
				return err
			}
		}
	}
	return nil
}

package kafka

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	kafkago "github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"
	fetchproto "github.com/segmentio/kafka-go/protocol/fetch"

	"github.com/sartorhq/sartor/streams"
	"github.com/sartorhq/sartor/streams/codec"
)

// message is one message of a partition. Its bytes share memory with those of its neighbours.
type message struct {
	offset     int64
	time       time.Time
	key, value []byte
	headers    []protocol.Header
}

// decode reads the event of a message in the format of its stream.
func (m *message) decode(o *Options, stream streams.Stream) (streams.Event, error) {
	record := codec.Message{Key: m.key, Value: m.value, Time: m.time}
	if len(m.headers) > 0 {
		record.Headers = make([]codec.Header, len(m.headers))
		for i, h := range m.headers {
			record.Headers[i] = codec.Header(h)
		}
	}
	return codec.DecodeMessage(stream, o.Formats[stream], &record)
}

// chunk is what one fetch brought.
type chunk struct {
	messages []message
	// next is the offset behind everything that this fetch has seen, also where compaction, aborted
	// transactions and their markers left nothing to see.
	next int64
	// end is the offset behind the last message that may be read now.
	end int64
	// last is the base offset of the last record batch; -1 when there was none.
	last int64
}

// cursor fetches the committed messages of one partition from its offset on. It is used by one
// goroutine.
type cursor struct {
	pool      *pool
	topic     string
	partition int
	offset    int64
	maxBytes  int
	maxWait   time.Duration
}

// fetch asks once for messages from the offset on, waits at most maxWait for the first one, and
// moves the offset. An empty chunk is not an error.
func (c *cursor) fetch(ctx context.Context) (chunk, error) {
	part, err := c.ask(ctx, c.offset, c.maxBytes, c.maxWait)
	if err != nil {
		return chunk{}, err
	}
	ch, err := c.read(part)
	if err != nil {
		return chunk{}, err
	}
	if ch.next == c.offset && ch.last >= 0 {
		// The batch that holds the offset has nothing from it on: compaction emptied its tail.
		if ch.next, err = c.behind(ctx, ch.last, ch.end); err != nil {
			return chunk{}, err
		}
	}
	c.offset = ch.next
	return ch, nil
}

// ask sends a fetch request and returns the partition's answer.
func (c *cursor) ask(ctx context.Context, offset int64, maxBytes int, wait time.Duration) (*fetchproto.ResponsePartition, error) {
	ctx, cancel := context.WithTimeout(ctx, wait+requestTimeout)
	defer cancel()
	m, err := c.pool.roundTrip(ctx, &fetchproto.Request{
		ReplicaID:      -1,
		MaxWaitTime:    int32(wait.Milliseconds()),
		MinBytes:       1,
		MaxBytes:       int32(maxBytes),
		IsolationLevel: int8(kafkago.ReadCommitted),
		SessionID:      -1,
		SessionEpoch:   -1,
		Topics: []fetchproto.RequestTopic{{
			Topic: c.topic,
			Partitions: []fetchproto.RequestPartition{{
				Partition:          int32(c.partition),
				CurrentLeaderEpoch: -1,
				FetchOffset:        offset,
				LogStartOffset:     -1,
				PartitionMaxBytes:  int32(maxBytes),
			}},
		}},
	})
	if err != nil {
		return nil, err
	}
	r, ok := m.(*fetchproto.Response)
	if !ok || len(r.Topics) != 1 || len(r.Topics[0].Partitions) != 1 {
		return nil, errors.New("the broker answered a fetch with something else")
	}
	part := &r.Topics[0].Partitions[0]
	if code := r.ErrorCode | part.ErrorCode; code != 0 {
		return nil, kafkago.Error(code)
	}
	return part, nil
}

// read takes the messages out of an answer.
func (c *cursor) read(part *fetchproto.ResponsePartition) (chunk, error) {
	ch := chunk{next: c.offset, end: part.LastStableOffset, last: -1}
	if ch.end < 0 {
		ch.end = part.HighWatermark
	}
	stream, ok := part.RecordSet.Records.(*protocol.RecordStream)
	if !ok {
		return ch, nil
	}
	aborted := abortions{pending: part.AbortedTransactions, open: map[int64]bool{}}
	var bytes arena
	for _, records := range stream.Records {
		base, skip := int64(-1), false
		switch batch := records.(type) {
		case *protocol.ControlBatch:
			base, skip = batch.BaseOffset, true
			aborted.marker(batch)
		case *protocol.RecordBatch:
			base = batch.BaseOffset
			skip = batch.Attributes.Transactional() && aborted.covers(batch.ProducerID, base)
		}
		if err := c.take(&ch, &bytes, records, skip); err != nil {
			return ch, err
		}
		if base >= 0 {
			ch.last = base
			ch.next = max(ch.next, base) // a batch that is all gone; what was before it is seen
		}
	}
	return ch, nil
}

// take appends the messages of one batch, or passes over them.
func (c *cursor) take(ch *chunk, bytes *arena, records protocol.RecordReader, skip bool) error {
	for {
		r, err := records.ReadRecord()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read a record: %w", err)
		}
		if r.Offset >= c.offset {
			if !skip {
				m := message{offset: r.Offset, time: r.Time, headers: r.Headers}
				if m.key, err = bytes.copy(r.Key); err == nil {
					m.value, err = bytes.copy(r.Value)
				}
				if err != nil {
					return fmt.Errorf("read a record: %w", err)
				}
				ch.messages = append(ch.messages, m)
			}
			ch.next = max(ch.next, r.Offset+1)
		}
		if r.Key != nil {
			_ = r.Key.Close()
		}
		if r.Value != nil {
			_ = r.Value.Close()
		}
	}
}

// behind returns the offset behind the record batch with the given base offset, which holds the
// cursor's offset and whose tail is empty. kafka-go does not tell a batch's last offset; the broker
// is asked for single batches, at offsets found by doubling and halving, so that a tail of a million
// offsets costs forty small requests.
func (c *cursor) behind(ctx context.Context, base, end int64) (int64, error) {
	same := func(offset int64) (bool, error) {
		if offset >= end {
			return false, nil
		}
		part, err := c.ask(ctx, offset, 1, 0)
		if err != nil {
			return false, err
		}
		stream, ok := part.RecordSet.Records.(*protocol.RecordStream)
		if !ok || len(stream.Records) == 0 {
			return false, nil
		}
		return baseOffset(stream.Records[0]) == base, nil
	}
	inside, outside := c.offset, c.offset+1
	for step := int64(1); ; step *= 2 {
		is, err := same(outside)
		if err != nil {
			return 0, err
		}
		if !is {
			break
		}
		inside, outside = outside, min(outside+step, end)
	}
	for outside-inside > 1 {
		middle := inside + (outside-inside)/2
		is, err := same(middle)
		if err != nil {
			return 0, err
		}
		if is {
			inside = middle
		} else {
			outside = middle
		}
	}
	return outside, nil
}

// baseOffset returns the base offset of a batch, or -1 for the formats that have none.
func baseOffset(records protocol.RecordReader) int64 {
	switch batch := records.(type) {
	case *protocol.ControlBatch:
		return batch.BaseOffset
	case *protocol.RecordBatch:
		return batch.BaseOffset
	}
	return -1
}

// abortions follows which producers' transactional batches of one answer were aborted.
type abortions struct {
	pending []fetchproto.ResponseTransaction
	open    map[int64]bool
}

// covers tells whether a transactional batch of the producer at the offset was aborted.
func (a *abortions) covers(producer, offset int64) bool {
	for i := 0; i < len(a.pending); {
		if a.pending[i].FirstOffset > offset {
			i++
			continue
		}
		a.open[a.pending[i].ProducerID] = true
		a.pending = append(a.pending[:i:i], a.pending[i+1:]...)
	}
	return a.open[producer]
}

// marker ends the producer's open transaction.
func (a *abortions) marker(batch *protocol.ControlBatch) {
	a.covers(batch.ProducerID, batch.BaseOffset)
	delete(a.open, batch.ProducerID)
}

// arena holds the bytes of many messages in few allocations.
type arena struct{ free []byte }

// copy returns the bytes of b, nil for nil.
func (a *arena) copy(b protocol.Bytes) ([]byte, error) {
	if b == nil {
		return nil, nil
	}
	n := b.Len()
	if n > len(a.free) || a.free == nil {
		a.free = make([]byte, max(n, 64<<10))
	}
	out := a.free[:n:n]
	a.free = a.free[n:]
	_, err := io.ReadFull(b, out)
	return out, err
}

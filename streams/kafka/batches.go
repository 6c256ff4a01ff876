package kafka

import (
	"context"
	"iter"
)

// Batch is what a consumer is about to deal with in one go: to put aside what is no event, and to apply
// the rest.
type Batch struct {
	Group     string
	Topic     string
	Partition int
	Messages  int // at least one
	// Headers gives the headers of each message that has some. They are valid until the next message's
	// are given, and not after the call that was told of the batch.
	Headers iter.Seq[[]Header]
}

// tell lets Options.Batches know of a batch. end is never nil.
func (b *batch) tell(ctx context.Context) (_ context.Context, end func(error)) {
	w := b.worker
	if n := len(b.origins) + len(b.bad); w.consumer.options.Batches != nil && n > 0 {
		return w.consumer.options.Batches(ctx, Batch{Group: w.consumer.config.Group, Topic: w.topic, Partition: w.partition,
			Messages: n, Headers: b.headers})
	}
	return ctx, func(error) {}
}

// headers is a Batch's Headers.
func (b *batch) headers(yield func([]Header) bool) {
	var of []Header
	give := func(m *message) bool {
		if len(m.headers) == 0 {
			return true
		}
		of = of[:0]
		for _, h := range m.headers {
			of = append(of, Header(h))
		}
		return yield(of)
	}
	for i := range b.origins {
		if !give(&b.origins[i]) {
			return
		}
	}
	for i := range b.bad {
		if !give(&b.bad[i].message) {
			return
		}
	}
}

package kafka

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/sartorhq/sartor/streams"
)

// TestBatchesAreTold: who listens is told of each batch with the headers of its messages, also of those that
// are no events, and of how it ended; the store gets the context that the listener made.
func TestBatchesAreTold(t *testing.T) {
	c := fake(t)
	o := testOptions(t, c.ListenAddrs())
	o.Headers = func(_ context.Context, e *streams.Event) []Header {
		if e.UserID == "plain" {
			return nil
		}
		return []Header{{Key: "of", Value: []byte(e.ID)}}
	}
	makeTopics(t, o, 1)
	ctx := testContext(t)
	p := newTestProducer(t, o)
	if err := p.Write(ctx, view("u", 0), view("plain", 0), view("u", 1)); err != nil {
		t.Fatal(err)
	}
	if err := p.WriteRaw(ctx, streams.Behavior, []byte("k"), []byte("{"), Header{"of", []byte("poison")}); err != nil {
		t.Fatal(err)
	}
	m := newMemory()
	away := errors.New("the store is away")
	failed := false
	m.before = func(string, []streams.Record, int64) error {
		if !failed {
			failed = true
			return away
		}
		return nil
	}
	var found []string // by the listener, in the batches that were applied
	var ends []error
	o.Batches = func(ctx context.Context, b Batch) (context.Context, func(error)) {
		var in []string
		for headers := range b.Headers {
			in = append(in, headers[0].Key+" "+string(headers[0].Value))
		}
		if b.Group != "told" || b.Topic != o.Topic(streams.Behavior) || b.Partition != 0 || b.Messages < 1 {
			t.Errorf("told of %+v", b)
		}
		for range b.Headers {
			break // who has enough stops
		}
		return context.WithValue(ctx, traceKey{}, "told"), func(err error) {
			m.mu.Lock()
			defer m.mu.Unlock()
			if ends = append(ends, err); err == nil {
				found = append(found, in...)
			}
		}
	}
	stop := member(t, o, ConsumerOptions{Group: "told", Streams: []streams.Stream{streams.Behavior}, BatchEvents: 10},
		func(ctx context.Context, topic string, partition int) (Partition, error) {
			part, err := m.open(ctx, topic, partition)
			return asked{part, t}, err
		})
	m.await(t, ctx, "all batches to have ended", func() bool { return len(found) == 3 })
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	slices.Sort(found)
	if want := []string{"of poison", "of u/0", "of u/1"}; !slices.Equal(found, want) {
		t.Errorf("found %q, want %q", found, want)
	}
	if !errors.Is(ends[0], away) || slices.ContainsFunc(ends[1:], func(err error) bool { return err != nil }) {
		t.Errorf("the batches ended with %v", ends)
	}
}

// asked wants the listener's context.
type asked struct {
	Partition
	t *testing.T
}

func (a asked) Apply(ctx context.Context, recs []streams.Record, last int64) error {
	if ctx.Value(traceKey{}) != "told" {
		a.t.Error("the store has another context")
	}
	return a.Partition.Apply(ctx, recs, last)
}

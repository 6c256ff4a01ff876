package kafka

import (
	"context"
	"testing"

	"github.com/sartorhq/sartor/streams"
)

type traceKey struct{}

// TestHeadersOfTheContext: what the context of a write carries is on every message of it, and on no other.
func TestHeadersOfTheContext(t *testing.T) {
	c := fake(t)
	o := testOptions(t, c.ListenAddrs())
	o.Headers = func(ctx context.Context, _ *streams.Event) []Header {
		if id, ok := ctx.Value(traceKey{}).(string); ok {
			return []Header{{Key: "traceparent", Value: []byte(id)}}
		}
		return nil
	}
	makeTopics(t, o, 1)
	p := newTestProducer(t, o)
	ctx := testContext(t)
	if err := p.Write(context.WithValue(ctx, traceKey{}, "00-1-2-01"), view("u", 0), view("u", 1)); err != nil {
		t.Fatal(err)
	}
	if err := p.Write(ctx, view("u", 2)); err != nil {
		t.Fatal(err)
	}
	got := messages(t, o, streams.Behavior)
	if len(got) != 3 {
		t.Fatalf("%d messages", len(got))
	}
	for i, m := range got {
		switch {
		case i == 2 && len(m.Headers) != 0:
			t.Errorf("message %d has headers %v", i, m.Headers)
		case i < 2 && (len(m.Headers) != 1 || m.Headers[0].Key != "traceparent" || string(m.Headers[0].Value) != "00-1-2-01"):
			t.Errorf("message %d has headers %v", i, m.Headers)
		}
	}
}

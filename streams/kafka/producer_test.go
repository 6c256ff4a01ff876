package kafka

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"

	kafkago "github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/sartorhq/sartor/streams"
	"github.com/sartorhq/sartor/streams/codec"
)

func TestWriteReportsEachEvent(t *testing.T) {
	c := fake(t)
	o := testOptions(t, c.ListenAddrs())
	ctx := testContext(t)
	makeTopics(t, o, 2)
	p := newTestProducer(t, o)
	bad := view("u", 1)
	bad.Items = nil
	refused := streams.Event{Type: streams.Order, Time: noon, UserID: "u", Total: new(int64)}
	c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: o.Topic(streams.Orders), Err: kerr.TopicAuthorizationFailed, Count: -1})

	err := p.Write(ctx, view("u", 0), bad, refused, view("u", 2))
	var each *WriteError
	if !errors.As(err, &each) || len(each.Errs) != 4 {
		t.Fatalf("got %v", err)
	}
	if each.Errs[0] != nil || each.Errs[3] != nil {
		t.Errorf("good events: %v", each.Errs)
	}
	if !errors.Is(each.Errs[1], codec.ErrMalformed) {
		t.Errorf("bad event: %v", each.Errs[1])
	}
	if !errors.Is(each.Errs[2], kafkago.TopicAuthorizationFailed) {
		t.Errorf("refused event: %v", each.Errs[2])
	}
	if !errors.Is(err, codec.ErrMalformed) || !strings.HasPrefix(err.Error(), "2 of 4 events were not written: items: view needs item_id or items") {
		t.Errorf("error %v", err)
	}
	if got := messages(t, o, streams.Behavior); len(got) != 2 {
		t.Errorf("%d messages written", len(got))
	}
	if err := p.Write(ctx); err != nil {
		t.Errorf("nothing to write: %v", err)
	}
}

func TestWriteRetriesWhatIsTemporary(t *testing.T) {
	c := fake(t)
	o := testOptions(t, c.ListenAddrs())
	makeTopics(t, o, 1)
	h := c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Err: kerr.NotEnoughReplicas, Count: 2})
	if err := newTestProducer(t, o).Write(testContext(t), view("u", 1)); err != nil {
		t.Fatal(err)
	}
	if h.Hits() != 2 || len(messages(t, o, streams.Behavior)) != 1 {
		t.Errorf("%d faults, %d messages", h.Hits(), len(messages(t, o, streams.Behavior)))
	}
}

// TestKeysHaveTheJavaPartition: the numbers are murmur2 of the key, without its sign, modulo 100, as
// the Java client computes them.
func TestKeysHaveTheJavaPartition(t *testing.T) {
	all := make([]int, 100)
	for i := range all {
		all[i] = i
	}
	p := NewProducer(Options{Brokers: []string{"127.0.0.1:1"}})
	defer func() { _ = p.Close() }()
	// murmur2("21") = -973932308, ("foobar") = -790332482, ("a-little-bit-long-string") = -985981536
	// in Kafka's own UtilsTest; & 0x7fffffff, % 100.
	for key, hash := range map[string]int32{"21": -973932308, "foobar": -790332482, "a-little-bit-long-string": -985981536} {
		want := int(hash&0x7fffffff) % 100
		if got := p.writer.Balancer.Balance(kafkago.Message{Key: []byte(key)}, all...); got != want {
			t.Errorf("%s: partition %d, want %d", key, got, want)
		}
	}
}

func TestConcurrentWritersShareRequests(t *testing.T) {
	c := fake(t)
	o := testOptions(t, c.ListenAddrs())
	ctx := testContext(t)
	makeTopics(t, o, 1)
	h := c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Count: -1, Observe: true})
	p := newTestProducer(t, o)
	if err := p.Write(ctx, view("warm", 0)); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for u := range 200 {
		wg.Go(func() {
			if err := p.Write(ctx, view(fmt.Sprint("u", u), u)); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if got := len(messages(t, o, streams.Behavior)); got != 201 {
		t.Errorf("%d messages", got)
	}
	if h.Hits() > 100 {
		t.Errorf("%d produce requests for 200 writers", h.Hits())
	}
}

func TestWriteWithoutTopicOrBroker(t *testing.T) {
	c := fake(t)
	o := testOptions(t, c.ListenAddrs())
	p := newTestProducer(t, o)
	if err := p.Write(testContext(t), view("u", 1)); !errors.Is(err, kafkago.UnknownTopicOrPartition) {
		t.Errorf("no topic: %v", err)
	}
	if err := p.WriteRaw(testContext(t), streams.Orders, nil, []byte("x")); !errors.Is(err, kafkago.UnknownTopicOrPartition) {
		t.Errorf("no topic: %v", err)
	}
	ctx, cancel := context.WithCancel(testContext(t))
	cancel()
	if err := newTestProducer(t, Options{Brokers: []string{"127.0.0.1:1"}}).Write(ctx, view("u", 1)); err == nil {
		t.Error("no broker: no error")
	}
	closed := NewProducer(o)
	if err := closed.Close(); err != nil {
		t.Fatal(err)
	}
	if err := closed.Write(testContext(t), view("u", 1)); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("closed: %v", err)
	}
}

func TestCompressionIsReadBack(t *testing.T) {
	for _, name := range []string{"none", "gzip", "snappy", "lz4", "zstd"} {
		t.Run(name, func(t *testing.T) {
			c := fake(t)
			o := testOptions(t, c.ListenAddrs())
			o.Compression = name
			makeTopics(t, o, 1)
			all := views(5, 0, 100)
			if err := newTestProducer(t, o).Write(testContext(t), all...); err != nil {
				t.Fatal(err)
			}
			if got := readAll(t, o, streams.Behavior); len(got) != len(all) {
				t.Errorf("%d events read", len(got))
			}
		})
	}
}

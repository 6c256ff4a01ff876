package kafka

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/sartorhq/sartor/streams"
)

// benchEvents is what each iteration of the benchmarks reads; broker and client share the process.
const benchEvents = 100_000

// benchOptions starts a broker that holds benchEvents views.
func benchOptions(b *testing.B) Options {
	b.Helper()
	c, err := kfake.NewCluster(kfake.NumBrokers(1))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(c.Close)
	o := Options{Brokers: c.ListenAddrs()}
	ctx := context.Background()
	if err := EnsureTopics(ctx, o, TopicSpec{Partitions: 4}); err != nil {
		b.Fatal(err)
	}
	p := NewProducer(o)
	defer func() { _ = p.Close() }()
	for i := range 10 {
		if err := p.Write(ctx, views(1000, i*10, i*10+10)...); err != nil {
			b.Fatal(err)
		}
	}
	return o
}

func BenchmarkReadAll(b *testing.B) {
	o := benchOptions(b)
	for name, horizon := range map[string]int{"default": 0, "no-horizon": -1} {
		b.Run(name, func(b *testing.B) {
			o.Horizon = horizon
			b.ReportAllocs()
			for b.Loop() {
				n := 0
				err := ReadAll(context.Background(), o, []streams.Stream{streams.Behavior}, func(streams.Record) error {
					n++
					return nil
				})
				if err != nil || n != benchEvents {
					b.Fatal(n, err)
				}
			}
			b.ReportMetric(float64(benchEvents*b.N)/b.Elapsed().Seconds(), "events/s")
		})
	}
}

// sink is a store that forgets.
type sink struct {
	next int64
	left chan<- int
}

func (s *sink) Next() int64 { return s.next }

func (s *sink) Apply(_ context.Context, recs []streams.Record, last int64) error {
	s.next = last + 1
	s.left <- len(recs)
	return nil
}

func (s *sink) Idle(context.Context) error { return nil }

func BenchmarkConsume(b *testing.B) {
	o := benchOptions(b)
	b.ReportAllocs()
	for b.Loop() {
		ctx, cancel := context.WithCancel(context.Background())
		applied := make(chan int, 100)
		done := make(chan error, 1)
		go func() {
			done <- NewConsumer(o, ConsumerOptions{Group: "bench", Streams: []streams.Stream{streams.Behavior}}).Run(ctx,
				func(context.Context, string, int) (Partition, error) { return &sink{left: applied}, nil })
		}()
		for n := 0; n < benchEvents; n += <-applied {
		}
		cancel()
		if err := <-done; err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(benchEvents*b.N)/b.Elapsed().Seconds(), "events/s")
}

// BenchmarkLatency is the time from a write to the Apply of its event on an idle topic: the
// producer's linger, the broker, and the consumer's wait for more.
func BenchmarkLatency(b *testing.B) {
	o := benchOptions(b)
	ctx, cancel := context.WithCancel(context.Background())
	applied := make(chan int, 100)
	done := make(chan error, 1)
	go func() {
		done <- NewConsumer(o, ConsumerOptions{Group: "latency", Streams: []streams.Stream{streams.Orders}}).Run(ctx,
			func(context.Context, string, int) (Partition, error) { return &sink{left: applied}, nil })
	}()
	p := NewProducer(o)
	total := int64(1)
	order := streams.Event{Type: streams.Order, Time: time.Now(), UserID: "u", Total: &total}
	write := func() {
		if err := p.Write(ctx, order); err != nil {
			b.Fatal(err)
		}
		for n := 0; n == 0; n = <-applied {
		}
	}
	write()
	for b.Loop() {
		write()
	}
	cancel()
	if err := errors.Join(<-done, p.Close()); err != nil {
		b.Fatal(err)
	}
}

package kafka

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/sartorhq/sartor/streams"
	"github.com/sartorhq/sartor/streams/codec"
)

// readAll collects what ReadAll brings, by stream.
func readAll(t *testing.T, o Options, which ...streams.Stream) []streams.Record {
	t.Helper()
	var got []streams.Record
	if err := ReadAll(testContext(t), o, which, func(r streams.Record) error {
		got = append(got, r)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return got
}

func TestReadAll(t *testing.T) {
	onEach(t, func(t *testing.T, o Options) {
		ctx := testContext(t)
		makeTopics(t, o, 5)
		if got := readAll(t, o, streams.Orders, streams.Behavior); len(got) != 0 {
			t.Fatalf("%d records in empty topics", len(got))
		}
		p := newTestProducer(t, o)
		all := views(3, 0, 400) // three users: some of the five partitions stay empty
		if err := p.Write(ctx, all...); err != nil {
			t.Fatal(err)
		}
		if err := p.WriteRaw(ctx, streams.Behavior, []byte("bad"), []byte("{")); err != nil {
			t.Fatal(err)
		}
		got := readAll(t, o, streams.Orders, streams.Behavior)
		if len(got) != len(all) {
			t.Fatalf("%d records, want %d", len(got), len(all))
		}
		// Count counts messages, whether they are events or not.
		if v, err := Count(ctx, o, []streams.Stream{streams.Orders, streams.Behavior}); err != nil || v.Messages != int64(len(all)+1) || v.Bytes < int64(len(all)) {
			t.Errorf("counted %+v, %v; want %d messages", v, err, len(all)+1)
		}
		if !slices.IsSortedFunc(got, func(a, b streams.Record) int {
			return (a.Partition-b.Partition)*1_000_000 + int(a.Offset-b.Offset)
		}) {
			t.Error("the records are not in the order of the log")
		}
		// What is written while ReadAll runs is not read.
		n := 0
		if err := ReadAll(ctx, o, []streams.Stream{streams.Behavior}, func(streams.Record) error {
			if n++; n == 1 {
				return p.Write(ctx, views(3, 400, 500)...)
			}
			return nil
		}); err != nil || n != len(all) {
			t.Errorf("%d records, %v", n, err)
		}
	})
}

func TestReadAllErrors(t *testing.T) {
	c := fake(t)
	o := testOptions(t, c.ListenAddrs())
	ctx := testContext(t)
	if err := ReadAll(ctx, o, []streams.Stream{streams.Orders}, nil); !errors.Is(err, ErrNoTopic) {
		t.Errorf("without a topic: %v", err)
	}
	makeTopics(t, o, 1)
	if err := newTestProducer(t, o).Write(ctx, views(1, 0, 100)...); err != nil {
		t.Fatal(err)
	}
	stop := errors.New("enough")
	n := 0
	err := ReadAll(ctx, o, []streams.Stream{streams.Behavior}, func(streams.Record) error {
		if n++; n == 10 {
			return stop
		}
		return nil
	})
	if !errors.Is(err, stop) || n != 10 {
		t.Errorf("after %d records: %v", n, err)
	}
	canceled, cancel := context.WithCancel(ctx)
	cancel()
	if err := ReadAll(canceled, o, []streams.Stream{streams.Behavior}, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("canceled: %v", err)
	}
	if err := ReadAll(ctx, Options{}, nil, nil); err == nil || err.Error() != "kafka: no broker address is configured" {
		t.Errorf("no options: %v", err)
	}
}

// upsert makes the i-th version of an item.
func upsert(item string, i int) streams.Event {
	return streams.Event{ID: fmt.Sprintf("%s/%d", item, i), Type: streams.ItemUpsert, Time: noon.Add(time.Duration(i) * time.Millisecond),
		Items: []streams.Line{{ItemID: item}}, Attributes: map[string]any{"version": float64(i)}}
}

// TestReadAllOfACompactedTopic writes many versions of few items so that almost all is compacted
// away, with gaps between and within batches.
func TestReadAllOfACompactedTopic(t *testing.T) {
	c := fake(t)
	o := testOptions(t, c.ListenAddrs())
	ctx := testContext(t)
	makeTopics(t, o, 1)
	p := newTestProducer(t, o)
	last := map[string]int{}
	write := func(item string, i int) streams.Event {
		last[item] = i
		return upsert(item, i)
	}
	// A batch of 300 whose only survivor is in the middle, so that its tail is empty; then others.
	var events []streams.Event
	for i := range 300 {
		if i == 100 {
			events = append(events, write("survivor", i))
		}
		events = append(events, write("often", i))
	}
	if err := p.Write(ctx, events...); err != nil {
		t.Fatal(err)
	}
	for i := range 50 {
		if err := p.Write(ctx, write("often", 1000+i), write(fmt.Sprint("item", i%3), 1000+i)); err != nil {
			t.Fatal(err)
		}
	}
	before := len(readAll(t, o, streams.Catalog))
	c.Compact()
	got := readAll(t, o, streams.Catalog)
	if len(got) >= before/10 {
		t.Fatalf("%d of %d records left: nothing was compacted", len(got), before)
	}
	latest := map[string]int{}
	for _, r := range got {
		latest[r.Event.Key()] = int(r.Event.Attributes["version"].(float64))
	}
	for item, version := range last {
		if latest[item] != version {
			t.Errorf("%s: version %d, want %d", item, latest[item], version)
		}
	}
	// The consumer crosses the same gaps and reaches the end.
	m := newMemory()
	stop := member(t, o, ConsumerOptions{Streams: []streams.Stream{streams.Catalog}}, m.open)
	end := c.PartitionInfo(o.Topic(streams.Catalog), 0).HighWatermark
	m.await(t, ctx, "the end", func() bool { return m.fence(o, streams.Catalog) == end-1 })
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if len(m.effects) != len(got) {
		t.Errorf("%d events consumed, %d read", len(m.effects), len(got))
	}
}

// TestRealCompaction is the same on a real broker, which compacts closed segments on its own.
func TestRealCompaction(t *testing.T) {
	onEach(t, func(t *testing.T, o Options) {
		if t.Name() == "TestRealCompaction/kfake" {
			t.Skip("TestReadAllOfACompactedTopic tests it on kfake")
		}
		ctx := testContext(t)
		err := EnsureTopics(ctx, o, TopicSpec{Streams: []streams.Stream{streams.Catalog, streams.DeadLetters},
			Config: map[string]string{"segment.ms": "100", "min.cleanable.dirty.ratio": "0.001"}})
		if err != nil {
			// dead-letters takes the same settings; they are harmless there
			t.Fatal(err)
		}
		// An idempotent producer, as Java's is: compaction keeps its empty batches.
		client, err := kgo.NewClient(kgo.SeedBrokers(o.Brokers...), kgo.DefaultProduceTopic(o.Topic(streams.Catalog)))
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		tick := time.NewTicker(150 * time.Millisecond)
		defer tick.Stop()
		produced := 0
		for compacted := false; !compacted; {
			var records []*kgo.Record
			for range 200 {
				e := upsert("often", produced)
				if produced%777 == 5 {
					e = upsert(fmt.Sprint("rare", produced), produced)
				}
				value, err := codec.Encode(&e)
				if err != nil {
					t.Fatal(err)
				}
				records = append(records, &kgo.Record{Key: []byte(e.Key()), Value: value})
				produced++
			}
			if err := client.ProduceSync(ctx, records...).FirstErr(); err != nil {
				t.Fatal(err)
			}
			got := readAll(t, o, streams.Catalog)
			if v := got[len(got)-1].Event.Attributes["version"]; v != float64(produced-1) {
				t.Fatalf("after %d events the last version read is %v", produced, v)
			}
			compacted = produced > 3000 && len(got) < produced/2
			select {
			case <-tick.C:
			case <-ctx.Done():
				t.Fatalf("the broker has not compacted %d events", produced)
			}
		}
		rare := 0
		for _, r := range readAll(t, o, streams.Catalog) {
			if r.Event.Key() != "often" {
				rare++
			}
		}
		if want := (produced-6)/777 + 1; rare != want {
			t.Errorf("%d rare items, want %d", rare, want)
		}
	})
}

// TestTransactions: committed events are seen, aborted ones and the markers are not.
func TestTransactions(t *testing.T) {
	onEach(t, func(t *testing.T, o Options) {
		ctx := testContext(t)
		makeTopics(t, o, 1)
		client, err := kgo.NewClient(kgo.SeedBrokers(o.Brokers...), kgo.DefaultProduceTopic(o.Topic(streams.Behavior)),
			kgo.TransactionalID("tx-"+o.Topic(streams.Behavior)))
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		var want []streams.Event
		for i := range 6 {
			if err := client.BeginTransaction(); err != nil {
				t.Fatal(err)
			}
			commit := kgo.TransactionEndTry(i%2 == 0)
			for j := range 5 {
				e := view(fmt.Sprintf("u%d", i), j)
				value, err := codec.Encode(&e)
				if err != nil {
					t.Fatal(err)
				}
				if err := client.ProduceSync(ctx, &kgo.Record{Key: []byte(e.Key()), Value: value}).FirstErr(); err != nil {
					t.Fatal(err)
				}
				if commit {
					want = append(want, e)
				}
			}
			if err := client.EndTransaction(ctx, commit); err != nil {
				t.Fatal(err)
			}
		}
		m := newMemory()
		stop := member(t, o, ConsumerOptions{Streams: []streams.Stream{streams.Behavior}}, m.open)
		// 30 events and 6 markers; the last is a marker of an abortion.
		m.await(t, ctx, "the end", func() bool { return m.fence(o, streams.Behavior) == 35 })
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		checkExact(t, m, want)
		if got := readAll(t, o, streams.Behavior); len(got) != len(want) {
			t.Errorf("ReadAll brings %d events, want %d", len(got), len(want))
		}
		if n := len(letters(t, o)); n != 0 {
			t.Errorf("%d dead letters", n)
		}
	})
}

package kafka

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"testing"
	"time"

	kafkago "github.com/segmentio/kafka-go"

	"github.com/sartorhq/sartor/streams"
)

func TestProduceAndConsumeAllStreams(t *testing.T) {
	onEach(t, func(t *testing.T, o Options) {
		ctx := testContext(t)
		makeTopics(t, o, 3)
		total := int64(1500)
		events := []streams.Event{
			view("u1", 1),
			{ID: "order", Type: streams.Order, Time: noon, UserID: "u1", Items: []streams.Line{{ItemID: "a", Quantity: 2, Price: 750}}, Currency: "EUR", Total: &total},
			{ID: "up", Type: streams.ItemUpsert, Time: noon, Items: []streams.Line{{ItemID: "a"}}, Attributes: map[string]any{"title": "A", "tags": []any{"x"}}},
			{ID: "user", Type: streams.UserUpsert, Time: noon, UserID: "u1", Attributes: map[string]any{"tier": "gold"}},
			{ID: "seen", Type: streams.Exposure, Time: noon, AnonymousID: "x", Items: []streams.Line{{ItemID: "a", Position: 1}}, RecommendationID: "r", Scenario: "home"},
		}
		p := newTestProducer(t, o)
		if err := p.Write(ctx, events...); err != nil {
			t.Fatal(err)
		}
		if err := p.WriteRaw(ctx, streams.Catalog, []byte("b"), nil); err != nil { // a tombstone
			t.Fatal(err)
		}
		m := newMemory()
		stop := member(t, o, ConsumerOptions{}, m.open)
		m.await(t, ctx, "all events", func() bool { return len(m.records) == len(events)+1 })
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		for _, e := range events {
			i := slices.IndexFunc(m.records, func(r streams.Record) bool { return r.Event.ID == e.ID })
			if i < 0 || !reflect.DeepEqual(m.records[i].Event, e) {
				t.Errorf("event %s: got %+v", e.ID, m.records)
			} else if m.records[i].Topic != o.Topic(e.Type.Stream()) {
				t.Errorf("event %s on topic %s", e.ID, m.records[i].Topic)
			}
		}
		i := slices.IndexFunc(m.records, func(r streams.Record) bool { return r.Event.Type == streams.ItemDelete })
		if i < 0 || m.records[i].Event.Key() != "b" {
			t.Errorf("no delete event for the tombstone: %+v", m.records)
		}
	})
}

func TestRebalanceLosesAndRepeatsNothing(t *testing.T) {
	onEach(t, func(t *testing.T, o Options) {
		ctx := testContext(t)
		makeTopics(t, o, 6)
		config := ConsumerOptions{Streams: []streams.Stream{streams.Behavior, streams.Orders}, BatchEvents: 50}
		p := newTestProducer(t, o)
		m := newMemory()
		write := func(events []streams.Event) {
			t.Helper()
			if err := p.Write(ctx, events...); err != nil {
				t.Fatal(err)
			}
		}
		const users = 40
		first := member(t, o, config, m.open)
		write(views(users, 0, 50))
		m.await(t, ctx, "the first member's work", func() bool { return len(m.effects) > users*10 })
		second := member(t, o, config, m.open)
		write(views(users, 50, 100))
		m.await(t, ctx, "a generation of two", func() bool { return m.opens >= 12+12 })
		write(views(users, 100, 150))
		if err := first(); err != nil {
			t.Fatal(err)
		}
		write(views(users, 150, 200))
		all := views(users, 0, 200)
		m.await(t, ctx, "all events", func() bool { return len(m.effects) == len(all) })
		if err := second(); err != nil {
			t.Fatal(err)
		}
		checkExact(t, m, all)
		for user, times := range m.order {
			if !slices.IsSorted(times) {
				t.Errorf("the events of %s are out of order", user)
			}
		}
	})
}

func TestPoisonNeverBlocks(t *testing.T) {
	onEach(t, func(t *testing.T, o Options) {
		ctx := testContext(t)
		makeTopics(t, o, 4)
		p := newTestProducer(t, o)
		poison := [][]byte{
			[]byte(`{"type":"view",`), []byte(`{"rating":NaN}`), []byte("\xff\xfe"), {}, nil,
			[]byte(`{"type":"order","time":"2026-11-23T12:00:00Z","user_id":"u","total":1}`), // of another stream
			[]byte(`[[[[[[[[[[[[[[[[[[[[[[[[`), make([]byte, 600<<10),                        // longer than an event and a letter may be
		}
		good := views(20, 0, 100)
		bad := 0
		for i := 0; i < len(good); i += 100 {
			if err := p.WriteRaw(ctx, streams.Behavior, []byte(strconv.Itoa(i)), poison[bad%len(poison)], Header{"trace", []byte("x")}); err != nil {
				t.Fatal(err)
			}
			bad++
			if err := p.Write(ctx, good[i:i+100]...); err != nil {
				t.Fatal(err)
			}
		}
		m := newMemory()
		stop := member(t, o, ConsumerOptions{Streams: []streams.Stream{streams.Behavior}, Version: "v1"}, m.open)
		m.await(t, ctx, "the good events", func() bool { return len(m.effects) == len(good) })
		m.await(t, ctx, "the fences", func() bool {
			sum := int64(0)
			for _, f := range m.fences {
				sum += f + 1
			}
			return sum == int64(len(good)+bad)
		})
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		checkExact(t, m, good)
		found := map[string]bool{}
		for _, l := range letters(t, o) {
			found[header(l, HeaderPartition)+"/"+header(l, HeaderOffset)] = true
			if header(l, HeaderReason) == "" || header(l, HeaderTopic) != o.Topic(streams.Behavior) || header(l, HeaderVersion) != "v1" || header(l, "trace") != "x" {
				t.Errorf("letter with headers %v", l.Headers)
			}
			if _, err := time.Parse(time.RFC3339Nano, header(l, HeaderTime)); err != nil {
				t.Errorf("letter with time %q", header(l, HeaderTime))
			}
			if cut := header(l, HeaderCut); (cut != "") != (len(l.Value) == letterBytes) || cut != "" && cut != strconv.Itoa(600<<10) {
				t.Errorf("letter of %d bytes with cut %q", len(l.Value), cut)
			}
		}
		for _, msg := range messages(t, o, streams.Behavior) {
			key := fmt.Sprintf("%d/%d", msg.Partition, msg.Offset)
			if header(msg, "trace") != "" && !found[key] {
				t.Errorf("no letter for %s", key)
			}
			delete(found, key)
		}
		if len(found) > 0 {
			t.Errorf("letters from nowhere: %v", found)
		}
		if got := metric(t, o, "sartor_kafka_dead_letters_total", "behavior"); got != float64(bad) {
			t.Errorf("%v dead letters counted, want %d", got, bad)
		}
		if got := metric(t, o, "sartor_kafka_consumed_events_total", "behavior"); got != float64(len(good)) {
			t.Errorf("%v events counted, want %d", got, len(good))
		}
	})
}

func TestRewindReadsAgainFromTheStore(t *testing.T) {
	onEach(t, func(t *testing.T, o Options) {
		ctx := testContext(t)
		makeTopics(t, o, 2)
		p := newTestProducer(t, o)
		m := newMemory()
		stop := member(t, o, ConsumerOptions{Streams: []streams.Stream{streams.Behavior}, BatchEvents: 20}, m.open)
		all := views(10, 0, 100)
		half := len(all) / 2
		if err := p.Write(ctx, all[:half/2]...); err != nil {
			t.Fatal(err)
		}
		m.await(t, ctx, "a quarter", func() bool { return len(m.effects) == half/2 })
		m.mu.Lock()
		fences, effects := m.snapshot()
		m.mu.Unlock()
		if err := p.Write(ctx, all[half/2:half]...); err != nil {
			t.Fatal(err)
		}
		m.await(t, ctx, "half", func() bool { return len(m.effects) == half })
		m.mu.Lock()
		m.fences, m.effects = fences, effects // a failover to a replica that was behind
		m.mu.Unlock()
		if err := p.Write(ctx, all[half:]...); err != nil {
			t.Fatal(err)
		}
		m.await(t, ctx, "all", func() bool { return len(m.effects) == len(all) })
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		checkExact(t, m, all)
		if got := metric(t, o, "sartor_kafka_rewinds_total"); got < 1 {
			t.Errorf("%v rewinds counted", got)
		}
	})
}

func TestStoreErrorsAreTriedAgain(t *testing.T) {
	onEach(t, func(t *testing.T, o Options) {
		ctx := testContext(t)
		makeTopics(t, o, 1)
		all := views(5, 0, 40)
		if err := newTestProducer(t, o).Write(ctx, all...); err != nil {
			t.Fatal(err)
		}
		m := newMemory()
		failures := 0
		m.before = func(string, []streams.Record, int64) error {
			if failures++; failures%2 == 1 && failures < 8 {
				return errors.New("the store is down")
			}
			return nil
		}
		opens := 0
		open := func(ctx context.Context, topic string, partition int) (Partition, error) {
			if opens++; opens == 1 {
				return nil, errors.New("the store is not up yet")
			}
			return m.open(ctx, topic, partition)
		}
		stop := member(t, o, ConsumerOptions{Streams: []streams.Stream{streams.Behavior}, BatchEvents: 30}, open)
		m.await(t, ctx, "all", func() bool { return len(m.effects) == len(all) })
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		checkExact(t, m, all)
		if got := metric(t, o, "sartor_kafka_apply_errors_total"); got < 4 {
			t.Errorf("%v errors counted", got)
		}
	})
}

func TestFinalCommit(t *testing.T) {
	onEach(t, func(t *testing.T, o Options) {
		ctx := testContext(t)
		makeTopics(t, o, 3)
		all := views(20, 0, 10)
		if err := newTestProducer(t, o).Write(ctx, all...); err != nil {
			t.Fatal(err)
		}
		m := newMemory()
		// No commit by pace: what is committed is committed at the end.
		config := ConsumerOptions{Group: "g-" + o.Topic(streams.Behavior), Streams: []streams.Stream{streams.Behavior}, CommitEvery: time.Hour}
		stop := member(t, o, config, m.open)
		m.await(t, ctx, "all", func() bool { return len(m.effects) == len(all) })
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		transport, err := o.transport()
		if err != nil {
			t.Fatal(err)
		}
		defer transport.CloseIdleConnections()
		client := kafkago.Client{Addr: kafkago.TCP(o.Brokers...), Transport: transport}
		var offsets map[int]int64
		err = retry(ctx, limit, "read the commits", func(ctx context.Context) error {
			r, err := client.OffsetFetch(ctx, &kafkago.OffsetFetchRequest{GroupID: config.Group,
				Topics: map[string][]int{o.Topic(streams.Behavior): {0, 1, 2}}})
			if err != nil {
				return err
			}
			offsets = map[int]int64{}
			for _, p := range r.Topics[o.Topic(streams.Behavior)] {
				offsets[p.Partition] = p.CommittedOffset
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		for i := range 3 {
			fence, ok := m.fences[fmt.Sprintf("%s/%d", o.Topic(streams.Behavior), i)]
			if !ok || fence >= 0 && offsets[i] != fence+1 {
				t.Errorf("partition %d: committed %d, fence %d", i, offsets[i], fence)
			}
		}
	})
}

func TestIdleIsCalled(t *testing.T) {
	c := fake(t)
	o := testOptions(t, c.ListenAddrs())
	makeTopics(t, o, 1)
	m := newMemory()
	stop := member(t, o, ConsumerOptions{Streams: []streams.Stream{streams.Behavior}, IdleEvery: 5 * time.Millisecond}, m.open)
	m.await(t, testContext(t), "idle calls", func() bool { return m.idles >= 3 })
	if err := stop(); err != nil {
		t.Fatal(err)
	}
}

package kafka

import (
	"context"
	"fmt"
	"testing"
	"time"

	kafkago "github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/sartorhq/sartor/streams"
)

// commits reads what the group has committed of a stream's partitions.
func commits(t *testing.T, o Options, group string, s streams.Stream, partitions int) map[int]int64 {
	t.Helper()
	transport, err := o.transport()
	if err != nil {
		t.Fatal(err)
	}
	defer transport.CloseIdleConnections()
	client := kafkago.Client{Addr: kafkago.TCP(o.Brokers...), Transport: transport}
	topic, which := o.Topic(s), make([]int, partitions)
	for i := range which {
		which[i] = i
	}
	offsets := map[int]int64{}
	if err := retry(testContext(t), limit, "read the commits", func(ctx context.Context) error {
		r, err := client.OffsetFetch(ctx, &kafkago.OffsetFetchRequest{GroupID: group, Topics: map[string][]int{topic: which}})
		if err != nil {
			return err
		}
		for _, p := range r.Topics[topic] {
			offsets[p.Partition] = p.CommittedOffset
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return offsets
}

// TestFinalCommitInsideARebalance: a member that loses partitions because another joins commits what it
// has applied before it gives them up.
func TestFinalCommitInsideARebalance(t *testing.T) {
	onEach(t, func(t *testing.T, o Options) {
		ctx := testContext(t)
		const partitions = 4
		makeTopics(t, o, partitions)
		all := views(40, 0, 10)
		if err := newTestProducer(t, o).Write(ctx, all...); err != nil {
			t.Fatal(err)
		}
		m := newMemory()
		// No commit by pace: what is committed is committed when the first generation ends.
		config := ConsumerOptions{Group: "g-" + o.Topic(streams.Behavior), Streams: []streams.Stream{streams.Behavior}, CommitEvery: time.Hour}
		member(t, o, config, m.open)
		m.await(t, ctx, "all events", func() bool { return len(m.effects) == len(all) })
		member(t, o, config, m.open)
		m.await(t, ctx, "a generation of two", func() bool { return m.opens >= 2*partitions })
		ends, err := Ends(ctx, o, []streams.Stream{streams.Behavior})
		if err != nil {
			t.Fatal(err)
		}
		committed := commits(t, o, config.Group, streams.Behavior, partitions)
		sum := int64(0)
		for p, end := range ends[o.Topic(streams.Behavior)] {
			sum += end
			if end > 0 && committed[p] != end {
				t.Errorf("partition %d: committed %d, applied up to %d", p, committed[p], end)
			}
		}
		if sum != int64(len(all)) {
			t.Errorf("Ends tells %v, want %d messages", ends, len(all))
		}
	})
}

// TestWatchdogSeesSilence: a broker that says there is more and never sends it is connected to anew.
func TestWatchdogSeesSilence(t *testing.T) {
	c := fake(t)
	o := testOptions(t, c.ListenAddrs())
	ctx := testContext(t)
	makeTopics(t, o, 1)
	all := views(2, 0, 10)
	if err := newTestProducer(t, o).Write(ctx, all...); err != nil {
		t.Fatal(err)
	}
	silent := 0
	c.ControlKey(int16(kmsg.Fetch), func(request kmsg.Request) (kmsg.Response, error, bool) {
		if silent++; silent > 5 {
			return nil, nil, false
		}
		c.KeepControl()
		r := request.(*kmsg.FetchRequest)
		answer := r.ResponseKind().(*kmsg.FetchResponse)
		topic := kmsg.NewFetchResponseTopic()
		topic.Topic, topic.TopicID = r.Topics[0].Topic, r.Topics[0].TopicID
		part := kmsg.NewFetchResponseTopicPartition()
		part.Partition = r.Topics[0].Partitions[0].Partition
		part.HighWatermark, part.LastStableOffset = int64(len(all)), int64(len(all))
		topic.Partitions = append(topic.Partitions, part)
		answer.Topics = append(answer.Topics, topic)
		return answer, nil, true
	})
	m := newMemory()
	stop := member(t, o, ConsumerOptions{Streams: []streams.Stream{streams.Behavior}, Stall: time.Millisecond}, m.open)
	m.await(t, ctx, "all", func() bool { return len(m.effects) == len(all) })
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	checkExact(t, m, all)
	if n := metric(t, o, "sartor_kafka_rebuilds_total"); n < 1 {
		t.Errorf("%v rebuilds", n)
	}
	if n := metric(t, o, "sartor_kafka_fetch_errors_total"); n != 0 {
		t.Errorf("%v fetch errors, want silence", n)
	}
}

// TestLateEventsAreCountedAndApplied, by the time of the log and not by the clock.
func TestLateEventsAreCountedAndApplied(t *testing.T) {
	c := fake(t)
	o := testOptions(t, c.ListenAddrs())
	ctx := testContext(t)
	makeTopics(t, o, 1)
	var all []streams.Event
	for i, age := range []time.Duration{0, time.Hour, 89 * 24 * time.Hour, 91 * 24 * time.Hour, 4000 * 24 * time.Hour} {
		e := view("u", i)
		e.Time = time.Now().Add(-age).Truncate(time.Millisecond)
		all = append(all, e)
	}
	if err := newTestProducer(t, o).Write(ctx, all...); err != nil {
		t.Fatal(err)
	}
	m := newMemory()
	stop := member(t, o, ConsumerOptions{Streams: []streams.Stream{streams.Behavior}, MaxBehind: 90 * 24 * time.Hour}, m.open)
	m.await(t, ctx, "all", func() bool { return m.fence(o, streams.Behavior) == int64(len(all)-1) })
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	checkExact(t, m, all)
	if got := metric(t, o, "sartor_kafka_late_events_total", "behavior"); got != 2 {
		t.Errorf("%v late events counted, want 2", got)
	}
	if n := len(letters(t, o)); n != 0 {
		t.Errorf("%d letters, want none", n)
	}
}

// TestMemoryIsBoundedByTheMember, not by the number of its partitions.
func TestMemoryIsBoundedByTheMember(t *testing.T) {
	for _, tt := range []struct {
		config     ConsumerOptions
		partitions int
		want       int
	}{
		{ConsumerOptions{}, 1, 1 << 20},
		{ConsumerOptions{}, 42, 1 << 20},
		{ConsumerOptions{}, 64, 128 << 20 / 3 / 64},
		{ConsumerOptions{}, 1000, 128 << 20 / 3 / 1000},
		{ConsumerOptions{}, 100_000, 16 << 10},
		{ConsumerOptions{FetchBytes: 1000}, 1, 1000},
		{ConsumerOptions{MemoryBytes: 3 << 20}, 10, 1 << 20 / 10},
	} {
		tt.config.defaults()
		if got := tt.config.fetchBytes(tt.partitions); got != tt.want {
			t.Errorf("%d partitions within %d bytes: fetches of %d, want %d", tt.partitions, tt.config.MemoryBytes, got, tt.want)
		}
	}
}

func TestEndsNeedsTopics(t *testing.T) {
	c := fake(t)
	o := testOptions(t, c.ListenAddrs())
	if _, err := Ends(testContext(t), o, []streams.Stream{streams.Orders}); err == nil {
		t.Error("topics that do not exist have ends")
	}
	makeTopics(t, o, 3)
	ends, err := Ends(testContext(t), o, []streams.Stream{streams.Orders, streams.Catalog})
	if want := fmt.Sprint(map[string][]int64{o.Topic(streams.Orders): {0, 0, 0}, o.Topic(streams.Catalog): {0, 0, 0}}); err != nil || fmt.Sprint(ends) != want {
		t.Errorf("got %v, %v; want %s", ends, err, want)
	}
}

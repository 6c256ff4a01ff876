package kafka

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/sartorhq/sartor/streams"
)

// TestBrokerRestarts: a broker that is stopped and started again on its data, several times, while
// events are written and applied.
func TestBrokerRestarts(t *testing.T) {
	dir, port := t.TempDir(), freePort(t)
	start := func() *kfake.Cluster {
		c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.Ports(port), kfake.DataDir(dir))
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	c := start()
	defer func() { c.Close() }()
	o := testOptions(t, c.ListenAddrs())
	ctx := testContext(t)
	makeTopics(t, o, 4)
	p := newTestProducer(t, o)
	m := newMemory()
	stop := member(t, o, ConsumerOptions{Streams: []streams.Stream{streams.Behavior}, BatchEvents: 25}, m.open)
	const users, rounds = 20, 4
	var all []streams.Event
	for round := range rounds {
		part := views(users, round*20, round*20+20)
		all = append(all, part...)
		if round > 0 {
			c.Close()
			c = start()
		}
		// An event whose write failed may be there: only those that are not acknowledged are repeated,
		// and the store would show an event that was written twice.
		if err := p.Write(ctx, part...); err != nil {
			t.Fatal(err)
		}
		m.await(t, ctx, "round "+strconv.Itoa(round), func() bool { return len(m.effects) >= len(all)-users })
	}
	m.await(t, ctx, "all", func() bool { return len(m.effects) == len(all) })
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	checkExact(t, m, all)
}

// freePort returns a port that was free a moment ago, below those that the system hands out by itself: nobody comes by it meanwhile.
func freePort(t *testing.T) int {
	t.Helper()
	for range 1000 {
		port := 10_000 + rand.IntN(6_000)
		if ln, err := net.Listen("tcp", "127.0.0.1:"+strconv.Itoa(port)); err == nil {
			_ = ln.Close()
			return port
		}
	}
	t.Fatal("no free port")
	return 0
}

// TestNothingPassesBeforeItsLetter: while the dead letters cannot be written, the fence stays in
// front of the bad message.
func TestNothingPassesBeforeItsLetter(t *testing.T) {
	c := fake(t)
	o := testOptions(t, c.ListenAddrs())
	ctx := testContext(t)
	makeTopics(t, o, 1)
	p := newTestProducer(t, o)
	if err := p.Write(ctx, view("u", 0), view("u", 1)); err != nil {
		t.Fatal(err)
	}
	if err := p.WriteRaw(ctx, streams.Behavior, []byte("u"), []byte("{")); err != nil {
		t.Fatal(err)
	}
	if err := p.Write(ctx, view("u", 2)); err != nil {
		t.Fatal(err)
	}
	h := c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: o.Topic(streams.DeadLetters), Err: kerr.PolicyViolation, Count: -1})
	m := newMemory()
	m.before = func(_ string, _ []streams.Record, last int64) error {
		if last >= 2 && h.Hits() < 3 {
			t.Errorf("offset %d was applied after %d attempts to write the letter", last, h.Hits())
		}
		return nil
	}
	stop := member(t, o, ConsumerOptions{Streams: []streams.Stream{streams.Behavior}}, m.open)
	if err := h.Wait(ctx, 3); err != nil {
		t.Fatal(err)
	}
	m.mu.Lock()
	fence := m.fence(o, streams.Behavior)
	m.mu.Unlock()
	if fence >= 2 {
		t.Errorf("the fence is at %d", fence)
	}
	h.Remove()
	m.await(t, ctx, "the rest", func() bool { return m.fence(o, streams.Behavior) == 3 })
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	checkExact(t, m, []streams.Event{view("u", 0), view("u", 1), view("u", 2)})
	if n := len(letters(t, o)); n != 1 {
		t.Errorf("%d letters", n)
	}
}

// TestLettersAreShortenedToFit: the dead-letters topic allows less than the consumer thinks.
func TestLettersAreShortenedToFit(t *testing.T) {
	c := fake(t)
	o := testOptions(t, c.ListenAddrs())
	ctx := testContext(t)
	if err := c.CreateTopic(o.Topic(streams.DeadLetters), 1, map[string]string{"max.message.bytes": "20000"}); err != nil {
		t.Fatal(err)
	}
	makeTopics(t, o, 1)
	if err := newTestProducer(t, o).WriteRaw(ctx, streams.Behavior, []byte("u"), make([]byte, 100_000)); err != nil {
		t.Fatal(err)
	}
	m := newMemory()
	stop := member(t, o, ConsumerOptions{Streams: []streams.Stream{streams.Behavior}}, m.open)
	m.await(t, ctx, "the fence", func() bool { return m.fence(o, streams.Behavior) == 0 })
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	l := letters(t, o)
	if len(l) != 1 || len(l[0].Value) != 12_500 || header(l[0], HeaderCut) != "100000" {
		t.Errorf("%d letters, %d bytes, cut %q", len(l), len(l[0].Value), header(l[0], HeaderCut))
	}
}

// TestStoreAheadOfTheLog: a topic that was made anew must stop the consumer, not restart it from zero.
func TestStoreAheadOfTheLog(t *testing.T) {
	c := fake(t)
	o := testOptions(t, c.ListenAddrs())
	makeTopics(t, o, 1)
	if err := newTestProducer(t, o).Write(testContext(t), view("u", 1)); err != nil {
		t.Fatal(err)
	}
	m := newMemory()
	m.fences[o.Topic(streams.Behavior)+"/0"] = 999
	err := NewConsumer(o, ConsumerOptions{Group: "g", Streams: []streams.Stream{streams.Behavior}}).Run(testContext(t), m.open)
	var ahead *OffsetError
	if !errors.As(err, &ahead) || ahead.Next != 1000 || ahead.End != 1 || ahead.Partition != 0 {
		t.Fatalf("got %v", err)
	}
	if !strings.Contains(err.Error(), "the store wants offset 1000, but the log ends at 1: the topic was created anew or cut; restore the topic, or") {
		t.Errorf("got %v", err)
	}
}

// TestLogStartsBehindTheStore: what retention dropped is counted, unless nothing was ever applied.
func TestLogStartsBehindTheStore(t *testing.T) {
	for name, tt := range map[string]struct {
		fence int64
		lost  float64
	}{"was-reading": {9, 20}, "new-store": {-1, 0}} {
		t.Run(name, func(t *testing.T) {
			c := fake(t)
			o := testOptions(t, c.ListenAddrs())
			ctx := testContext(t)
			makeTopics(t, o, 1)
			if err := newTestProducer(t, o).Write(ctx, views(1, 0, 50)...); err != nil {
				t.Fatal(err)
			}
			if err := c.DeleteRecords(o.Topic(streams.Behavior), 0, 30); err != nil {
				t.Fatal(err)
			}
			m := newMemory()
			m.fences[o.Topic(streams.Behavior)+"/0"] = tt.fence
			stop := member(t, o, ConsumerOptions{Streams: []streams.Stream{streams.Behavior}}, m.open)
			m.await(t, ctx, "the rest", func() bool { return len(m.effects) == 20 })
			if err := stop(); err != nil {
				t.Fatal(err)
			}
			if got := metric(t, o, "sartor_kafka_lost_messages_total"); got != tt.lost {
				t.Errorf("%v lost messages counted, want %v", got, tt.lost)
			}
		})
	}
}

// TestSlowStoreStopsFetching: while Apply blocks, a bounded number of fetches is made.
func TestSlowStoreStopsFetching(t *testing.T) {
	c := fake(t)
	o := testOptions(t, c.ListenAddrs())
	ctx := testContext(t)
	makeTopics(t, o, 1)
	all := views(1, 0, 3000)
	p := newTestProducer(t, o)
	for i := 0; i < len(all); i += 100 { // thirty batches, each longer than a fetch may be
		if err := p.Write(ctx, all[i:i+100]...); err != nil {
			t.Fatal(err)
		}
	}
	var fetches atomic.Int64
	c.ControlKey(int16(kmsg.Fetch), func(kmsg.Request) (kmsg.Response, error, bool) {
		fetches.Add(1)
		return nil, nil, false
	})
	slow, blocked := make(chan struct{}), make(chan struct{}, 1)
	m := newMemory()
	m.before = func(string, []streams.Record, int64) error {
		select {
		case blocked <- struct{}{}:
		default:
		}
		<-slow
		return nil
	}
	stop := member(t, o, ConsumerOptions{Streams: []streams.Stream{streams.Behavior}, BatchEvents: 10, FetchBytes: 1000}, m.open)
	<-blocked
	// One chunk is being applied, one waits in the channel, one in the hands of the tail.
	awaitCount(t, ctx, &fetches, 3)
	pool, err := newPool(&o)
	if err != nil {
		t.Fatal(err)
	}
	defer pool.close()
	for range 100 { // the broker answers others meanwhile
		if _, _, err := pool.bounds(ctx, o.Topic(streams.Behavior), 0); err != nil && ctx.Err() != nil {
			t.Fatal(err)
		}
	}
	if n := fetches.Load(); n != 3 {
		t.Errorf("%d fetches while the store is blocked", n)
	}
	close(slow)
	m.await(t, ctx, "all", func() bool { return len(m.effects) == len(all) })
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	checkExact(t, m, all)
}

// awaitCount waits until a counter is reached.
func awaitCount(t *testing.T, ctx context.Context, n *atomic.Int64, want int64) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for n.Load() < want {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("counted %d of %d", n.Load(), want)
		}
	}
}

// TestWatchdogConnectsAnew: a partition that does not move gets new connections.
func TestWatchdogConnectsAnew(t *testing.T) {
	c := fake(t)
	o := testOptions(t, c.ListenAddrs())
	ctx := testContext(t)
	makeTopics(t, o, 1)
	all := views(2, 0, 10)
	if err := newTestProducer(t, o).Write(ctx, all...); err != nil {
		t.Fatal(err)
	}
	h := c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Fetch}, Topic: o.Topic(streams.Behavior), Err: kerr.UnknownServerError, Count: 6})
	m := newMemory()
	stop := member(t, o, ConsumerOptions{Streams: []streams.Stream{streams.Behavior}, Stall: time.Millisecond}, m.open)
	m.await(t, ctx, "all", func() bool { return len(m.effects) == len(all) })
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	checkExact(t, m, all)
	if n := metric(t, o, "sartor_kafka_rebuilds_total"); n < 1 {
		t.Errorf("%v rebuilds after %d faults", n, h.Hits())
	}
	if n := metric(t, o, "sartor_kafka_fetch_errors_total"); n != 6 {
		t.Errorf("%v fetch errors", n)
	}
}

func TestRunNeedsItsTopics(t *testing.T) {
	c := fake(t)
	o := testOptions(t, c.ListenAddrs())
	run := func(config ConsumerOptions) error {
		return NewConsumer(o, config).Run(testContext(t), newMemory().open)
	}
	if err := run(ConsumerOptions{Group: "g"}); !errors.Is(err, ErrNoTopic) || !strings.Contains(err.Error(), "create it, or name the right one in the configuration") {
		t.Errorf("no topics: %v", err)
	}
	if err := run(ConsumerOptions{}); err == nil || err.Error() != "kafka: a consumer needs a group" {
		t.Errorf("no group: %v", err)
	}
	if err := run(ConsumerOptions{Group: "g", Streams: []streams.Stream{streams.DeadLetters}}); err == nil {
		t.Error("dead letters are consumed")
	}
}

func TestRunWaitsForTheBroker(t *testing.T) {
	port := freePort(t)
	o := testOptions(t, []string{net.JoinHostPort("127.0.0.1", strconv.Itoa(port))})
	m := newMemory()
	stop := member(t, o, ConsumerOptions{Streams: []streams.Stream{streams.Behavior}}, m.open)
	c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.Ports(port),
		kfake.SeedTopics(1, o.Topic(streams.Behavior), o.Topic(streams.DeadLetters)))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	defer func() {
		if err := stop(); err != nil {
			t.Error(err)
		}
	}()
	ctx := testContext(t)
	if err := newTestProducer(t, o).Write(ctx, view("u", 1)); err != nil {
		t.Fatal(err)
	}
	m.await(t, ctx, "the event", func() bool { return len(m.effects) == 1 })
}

func TestRunStopsBeforeTheBrokerIsThere(t *testing.T) {
	o := testOptions(t, []string{"127.0.0.1:1"})
	ctx, cancel := context.WithCancel(testContext(t))
	done := make(chan error, 1)
	go func() { done <- NewConsumer(o, ConsumerOptions{Group: "g"}).Run(ctx, newMemory().open) }()
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestRefusedGroupEndsRun(t *testing.T) {
	c := fake(t)
	o := testOptions(t, c.ListenAddrs())
	makeTopics(t, o, 1)
	c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.JoinGroup}, Group: "g", Err: kerr.GroupAuthorizationFailed, Count: -1})
	err := NewConsumer(o, ConsumerOptions{Group: "g"}).Run(testContext(t), newMemory().open)
	if err == nil || !strings.HasPrefix(err.Error(), "join the group g: ") {
		t.Errorf("got %v", err)
	}
}

// TestEventsFromTheFutureAreQuarantined, by the time of the log and not by the clock.
func TestEventsFromTheFutureAreQuarantined(t *testing.T) {
	c := fake(t)
	o := testOptions(t, c.ListenAddrs())
	ctx := testContext(t)
	makeTopics(t, o, 1)
	p := newTestProducer(t, o)
	soon, late := view("u", 1), view("u", 2)
	soon.Time = time.Now().Add(4 * time.Minute)
	late.Time = time.Now().Add(10 * time.Minute)
	if err := p.Write(ctx, late, soon); err != nil {
		t.Fatal(err)
	}
	m := newMemory()
	stop := member(t, o, ConsumerOptions{Streams: []streams.Stream{streams.Behavior}}, m.open)
	m.await(t, ctx, "both", func() bool { return m.fence(o, streams.Behavior) == 1 })
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	l := letters(t, o)
	if len(l) != 1 || !strings.HasPrefix(header(l[0], HeaderReason), "time: is ") || !strings.Contains(header(l[0], HeaderReason), " ahead of the time at which the log received the event; check the producer's clock") || m.effects[soon.ID] != 1 {
		t.Errorf("letters %v, effects %v", l, m.effects)
	}
}

// TestMoreThanOneBroker: partitions on several brokers, whose leaders move.
func TestMoreThanOneBroker(t *testing.T) {
	c := fake(t, kfake.NumBrokers(3))
	o := testOptions(t, c.ListenAddrs())
	ctx := testContext(t)
	makeTopics(t, o, 6)
	p := newTestProducer(t, o)
	m := newMemory()
	stop := member(t, o, ConsumerOptions{Streams: []streams.Stream{streams.Behavior}}, m.open)
	all := views(30, 0, 60)
	for i := 0; i < len(all); i += 300 {
		if err := p.Write(ctx, all[i:i+300]...); err != nil {
			t.Fatal(err)
		}
		m.await(t, ctx, "a part", func() bool { return len(m.effects) >= i+300 })
		c.ShufflePartitionLeaders()
		c.RehashCoordinators()
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	checkExact(t, m, all)
}

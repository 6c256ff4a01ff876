package kafka

import (
	"context"
	"fmt"
	"maps"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	kafkago "github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kfake"
	"go.uber.org/goleak"

	"github.com/sartorhq/sartor/streams"
)

// TestMain fails when the tests leave goroutines behind.
func TestMain(m *testing.M) {
	code := m.Run()
	if code == 0 {
		err := goleak.Find()
		for end := time.Now().Add(time.Minute); err != nil && time.Now().Before(end); {
			err = goleak.Find() // looks for half a second, which is short on a busy machine
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

// limit is how long any test may take; it is a guard against waiting for ever, not an assertion.
const limit = 4 * time.Minute

// testContext ends with the test, or after limit.
func testContext(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	t.Cleanup(cancel)
	return ctx
}

// fake starts an in-memory cluster that speaks the real protocol on a real socket.
func fake(t *testing.T, opts ...kfake.Opt) *kfake.Cluster {
	t.Helper()
	c, err := kfake.NewCluster(append([]kfake.Opt{kfake.NumBrokers(1)}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// onEach runs a test on the fake cluster, and on the real one that SARTOR_KAFKA names.
func onEach(t *testing.T, fn func(t *testing.T, o Options)) {
	t.Run("kfake", func(t *testing.T) {
		c := fake(t)
		fn(t, testOptions(t, c.ListenAddrs()))
	})
	t.Run("kafka", func(t *testing.T) {
		address := os.Getenv("SARTOR_KAFKA")
		if address == "" {
			t.Skip("SARTOR_KAFKA is not set to the address of a real broker (deploy/kafka-it/run.sh starts one)")
		}
		fn(t, testOptions(t, []string{address}))
	})
}

var testNumber atomic.Int64

// testOptions gives each test topics of its own.
func testOptions(t *testing.T, brokers []string) Options {
	t.Helper()
	prefix := fmt.Sprintf("t%d-%d-", time.Now().UnixNano(), testNumber.Add(1))
	o := Options{Brokers: brokers, Topics: map[streams.Stream]string{}, Registerer: prometheus.NewRegistry()}
	for _, s := range streams.Streams() {
		o.Topics[s] = prefix + string(s)
	}
	return o
}

// makeTopics makes all topics with n partitions.
func makeTopics(t *testing.T, o Options, n int) {
	t.Helper()
	if err := EnsureTopics(testContext(t), o, TopicSpec{Partitions: n}); err != nil {
		t.Fatal(err)
	}
}

// newTestProducer makes a producer that is closed with the test.
func newTestProducer(t *testing.T, o Options) *Producer {
	t.Helper()
	o.Registerer = nil
	p := NewProducer(o)
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return p
}

// noon is the time of the test events; milliseconds are added to tell them apart.
var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// view makes the i-th view of a user.
func view(user string, i int) streams.Event {
	return streams.Event{ID: fmt.Sprintf("%s/%d", user, i), Type: streams.View, Time: noon.Add(time.Duration(i) * time.Millisecond),
		UserID: user, Items: []streams.Line{{ItemID: "sku"}}}
}

// views makes n views of each of the users, interleaved.
func views(users, from, to int) []streams.Event {
	var events []streams.Event
	for i := from; i < to; i++ {
		for u := range users {
			events = append(events, view(fmt.Sprintf("user-%d", u), i))
		}
	}
	return events
}

// memory is a store with a fence for each partition, as Redis is one in production: it counts the
// effect of each event.
type memory struct {
	mu      sync.Mutex
	fences  map[string]int64
	effects map[string]int // event id -> times applied
	order   map[string][]int64
	records []streams.Record
	changed chan struct{} // gets a token after each change
	idles   int
	opens   int

	// before is called with the lock held before each Apply; its error is returned.
	before func(part string, recs []streams.Record, last int64) error
}

func newMemory() *memory {
	return &memory{fences: map[string]int64{}, effects: map[string]int{}, order: map[string][]int64{}, changed: make(chan struct{}, 1)}
}

// open is the Opener.
func (m *memory) open(_ context.Context, topic string, partition int) (Partition, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.opens++
	name := fmt.Sprintf("%s/%d", topic, partition)
	if _, ok := m.fences[name]; !ok {
		m.fences[name] = -1
	}
	return &memoryPartition{memory: m, name: name, fence: m.fences[name]}, nil
}

// signal wakes the test.
func (m *memory) signal() {
	select {
	case m.changed <- struct{}{}:
	default:
	}
}

// await waits until the condition holds; it is called with the lock held.
func (m *memory) await(t *testing.T, ctx context.Context, what string, condition func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		m.mu.Lock()
		ok := condition()
		m.mu.Unlock()
		if ok {
			return
		}
		select {
		case <-ctx.Done():
			m.mu.Lock()
			defer m.mu.Unlock()
			t.Fatalf("waiting for %s: %d events applied, fences %v", what, len(m.effects), m.fences)
		case <-m.changed:
		case <-tick.C:
		}
	}
}

// fence returns the last offset that was applied of a stream's partition 0, or -1. The lock is held.
func (m *memory) fence(o Options, s streams.Stream) int64 {
	if f, ok := m.fences[o.Topic(s)+"/0"]; ok {
		return f
	}
	return -1
}

// snapshot copies what is stored, as a Redis that fails over to an older replica has it.
func (m *memory) snapshot() (fences map[string]int64, effects map[string]int) {
	return maps.Clone(m.fences), maps.Clone(m.effects)
}

// memoryPartition is one partition of a memory.
type memoryPartition struct {
	memory *memory
	name   string
	fence  int64 // last applied offset
}

func (p *memoryPartition) Next() int64 { return p.fence + 1 }

func (p *memoryPartition) Apply(ctx context.Context, recs []streams.Record, last int64) error {
	m := p.memory
	m.mu.Lock()
	defer m.mu.Unlock()
	defer m.signal()
	if m.before != nil {
		if err := m.before(p.name, recs, last); err != nil {
			return err
		}
	}
	if m.fences[p.name] != p.fence {
		return fmt.Errorf("fence at %d, expected %d: %w", m.fences[p.name], p.fence, ErrRewind)
	}
	for _, r := range recs {
		if r.Offset <= p.fence || r.Offset > last {
			return fmt.Errorf("record %d outside (%d, %d]", r.Offset, p.fence, last)
		}
		m.effects[r.Event.ID]++
		m.order[r.Event.Key()] = append(m.order[r.Event.Key()], r.Event.Time.UnixMilli())
		m.records = append(m.records, r)
	}
	p.fence = last
	m.fences[p.name] = last
	return nil
}

func (p *memoryPartition) Idle(context.Context) error {
	p.memory.mu.Lock()
	defer p.memory.mu.Unlock()
	p.memory.idles++
	p.memory.signal()
	return nil
}

// member runs a consumer until the returned function is called, which returns Run's error.
func member(t *testing.T, o Options, config ConsumerOptions, open Opener) (stop func() error) {
	t.Helper()
	if config.Group == "" {
		config.Group = "group-" + o.Topic(streams.Orders)
	}
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	result := make(chan error, 1)
	go func() { result <- NewConsumer(o, config).Run(ctx, open) }()
	stop = sync.OnceValue(func() error {
		cancel()
		return <-result
	})
	t.Cleanup(func() {
		if err := stop(); err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	return stop
}

// checkExact fails unless each event was applied exactly once and each key's events in order.
func checkExact(t *testing.T, m *memory, events []streams.Event) {
	t.Helper()
	m.mu.Lock()
	defer m.mu.Unlock()
	missing, wrong := 0, 0
	for _, e := range events {
		switch n := m.effects[e.ID]; {
		case n == 0:
			missing++
		case n > 1:
			wrong++
		}
	}
	if missing > 0 || wrong > 0 || len(m.effects) != len(events) {
		t.Errorf("of %d events: %d missing, %d more than once, %d in the store", len(events), missing, wrong, len(m.effects))
	}
}

// letters reads the dead letters.
func letters(t *testing.T, o Options) []kafkago.Message {
	t.Helper()
	return messages(t, o, streams.DeadLetters)
}

// messages reads a whole topic without decoding it.
func messages(t *testing.T, o Options, s streams.Stream) []kafkago.Message {
	t.Helper()
	ctx := testContext(t)
	p, err := newPool(&o)
	if err != nil {
		t.Fatal(err)
	}
	defer p.close()
	a := &admin{options: o, wait: limit}
	defer a.close()
	there, err := a.partitions(ctx, []string{o.Topic(s)})
	if err != nil {
		t.Fatal(err)
	}
	var all []kafkago.Message
	for n := range there[o.Topic(s)] {
		first, end, err := p.bounds(ctx, o.Topic(s), n)
		if err != nil {
			t.Fatal(err)
		}
		c := cursor{pool: p, topic: o.Topic(s), partition: n, offset: first, maxBytes: 1 << 20, maxWait: 50 * time.Millisecond}
		for c.offset < end {
			ch, err := c.fetch(ctx)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range ch.messages {
				km := kafkago.Message{Partition: n, Offset: m.offset, Key: m.key, Value: m.value, Time: m.time}
				for _, h := range m.headers {
					km.Headers = append(km.Headers, kafkago.Header(h))
				}
				all = append(all, km)
			}
		}
	}
	return all
}

// header returns the value of a message's header.
func header(m kafkago.Message, key string) string {
	for _, h := range m.Headers {
		if h.Key == key {
			return string(h.Value)
		}
	}
	return ""
}

// metric returns the sum of a metric's samples with the given label values.
func metric(t *testing.T, o Options, name string, labels ...string) float64 {
	t.Helper()
	families, err := o.Registerer.(*prometheus.Registry).Gather()
	if err != nil {
		t.Fatal(err)
	}
	sum := 0.0
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		for _, m := range f.GetMetric() {
			text := m.String()
			match := true
			for _, l := range labels {
				match = match && strings.Contains(text, `"`+l+`"`)
			}
			if match {
				sum += m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
			}
		}
	}
	return sum
}

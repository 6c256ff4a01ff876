package kafka

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/sartorhq/sartor/streams"
	"github.com/sartorhq/sartor/streams/codec"
)

// TestFormatsMeetInOneTopic sends all calls of a shop to the topic of behavior: events of all formats
// are applied, those of no interest are passed over, and what is wrong is dead-lettered.
func TestFormatsMeetInOneTopic(t *testing.T) {
	onEach(t, func(t *testing.T, o Options) {
		ctx := testContext(t)
		makeTopics(t, o, 1)
		o.Formats = map[streams.Stream]codec.Format{streams.Orders: codec.Native}
		p := newTestProducer(t, o)
		call := func(typ, rest string) []byte {
			return []byte(fmt.Sprintf(`{"type":"%s","messageId":"%s","userId":"u","timestamp":"2026-11-23T12:00:00Z"%s}`, typ, typ, rest))
		}
		send := func(s streams.Stream, value []byte, headers ...Header) {
			t.Helper()
			if err := p.WriteRaw(ctx, s, []byte("u"), value, headers...); err != nil {
				t.Fatal(err)
			}
		}
		viewed := call("track", `,"event":"Product Viewed","properties":{"sku":"a"}`)
		send(streams.Behavior, viewed)
		send(streams.Behavior, call("page", ""))
		send(streams.Behavior, call("identify", `,"traits":{"tier":"gold"}`))
		send(streams.Behavior, []byte(`{"user_id":"u","item_id":"b"}`), Header{"ce_specversion", []byte("1.0")}, Header{"ce_id", []byte("1")},
			Header{"ce_source", []byte("web")}, Header{"ce_type", []byte("shop.view")}, Header{"ce_time", []byte("2026-11-23T12:00:00Z")})
		send(streams.Behavior, []byte(`{"event_id":"native","type":"view","time":"2026-11-23T12:00:00Z","user_id":"u","item_id":"c"}`))
		send(streams.Behavior, call("track", `,"event":"Order Cancelled"`)) // without products
		send(streams.Orders, viewed)                                        // which is native only
		m := newMemory()
		stop := member(t, o, ConsumerOptions{Streams: []streams.Stream{streams.Behavior, streams.Orders}}, m.open)
		m.await(t, ctx, "the fences", func() bool { return m.fence(o, streams.Behavior) == 5 && m.fence(o, streams.Orders) == 0 })
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		want := []string{"track view", "identify user-upsert", "web|1 view", "native view"}
		got := func(records []streams.Record) (texts []string) {
			for _, r := range records {
				texts = append(texts, r.Event.ID+" "+string(r.Event.Type))
			}
			return texts
		}
		if g := got(m.records); strings.Join(g, ", ") != strings.Join(want, ", ") {
			t.Errorf("applied %q, want %q", g, want)
		}
		var all []streams.Record
		if err := ReadAll(ctx, o, []streams.Stream{streams.Behavior, streams.Orders}, func(r streams.Record) error {
			all = append(all, r)
			return nil
		}); err != nil || strings.Join(got(all), ", ") != strings.Join(want, ", ") {
			t.Errorf("ReadAll: %q, %v", got(all), err)
		}
		reasons := map[string]bool{}
		for _, l := range letters(t, o) {
			reasons[strings.SplitAfter(header(l, HeaderReason), ":")[0]] = true
		}
		if len(reasons) != 2 || !reasons["properties.products:"] || !reasons["type:"] {
			t.Errorf("dead letters for %v", reasons)
		}
		if n := metric(t, o, "sartor_kafka_skipped_total", "behavior"); n != 1 {
			t.Errorf("%v skipped, want 1", n)
		}
	})
}

func TestUnknownFormat(t *testing.T) {
	o := Options{Brokers: []string{"127.0.0.1:1"}, Formats: map[streams.Stream]codec.Format{streams.Users: "xml"}}
	if err := o.Validate(); err == nil || err.Error() != `kafka: the format of the stream users: unknown event format "xml"; use auto, native, segment or cloudevents` {
		t.Errorf("got %v", err)
	}
}

// TestReadAllLeavesOutTheFuture: what the consumer quarantines must not come back through training.
func TestReadAllLeavesOutTheFuture(t *testing.T) {
	c := fake(t)
	o := testOptions(t, c.ListenAddrs())
	ctx := testContext(t)
	makeTopics(t, o, 1)
	p := newTestProducer(t, o)
	now := view("u", 1)
	now.Time = time.Now().UTC().Truncate(time.Millisecond)
	future := now
	future.ID, future.Time = "future", now.Time.Add(time.Hour)
	if err := p.Write(ctx, future, now); err != nil {
		t.Fatal(err)
	}
	var ids []string
	err := ReadAll(ctx, o, []streams.Stream{streams.Behavior}, func(r streams.Record) error {
		ids = append(ids, r.Event.ID)
		return nil
	})
	if err != nil || len(ids) != 1 || ids[0] != now.ID {
		t.Errorf("read %v, %v", ids, err)
	}
}

// TestMetricsDocument: every metric is described, and nothing else is.
func TestMetricsDocument(t *testing.T) {
	r := prometheus.NewPedanticRegistry()
	seen := &describer{Registry: r, names: map[string]bool{}}
	newConsumerMetrics(seen)
	newProducerMetrics(seen)
	data, err := os.ReadFile("METRICS.md")
	if err != nil {
		t.Fatal(err)
	}
	described := map[string]bool{}
	for _, m := range regexp.MustCompile("(?m)^\\| `(\\w+)").FindAllStringSubmatch(string(data), -1) {
		described[m[1]] = true
		if !seen.names[m[1]] {
			t.Errorf("METRICS.md has %s, which does not exist", m[1])
		}
	}
	for name := range seen.names {
		if !described[name] {
			t.Errorf("METRICS.md does not have %s", name)
		}
	}
}

// describer is a registry that notes the names of what is registered.
type describer struct {
	*prometheus.Registry
	names map[string]bool
}

func (d *describer) Register(c prometheus.Collector) error {
	all := make(chan *prometheus.Desc, 8)
	c.Describe(all)
	close(all)
	for desc := range all {
		d.names[regexp.MustCompile(`fqName: "(\w+)"`).FindStringSubmatch(desc.String())[1]] = true
	}
	return d.Registry.Register(c)
}

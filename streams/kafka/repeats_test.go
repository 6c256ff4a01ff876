package kafka

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/sartorhq/sartor/streams"
)

func TestRepeatsWithinTheHorizon(t *testing.T) {
	r := newRepeats(&Options{Horizon: 3}, streams.Behavior)
	base := streams.Event{ID: "a", Type: streams.View, UserID: "u", Time: noon}
	other := func(change func(*streams.Event)) *streams.Event {
		e := base
		change(&e)
		return &e
	}
	for i, step := range []struct {
		e      *streams.Event
		offset int64
		want   bool
	}{
		{&base, 10, false},
		{other(func(e *streams.Event) { e.Type = streams.Click }), 11, false},
		{other(func(e *streams.Event) { e.UserID = "v" }), 11, false},
		{other(func(e *streams.Event) { e.UserID, e.AnonymousID = "", "u" }), 11, false},
		{other(func(e *streams.Event) { e.Time = noon.Add(time.Millisecond) }), 11, false},
		{other(func(e *streams.Event) { e.Items = []streams.Line{{ItemID: "x"}} }), 13, true}, // three behind
		{&base, 16, true},  // three behind the repeat
		{&base, 20, false}, // four behind
		{&base, 21, true},
		{other(func(e *streams.Event) { e.ID = "" }), 22, false},
		{other(func(e *streams.Event) { e.ID = "" }), 23, false},
	} {
		if got := r.seen(step.e, step.offset); got != step.want {
			t.Errorf("step %d at offset %d: %v", i, step.offset, got)
		}
	}
	for _, r := range []*repeats{newRepeats(&Options{}, streams.Catalog), newRepeats(&Options{Horizon: -1}, streams.Orders)} {
		if r != nil || r.seen(&base, 1) || r.seen(&base, 2) {
			t.Error("repeats are looked for where they should not be")
		}
	}
	if h := (&Options{}).horizon(streams.Orders); h != defaultHorizon {
		t.Errorf("default horizon %d", h)
	}
}

// TestRepeatsStayBounded: what is remembered is at most what the horizon holds.
func TestRepeatsStayBounded(t *testing.T) {
	r := newRepeats(&Options{Horizon: 100}, streams.Behavior)
	for i := range int64(100_000) {
		e := view("u", int(i%150))
		if r.seen(&e, i) {
			t.Fatalf("offset %d is 150 behind its equal", i)
		}
		if len(r.last) > 101 || len(r.queue) > 250 {
			t.Fatalf("at offset %d: %d keys, %d in the queue", i, len(r.last), len(r.queue))
		}
	}
}

// TestRepeatsDoNotDependOnTheStart: whoever starts at an offset and looks at the horizon before it
// decides about everything from there on as the one who read it all.
func TestRepeatsDoNotDependOnTheStart(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		horizon := rapid.IntRange(1, 20).Draw(t, "horizon")
		o := &Options{Horizon: horizon}
		ids := rapid.SliceOfN(rapid.IntRange(0, 8), 0, 80).Draw(t, "ids")
		gaps := rapid.SliceOfN(rapid.Int64Range(1, 4), len(ids), len(ids)).Draw(t, "gaps") // compaction, markers
		read := func(start int64) (decided map[int64]bool) {
			decided = map[int64]bool{}
			r := newRepeats(o, streams.Orders)
			offset := int64(0)
			for i, id := range ids {
				offset += gaps[i]
				if offset < start-int64(horizon) {
					continue
				}
				e := streams.Event{ID: strconv.Itoa(id), Type: streams.View, UserID: "u", Time: noon}
				if seen := r.seen(&e, offset); offset >= start {
					decided[offset] = seen
				}
			}
			return decided
		}
		all := read(0)
		start := rapid.Int64Range(0, 320).Draw(t, "start")
		for offset, seen := range read(start) {
			if all[offset] != seen {
				t.Fatalf("started at %d, offset %d is a repeat: %v, from the start of the log: %v", start, offset, seen, all[offset])
			}
		}
	})
}

// TestRetriesOfProducersCountOnce: a producer repeats itself while members stop and start, and while
// the store goes back in time; what is applied is what is read for training.
func TestRetriesOfProducersCountOnce(t *testing.T) {
	onEach(t, func(t *testing.T, o Options) {
		ctx := testContext(t)
		makeTopics(t, o, 2)
		p := newTestProducer(t, o)
		m := newMemory()
		config := ConsumerOptions{Streams: []streams.Stream{streams.Behavior}, BatchEvents: 10}
		all := views(10, 0, 40)
		fences, effects := m.snapshot()
		for i := 0; i < len(all); i += 50 {
			if err := p.Write(ctx, all[max(0, i-50):i+50]...); err != nil { // the last fifty again
				t.Fatal(err)
			}
			stop := member(t, o, config, m.open)
			m.await(t, ctx, "the events so far", func() bool { return len(m.effects) == i+50 })
			if err := stop(); err != nil {
				t.Fatal(err)
			}
			if i == 200 { // a failover to a replica that was behind
				m.fences, m.effects = fences, effects
			}
			fences, effects = m.snapshot()
		}
		if err := p.Write(ctx, all[len(all)-1]); err != nil {
			t.Fatal(err)
		}
		stop := member(t, o, config, m.open)
		end := func() (n int64) {
			for _, f := range m.fences {
				n += f + 1
			}
			return n
		}
		m.await(t, ctx, "the end of the log", func() bool { return end() == int64(2*len(all)-50+1) })
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		checkExact(t, m, all)
		if n := metric(t, o, "sartor_kafka_repeated_events_total", "behavior"); n < float64(len(all)-50+1) {
			t.Errorf("%v repeats counted", n)
		}
		ids := func(options Options) (ids []string) {
			t.Helper()
			if err := ReadAll(ctx, options, config.Streams, func(r streams.Record) error { ids = append(ids, r.Event.ID); return nil }); err != nil {
				t.Fatal(err)
			}
			slices.Sort(ids)
			return ids
		}
		var want []string
		for _, e := range all {
			want = append(want, e.ID)
		}
		slices.Sort(want)
		if got := ids(o); !reflect.DeepEqual(got, want) {
			t.Errorf("ReadAll has %d events, want %d", len(got), len(want))
		}
		o.Horizon = -1
		if got := ids(o); len(got) != 2*len(all)-50+1 {
			t.Errorf("ReadAll without a horizon has %d events", len(got))
		}
	})
}

// TestLookBackKnowsTheStoreAhead: looking back must not hide that the log is another one.
func TestLookBackKnowsTheStoreAhead(t *testing.T) {
	c := fake(t)
	o := testOptions(t, c.ListenAddrs())
	ctx := testContext(t)
	makeTopics(t, o, 1)
	if err := newTestProducer(t, o).Write(ctx, views(1, 0, 20)...); err != nil {
		t.Fatal(err)
	}
	m := newMemory()
	m.fences[o.Topic(streams.Behavior)+"/0"] = 24 // the log ends at 20, within the horizon
	err := NewConsumer(o, ConsumerOptions{Group: fmt.Sprint("g", time.Now().UnixNano()), Streams: []streams.Stream{streams.Behavior}}).Run(ctx, m.open)
	var ahead *OffsetError
	if !errors.As(err, &ahead) || ahead.Next != 25 || ahead.End != 20 {
		t.Errorf("got %v", err)
	}
}

func BenchmarkRepeats(b *testing.B) {
	r := newRepeats(&Options{}, streams.Behavior)
	e := view("user-123456", 1)
	offset := int64(0)
	b.ReportAllocs()
	for b.Loop() {
		e.Time = e.Time.Add(time.Millisecond)
		offset++
		r.seen(&e, offset)
	}
}

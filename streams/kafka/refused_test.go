package kafka

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/sartorhq/sartor/streams"
)

// refusing makes a store that refuses, whatever else is in the batch, the events that bad names.
func refusing(m *memory, bad func(id string) bool) {
	m.before = func(_ string, recs []streams.Record, _ int64) error {
		for _, r := range recs {
			if bad(r.Event.ID) {
				return fmt.Errorf("event %s: WRONGTYPE: %w", r.Event.ID, ErrRefused)
			}
		}
		return nil
	}
}

// TestRefusedEventsNeverBlock: events that the store will never take go to the dead letters, each with
// its reason, and all others are applied once.
func TestRefusedEventsNeverBlock(t *testing.T) {
	onEach(t, func(t *testing.T, o Options) {
		ctx := testContext(t)
		makeTopics(t, o, 2)
		all := views(10, 0, 100)
		bad := map[string]bool{all[0].ID: true, all[3].ID: true, all[4].ID: true, all[500].ID: true, all[999].ID: true}
		if err := newTestProducer(t, o).Write(ctx, all...); err != nil {
			t.Fatal(err)
		}
		m := newMemory()
		refusing(m, func(id string) bool { return bad[id] })
		stop := member(t, o, ConsumerOptions{Streams: []streams.Stream{streams.Behavior}, BatchEvents: 64}, m.open)
		m.await(t, ctx, "the others, and the fences at the end", func() bool {
			sum := int64(0)
			for _, f := range m.fences {
				sum += f + 1
			}
			return len(m.effects) == len(all)-len(bad) && sum == int64(len(all))
		})
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		var good []streams.Event
		for _, e := range all {
			if !bad[e.ID] {
				good = append(good, e)
			}
		}
		checkExact(t, m, good)
		n := 0
		if err := ReadLetters(ctx, o, func(l Letter) error {
			n++
			if !l.Refused || !strings.Contains(l.Reason, "WRONGTYPE") || len(l.Headers) != 0 {
				t.Errorf("letter %+v", l)
			}
			if err := o.CanReplay(&l); !errors.Is(err, ErrNotReplayable) || !strings.Contains(err.Error(), "sartor features rebuild") {
				t.Errorf("it may be replayed: %v", err)
			}
			return nil
		}); err != nil || n != len(bad) {
			t.Errorf("%d letters, want %d: %v", n, len(bad), err)
		}
		if got := metric(t, o, "sartor_kafka_refused_events_total", "behavior"); got != float64(len(bad)) {
			t.Errorf("%v refused events counted, want %d", got, len(bad))
		}
		if got := metric(t, o, "sartor_kafka_apply_errors_total"); got != 0 {
			t.Errorf("%v apply errors counted, want none", got)
		}
	})
}

// TestStoreThatRefusesEverythingIsWaitedFor: a store that takes nothing is not a reason to throw the
// whole log away.
func TestStoreThatRefusesEverythingIsWaitedFor(t *testing.T) {
	c := fake(t)
	o := testOptions(t, c.ListenAddrs())
	ctx := testContext(t)
	makeTopics(t, o, 1)
	all := views(4, 0, 50)
	if err := newTestProducer(t, o).Write(ctx, all...); err != nil {
		t.Fatal(err)
	}
	m := newMemory()
	refusing(m, func(string) bool { return true })
	stop := member(t, o, ConsumerOptions{Streams: []streams.Stream{streams.Behavior}}, m.open)
	m.await(t, ctx, "the partition to wait", func() bool { return metric(t, o, "sartor_kafka_apply_errors_total") >= 2 })
	m.mu.Lock()
	m.before = nil // somebody has mended it
	m.mu.Unlock()
	m.await(t, ctx, "the rest", func() bool { return m.fence(o, streams.Behavior) == int64(len(all)-1) })
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	checkExact(t, m, all[mostRefused:])
	if n := len(letters(t, o)); n != mostRefused {
		t.Errorf("%d letters, want %d", n, mostRefused)
	}
}

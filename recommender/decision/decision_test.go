package decision_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"github.com/sartorhq/sartor/recommender/decision"
	"github.com/sartorhq/sartor/rules"
	"github.com/sartorhq/sartor/streams"
	"github.com/sartorhq/sartor/streams/codec"
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

func shown(id string) *decision.Decision {
	return &decision.Decision{
		Format: decision.Format, ID: id, Time: time.Date(2026, 10, 23, 12, 0, 0, 123456789, time.UTC),
		UserID: "u1", Scenario: "home", Placement: "grid", Country: "DE",
		Items: []decision.Shown{
			{ItemID: "a", Score: 1, Source: "model", Reasons: []string{"r1"}}, {ItemID: "b", Score: 0.5, Source: "hot"},
		},
		ServedBy: "model", Degraded: []string{"no_rules"}, Model: "m1", Rules: "r", Schema: "s",
		Fired: []rules.Fired{{Rule: "r1", Action: "boost"}, {Rule: "r1", Action: "badge"}, {Rule: "r2", Action: "pin"}},
	}
}

func TestExposure(t *testing.T) {
	got, ok := shown("rec-1").Exposure()
	want := streams.Event{
		ID: "rec-1-exposure", Type: streams.Exposure, Time: time.Date(2026, 10, 23, 12, 0, 0, 123000000, time.UTC),
		UserID: "u1", Country: "DE", Scenario: "home", RecommendationID: "rec-1",
		Items: []streams.Line{{ItemID: "a", Position: 1}, {ItemID: "b", Position: 2}},
		Attributes: map[string]any{
			"format": 1.0, "served_by": "model", "schema_version": "s", "rules_version": "r", "model_version": "m1",
			"placement": "grid", "sources": []any{"model", "hot"}, "degraded": []any{"no_rules"}, "rules": []any{"r1", "r2"},
		},
	}
	if !ok || !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v, %v\nwant %+v", got, ok, want)
	}
	if found := codec.Validate(&got); len(found) > 0 {
		t.Errorf("the log would refuse it: %v", found)
	}
	nobody := shown("rec-2")
	nobody.UserID = ""
	empty := shown("rec-3")
	empty.Items = nil
	for _, d := range []*decision.Decision{nobody, empty} {
		if _, ok := d.Exposure(); ok {
			t.Errorf("%s has an exposure", d.ID)
		}
	}
}

func TestSubject(t *testing.T) {
	for _, tc := range []struct{ user, anonymous, want string }{
		{"u", "", "u"}, {"u", "a", "u"}, {"", "a", "anon:a"}, {"", "", ""},
	} {
		if got := decision.Subject(tc.user, tc.anonymous); got != tc.want {
			t.Errorf("Subject(%q, %q) = %q, want %q", tc.user, tc.anonymous, got, tc.want)
		}
	}
}

// writer is an event log in memory that can refuse or hang.
type writer struct {
	mu      sync.Mutex
	ids     []string
	batches int
	err     error
	hang    bool
}

func (w *writer) Write(ctx context.Context, events ...streams.Event) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.hang {
		<-ctx.Done()
		return ctx.Err()
	}
	if w.err != nil {
		return w.err
	}
	w.batches++
	for _, e := range events {
		w.ids = append(w.ids, e.RecommendationID)
	}
	return nil
}

func (w *writer) written() (events, batches int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.ids), w.batches
}

func TestLogWritesInBatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &writer{}
		l := decision.NewLog(w, decision.LogOptions{Batch: 3})
		done := make(chan error, 1)
		go func() { done <- l.Run(t.Context()) }()
		for _, id := range []string{"1", "2", "3", "4"} {
			l.Record(shown(id))
		}
		synctest.Wait()
		if events, batches := w.written(); events != 3 || batches != 1 {
			t.Errorf("%d events in %d batches before the linger, want 3 in 1", events, batches)
		}
		time.Sleep(51 * time.Millisecond) // in the bubble's own time
		synctest.Wait()
		if events, batches := w.written(); events != 4 || batches != 2 {
			t.Errorf("%d events in %d batches after the linger, want 4 in 2", events, batches)
		}
		l.Close()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func TestLogDrainsOnClose(t *testing.T) {
	w, reg := &writer{}, prometheus.NewRegistry()
	l := decision.NewLog(w, decision.LogOptions{Batch: 2, Linger: time.Hour, Registerer: reg})
	want := []string{"1", "2", "3", "4", "5"}
	for _, id := range want {
		l.Record(shown(id))
	}
	l.Close()
	l.Close() // again is fine
	l.Record(shown("late"))
	if err := l.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(w.ids, want) || w.batches != 3 {
		t.Errorf("written %v in %d batches, want %v in 3", w.ids, w.batches, want)
	}
	counts(t, reg, map[string]float64{"closed": 1}, 5)
}

// TestLogLeavesOutWhatIsNotTaken: an exposure that the log refuses would keep those beside it from being written, in
// memory and, from an older process, in the file.
func TestLogLeavesOutWhatIsNotTaken(t *testing.T) {
	bad := shown("bad")
	bad.Country = strings.Repeat("x", 65)
	spill := filepath.Join(t.TempDir(), "exposures")
	gone := decision.NewLog(&writer{err: errors.New("kafka is gone")}, decision.LogOptions{Spill: spill})
	for _, d := range []*decision.Decision{shown("1"), bad, shown("2")} {
		gone.Record(d)
	}
	gone.Close()
	if err := gone.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		w, reg := &writer{}, prometheus.NewRegistry()
		l := decision.NewLog(w, decision.LogOptions{Spill: spill, Registerer: reg,
			Accepts: func(e *streams.Event) bool { return len(codec.Validate(e)) == 0 }})
		done := make(chan error, 1)
		go func() { done <- l.Run(t.Context()) }()
		for _, d := range []*decision.Decision{shown("3"), bad, shown("4")} {
			l.Record(d)
		}
		time.Sleep(time.Second) // in the bubble's own time
		synctest.Wait()
		l.Close()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		if slices.Sort(w.ids); strings.Join(w.ids, " ") != "1 2 3 4" {
			t.Errorf("written %v, want 1 to 4", w.ids)
		}
		counts(t, reg, map[string]float64{"invalid": 2}, 4)
	})
}

func TestLogDropsAndCountsButNeverBlocks(t *testing.T) {
	reg := prometheus.NewRegistry()
	l := decision.NewLog(&writer{}, decision.LogOptions{Buffer: 2, Registerer: reg})
	for range 10 { // nobody reads: a Record that blocked would hang the test
		l.Record(shown("x"))
	}
	counts(t, reg, map[string]float64{"buffer_full": 8}, 0)
	nobody := shown("y")
	nobody.UserID = ""
	l = decision.NewLog(&writer{err: errors.New("kafka is gone")}, decision.LogOptions{Registerer: prometheus.WrapRegistererWithPrefix("second_", reg)})
	l.Record(shown("x"))
	l.Record(nobody)
	l.Close()
	if err := l.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := counter(t, reg, "second_sartor_exposures_dropped_total", "write_failed"); got != 1 {
		t.Errorf("%v write_failed, want 1", got)
	}
	if got := counter(t, reg, "second_sartor_exposures_dropped_total", "no_subject"); got != 1 {
		t.Errorf("%v no_subject, want 1", got)
	}
}

func TestLogGivesUpWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, reg := &writer{hang: true}, prometheus.NewRegistry()
		l := decision.NewLog(w, decision.LogOptions{Batch: 1, Registerer: reg})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- l.Run(ctx) }()
		l.Record(shown("1"))
		l.Record(shown("2"))
		synctest.Wait()
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		// The second may still have been tried, which is up to select.
		failed, left := counter(t, reg, "sartor_exposures_dropped_total", "write_failed"), counter(t, reg, "sartor_exposures_dropped_total", "closed")
		if len(w.ids) != 0 || failed < 1 || failed+left != 2 {
			t.Errorf("written %v, %v failed and %v left: want nothing and all", w.ids, failed, left)
		}
	})
}

// counter reads one counter of a registry, by its reason label unless that is empty.
func counter(t *testing.T, reg *prometheus.Registry, name, reason string) float64 {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() != name {
				continue
			}
			if reason == "" || len(m.GetLabel()) == 1 && m.GetLabel()[0].GetValue() == reason {
				return m.GetCounter().GetValue()
			}
		}
	}
	return 0
}

func counts(t *testing.T, reg *prometheus.Registry, dropped map[string]float64, written float64) {
	t.Helper()
	for reason, want := range dropped {
		if got := counter(t, reg, "sartor_exposures_dropped_total", reason); got != want {
			t.Errorf("%v dropped as %s, want %v", got, reason, want)
		}
	}
	if got := counter(t, reg, "sartor_exposures_written_total", ""); got != written {
		t.Errorf("%v written, want %v", got, written)
	}
}

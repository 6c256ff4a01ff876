package decision_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/sartorhq/sartor/recommender/decision"
	"github.com/sartorhq/sartor/streams"
)

// broker is a writer that can be away; it keeps whole events.
type broker struct {
	mu     sync.Mutex
	away   bool
	after  int // goes away after so many writes, 0 = never
	tries  int
	events []streams.Event
}

func (b *broker) Write(_ context.Context, events ...streams.Event) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.tries++; b.away {
		return errors.New("kafka is gone")
	}
	b.events = append(b.events, events...)
	if b.after--; b.after == 0 {
		b.away = true
	}
	return nil
}

func (b *broker) asked() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.tries
}

// leave takes the writer away, or back.
func (b *broker) leave(away bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.away = away
}

// takeOne brings the writer back for one write.
func (b *broker) takeOne() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.away, b.after = false, 1
}

func (b *broker) ids() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	var out []string
	for _, e := range b.events {
		out = append(out, strings.TrimSuffix(e.ID, "-exposure"))
	}
	return out
}

// TestExposuresOutliveKafkaAndTheProcess shows lists while Kafka is away, stops, starts again while it is
// still away, and wants all of them, each once, when it is back.
func TestExposuresOutliveKafkaAndTheProcess(t *testing.T) {
	path := filepath.Join(t.TempDir(), "exposures")
	synctest.Test(t, func(t *testing.T) {
		kafka, reg := &broker{away: true}, prometheus.NewRegistry()
		start := func(reg prometheus.Registerer) (*decision.Log, func()) {
			return runs(t, kafka, decision.LogOptions{Spill: path, Batch: 2, Registerer: reg})
		}
		l, stop := start(reg)
		for _, id := range []string{"1", "2", "3", "4", "5"} {
			l.Record(shown(id))
		}
		time.Sleep(500 * time.Millisecond) // of the bubble: no real time passes
		if n := kafka.asked(); n != 1 {
			t.Errorf("%d tries in half a second, want one: a broker that is away is not asked again at once", n)
		}
		stop()
		if got := counter(t, reg, "sartor_exposures_spilled_total", ""); got != 5 {
			t.Errorf("%v spilled, want 5", got)
		}
		second := prometheus.NewRegistry()
		l, stop = start(second)
		l.Record(shown("6"))
		time.Sleep(3 * time.Second)
		kafka.leave(false)
		l.Record(shown("7"))
		time.Sleep(3 * time.Second)
		stop()
		got := kafka.ids()
		slices.Sort(got)
		if want := []string{"1", "2", "3", "4", "5", "6", "7"}; !slices.Equal(got, want) {
			t.Errorf("written %v, want %v", got, want)
		}
		want, _ := shown("3").Exposure()
		for _, e := range kafka.events {
			if e.ID == want.ID && (e.UserID != want.UserID || !e.Time.Equal(want.Time) || len(e.Items) != len(want.Items) || e.Attributes["served_by"] != want.Attributes["served_by"]) {
				t.Errorf("the file changed an exposure: %+v, want %+v", e, want)
			}
		}
		if info, err := os.Stat(path); err != nil || info.Size() != 0 {
			t.Errorf("the file is not empty in the end: %v", err)
		}
		for _, reason := range []string{"write_failed", "spill_full", "buffer_full"} {
			if got := counter(t, second, "sartor_exposures_dropped_total", reason); got != 0 {
				t.Errorf("%v dropped as %s, want none", got, reason)
			}
		}
	})
}

// TestSpillIsBounded keeps what fits and counts the rest, and passes over what a killed process left.
func TestSpillIsBounded(t *testing.T) {
	path := filepath.Join(t.TempDir(), "exposures")
	synctest.Test(t, func(t *testing.T) {
		if err := os.WriteFile(path, []byte("{\"ID\":\"half"), 0o600); err != nil {
			t.Fatal(err)
		}
		kafka, reg := &broker{away: true}, prometheus.NewRegistry()
		l, stop := runs(t, kafka, decision.LogOptions{Spill: path, SpillBytes: 1500, Registerer: reg})
		for range 100 {
			l.Record(shown("x"))
		}
		time.Sleep(2 * time.Second)
		spilled, full := counter(t, reg, "sartor_exposures_spilled_total", ""), counter(t, reg, "sartor_exposures_dropped_total", "spill_full")
		if spilled < 2 || spilled+full != 100 {
			t.Errorf("%v spilled and %v dropped, want some and all of 100", spilled, full)
		}
		kafka.leave(false)
		time.Sleep(5 * time.Second)
		stop()
		if got := float64(len(kafka.events)); got != spilled {
			t.Errorf("%v written, want %v", got, spilled)
		}
		if got := counter(t, reg, "sartor_exposures_dropped_total", "spill_full"); got != full+1 {
			t.Errorf("%v dropped, want one more than %v for the half line", got, full)
		}
		if info, err := os.Stat(path); err != nil || info.Size() != 0 {
			t.Errorf("the file is not empty in the end: %v", err)
		}
	})
}

// runs starts a log and returns what ends it.
func runs(t *testing.T, w decision.EventWriter, opts decision.LogOptions) (l *decision.Log, stop func()) {
	t.Helper()
	l = decision.NewLog(w, opts)
	done := make(chan error, 1)
	go func() { done <- l.Run(t.Context()) }()
	return l, func() {
		l.Close()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

// TestStopsHalfWay ends a process that has taken up some of what waited: the next one writes the others, and
// those alone.
func TestStopsHalfWay(t *testing.T) {
	path := filepath.Join(t.TempDir(), "exposures")
	synctest.Test(t, func(t *testing.T) {
		kafka := &broker{away: true}
		l, stop := runs(t, kafka, decision.LogOptions{Spill: path, Batch: 2})
		want := []string{"1", "2", "3", "4", "5"}
		for _, id := range want {
			l.Record(shown(id))
		}
		time.Sleep(500 * time.Millisecond)
		kafka.takeOne()
		time.Sleep(5 * time.Second)
		stop()
		if got := kafka.ids(); !slices.Equal(got, want[:2]) {
			t.Fatalf("the first process wrote %v, want %v", got, want[:2])
		}
		kafka.leave(false)
		_, stop = runs(t, kafka, decision.LogOptions{Spill: path, Batch: 2})
		time.Sleep(5 * time.Second)
		stop()
		if got := kafka.ids(); !slices.Equal(got, want) {
			t.Errorf("both wrote %v, want %v", got, want)
		}
	})
}

// TestSpillTakesWhatFits: a file with room for two lines and no byte more takes two.
func TestSpillTakesWhatFits(t *testing.T) {
	one := filepath.Join(t.TempDir(), "one")
	synctest.Test(t, func(t *testing.T) {
		spill := func(path string, limit int64, n int) float64 {
			reg := prometheus.NewRegistry()
			l, stop := runs(t, &broker{away: true}, decision.LogOptions{Spill: path, SpillBytes: limit, Registerer: reg})
			for range n {
				l.Record(shown("x"))
			}
			stop()
			return counter(t, reg, "sartor_exposures_spilled_total", "")
		}
		if got := spill(one, 1<<20, 1); got != 1 {
			t.Fatalf("%v spilled", got)
		}
		info, err := os.Stat(one)
		if err != nil {
			t.Fatal(err)
		}
		for less, want := range map[int64]float64{0: 2, 1: 1} {
			if got := spill(fmt.Sprint(one, less), 2*info.Size()-less, 3); got != want {
				t.Errorf("%v spilled in two lines less %d bytes, want %v", got, less, want)
			}
		}
	})
}

// TestSpillReadsEventsOnly: lines of a file that are no exposures are counted and passed over.
func TestSpillReadsEventsOnly(t *testing.T) {
	e, _ := shown("good").Exposure()
	good, err := json.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	nameless, view := e, e
	nameless.ID, view.Type = "", streams.View
	text := []byte("nonsense\n")
	for _, other := range []streams.Event{nameless, view} {
		line, err := json.Marshal(other)
		if err != nil {
			t.Fatal(err)
		}
		text = append(append(text, line...), '\n')
	}
	text = append(append(append(text, strings.Repeat(" ", 1<<20)...), good...), '\n') // an event, and too long
	path := filepath.Join(t.TempDir(), "exposures")
	if err := os.WriteFile(path, append(append(text, good...), '\n'), 0o600); err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		kafka, reg := &broker{}, prometheus.NewRegistry()
		_, stop := runs(t, kafka, decision.LogOptions{Spill: path, Registerer: reg})
		time.Sleep(5 * time.Second)
		stop()
		if got := kafka.ids(); !slices.Equal(got, []string{"good"}) {
			t.Errorf("written %v", got)
		}
		counts(t, reg, map[string]float64{"spill_full": 4}, 1)
	})
}

// TestSpillThatCannotBeOpened costs the exposures of an outage, not the service.
func TestSpillThatCannotBeOpened(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		kafka, reg, out := &broker{}, prometheus.NewRegistry(), &strings.Builder{}
		l, stop := runs(t, kafka, decision.LogOptions{Spill: t.TempDir(), Registerer: reg, Logger: slog.New(slog.NewTextHandler(out, nil))})
		l.Record(shown("1"))
		time.Sleep(time.Second)
		kafka.leave(true)
		l.Record(shown("2"))
		stop()
		counts(t, reg, map[string]float64{"write_failed": 1}, 1)
		if !strings.Contains(out.String(), "exposures will be dropped while Kafka is away") || !strings.Contains(out.String(), "open the file of waiting exposures") {
			t.Errorf("the log says\n%s", out)
		}
	})
}

package decision_test

import (
	"context"
	"errors"
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
		start := func(reg prometheus.Registerer) (l *decision.Log, stop func()) {
			l = decision.NewLog(kafka, decision.LogOptions{Spill: path, Batch: 2, Registerer: reg})
			done := make(chan error, 1)
			go func() { done <- l.Run(t.Context()) }()
			return l, func() {
				l.Close()
				if err := <-done; err != nil {
					t.Error(err)
				}
			}
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
		l := decision.NewLog(kafka, decision.LogOptions{Spill: path, SpillBytes: 1500, Registerer: reg})
		done := make(chan error, 1)
		go func() { done <- l.Run(t.Context()) }()
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
		l.Close()
		if err := <-done; err != nil {
			t.Error(err)
		}
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

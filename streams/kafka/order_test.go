package kafka

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/sartorhq/sartor/features"
	"github.com/sartorhq/sartor/streams"
)

// world is every entity's state.
type world map[features.Entity]*features.State

func (w world) apply(s *features.Schema, e *streams.Event) {
	for _, d := range s.Fold(e) {
		if w[d.Entity] == nil {
			w[d.Entity] = &features.State{}
		}
		w[d.Entity].Apply(s, d.Ops)
	}
}

// drawShopping draws events over few users and items, so that they meet; the log receives them in one
// order while they happened in another, up to sixty days before.
func drawShopping(t *rapid.T) []streams.Event {
	types := slices.DeleteFunc(slices.Clone(streams.Types()), func(typ streams.Type) bool {
		return typ == streams.UserDelete // takes what came before it: its order matters by design
	})
	events := make([]streams.Event, rapid.IntRange(1, 40).Draw(t, "events"))
	for i := range events {
		e := &events[i]
		*e = streams.Event{
			ID: fmt.Sprintf("e%d", i), Type: rapid.SampledFrom(types).Draw(t, "type"),
			// Each its own millisecond: of two documents of one moment the later read one wins.
			Time:    noon.Add(-time.Duration(rapid.IntRange(0, 60*24*60).Draw(t, "minutes late"))*time.Minute + time.Duration(i)*time.Millisecond),
			UserID:  fmt.Sprintf("u%d", rapid.IntRange(0, 2).Draw(t, "user")),
			Country: rapid.SampledFrom([]string{"", "DE", "fr"}).Draw(t, "country"),
		}
		for range rapid.IntRange(1, 3).Draw(t, "lines") {
			e.Items = append(e.Items, streams.Line{ItemID: fmt.Sprintf("i%d", rapid.IntRange(0, 4).Draw(t, "item")),
				Quantity: rapid.Int64Range(1, 5).Draw(t, "quantity"), Price: rapid.Int64Range(0, 5000).Draw(t, "price")})
		}
		switch e.Type {
		case streams.UserMerge:
			e.AnonymousID = fmt.Sprintf("c%d", rapid.IntRange(0, 11).Draw(t, "visitor"))
		case streams.Rating:
			e.Rating = float64(rapid.IntRange(1, 5).Draw(t, "rating"))
		case streams.ItemUpsert, streams.UserUpsert:
			e.Attributes = map[string]any{"price": float64(i)}
		}
	}
	return events
}

// TestOrderIndependence: in whatever order the log has the events, late by up to sixty days, and however
// often a producer wrote each of them, what is left is what the sorted events leave, each once. The
// repeats are those that a consumer recognises; what Redis does with the same is tested beside it.
func TestOrderIndependence(t *testing.T) {
	checks := "1000"
	if os.Getenv("SARTOR_SOAK") != "" {
		checks = "10000"
	}
	old := flag.Lookup("rapid.checks").Value.String()
	if err := flag.Set("rapid.checks", checks); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = flag.Set("rapid.checks", old) }()
	schema := features.Default()
	cases, total, repeated, late, entities := 0, 0, 0, 0, 0
	rapid.Check(t, func(rt *rapid.T) {
		events := drawShopping(rt)
		log := slices.Clone(events)
		for range rapid.IntRange(0, len(events)).Draw(rt, "repeats") {
			log = append(log, events[rapid.IntRange(0, len(events)-1).Draw(rt, "repeated")])
		}
		log = rapid.Permutation(log).Draw(rt, "order")

		want := world{}
		slices.SortFunc(events, func(a, b streams.Event) int { return a.Time.Compare(b.Time) })
		for i := range events {
			want.apply(schema, &events[i])
		}
		got, known, newest := world{}, map[streams.Stream]*repeats{}, time.Time{}
		for i := range log {
			e := &log[i]
			s := e.Type.Stream()
			if known[s] == nil {
				known[s] = newRepeats(&Options{}, s)
			}
			if e.Time.Before(newest) {
				late++
			} else {
				newest = e.Time
			}
			if known[s].seen(e, int64(i)) {
				repeated++
				continue
			}
			got.apply(schema, e)
		}
		for entity, st := range want {
			if d := st.Differences(got[entity]); len(d) > 0 {
				rt.Fatalf("%c %s: %v", entity.Kind, entity.ID, d)
			}
		}
		if len(got) != len(want) {
			rt.Fatalf("%d entities, want %d", len(got), len(want))
		}
		cases, total, entities = cases+1, total+len(log), entities+len(want)
	})
	if late == 0 || repeated == 0 {
		t.Errorf("%d late events and %d repeats: the test does not test", late, repeated)
	}
	t.Logf("%d cases: %d messages, %d of them behind a newer one, %d repeats; %d entities, 0 differing", cases, total, late, repeated, entities)
}

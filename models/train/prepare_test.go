package train

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sartorhq/sartor/streams"
)

func shopEvent(kind streams.Type, user, item string, at time.Duration, quantity int64) streams.Event {
	e := streams.Event{Type: kind, UserID: user, Time: noon.Add(at), Items: []streams.Line{{ItemID: item, Quantity: quantity}}}
	e.ID = fmt.Sprint(kind, user, item, at)
	return e
}

// dirty is a log in which every step of cleaning finds something.
func dirty() []streams.Event {
	var out []streams.Event
	for u := range 4 { // sessions of three events, and of one the day after
		for i := range 3 {
			out = append(out, shopEvent(streams.View, fmt.Sprint("u", u), fmt.Sprint("i", i), time.Duration(i)*time.Minute, 0))
		}
		out = append(out, shopEvent(streams.View, fmt.Sprint("u", u), "i3", 24*time.Hour, 0))
	}
	out = append(out, out[0]) // sent twice
	for i := range 30 {       // a bot, and a session of 30 events
		out = append(out, shopEvent(streams.View, "bot", "i1", time.Duration(i)*time.Second, 0))
	}
	for i := range 15 {
		out = append(out, shopEvent(streams.View, "long", fmt.Sprint("i", i), time.Duration(i)*9*time.Minute, 0))
	}
	wrong := shopEvent(streams.Order, "u1", "i1", time.Hour, 1)
	wrong.Items[0].Price = -5
	two := shopEvent(streams.Order, "u2", "i5", 2*time.Hour, 1)
	two.Items = append(two.Items, streams.Line{ItemID: "i6", Quantity: 2})
	out = append(out, wrong, two, shopEvent(streams.Order, "u3", "i7", 2*time.Hour, 3),
		shopEvent(streams.Return, "u2", "i5", 3*time.Hour, 1), shopEvent(streams.Return, "u3", "i7", 3*time.Hour, 3),
		shopEvent(streams.Return, "u3", "i8", 3*time.Hour, 3), // bought before the log begins
		shopEvent(streams.Order, "u3", "i7", 4*time.Hour, 3),  // bought once more
		streams.Event{Type: streams.ItemUpsert, Time: noon, Items: []streams.Line{{ItemID: "i1"}}, Attributes: map[string]any{"title": "One", "price": 5.0}})
	slices.SortStableFunc(out, func(a, b streams.Event) int { return a.Time.Compare(b.Time) })
	return out
}

// clean runs both passes.
func clean(steps []Cleaning, l Limits, events []streams.Event) (kept []streams.Event, r CleanReport) {
	c := NewCleaner(steps, l)
	for i := range events {
		c.Observe(&events[i])
	}
	for i := range events {
		if e, ok := c.Keep(&events[i]); ok {
			kept = append(kept, *e)
		}
	}
	return kept, c.Report()
}

func TestEveryStepOfCleaningTakesWhatItSays(t *testing.T) {
	l := Limits{PerHour: 20, LongSessions: 10}
	for name, c := range map[string]struct {
		steps         []Cleaning
		events, lines int64
	}{
		"duplicates":     {[]Cleaning{Duplicates}, 1, 0},
		"impossible":     {[]Cleaning{Impossible}, 1, 0},
		"bots":           {[]Cleaning{Bots}, 30, 0},
		"cancelled":      {[]Cleaning{Cancelled}, 3, 1},     // two returns, the order of i7, and a line of another order
		"short-sessions": {[]Cleaning{ShortSessions}, 8, 0}, // a day later 4, orders and returns of u2 and u3 alone in their hour
		"long-sessions":  {[]Cleaning{LongSessions}, 45, 0},
		"nothing":        {nil, 0, 0},
	} {
		kept, r := clean(c.steps, l, dirty())
		if got := r.Events - r.Kept; got != c.events || len(kept) != len(dirty())-int(c.events) {
			t.Errorf("%s: %d events went, want %d: %+v", name, got, c.events, r)
		}
		if len(c.steps) > 0 && (r.Steps[0].Events != c.events || r.Steps[0].Lines != c.lines) {
			t.Errorf("%s: %+v", name, r.Steps[0])
		}
	}
	kept, r := clean(Cleanings(), l, dirty())
	sum := int64(0)
	for _, s := range r.Steps {
		sum += s.Events
	}
	if sum != r.Events-r.Kept || len(r.Steps) != 6 || int64(len(kept)) != r.Kept+1 {
		t.Errorf("all steps: %+v, %d kept", r, len(kept))
	}
	kept, _ = clean([]Cleaning{Cancelled}, l, dirty())
	again := slices.ContainsFunc(kept, func(e streams.Event) bool { return e.Type == streams.Order && e.Items[0].ItemID == "i7" })
	half := slices.ContainsFunc(kept, func(e streams.Event) bool {
		return e.Type == streams.Order && len(e.Items) == 1 && e.Items[0].ItemID == "i6"
	})
	if !again || !half {
		t.Errorf("the second order %v, the line that was kept %v", again, half)
	}
	if _, err := ParseCleanings([]string{"bots", "magic"}); err == nil || !strings.Contains(err.Error(), `"magic" is no step`) {
		t.Error(err)
	}
	if got, err := ParseCleanings([]string{"bots"}); err != nil || !slices.Equal(got, []Cleaning{Bots}) {
		t.Errorf("%v %v", got, err)
	}
}

func TestRepeatsAreFoundInABoundedWindow(t *testing.T) {
	r := recent{size: 100}
	for h := uint64(1); h <= 1000; h++ {
		if !r.add(h) {
			t.Fatalf("%d is new", h)
		}
	}
	if r.add(999) || r.add(960) || !r.add(1) || r.now.n+r.old.n > 100 {
		t.Errorf("%d hashes are kept", r.now.n+r.old.n)
	}
}

func TestSplitterPartsByTimeAndUser(t *testing.T) {
	s, err := NewSplitter(SplitOptions{Validation: 0.2, Test: 0.2, Strong: 0.3, Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	var events []streams.Event
	for h := range 100 {
		for u := range 20 {
			events = append(events, shopEvent(streams.View, fmt.Sprint("u", u), fmt.Sprint("i", h/5), time.Duration(h)*time.Hour, 0))
		}
	}
	for i := range events {
		s.Observe(&events[i])
	}
	parts, users := map[string]int{}, map[string]map[string]bool{}
	for i := range events {
		p := s.Part(&events[i])
		parts[p]++
		if users[p] == nil {
			users[p] = map[string]bool{}
		}
		users[p][events[i].UserID] = true
		if h := i / 20; p != PartStrong && (p == PartTest) != (h >= 80) || p == PartValidation && (h < 60 || h >= 80) {
			t.Fatalf("hour %d is in %s", h, p)
		}
	}
	for u := range users[PartStrong] {
		if users[PartTrain][u] {
			t.Errorf("%s is in two parts", u)
		}
	}
	if n := len(users[PartStrong]); n == 0 || n > 12 {
		t.Errorf("%d of 20 users are left out", n)
	}
	r := s.Report()
	if r.Cold != 4 || s.Cold("i15") || !s.Cold("i16") || r.Events[PartTest] != int64(parts[PartTest]) || !r.Test.Equal(noon.Add(80*time.Hour)) {
		t.Errorf("%+v", r)
	}
	for _, o := range []SplitOptions{{Test: 1}, {Validation: -1}, {Test: 0.1, Strong: 1}} {
		if _, err := NewSplitter(o); err == nil {
			t.Errorf("%+v was accepted", o)
		}
	}
}

func prepared(t *testing.T, events []streams.Event, s *Splitter) []byte {
	t.Helper()
	var b bytes.Buffer
	w := NewPreparedWriter(&b, s)
	for i := range events {
		if err := w.Write(&events[i]); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestPreparedLogKeepsEverything(t *testing.T) {
	total := int64(99)
	events := dirty()
	events = append(events, streams.Event{ID: "x", Type: streams.Search, AnonymousID: "a", SessionID: "s", Time: noon, Query: "coat", Country: "DE"},
		streams.Event{ID: "y", Type: streams.Rating, UserID: "u", Time: noon, Items: []streams.Line{{ItemID: "i", Price: 7, Position: 3}}, Rating: 4.5, Currency: "EUR", Scenario: "home"},
		streams.Event{ID: "z", Type: streams.Order, UserID: "u", OrderID: "o", Time: noon, Total: &total})
	data := prepared(t, events, nil)
	var got []streams.Event
	if err := ReadPrepared(bytes.NewReader(data), int64(len(data)), nil, func(e *streams.Event) error { got = append(got, *e); return nil }); err != nil {
		t.Fatal(err)
	}
	if len(got) != len(events) {
		t.Fatalf("%d events of %d", len(got), len(events))
	}
	for i := range events {
		if !reflect.DeepEqual(got[i], events[i]) {
			a, _ := json.Marshal(got[i])
			b, _ := json.Marshal(events[i])
			t.Errorf("event %d: %s, want %s", i, a, b)
		}
	}
	stop := errors.New("enough")
	if err := ReadPrepared(bytes.NewReader(data), int64(len(data)), nil, func(*streams.Event) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("the caller's error became %v", err)
	}
}

func TestReadPreparedTakesParts(t *testing.T) {
	s, err := NewSplitter(SplitOptions{})
	if err != nil {
		t.Fatal(err)
	}
	var events []streams.Event
	for h := range 100 {
		events = append(events, shopEvent(streams.View, "u", "i", time.Duration(h)*time.Hour, 0))
	}
	for i := range events {
		s.Observe(&events[i])
	}
	data := prepared(t, events, s)
	for part, want := range map[string]int{PartTrain: 80, PartValidation: 10, PartTest: 10, PartStrong: 0} {
		n := 0
		if err := ReadPrepared(bytes.NewReader(data), int64(len(data)), []string{part}, func(*streams.Event) error { n++; return nil }); err != nil || n != want {
			t.Errorf("%s: %d events, want %d: %v", part, n, want, err)
		}
	}
}

func FuzzReadPrepared(f *testing.F) {
	var b bytes.Buffer
	w := NewPreparedWriter(&b, nil)
	events := dirty()
	for i := range events[:20] {
		if err := w.Write(&events[i]); err != nil {
			f.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		f.Fatal(err)
	}
	f.Add(b.Bytes())
	f.Add(b.Bytes()[:b.Len()/2])
	f.Fuzz(func(t *testing.T, data []byte) {
		_ = ReadPrepared(bytes.NewReader(data), int64(len(data)), nil, func(e *streams.Event) error {
			if e.Type.Stream() == "" {
				t.Error("an event without type")
			}
			return nil
		})
	})
}

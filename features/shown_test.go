package features

import (
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/sartorhq/sartor/streams"
)

// showing is an exposure of items to the user u.
func showing(when time.Time, items ...string) streams.Event {
	e := streams.Event{Type: streams.Exposure, UserID: "u", Time: when}
	for i, id := range items {
		e.Items = append(e.Items, streams.Line{ItemID: id, Position: i + 1})
	}
	return e
}

func TestWhatWasShown(t *testing.T) {
	s, err := parseWith(t, "shown: {max: 200, window: 14d}", "shown: {max: 4, window: 14d}")
	if err != nil {
		t.Fatal(err)
	}
	visitor := showing(noon.Add(-time.Minute), "v")
	visitor.UserID, visitor.AnonymousID = "", "c-9"
	states := apply(s, []streams.Event{
		showing(noon.Add(-time.Hour), "a", "b", "a"), showing(noon.Add(-15*day), "old"), showing(noon.Add(-2*time.Hour), "a"),
		visitor, merging("u", "c-9", noon),
	})
	st := states[Entity{UserEntity, "u"}]
	st.Join(s, states[Entity{UserEntity, "anon:c-9"}])
	u := s.User("u", st, nil, noon)
	var got []string
	for _, e := range u.Shown {
		got = append(got, fmt.Sprint(e.Type, " ", e.ItemID, " ", noon.Sub(time.UnixMilli(e.Time))))
	}
	// An item that is twice in one list was shown once; the fifth entry is beyond the length, and the
	// old one would be beyond the window.
	want := []string{"exposure v 1m0s", "exposure b 1h0m0s", "exposure a 1h0m0s", "exposure a 2h0m0s"}
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if len(u.History) != 0 || u.Known["last_seen_at"] || u.Known["first_seen_at"] {
		t.Errorf("being shown something is no deed: history %v, env %v", u.History, u.Env)
	}
	if late := s.User("u", st, nil, noon.Add(14*day-time.Minute)); len(late.Shown) != 1 || late.Shown[0].ItemID != "v" {
		t.Errorf("a fortnight later: %v", late.Shown)
	}
	var ops []Op
	for _, e := range u.Shown {
		ops = append(ops, Op{Code: Push, Field: "shown", Text: historyMember(e.Type, e.Time, e.ItemID), Time: e.Time})
	}
	var back State
	back.Apply(s, ops)
	if !slices.Equal(back.Lists["shown"], u.Shown) {
		t.Errorf("written and read: %v, was %v", back.Lists["shown"], u.Shown)
	}
}

// Without the list and without aggregates of exposures nothing is stored about the user.
func TestNothingIsKeptOfExposuresUnasked(t *testing.T) {
	s, err := parseWith(t, "shown: {max: 200, window: 14d}\n", "")
	if err != nil {
		t.Fatal(err)
	}
	e := showing(noon, "a")
	for _, d := range s.Fold(&e) {
		if d.Entity.Kind == UserEntity {
			t.Errorf("got %v", d)
		}
	}
	if len(s.Lists()) == 0 || slices.ContainsFunc(s.Lists(), func(l List) bool { return l.Name == "shown" }) {
		t.Errorf("lists: %v", s.Lists())
	}
}

// Exposures and deeds in any order end in the same state, and exposures alone let old buckets go.
func TestExposuresCommute(t *testing.T) {
	s, err := parseWith(t, "user:\n", "user:\n  exposures_1h: {type: int, default: 0, count: {events: [exposure], window: 1h}, doc: d, example: 1}\n")
	if err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(rt *rapid.T) {
		var events []streams.Event
		for i := range rapid.IntRange(1, 60).Draw(rt, "events") {
			e := showing(noon.Add(time.Duration(rapid.IntRange(0, 40*24*60).Draw(rt, "minute"))*time.Minute+time.Duration(i)*time.Millisecond),
				rapid.SampledFrom([]string{"a", "b", "c"}).Draw(rt, "item"))
			e.Type = rapid.SampledFrom([]streams.Type{streams.Exposure, streams.Exposure, streams.View}).Draw(rt, "type")
			events = append(events, e)
		}
		one, other := apply(s, events), apply(s, rapid.Permutation(events).Draw(rt, "order"))
		if !reflect.DeepEqual(one, other) {
			rt.Fatalf("got %v and %v", one, other)
		}
	})
	var hourly []streams.Event
	for n := range 24 * 60 {
		hourly = append(hourly, showing(noon.Add(time.Duration(n)*time.Hour), "a"))
	}
	if n := len(apply(s, hourly)[Entity{UserEntity, "u"}].Counters); n > 60 {
		t.Errorf("a user who only is shown things has %d counters", n)
	}
}

func TestBudgetNamesExposures(t *testing.T) {
	user, _ := Default().Budget(noon, "")
	if len(user) != 3 || user[1].Bytes <= user[0].Bytes || user[1].Listed != user[0].Listed+100 {
		t.Errorf("got %+v", user)
	}
}

package features

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/sartorhq/sartor/streams"
)

// TestUserReaderAgreesWithUser reads every field alone, and some together, of users of all kinds, and wants
// what Schema.User says of them, and nothing else.
func TestUserReaderAgreesWithUser(t *testing.T) {
	s, now := Default(), time.Date(2026, 10, 23, 12, 30, 0, 0, time.UTC)
	items := func(id string) *Item {
		if id == "i9" {
			return nil
		}
		return &Item{ID: id, Env: map[string]any{"category": "c" + id[1:2], "brand": ""}}
	}
	var names []string
	for _, f := range s.UserFields() {
		names = append(names, f.Name)
	}
	rng := rand.New(rand.NewPCG(1, 1))
	states := []*State{nil, {}, {DocTime: 5}, {Doc: `{"tier":"gold","segments":["a"],"x":1}`, DocTime: 1}, {Doc: `{"tier":"gold","country":"DE"}`, DocTime: 1}, {Doc: `{"tier"`, DocTime: 1}}
	for range 4 {
		states = append(states, somebody(s, rng, now))
	}
	for n, st := range states {
		want := s.User("u", st, items, now)
		for i := range len(names) + 50 {
			fields := names
			switch {
			case i < len(names):
				fields = names[i : i+1]
			case i < len(names)+49:
				fields = slices.Clone(names)
				rng.Shuffle(len(fields), func(a, b int) { fields[a], fields[b] = fields[b], fields[a] })
				fields = append(fields[:rng.IntN(8)], "no such field")
			}
			half := len(fields) / 2
			got := s.UserReader(fields[:half]).With(fields[half:]).Read("u", st, items, now)
			for _, name := range append([]string{"id"}, fields...) {
				if !reflect.DeepEqual(got.Env[name], want.Env[name]) || got.Known[name] != want.Known[name] {
					t.Fatalf("state %d, %s of %v: %v (known %v), want %v (%v)", n, name, fields, got.Env[name], got.Known[name], want.Env[name], want.Known[name])
				}
			}
			if got.ID != want.ID || got.Seen != want.Seen || !got.Now.Equal(want.Now) || !slices.Equal(got.History, want.History) || !slices.Equal(got.Shown, want.Shown) {
				t.Fatalf("state %d: %+v, want %+v", n, got, want)
			}
		}
	}
}

// somebody is a user who did things to ten items, in a state that events made.
func somebody(s *Schema, rng *rand.Rand, now time.Time) *State {
	var st State
	types := []streams.Type{streams.View, streams.Click, streams.CartAdd, streams.CartRemove, streams.Wishlist, streams.Order, streams.Return, streams.Exposure}
	for i := range 150 {
		e := streams.Event{ID: fmt.Sprint(i), Type: types[rng.IntN(len(types))], UserID: "u", Time: now.Add(-time.Duration(rng.IntN(5000)) * time.Minute),
			Items: []streams.Line{{ItemID: fmt.Sprintf("i%d", rng.IntN(10)), Quantity: 1, Price: 1999}}}
		for _, d := range s.Fold(&e) {
			if d.Entity.Kind == UserEntity {
				st.Apply(s, d.Ops)
			}
		}
	}
	return &st
}

// TestReaderWithNothingNew returns itself: most requests ask for nothing beyond what the rules read.
func TestReaderWithNothingNew(t *testing.T) {
	r := Default().UserReader([]string{"avg_order_value"}) // made of spend and orders
	if r.With([]string{"orders", "spend", "avg_order_value", "id", "no such field"}) != r {
		t.Error("a reader of the same fields is made anew")
	}
	if r.With([]string{"tier"}) == r {
		t.Error("a field is not added")
	}
}

// TestDeedsAreWhatTheListsSay compares the deeds with a sort of all lists.
func TestDeedsAreWhatTheListsSay(t *testing.T) {
	s, now := Default(), time.Date(2026, 10, 23, 12, 30, 0, 0, time.UTC)
	rng := rand.New(rand.NewPCG(2, 2))
	for range 50 {
		st := somebody(s, rng, now)
		switch rng.IntN(3) {
		case 0: // a history that forgot most
			st.Lists[historyList] = st.Lists[historyList][:rng.IntN(10)]
		case 1: // nothing
			st.Lists[historyList] = nil
		}
		var want []Entry
		for _, l := range s.Lists() {
			if l.Name == historyList || len(l.Events) == 1 && l.Events[0] != streams.Exposure {
				for _, e := range st.Lists[l.Name] {
					if e.ItemID != "" {
						want = append(want, e)
					}
				}
			}
		}
		slices.SortFunc(want, CompareEntries)
		want = slices.Compact(want)
		v := view{schema: s, st: st, items: func(string) *Item { return nil }}
		var got []Entry
		for _, d := range v.deedsOnItems() {
			got = append(got, *d.Entry)
		}
		if !slices.Equal(got, want) {
			t.Fatalf("got %v\nwant %v", got, want)
		}
	}
}

// TestItemsCarryTheTextsOfUsers wants the same favourites of items that the schema made, of bare ones, and
// of ones that another schema made.
func TestItemsCarryTheTextsOfUsers(t *testing.T) {
	s, now := Default(), time.Date(2026, 10, 23, 12, 30, 0, 0, time.UTC)
	other, err := Parse("other.yaml", []byte("apiVersion: features/v1\nhistory: {max: 9, events: [view]}\nuser:\n  liked: {type: \"[]text\", max: 5, default: [], top: {of: brand, half_life: 7d, weights: {view: 1}}, doc: x, example: \"[a]\"}\n"+
		"item:\n  brand: {type: text, default: \"\", doc: x, example: a}\n  category: {type: text, default: \"\", doc: x, example: a}\ncontext: {}\n"))
	if err != nil {
		t.Fatal(err)
	}
	st := somebody(s, rand.New(rand.NewPCG(3, 3)), now)
	doc := func(id string) *State {
		return &State{DocTime: 1, Doc: fmt.Sprintf(`{"category":"c%d","brand":"b%d"}`, id[1]%3, id[1]%4)}
	}
	made := func(by *Schema) ItemLookup { return func(id string) *Item { return by.Item(id, doc(id), now) } }
	bare := func(id string) *Item { return &Item{ID: id, Env: s.Item(id, doc(id), now).Env} }
	want := s.User("u", st, bare, now)
	if len(want.Env["top_brands"].([]string)) < 3 {
		t.Fatalf("favourites %v", want.Env["top_brands"])
	}
	for name, items := range map[string]ItemLookup{"of the schema": made(s), "of another schema": made(other)} {
		got := s.User("u", st, items, now)
		for _, f := range []string{"top_categories", "top_brands"} {
			if !reflect.DeepEqual(got.Env[f], want.Env[f]) {
				t.Errorf("items %s: %s are %v, want %v", name, f, got.Env[f], want.Env[f])
			}
		}
	}
}

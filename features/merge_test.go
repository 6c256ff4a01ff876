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

func merging(user, visitor string, when time.Time) streams.Event {
	return streams.Event{Type: streams.UserMerge, UserID: user, AnonymousID: visitor, Time: when}
}

// A visitor who becomes a user brings along what was counted, before the merge and after it.
func TestMergedUserHasTheVisitorsPast(t *testing.T) {
	s := Default()
	of := func(visitor, item string, when time.Time) streams.Event {
		e := at(streams.View, item, when)
		e.UserID, e.AnonymousID = "", visitor
		return e
	}
	states := apply(s, []streams.Event{
		of("c-9", "a", noon.Add(-3*time.Hour)), at(streams.View, "b", noon.Add(-2*time.Hour)),
		merging("u", "c-9", noon.Add(-time.Hour)), of("c-9", "c", noon.Add(-time.Minute)), // late
		of("c-8", "x", noon), // somebody else
	})
	st := states[Entity{UserEntity, "u"}]
	if got, want := st.Visitors(), []string{"anon:c-9"}; !slices.Equal(got, want) {
		t.Fatalf("visitors: got %v, want %v", got, want)
	}
	visitor := states[Entity{UserEntity, "anon:c-9"}]
	before := fmt.Sprint(*visitor)
	st.Join(s, visitor)
	u := s.User("u", st, nil, noon)
	want := map[string]any{"views_24h": 3, "last_viewed": []string{"c", "b", "a"},
		"first_seen_at": noon.Add(-3 * time.Hour), "last_seen_at": noon.Add(-time.Minute)}
	for name, w := range want {
		if !reflect.DeepEqual(u.Env[name], w) {
			t.Errorf("%s = %v, want %v", name, u.Env[name], w)
		}
	}
	if after := fmt.Sprint(*visitor); after != before {
		t.Errorf("the visitor changed: %s, was %s", after, before)
	}
	if len(u.History) != 3 {
		t.Errorf("history %v", u.History)
	}
}

// Whatever the order and however often they come, the newest links remain.
func TestLinksAreLimitedInAnyOrder(t *testing.T) {
	s := Default()
	rapid.Check(t, func(rt *rapid.T) {
		var ops []Op
		for range rapid.IntRange(1, 40).Draw(rt, "merges") {
			e := merging("u", fmt.Sprintf("c%d@h1", rapid.IntRange(0, 14).Draw(rt, "visitor")), noon.Add(time.Duration(rapid.IntRange(0, 9).Draw(rt, "minute"))*time.Minute))
			ops = append(ops, s.Fold(&e)[0].Ops...)
		}
		var one, other State
		one.Apply(s, ops)
		for _, i := range rapid.Permutation(append(slices.Clone(ops), ops...)).Draw(rt, "order") {
			other.Apply(s, []Op{i})
		}
		if !reflect.DeepEqual(one, other) || len(one.Counters) > maxVisitors {
			rt.Fatalf("got %v and %v", one, other)
		}
	})
}

// An erasure covers links as it covers all else.
func TestErasureDropsLinks(t *testing.T) {
	s := Default()
	st := apply(s, []streams.Event{merging("u", "c", noon), {Type: streams.UserDelete, UserID: "u", Time: noon}, merging("u", "c", noon.Add(-time.Second))})[Entity{UserEntity, "u"}]
	if got := st.Visitors(); len(got) != 0 {
		t.Errorf("got %v", got)
	}
	if d := s.Fold(&streams.Event{Type: streams.UserMerge, UserID: "u", Time: noon}); d != nil {
		t.Errorf("half a merge became %v", d)
	}
}

package redisstore

import (
	"fmt"
	"testing"
	"time"

	"github.com/sartorhq/sartor/features"
	"github.com/sartorhq/sartor/streams"
)

// Merging is exactly once whatever crashes: it is delivered again after each prefix of the log, by
// an owner that knows nothing, and the user is what the fold of the log says.
func TestMergeUnderCrashes(t *testing.T) {
	onServers(t, func(t *testing.T, opts Options) {
		visit := func(visitor, item string, after time.Duration) streams.Event {
			e := event(streams.View, "", item, after)
			e.AnonymousID = visitor
			return e
		}
		merge := func(visitor string, after time.Duration) streams.Event {
			return streams.Event{Type: streams.UserMerge, UserID: "u", AnonymousID: visitor, Time: start.Add(after)}
		}
		events := []streams.Event{visit("c", "a", 0), event(streams.View, "u", "b", time.Minute), merge("c", 2*time.Minute),
			visit("c", "d", 3*time.Minute), merge("c", 4*time.Minute), visit("e", "f", time.Hour)}
		for i := range 12 { // more visitors than are remembered
			events = append(events, merge(fmt.Sprintf("bot-%02d@h3", i), -time.Duration(i)*time.Hour))
		}
		events = append(events, merge("e", 2*time.Hour))
		log := foldAll(events)
		s := open(t, opts)
		for end := 1; end <= len(log); end++ {
			p := partition(t, s) // the former owner died
			if err := p.Apply(t.Context(), log[:end], int64(end-1)); err != nil {
				t.Fatal(err)
			}
		}
		want := oracle(log)
		if d := differences(s, want); d != "" {
			t.Fatal(d)
		}
		schema := features.Default()
		joined := want[features.Entity{Kind: features.UserEntity, ID: "u"}]
		for _, v := range joined.Visitors() {
			joined.Join(schema, want[features.Entity{Kind: features.UserEntity, ID: v}])
		}
		got, err := s.User(t.Context(), "u")
		if err != nil {
			t.Fatal(err)
		}
		if g, w := render(got), render(joined); g != w {
			t.Errorf("got  %s\nwant %s", g, w)
		}
		if views := schema.User("u", got, nil, start.Add(time.Hour)).Env["views_24h"]; views != 4 {
			t.Errorf("got %v views, want 4", views)
		}
	})
}

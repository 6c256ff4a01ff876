package redisstore

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sartorhq/sartor/features"
	"github.com/sartorhq/sartor/streams"
)

func shopEvents() []streams.Event {
	return []streams.Event{
		event(streams.View, "u1", "a", 0), event(streams.Order, "u1", "a", time.Minute), event(streams.View, "u2", "b", time.Hour),
		{Type: streams.ItemUpsert, Time: start, Items: []streams.Line{{ItemID: "c"}}, Attributes: map[string]any{"brand": "x"}},
	}
}

// Features are built anew beside those that are served; readers and writers follow in one step, and
// nothing is lost or doubled on the way.
func TestRebuildAndFollow(t *testing.T) {
	onServers(t, func(t *testing.T, opts Options) {
		ctx := t.Context()
		log := foldAll(shopEvents())
		served := open(t, opts)
		writer := partition(t, served)
		if err := writer.Apply(ctx, log[:2], 1); err != nil {
			t.Fatal(err)
		}
		reader := open(t, opts)
		_, cursor, err := reader.ChangedItems(ctx, nil)
		if err != nil {
			t.Fatal(err)
		}

		aside := opts
		aside.Namespace = "g2"
		built := open(t, aside)
		if err := partition(t, built).Apply(ctx, log[:3], 2); err != nil {
			t.Fatal(err)
		}
		if err := writer.Flush(ctx); err != nil {
			t.Fatalf("before the switch: %v", err)
		}
		if u, err := reader.User(ctx, "u2"); u != nil || err != nil {
			t.Fatalf("before the switch: %v, %v", u, err)
		}
		if err := built.Activate(ctx, "g3"); err == nil {
			t.Fatal("a namespace that does not exist became active")
		}
		if err := built.Activate(ctx, "g2"); err != nil {
			t.Fatal(err)
		}

		changed, cursor, err := reader.ChangedItems(ctx, cursor)
		if err != nil || !slices.Equal(changedIDs(changed), []string{"a", "b"}) {
			t.Fatalf("after the switch all items are read: %v, %v", changedIDs(changed), err)
		}
		if again, _, err := reader.ChangedItems(ctx, cursor); err != nil || len(again) != 0 {
			t.Fatalf("and then only changes: %v, %v", changedIDs(again), err)
		}
		if u, err := reader.User(ctx, "u2"); u == nil || err != nil {
			t.Fatalf("after the switch: %v, %v", u, err)
		}
		if err := writer.Flush(ctx); !errors.Is(err, ErrFenced) {
			t.Fatalf("the writer must open again, got %v", err)
		}
		writer = partition(t, served)
		if err := writer.Flush(ctx); err != nil {
			t.Fatal(err)
		}
		if err := writer.Apply(ctx, log[writer.Next():], 3); err != nil {
			t.Fatal(err)
		}
		if d := differences(served, oracle(log)); d != "" {
			t.Fatal(d)
		}

		if _, err := served.Drop(ctx, "g2"); !errors.Is(err, ErrActive) {
			t.Fatalf("dropped what is served: %v", err)
		}
		if n, err := served.Drop(ctx, ""); err != nil || n == 0 {
			t.Fatalf("dropped %d keys, %v", n, err)
		}
		keys := served.client.Keys(ctx, opts.Prefix+"*").Val()
		for _, k := range keys {
			if !strings.HasPrefix(k, opts.Prefix+"g2:") && k != opts.Prefix+"active" && k != opts.Prefix+"namespaces" {
				t.Errorf("%s is left", k)
			}
		}
		if d := differences(served, oracle(log)); d != "" {
			t.Fatal(d)
		}
		if d := differences(open(t, opts), oracle(log)); d != "" { // a process that starts later
			t.Fatal(d)
		}
	})
}

// A writer with the old schema must not write into features that were built with a new one.
func TestWriterOfAnotherSchemaStops(t *testing.T) {
	onServers(t, func(t *testing.T, opts Options) {
		ctx := t.Context()
		old := open(t, opts)
		next, err := features.Parse("x", []byte(strings.Replace(schemaText(t), "window: 30d", "window: 31d", 1)))
		if err != nil {
			t.Fatal(err)
		}
		aside := opts
		aside.Namespace = "g2"
		built := New(aside, next)
		t.Cleanup(func() { _ = built.Close() })
		if err := built.Open(ctx); err != nil {
			t.Fatal(err)
		}
		if err := built.Activate(ctx, "g2"); err != nil {
			t.Fatal(err)
		}
		if err := partition(t, old).Flush(ctx); !errors.Is(err, ErrFenced) {
			t.Fatalf("got %v", err)
		}
		if _, err := old.Partition(ctx, "orders", 0); !errors.Is(err, ErrSchema) {
			t.Fatalf("got %v", err)
		}
		spaces, err := old.Namespaces(ctx)
		if err != nil || len(spaces) != 2 || spaces[1].Built != next.Version() || spaces[1].BuiltSource != next.Source() || !spaces[1].Active || spaces[0].Active {
			t.Fatalf("got %+v, %v", spaces, err)
		}
	})
}

func TestEraseUserIsProvable(t *testing.T) {
	onServers(t, func(t *testing.T, opts Options) {
		ctx := t.Context()
		s := open(t, opts)
		log := foldAll(shopEvents())
		if err := partition(t, s).Apply(ctx, log, 3); err != nil {
			t.Fatal(err)
		}
		at := start.Add(2 * time.Hour)
		erased, err := s.EraseUser(ctx, "u1", at)
		if err != nil {
			t.Fatal(err)
		}
		if len(erased) != 1 || !strings.HasSuffix(erased[0].Key, "}:u:u1") || erased[0].Type != "list" || erased[0].Entries < 10 || erased[0].Tombstone {
			t.Fatalf("erased %+v", erased)
		}
		left, err := s.UserKeys(ctx, "u1")
		if err != nil || len(left) != 1 || left[0].Entries != 1 || !left[0].Tombstone {
			t.Fatalf("left: %+v, %v", left, err)
		}
		if raw := strings.Join(rawParts(t, s, "u1"), ""); len(raw) > 20 || strings.Contains(raw, "a") {
			t.Fatalf("Redis still holds %q", raw)
		}
		// The whole log again, as another partition would bring it: nothing comes back.
		again, err := s.Partition(ctx, "orders", 7)
		if err != nil {
			t.Fatal(err)
		}
		if err := again.Apply(ctx, log, 3); err != nil {
			t.Fatal(err)
		}
		if st, err := s.User(ctx, "u1"); err != nil || render(st) != render(&features.State{RemovedAt: at.UnixMilli()}) {
			t.Fatalf("came back: %v, %v", st, err)
		}
		if st, err := s.User(ctx, "u2"); err != nil || st == nil {
			t.Fatalf("u2 went too: %v, %v", st, err)
		}
		// What happens afterwards counts, and an older erasure takes nothing of it.
		later := foldAll([]streams.Event{event(streams.View, "u1", "b", 3*time.Hour)})
		later[0].Offset = 4
		if err := again.Apply(ctx, later, 4); err != nil {
			t.Fatal(err)
		}
		if _, err := s.EraseUser(ctx, "u1", at.Add(-time.Hour)); err != nil {
			t.Fatal(err)
		}
		if st, err := s.User(ctx, "u1"); err != nil || len(st.Lists["history"]) != 1 {
			t.Fatalf("got %v, %v", st, err)
		}
	})
}

func TestEntities(t *testing.T) {
	onServers(t, func(t *testing.T, opts Options) {
		opts.Prefix += "od[d*:"
		s := open(t, opts)
		log := foldAll(shopEvents())
		if err := partition(t, s).Apply(t.Context(), log, 3); err != nil {
			t.Fatal(err)
		}
		want := oracle(log)
		seen := map[features.Entity]bool{}
		if err := s.Entities(context.Background(), func(e features.Entity) error { seen[e] = true; return nil }); err != nil {
			t.Fatal(err)
		}
		if len(seen) != len(want) {
			t.Errorf("got %v, want the keys of %v", seen, want)
		}
		var all []features.Entity
		for e := range want {
			all = append(all, e)
		}
		states, err := s.StoredAll(t.Context(), append(all, features.Entity{Kind: features.ItemEntity, ID: "nothing"}))
		if err != nil || states[len(all)] != nil {
			t.Fatal(err)
		}
		for i, e := range all {
			if g, w := render(states[i]), render(want[e]); g != w {
				t.Errorf("%v: got %s, want %s", e, g, w)
			}
		}
	})
}

// rawParts returns what Redis holds of a user.
func rawParts(t *testing.T, s *Store, user string) []string {
	t.Helper()
	e := features.Entity{Kind: features.UserEntity, ID: user}
	parts, err := s.client.LRange(t.Context(), entityKey(s.tag(s.shardOf(e)), e), 0, -1).Result()
	if err != nil {
		t.Fatal(err)
	}
	return parts
}

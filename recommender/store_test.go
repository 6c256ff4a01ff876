package recommender_test

import (
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"

	"github.com/sartorhq/sartor/features"
	"github.com/sartorhq/sartor/features/redisstore"
	"github.com/sartorhq/sartor/recommender"
	"github.com/sartorhq/sartor/streams"
)

// TestOverRedis answers from the real store: events go in and the next answer changes. Then Redis
// stops, and there is still an answer. (That a user is one round trip is tested in redisstore.)
func TestOverRedis(t *testing.T) {
	server := miniredis.RunT(t)
	schema := features.Default()
	store := redisstore.New(redisstore.Options{Addrs: []string{server.Addr()}}, schema)
	defer store.Close()
	if err := store.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	part, err := store.Partition(t.Context(), "behavior", 0)
	if err != nil {
		t.Fatal(err)
	}
	next := part.Next()
	happen := func(events ...streams.Event) {
		t.Helper()
		var batch []redisstore.Folded
		for i := range events {
			batch = append(batch, redisstore.Folded{Offset: next, Deltas: schema.Fold(&events[i])})
			next++
		}
		if err := part.Apply(t.Context(), batch, next-1); err != nil {
			t.Fatal(err)
		}
		if err := part.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	r := recommender.New(recommender.Options{Schema: schema, Users: store, Now: func() time.Time { return noon }, Budget: patient, UserTimeout: patient})
	if err := r.SetModel(newCircle("m", map[string]float64{"a": 0, "b": 10, "c": 20})); err != nil {
		t.Fatal(err)
	}
	happen(item("a", nil), item("b", nil), item("c", nil), order("x", "", "b", 2, time.Hour))
	if err := r.Refresh(t.Context(), store); err != nil {
		t.Fatal(err)
	}
	q := recommender.Request{UserID: "u1", Count: 2}
	if got := ask(t, r, q); ids(got) != "b a" || got.ServedBy != recommender.ServedByPopular {
		t.Errorf("before any event: %q by %s, want b a by popular", ids(got), got.ServedBy)
	}
	happen(view("u1", "c", time.Minute))
	if got := ask(t, r, q); ids(got) != "c b" || got.ServedBy != recommender.ServedByModel {
		t.Errorf("after one view: %q by %s, want c b by model", ids(got), got.ServedBy)
	}
	server.Close()
	got := ask(t, r, q)
	if ids(got) != "c b" || got.Degraded[0] != recommender.DegradedUserCached {
		t.Errorf("with Redis stopped: %q, degraded %v; want c b from cached features", ids(got), got.Degraded)
	}
}

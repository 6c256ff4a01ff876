package redisstore

import (
	"fmt"
	"testing"
	"time"

	"github.com/sartorhq/sartor/features"
	"github.com/sartorhq/sartor/streams"
)

// The estimate of 'sartor features budget' is within 15 % of what a real server says.
func TestBudgetIsWhatRedisSays(t *testing.T) {
	ctx := t.Context()
	opts := realOptions(t)
	s := open(t, opts)
	schema := features.Default()
	var events []streams.Event
	for n := range 3000 { // users and items with few, some and very many events
		e := event([]streams.Type{streams.View, streams.Click, streams.CartAdd, streams.Order}[n%4], "", "", time.Duration(n)*time.Hour)
		e.UserID = fmt.Sprintf("customer-%d", min(n%60, n%11))
		e.Items[0].ItemID = fmt.Sprintf("sku-%d", min(n%50, n%7))
		if n%3 == 0 {
			e.UserID, e.Items[0].ItemID = "customer-rare-"+fmt.Sprint(n%100), "sku-rare-"+fmt.Sprint(n%90)
		}
		events = append(events, e)
	}
	log := foldAll(events)
	if err := partition(t, s).Apply(ctx, log, int64(len(log)-1)); err != nil {
		t.Fatal(err)
	}
	want := oracle(log)
	for e := range want { // pack what was applied
		parts, err := s.parts(ctx, []string{entityKey(s.tag(s.shardOf(e)), e)})
		if err != nil {
			t.Fatal(err)
		}
		state, _, err := schema.Repack(parts[0])
		if err != nil {
			t.Fatal(err)
		}
		if moved, err := s.replace(ctx, s.space(), []replacement{{e, parts[0], state}}, 0); err != nil || len(moved) > 0 {
			t.Fatal(moved, err)
		}
	}
	for e, st := range want {
		want := schema.StoredBytes(e, st, opts.Prefix)
		have, err := s.client.MemoryUsage(ctx, entityKey(s.tag(s.shardOf(e)), e), 0).Result()
		if err != nil {
			t.Fatal(err)
		}
		if e.Kind == features.UserEntity {
			have += 32 // the lifetime, which the server does not count
		}
		if ratio := float64(want) / float64(have); ratio < 0.85 || ratio > 1.15 {
			t.Errorf("%c %s: estimated %d, the server says %d (%d counters)", e.Kind, e.ID, want, have, len(st.Counters))
		}
	}
}

package redisstore

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/sartorhq/sartor/features"
	"github.com/sartorhq/sartor/streams"
)

const richSchema = `apiVersion: features/v1
currency: EUR
history: {max: 5, events: [view, order]}
user:
  de: {type: int, default: 0, count: {events: [order], where: {country: [DE, at]}, window: 30d}, doc: d, example: e}
  most: {type: money, default: 0, max: {of: amount, events: [order]}, doc: d, example: e}
  least: {type: money, default: 0, min: {of: amount, events: [order], window: 7d}, doc: d, example: e}
  fading: {type: number, default: 0, decay: {of: count, events: [view], half_life: 6h, window: 48h}, doc: d, example: e}
  first_app: {type: time, default: "", first: {events: [order], where: {attributes.channel: app}}, doc: d, example: e}
  bought_de: {type: "[]text", max: 2, default: [], list: {events: [order], where: {country: DE}}, doc: d, example: e}
item:
  most: {type: int, default: 0, max: {of: units, events: [order], where: {country: DE}, window: 24h}, doc: d, example: e}
  with: {type: "[]text", max: 2, default: [], together: {events: [order], remember: 6}, doc: d, example: e}
  seen_with: {type: "[]text", max: 2, default: [], together: {events: [view], where: {country: DE}, remember: 3}, doc: d, example: e}
context: {}
`

// Every aggregate of the language ends in Redis as it does in memory, whatever the batches, and in
// the same state in any order.
func TestLanguageEqualsFold(t *testing.T) {
	schema, err := features.Parse("rich", []byte(richSchema))
	if err != nil {
		t.Fatal(err)
	}
	onServers(t, func(t *testing.T, opts Options) {
		n := 0
		rapid.Check(t, func(rt *rapid.T) {
			n++
			o := opts
			o.Prefix = fmt.Sprintf("%sl%d:", opts.Prefix, n)
			s := New(o, schema)
			defer s.Close()
			if err := s.Open(t.Context()); err != nil {
				rt.Fatal(err)
			}
			var log []Folded
			for i, e := range genEvents(rt) {
				if e.Type == streams.UserDelete || e.Type == streams.ItemUpsert || e.Type == streams.UserUpsert {
					e.Type = streams.Order // these do not commute, which other tests cover
				}
				e.Attributes = map[string]any{"channel": rapid.SampledFrom([]string{"app", "web"}).Draw(rt, "channel")}
				e.UserID = "i1" // as an item is called
				log = append(log, Folded{Offset: int64(i), Deltas: schema.Fold(&e)})
			}
			order := rapid.Permutation(log).Draw(rt, "order")
			want := map[features.Entity]*features.State{}
			for i := range order {
				for _, d := range order[i].Deltas {
					if want[d.Entity] == nil {
						want[d.Entity] = &features.State{}
					}
					want[d.Entity].Apply(schema, d.Ops)
				}
			}
			p, err := s.Partition(t.Context(), "orders", 0)
			if err != nil {
				rt.Fatal(err)
			}
			applyInBatches(rt, p, log)
			if d := differences(s, want); d != "" {
				rt.Fatal(d)
			}
			items, _, err := s.ChangedItems(t.Context(), nil)
			if err != nil {
				rt.Fatal(err)
			}
			for _, it := range items {
				if d := want[features.Entity{Kind: features.ItemEntity, ID: it.ID}].Differences(it.State); len(d) > 0 {
					rt.Fatalf("%s: %v", it.ID, d)
				}
			}
		})
	})
}

// Erasing a user leaves the item of the same name alone.
func TestEraseLeavesItems(t *testing.T) {
	schema, err := features.Parse("rich", []byte(richSchema))
	if err != nil {
		t.Fatal(err)
	}
	onServers(t, func(t *testing.T, opts Options) {
		opts.Shards = 1
		s := New(opts, schema)
		defer s.Close()
		if err := s.Open(t.Context()); err != nil {
			t.Fatal(err)
		}
		e := event(streams.Order, "a", "a", 0)
		e.Items = append(e.Items, streams.Line{ItemID: "b", Quantity: 1})
		gone := streams.Event{Type: streams.UserDelete, UserID: "a", Time: start.Add(time.Hour)}
		p, err := s.Partition(t.Context(), "orders", 0)
		if err != nil {
			t.Fatal(err)
		}
		if err := p.Apply(t.Context(), []Folded{{0, schema.Fold(&e)}, {1, schema.Fold(&gone)}}, 1); err != nil {
			t.Fatal(err)
		}
		if _, err := s.EraseUser(t.Context(), "a", start.Add(2*time.Hour)); err != nil {
			t.Fatal(err)
		}
		st, err := s.Item(t.Context(), "a")
		if err != nil || len(st.Lists["i.with"]) != 1 {
			t.Fatalf("got %v, %v", st, err)
		}
		if ttl := s.client.PTTL(t.Context(), s.tag(0)+"i:a").Val(); ttl > 0 {
			t.Errorf("an item ends in %v", ttl)
		}
	})
}

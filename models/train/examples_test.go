package train

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sartorhq/sartor/deploy/devstack"
	"github.com/sartorhq/sartor/features"
	"github.com/sartorhq/sartor/features/redisstore"
	"github.com/sartorhq/sartor/streams"
)

// richSchema is the default schema with every kind of aggregate besides.
func richSchema(t *testing.T) *features.Schema {
	t.Helper()
	data, err := os.ReadFile("../../features/schema.yaml")
	if err != nil {
		t.Fatal(err)
	}
	const user = `
user:
  most: {type: money, default: 0, max: {of: amount, events: [order], window: 7d}, doc: d, example: 1}
  least: {type: money, default: 0, min: {of: amount, events: [order], where: {country: [DE]}}, doc: d, example: 1}
  fading: {type: number, default: 0, decay: {of: count, events: [view, exposure], half_life: 6h, window: 48h}, doc: d, example: 1}
  first_app: {type: time, default: "", first: {events: [order], where: {attributes.channel: app}}, doc: d, example: 1}
  rated: {type: number, default: 0, avg: {of: rating, events: [rating]}, doc: d, example: 1}
  click_rate: {type: number, default: 0, rate: {events: [click], per: [exposure], window: 7d, prior: 0.1, weight: 5}, doc: d, example: 1}
  by_brand: {type: map, max: 2, default: {}, tally: {of: brand, events: [view, order], window: 7d}, doc: d, example: 1}
  categories: {type: int, default: 0, distinct: {of: category, events: [view, order]}, doc: d, example: 1}
  items_shown: {type: int, default: 0, distinct: {of: item, events: [exposure]}, doc: d, example: 1}
`
	s, err := features.Parse("rich", []byte(strings.Replace(string(data), "\nuser:\n", user, 1)))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// past makes a log of n events on a few users and items over forty days: deeds, exposures, documents,
// merges, erasures, and events that come hours or days late.
func past(n int, seed uint64) []streams.Event {
	r := rand.New(rand.NewPCG(seed, 1))
	start := time.Date(2026, 9, 1, 0, 0, 0, 0, time.UTC)
	var out []streams.Event
	for i := range n {
		e := streams.Event{ID: fmt.Sprint("e", i), Time: start.Add(time.Duration(i) * 40 * 24 * time.Hour / time.Duration(n)).Truncate(time.Millisecond),
			Type: streams.Types()[r.IntN(len(streams.Types()))], UserID: fmt.Sprint("u", r.IntN(12))}
		switch p := r.IntN(100); {
		case p < 50:
			e.Type = []streams.Type{streams.View, streams.View, streams.Click, streams.CartAdd, streams.Order, streams.Exposure}[r.IntN(6)]
		case p < 53:
			e.Time = e.Time.Add(-time.Duration(r.IntN(9*24*3600)) * time.Second) // late
		case p < 55:
			e.Time = e.Time.Add(4 * time.Minute) // a clock that is ahead
		}
		if e.Type == streams.UserDelete && r.IntN(4) > 0 {
			e.Type = streams.View
		}
		e.Country = []string{"", "DE", "FR"}[r.IntN(3)]
		visitor := fmt.Sprint("c", r.IntN(9))
		switch e.Type.Stream() {
		case streams.Catalog:
			e.UserID, e.Items = "", []streams.Line{{ItemID: fmt.Sprint("i", r.IntN(25))}}
			e.Attributes = map[string]any{"category": fmt.Sprint("cat", r.IntN(4)), "brand": fmt.Sprint("b", r.IntN(3)), "price": 100.0}
		case streams.Users:
			e.Attributes = map[string]any{"tier": fmt.Sprint("t", r.IntN(3)), "segments": []any{"x", "y"}, "country": "DE", "newsletter": "weekly"}
		default:
			if e.Type == streams.UserMerge {
				e.AnonymousID = visitor
			} else if r.IntN(3) == 0 {
				e.UserID, e.AnonymousID = "", visitor
			}
			for range 1 + r.IntN(3) {
				e.Items = append(e.Items, streams.Line{ItemID: fmt.Sprint("i", r.IntN(30)), Quantity: int64(1 + r.IntN(3)), Price: int64(r.IntN(9000))})
			}
			e.Rating = float64(r.IntN(6))
			e.Attributes = map[string]any{"channel": []string{"app", "web"}[r.IntN(2)]}
		}
		out = append(out, e)
	}
	return out
}

// online applies events to a Redis as ingest does, one at a time.
type online struct {
	t      *testing.T
	schema *features.Schema
	store  *redisstore.Store
	topics map[string]*redisstore.Partition
	next   map[string]int64
}

func newOnline(t *testing.T, schema *features.Schema) *online {
	t.Helper()
	stack, err := devstack.Start(t.Context(), devstack.Options{Ephemeral: true, Brokers: []string{"127.0.0.1:1"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = stack.Close(t.Context()) })
	t.Log(strings.Join(stack.Describe(), ", "))
	o := &online{t: t, schema: schema, topics: map[string]*redisstore.Partition{}, next: map[string]int64{}}
	o.store = redisstore.New(redisstore.Options{Network: stack.RedisNetwork(), Addrs: stack.RedisAddrs(), Shards: 4}, schema)
	t.Cleanup(func() { _ = o.store.Close() })
	if err := o.store.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	return o
}

func (o *online) apply(e *streams.Event) {
	o.t.Helper()
	topic := string(e.Type.Stream())
	if o.topics[topic] == nil {
		p, err := o.store.Partition(o.t.Context(), topic, 0)
		if err != nil {
			o.t.Fatal(err)
		}
		o.topics[topic] = p
	}
	at := o.next[topic]
	o.next[topic]++
	if err := o.topics[topic].Apply(o.t.Context(), []redisstore.Folded{{Offset: at, Deltas: o.schema.Fold(e)}}, at); err != nil {
		o.t.Fatal(err)
	}
}

// item is what the catalogue would say now.
func (o *online) item(id string, now time.Time) *features.Item {
	st, err := o.store.Item(o.t.Context(), id)
	if err != nil {
		o.t.Fatal(err)
	}
	if st == nil {
		return nil
	}
	return o.schema.Item(id, st, now)
}

// TestExamplesAreWhatWasServed: the features of a training example are, to the last field, those that a
// request in the moment before the event would have been answered with.
func TestExamplesAreWhatWasServed(t *testing.T) {
	schema := richSchema(t)
	o := newOnline(t, schema)
	b := NewExamples(schema, ExampleOptions{ItemCounters: true})
	events := past(3000, 7)
	examples, compared, known := 0, 0, map[string]int{}
	for i := range events {
		e := &events[i]
		err := b.Add(e, func(x *Example) error {
			if examples++; examples%5 != 0 {
				return nil
			}
			compared++
			st, err := o.store.User(t.Context(), x.Subject)
			if err != nil {
				return err
			}
			items := map[string]*features.Item{}
			want := schema.User(x.Subject, st, func(id string) *features.Item {
				if _, ok := items[id]; !ok {
					items[id] = o.item(id, e.Time)
				}
				return items[id]
			}, e.Time)
			for name := range want.Known {
				known[name]++
			}
			if err := sameUser(x.User, want); err != nil {
				return err
			}
			for _, line := range e.Items {
				if got, want := x.Item(line.ItemID), o.item(line.ItemID, e.Time); !reflect.DeepEqual(got, want) {
					return fmt.Errorf("item %s: example %+v, served %+v", line.ItemID, got, want)
				}
			}
			return nil
		})
		if err != nil {
			t.Fatalf("event %d (%s of %s at %s): %v", i, e.Type, e.Subject(), e.Time, err)
		}
		o.apply(e)
	}
	for _, f := range schema.UserFields() {
		if known[f.Name] == 0 {
			t.Errorf("no example knew %s: the log is too poor", f.Name)
		}
	}
	if known["last_seen_at"] == compared {
		t.Error("no example was of a user of whom nothing was known")
	}
	users, items := b.Size()
	t.Logf("%d events, %d examples, %d compared, %d users and %d items remembered", len(events), examples, compared, users, items)
}

// sameUser says how two users differ.
func sameUser(got, want *features.User) error {
	if reflect.DeepEqual(got, want) {
		return nil
	}
	for _, name := range slices.Sorted(maps.Keys(want.Env)) {
		if !reflect.DeepEqual(got.Env[name], want.Env[name]) || got.Known[name] != want.Known[name] {
			return fmt.Errorf("%s: example %v (known %v), served %v (known %v)", name, got.Env[name], got.Known[name], want.Env[name], want.Known[name])
		}
	}
	return fmt.Errorf("example %+v, served %+v", got, want)
}

func TestExamplesChosen(t *testing.T) {
	schema := features.Default()
	view := streams.Event{Type: streams.View, UserID: "u", Time: time.Unix(1e9, 0).UTC(), Items: []streams.Line{{ItemID: "a"}}}
	order, nobody, merge := view, view, view
	order.Type, nobody.UserID, merge.Type, merge.AnonymousID = streams.Order, "", streams.UserMerge, "c"
	document := streams.Event{Type: streams.ItemUpsert, Time: view.Time, Items: []streams.Line{{ItemID: "a"}}, Attributes: map[string]any{"category": "coats"}}
	log := []streams.Event{document, view, order, nobody, merge}
	for name, tc := range map[string]struct {
		options ExampleOptions
		want    string
	}{
		"all":    {ExampleOptions{}, "view:0 order:1 "},
		"orders": {ExampleOptions{Types: []streams.Type{streams.Order}}, "order:1 "},
	} {
		t.Run(name, func(t *testing.T) {
			b, got := NewExamples(schema, tc.options), ""
			for i := range log {
				err := b.Add(&log[i], func(x *Example) error {
					got += fmt.Sprintf("%s:%d ", x.Event.Type, len(x.User.History))
					if it := x.Item("a"); it == nil || it.Env["category"] != "coats" || it.ViewsTotal != 0 || x.Item("b") != nil {
						return fmt.Errorf("items are %+v, %+v", it, x.Item("b"))
					}
					return nil
				})
				if err != nil {
					t.Fatal(err)
				}
			}
			if got != tc.want {
				t.Errorf("got %s, want %s", got, tc.want)
			}
		})
	}
	stop := errors.New("stop")
	if err := NewExamples(schema, ExampleOptions{}).Add(&view, func(*Example) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("got %v", err)
	}
}

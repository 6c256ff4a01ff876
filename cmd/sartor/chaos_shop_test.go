//go:build unix

package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/sartorhq/sartor/features"
	"github.com/sartorhq/sartor/features/redisstore"
	"github.com/sartorhq/sartor/streams"
	"github.com/sartorhq/sartor/streams/codec"
)

// chaosShop makes events from a seed, finds each of them in the log just once, and knows by a fold of
// the log in memory, which has nothing of Redis in it, what must be stored.
type chaosShop struct {
	t      *testing.T
	rng    *rand.Rand
	schema *features.Schema
	users  *rand.Zipf
	items  *rand.Zipf
	stride time.Duration // of event time, between one event and the next

	made   int             // events so far
	poison int             // messages so far that are no events
	owed   map[string]bool // ids of events that were made and not found in the log yet
	want   map[features.Entity]*features.State
}

func newChaosShop(t *testing.T, seed uint64, users, items, events int) *chaosShop {
	rng := rand.New(rand.NewPCG(seed, 1))
	return &chaosShop{t: t, rng: rng, schema: features.Default(),
		users: rand.NewZipf(rng, 1.1, 8, uint64(users-1)), items: rand.NewZipf(rng, 1.1, 8, uint64(items-1)),
		stride: (80 * 24 * time.Hour / time.Duration(events)).Truncate(time.Millisecond),
		owed:   map[string]bool{}, want: map[features.Entity]*features.State{}}
}

// chaosMessage is one message that is to be produced: an event, or bytes that are none.
type chaosMessage struct {
	event  streams.Event
	stream streams.Stream // of poison
	key    string
	poison []byte
}

// batch makes n events, one in a hundred of them twice, and one message of poison for each hundred.
func (s *chaosShop) batch(n int) []chaosMessage {
	var out []chaosMessage
	for range n {
		e := s.event()
		out = append(out, chaosMessage{event: e})
		if s.rng.IntN(100) == 0 && !e.Type.Stream().Compacted() {
			out = append(out, chaosMessage{event: e}) // a producer that did not hear the answer
		}
		if s.rng.IntN(100) == 0 {
			out = append(out, s.bad())
		}
	}
	return out
}

// bad makes a message that is no event.
func (s *chaosShop) bad() chaosMessage {
	kinds := [][]byte{
		[]byte(`{"type":"view",`), []byte(`{"rating":NaN}`), []byte("\xff\xfe"), {},
		[]byte(`{"type":"order","time":"2026-01-23T12:00:00Z","user_id":"u","total":-1}`), // less than nothing
		[]byte(`[[[[[[[[[[[[[[[[[[[[[[[[`), make([]byte, 300<<10),
		[]byte(`{"event_id":"x","type":"teleport","time":"2026-01-23T12:00:00Z","user_id":"u"}`),
	}
	which := []streams.Stream{streams.Behavior, streams.Orders, streams.Catalog, streams.Users, streams.Exposures}
	s.poison++
	return chaosMessage{stream: which[s.rng.IntN(len(which))], key: fmt.Sprintf("poison-%d", s.poison), poison: kinds[s.poison%len(kinds)]}
}

// event makes the next event.
func (s *chaosShop) event() streams.Event { return s.owe(s.draft()) }

// owe notes an event that the log must have.
func (s *chaosShop) owe(e streams.Event) streams.Event {
	s.t.Helper()
	if problems := codec.Validate(&e); len(problems) > 0 {
		s.t.Fatalf("the shop makes no event: %v", problems)
	}
	s.owed[e.ID] = true
	return e
}

// take folds an event of the log, which must be one that was made and not seen before.
func (s *chaosShop) take(e *streams.Event) {
	if !s.owed[e.ID] {
		s.t.Errorf("event %s was never made, or the log's reader has brought it twice", e.ID)
	}
	delete(s.owed, e.ID)
	for _, d := range s.schema.Fold(e) {
		st := s.want[d.Entity]
		if st == nil {
			st = &features.State{}
			s.want[d.Entity] = st
		}
		st.Apply(s.schema, d.Ops)
	}
}

// types are the events of a shop, by how often they happen in a thousand.
var chaosTypes = []struct {
	typ   streams.Type
	share int
}{
	{streams.View, 420}, {streams.Click, 130}, {streams.CartAdd, 120}, {streams.CartRemove, 30}, {streams.Search, 30},
	{streams.Wishlist, 20}, {streams.Rating, 30}, {streams.Order, 120}, {streams.Return, 20}, {streams.Exposure, 40},
	{streams.ItemUpsert, 15}, {streams.ItemDelete, 2}, {streams.UserUpsert, 14}, {streams.UserDelete, 1}, {streams.UserMerge, 8},
}

func (s *chaosShop) draft() streams.Event {
	n := s.made
	s.made++
	e := streams.Event{ID: fmt.Sprintf("e%d", n), Time: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).Add(time.Duration(n) * s.stride),
		UserID: fmt.Sprintf("u%d", s.users.Uint64()), Country: []string{"", "DE", "fr", "AT"}[s.rng.IntN(4)]}
	draw := s.rng.IntN(1000)
	for _, t := range chaosTypes {
		if e.Type = t.typ; draw < t.share {
			break
		}
		draw -= t.share
	}
	switch e.Type.Stream() {
	case streams.Catalog:
		e.UserID, e.Country = "", ""
		e.Items = []streams.Line{{ItemID: s.item()}}
		if e.Type == streams.ItemUpsert {
			e.Attributes = map[string]any{"title": fmt.Sprintf("item of event %d", n), "price": float64(s.rng.IntN(9000)), "brand": "b" + fmt.Sprint(n%7)}
		}
		return e
	case streams.Users:
		if e.Type == streams.UserUpsert {
			e.Attributes = map[string]any{"tier": []any{"gold", "silver"}[n%2], "n": float64(n)}
		}
		return e
	}
	// Documents and erasures are by event time, of which each has its own; all else may be late: a day in
	// one of ten, and beyond what windows keep in one of fifty.
	switch late := s.rng.IntN(100); {
	case late < 10:
		e.Time = e.Time.Add(-time.Duration(s.rng.IntN(86_400_000)) * time.Millisecond)
	case late < 12:
		e.Time = e.Time.Add(-time.Duration(s.rng.IntN(130*24)) * time.Hour)
	}
	s.fill(&e)
	return e
}

func (s *chaosShop) item() string { return fmt.Sprintf("i%d", s.items.Uint64()) }

// fill gives an event what its type needs.
func (s *chaosShop) fill(e *streams.Event) {
	if e.Type != streams.Order && e.Type != streams.Return && s.rng.IntN(5) == 0 {
		e.UserID, e.AnonymousID = "", fmt.Sprintf("c%d", s.users.Uint64())
	}
	switch e.Type {
	case streams.UserMerge:
		e.UserID, e.AnonymousID, e.Country = fmt.Sprintf("u%d", s.users.Uint64()), fmt.Sprintf("c%d", s.users.Uint64()), ""
		return
	case streams.Search:
		e.Query = "lamp"
		return
	case streams.Rating:
		e.Rating = float64(1 + s.rng.IntN(5))
	case streams.Order, streams.Return:
		e.OrderID, e.Currency = e.ID, []string{"EUR", "EUR", "EUR", "USD"}[s.rng.IntN(4)]
	}
	lines := 1
	if e.Type.Stream() == streams.Orders || e.Type == streams.Exposure {
		lines = 1 + s.rng.IntN(4)
	}
	for i := range lines {
		l := streams.Line{ItemID: s.item()}
		switch e.Type {
		case streams.Order, streams.Return, streams.CartAdd, streams.CartRemove:
			l.Quantity, l.Price = 1+s.rng.Int64N(3), s.rng.Int64N(20_000)
		case streams.Exposure:
			l.Position = i + 1
		}
		e.Items = append(e.Items, l)
	}
}

// chaosVerdict is what a comparison of the store with the fold found.
type chaosVerdict struct {
	entities  int
	differing int
	erased    int // erased and come back: how much of what came later remains depends on the order of topics
	first     string
}

// compare looks at every entity that the fold or the store knows.
func (s *chaosShop) compare(ctx context.Context, store *redisstore.Store) (v chaosVerdict, err error) {
	var all []features.Entity
	for e := range s.want {
		all = append(all, e)
	}
	extra := map[features.Entity]bool{}
	err = store.Entities(ctx, func(e features.Entity) error {
		if _, known := s.want[e]; !known && !extra[e] {
			extra[e] = true
			all = append(all, e)
		}
		return nil
	})
	if err != nil {
		return v, err
	}
	for chunk := range slices.Chunk(all, 200) {
		states, err := store.StoredAll(ctx, chunk)
		if err != nil {
			return v, err
		}
		for i, e := range chunk {
			v.entities++
			want := s.want[e]
			if want == nil {
				want = &features.State{}
			}
			d := want.Differences(states[i])
			switch {
			case len(d) == 0:
			case states[i] != nil && want.RemovedAt != 0 && states[i].RemovedAt == want.RemovedAt && !states[i].BreaksErasure():
				v.erased++
			default:
				if v.differing++; v.first == "" {
					v.first = fmt.Sprintf("%c %s: %v", e.Kind, e.ID, d[:min(len(d), 5)])
				}
			}
		}
	}
	return v, nil
}

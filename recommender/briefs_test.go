package recommender_test

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"testing"
	"time"

	"github.com/sartorhq/sartor/recommender"
	"github.com/sartorhq/sartor/rules"
	"github.com/sartorhq/sartor/streams"
)

// TestBriefsChangeNoAnswer changes a shop, its model and its rules at random. One recommender keeps what the
// rules know of items in short; the other is recorded, so that it hands whole items to them.
func TestBriefsChangeNoAnswer(t *testing.T) {
	rng := rand.New(rand.NewPCG(11, 1))
	s := newShop()
	clock := noon
	follow := func() *recommender.Recommender {
		opts := s.options()
		opts.Now = func() time.Time { return clock }
		return recommender.New(opts)
	}
	short := follow()
	opts := s.options()
	opts.Now, opts.Considered = func() time.Time { return clock }, func(*rules.Env, []rules.Candidate) {}
	whole := recommender.New(opts)
	both := func(do func(r *recommender.Recommender)) { do(short); do(whole) }
	at := noon.Add(-time.Hour)
	for round := range 80 {
		for range rng.IntN(12) {
			at = at.Add(time.Second)
			s.happen(happening(rng, at))
		}
		clock = clock.Add(7 * time.Minute) // hours turn
		if rng.IntN(8) == 0 {
			first := rng.IntN(40)
			degrees := map[string]float64{}
			for i := range 40 {
				degrees[fmt.Sprint("m", first+i)] = float64(i)
			}
			both(func(r *recommender.Recommender) {
				if err := r.SetModel(newCircle(fmt.Sprint("v", round), degrees)); err != nil {
					t.Fatal(err)
				}
			})
		}
		if round == 0 || rng.IntN(8) == 0 {
			set := ruleSet(t, s, fmt.Sprintf(shortRules, 10+rng.IntN(60), rng.IntN(4), 1+rng.IntN(3)))
			both(func(r *recommender.Recommender) { r.SetRules(set) })
		}
		both(func(r *recommender.Recommender) { refresh(t, r, s) })
		for range 6 {
			q := recommender.Request{UserID: fmt.Sprint("u", rng.IntN(5)), Count: 1 + rng.IntN(20), Fields: []string{"price"}}
			if rng.IntN(3) == 0 {
				q.Filter = "item.stock > 2"
			}
			got, want := ask(t, short, q), ask(t, whole, q)
			if got.Items == nil || !reflect.DeepEqual(got.Items, want.Items) || got.ServedBy != want.ServedBy || !reflect.DeepEqual(got.Degraded, want.Degraded) {
				t.Fatalf("round %d, %+v:\nshort %+v\nwhole %+v", round, q, got, want)
			}
		}
	}
}

// happening is something that happens to one of 80 items, or a user does.
func happening(rng *rand.Rand, at time.Time) (e streams.Event) {
	id, user := fmt.Sprint("m", rng.IntN(80)), fmt.Sprint("u", rng.IntN(5))
	switch rng.IntN(6) {
	case 0:
		e = deleted(id)
	case 1:
		e = order(user, "DE", id, int64(1+rng.IntN(4)), 0)
	case 2, 3:
		e = view(user, id, 0)
	default:
		e = item(id, map[string]any{"price": float64(rng.IntN(8000)), "stock": float64(rng.IntN(6)), "brand": fmt.Sprint("b", rng.IntN(9)), "category": fmt.Sprint("c", rng.IntN(4))})
	}
	e.Time = at
	return e
}

// shortRules are rules of the usual kinds, of which briefs decide most.
const shortRules = `rules:
- id: dear
  match: item.price > %d
  then: [exclude: {}]
- id: seen
  match: item.id in user.last_items
  then: [bury: {multiply: 0.5}]
- id: liked
  match: item.category in user.top_categories and item.stock > %d
  then: [boost: {multiply: 1.4}]
- id: brand
  match: item.brand in user.top_brands
  then: [boost: {add: 0.1}]
- id: sells
  then: [boost: {multiply: 1 + item.sales_7d / 10.0}]
- id: first
  match: item.category == "c1"
  then: [pin: {position: 2}]
- id: few
  then: [cap: {by: item.brand, max: %d, within: 10}]
`

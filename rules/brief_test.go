package rules

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"testing"

	"pgregory.net/rapid"

	"github.com/sartorhq/sartor/features"
)

// racks is a caller's catalogue.
type racks struct {
	set   *Set
	items []*features.Item
	asked int
}

func (s *racks) Known(row int32) (*features.Item, *Facts) {
	s.asked++
	return s.items[row], s.set.Facts(s.items[row])
}

func (s *racks) Find(id string) (int32, bool) {
	for i, it := range s.items {
		if it.ID == id {
			return int32(i), true
		}
	}
	return 0, false
}

// brief gives away the candidates' items, and takes notes of them in any order.
func brief(s *Set, in []Candidate, seed uint64) ([]Candidate, *racks) {
	items := &racks{set: s}
	out := append([]Candidate(nil), in...)
	rand.New(rand.NewPCG(seed, 1)).Shuffle(len(out), func(i, j int) { out[i], out[j] = out[j], out[i] })
	for i := range out {
		out[i].Row, out[i].Brief = int32(i), s.Facts(out[i].Item).Brief()
		items.items = append(items.items, out[i].Item)
		out[i].Item, out[i].Facts, out[i].Vector = nil, nil, nil
	}
	return out, items
}

// bare takes from a result what only callers with briefs see.
func bare(r Result) Result {
	for i := range r.Items {
		c := &r.Items[i].Candidate
		c.Facts, c.Brief, c.Row, c.Vector = nil, Brief{}, 0, nil
	}
	return r
}

// one keeps the first candidate of each item.
func one(in []Candidate) []Candidate {
	seen, out := map[string]bool{}, in[:0]
	for _, c := range in {
		if !seen[c.Item.ID] {
			out = append(out, c)
		}
		seen[c.Item.ID] = true
	}
	return out
}

// Briefs save looking at items and change no answer.
func TestBriefsChangeNoAnswer(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s, problems := Compile([]File{rulesOf(randomSet(t)...)}, schema(), Options{})
		if s == nil {
			t.Fatalf("%+v", problems)
		}
		if !s.Briefs() {
			return
		}
		env := past(at(map[string]any{"is_new": true, "top_brands": []string{"x"}, "avg_order_value": 4.0}, nil))
		env.MaxTicks = rapid.SampledFrom([]int{0, 0, 3, 30, 300}).Draw(t, "ticks")
		in := rank(one(randomCandidates(t))...)
		count := rapid.IntRange(0, 12).Draw(t, "count")
		want := bare(s.Apply(env, s.Plan(env), informed(s, in), count, false))
		short, items := brief(s, in, rapid.Uint64().Draw(t, "seed"))
		got := bare(s.ApplyBriefs(env, s.Plan(env), short, items, count))
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("with briefs %+v\nwithout     %+v", got, want)
		}
	})
}

// Only the items of the list are looked at where conditions and lists of the user decide by themselves.
func TestBriefsAreEnough(t *testing.T) {
	s := compiled(t, rulesOf(
		mk("out", match(`item.stock <= 0`), then(act("exclude"))),
		mk("seen", match(`item.id in user.last_viewed`), then(act("bury", "multiply", "0.5"))),
		mk("one", then(act("dedupe", "by", "item.product_group"))),
		mk("liked", match(`item.brand in user.top_brands and item.price < 50`), then(act("boost", "multiply", "1.5"))),
	))
	var in []Candidate
	for i := range 100 {
		in = append(in, thing(fmt.Sprint("i", i), float64(100-i)/100, map[string]any{"stock": i % 5, "brand": string(rune('a' + i%7)), "price": float64(i), "product_group": []string{"", "g", "h"}[i%3]}))
	}
	in = rank(in...)
	env := at(map[string]any{"last_viewed": []string{"i1", "i2", "gone"}, "top_brands": []string{"b", "c", "z"}}, nil)
	want := bare(s.Apply(env, nil, in, 10, false))
	short, items := brief(s, in, 7)
	items.asked = 0
	if got := bare(s.ApplyBriefs(env, nil, short, items, 10)); !reflect.DeepEqual(got, want) {
		t.Fatalf("got %+v\nwant %+v", got, want)
	}
	if items.asked != 10 {
		t.Errorf("%d items were looked at for a list of 10", items.asked)
	}
}

// Conditions that failed on an item are told with briefs too, and the first error is that of the first id.
func TestBriefsThatFailed(t *testing.T) {
	s := compiled(t, rulesOf(
		mk("guard", hard(), match(`item.sales_7d % item.stock == 1`), then(act("exclude"))),
		mk("broken", then(act("boost", "multiply", "item.price"))),
		mk("late", match(`score > 0 and item.sales_7d % item.stock == 1`), then(act("boost", "multiply", "2"))),
	))
	in := rank(thing("b", 0.5, map[string]any{"stock": 0}), thing("a", 0.4, map[string]any{"stock": 5, "price": 0.5}), thing("c", 0.3, map[string]any{"stock": 0}))
	want := bare(s.Apply(at(nil, nil), nil, in, 5, false))
	for seed := range uint64(6) {
		short, items := brief(s, in, seed)
		if got := bare(s.ApplyBriefs(at(nil, nil), nil, short, items, 5)); !reflect.DeepEqual(got, want) || len(want.Trace.Errors) < 2 {
			t.Fatalf("got %+v\nwant %+v", got, want)
		}
	}
}

// A set of more conditions than a brief holds does without, and so does one that compares vectors.
func TestBriefsHaveBounds(t *testing.T) {
	many := func(n int) *Set {
		var rules []Rule
		for i := range n {
			rules = append(rules, mk(fmt.Sprint("r", i), match(fmt.Sprintf(`item.stock > %d`, i)), then(act("boost", "multiply", "1.1"))))
		}
		return compiled(t, rulesOf(rules...))
	}
	if !many(maxBrief).Briefs() || many(maxBrief+1).Briefs() {
		t.Error("the number of conditions does not decide")
	}
	if compiled(t, rulesOf(mk("r", match(`similarity(item, user) > 0.5`), then(act("exclude"))))).Briefs() {
		t.Error("vectors do not decide")
	}
	if (Brief{}).Known() || !many(1).Facts(thing("a", 1, nil).Item).Brief().Known() {
		t.Error("the zero brief says something, or no other does")
	}
}

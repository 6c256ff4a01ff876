package recommender_test

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sartorhq/sartor/features"
	"github.com/sartorhq/sartor/models"
	"github.com/sartorhq/sartor/recommender"
	"github.com/sartorhq/sartor/streams"
)

// repeatShop is a model with a repeat term over items whose documents say which are in stock, and users who
// ordered some of them. The catalogue's order is not the model's.
func repeatShop(t *testing.T, items, users int, weight float64) (*shop, models.Model) {
	t.Helper()
	rng := rand.New(rand.NewPCG(7, 1))
	s := newShop()
	table := models.ItemTable{}
	for j := range items {
		id := fmt.Sprintf("i%04d", j)
		table.IDs = append(table.IDs, id)
		for range 8 {
			table.Factors = append(table.Factors, float32(rng.NormFloat64()))
		}
		table.Popularity = append(table.Popularity, float32(rng.IntN(50)))
		s.happen(item(fmt.Sprintf("i%04d", items-1-j), map[string]any{"category": []string{"shelf", "store"}[j%2]}))
	}
	s.happen(deleted("i0003"))
	for u := range users {
		for n := range 1 + rng.IntN(12) {
			s.happen(order(fmt.Sprint("u", u), "DE", table.IDs[rng.IntN(items)], 1, time.Duration(n+1)*30*time.Hour))
		}
	}
	m, err := models.NewALS(models.Meta{}, models.ALSParams{Factors: 8, Unobserved: 1, Lambda: 0.1, Nu: 1, Kappa: 0.1, Signal: models.DefaultSignal()}, table)
	if err != nil {
		t.Fatal(err)
	}
	rate := make([]float32, items)
	for j := range rate {
		rate[j] = 0.5 + rng.Float32()
	}
	again, err := models.WithRepeat(m, models.RepeatParams{Slow: models.RepeatScale{Weight: weight, HalfLife: 60 * 24 * time.Hour},
		Fast: models.RepeatScale{Weight: weight / 4, HalfLife: 24 * time.Hour}, Power: 0.75, Rate: 0.5, Weights: models.DefaultSignal().Weights}, rate)
	if err != nil {
		t.Fatal(err)
	}
	return s, again
}

// byDefinition ranks every open item by the definition of the score.
func byDefinition(t *testing.T, s *shop, m models.Model, user string, n int, open func(id string) bool) string {
	t.Helper()
	u := s.schema.User(user, s.states[features.Entity{Kind: features.UserEntity, ID: user}], nil, noon)
	vec, ok := m.Encode(u, noon)
	if !ok {
		t.Fatalf("user %s cannot be encoded", user)
	}
	it := m.Items()
	scores, rows := make([]float64, len(it.IDs)), make([]int, 0, len(it.IDs))
	for j := range scores {
		for k, v := range vec {
			scores[j] += float64(v) * float64(it.Vectors[j*it.Dim+k])
		}
		if open(it.IDs[j]) {
			rows = append(rows, j)
		}
	}
	for _, r := range m.(recommender.Repeater).Repeats(u, noon, nil) {
		scores[r.Row] += float64(r.Score)
	}
	slices.SortFunc(rows, func(a, b int) int { return cmp.Compare(scores[b], scores[a]) })
	list := make([]string, n)
	for i := range list {
		list[i] = it.IDs[rows[i]]
	}
	return strings.Join(list, " ")
}

// shelf tells the category that repeatShop gave the item: document j is of the item as far from the end.
func shelf(id string) bool { return id[4]%2 == '1'%2 }

// TestRepeatsAreRankedExactly compares answers with the ranking of all items by the definition, for weights
// with which few, some and all of what a user had comes first, with deleted items, a filter that the search
// knows, one that looks at the user, and an exclude list.
func TestRepeatsAreRankedExactly(t *testing.T) {
	const count = 12
	for _, weight := range []float64{0.05, 1, 30} {
		s, m := repeatShop(t, 1200, 8, weight)
		r := s.open(t, s.options())
		if err := r.SetModel(m); err != nil {
			t.Fatal(err)
		}
		for u := range 8 {
			user := fmt.Sprint("u", u)
			all := func(id string) bool { return id != "i0003" }
			best := strings.Fields(byDefinition(t, s, m, user, count, all))
			cases := []struct {
				name string
				q    recommender.Request
				open func(id string) bool
			}{
				{"all", recommender.Request{}, all},
				{"filter", recommender.Request{Filter: "item.category == 'shelf'"}, func(id string) bool { return all(id) && shelf(id) }},
				{"filter-user", recommender.Request{Filter: "item.category == 'shelf' && user.country == ''"}, func(id string) bool { return all(id) && shelf(id) }},
				{"exclude", recommender.Request{Exclude: best[:5]}, func(id string) bool { return all(id) && !slices.Contains(best[:5], id) }},
			}
			for _, c := range cases {
				c.q.UserID, c.q.Count = user, count
				got := ids(ask(t, r, c.q))
				if want := byDefinition(t, s, m, user, count, c.open); got != want {
					t.Fatalf("weight %v, %s, %s:\n got %s\nwant %s", weight, user, c.name, got, want)
				}
			}
		}
	}
}

// TestGivenItemsAreRankedWithRepeats ranks every third item as the definition does.
func TestGivenItemsAreRankedWithRepeats(t *testing.T) {
	s, m := repeatShop(t, 300, 4, 30)
	r := s.open(t, s.options())
	if err := r.SetModel(m); err != nil {
		t.Fatal(err)
	}
	var given []string
	for j := 1; j < 300; j += 3 {
		given = append(given, m.Items().IDs[j])
	}
	for u := range 4 {
		user := fmt.Sprint("u", u)
		got, err := r.Rank(t.Context(), recommender.RankRequest{Request: recommender.Request{UserID: user}, Items: given})
		if err != nil {
			t.Fatal(err)
		}
		want := byDefinition(t, s, m, user, len(given), func(id string) bool { return slices.Contains(given, id) })
		if ids(got) != want {
			t.Errorf("%s:\n got %s\nwant %s", user, ids(got), want)
		}
	}
}

// TestRepeatsAreExplained buys one item again and again, which the model by itself puts last.
func TestRepeatsAreExplained(t *testing.T) {
	s, m := repeatShop(t, 300, 1, 30)
	for n := range 5 {
		s.happen(order("u0", "DE", "i0007", 1, time.Duration(n+1)*time.Hour))
	}
	r := s.open(t, s.options())
	if err := r.SetModel(m); err != nil {
		t.Fatal(err)
	}
	resp := ask(t, r, recommender.Request{UserID: "u0", Count: 3, Explain: true})
	if resp.Items[0].ItemID != "i0007" || resp.Items[0].Source != "model" {
		t.Fatalf("first is %s from %s, want i0007 from the model", resp.Items[0].ItemID, resp.Items[0].Source)
	}
	text := strings.Join(resp.Explain.Summary, "\n")
	if !strings.Contains(text, "items that the user had before, and people come back: score of i0007 from ") {
		t.Errorf("the explanation does not tell of the repeat:\n%s", text)
	}
	plain, err := models.WithoutRepeat(m)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.SetModel(plain); err != nil {
		t.Fatal(err)
	}
	resp = ask(t, r, recommender.Request{UserID: "u0", Count: 3, Explain: true})
	if text := strings.Join(resp.Explain.Summary, "\n"); strings.Contains(text, "come back") {
		t.Errorf("without the term:\n%s", text)
	}
}

// TestRepeatsOfAReturnedItem: what was given back raises nothing.
func TestRepeatsOfAReturnedItem(t *testing.T) {
	_, m := repeatShop(t, 20, 0, 1)
	u := &features.User{History: []features.Entry{{Type: streams.Return, ItemID: "i0001", Time: 2000}, {Type: streams.Return, ItemID: "i0001", Time: 1500},
		{Type: streams.Order, ItemID: "i0001", Time: 1000}, {Type: streams.Order, ItemID: "i0002", Time: 1000}}}
	got := m.(recommender.Repeater).Repeats(u, noon, nil)
	if len(got) != 1 || got[0].Row != 2 || got[0].Score <= 0 {
		t.Errorf("got %v, want row 2 alone", got)
	}
}

package recommender_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/sartorhq/sartor/features"
	"github.com/sartorhq/sartor/models"
	"github.com/sartorhq/sartor/recommender"
	"github.com/sartorhq/sartor/rules"
)

// random is a model of n items with random vectors; every user has one vector.
type random struct {
	ids     []string
	vectors []float32
	dim     int
}

func newRandom(n, dim int) *random {
	rng := rand.New(rand.NewPCG(1, 2))
	m := &random{dim: dim, vectors: make([]float32, n*dim)}
	for i := range n {
		m.ids = append(m.ids, fmt.Sprintf("sku-%06d", i))
	}
	for i := range m.vectors {
		m.vectors[i] = rng.Float32() - 0.5
	}
	return m
}

func (m *random) Meta() models.Meta {
	return models.Meta{Version: "random", Kind: "random", Dim: m.dim, Items: len(m.ids)}
}
func (m *random) Items() models.Items {
	return models.Items{IDs: m.ids, Dim: m.dim, Vectors: m.vectors}
}
func (m *random) Encode(*features.User, time.Time) ([]float32, bool) { return m.vectors[:m.dim], true }

// fixedUsers returns one state for everybody, as a store in memory would.
type fixedUsers struct{ state *features.State }

func (f fixedUsers) User(context.Context, string) (*features.State, error) { return f.state, nil }

// stocked is an item source with n items of ten categories.
type stocked int

func (n stocked) ChangedItems(context.Context, []int64) ([]features.ItemState, []int64, error) {
	out := make([]features.ItemState, n)
	for i := range out {
		out[i] = features.ItemState{ID: fmt.Sprintf("sku-%06d", i), State: &features.State{
			Counters: map[string]int64{"u:order": int64(i % 1000), "n:view": int64(i % 777)},
			Doc:      fmt.Sprintf(`{"category":"c%d","price":%d,"stock":%d,"brand":"b%d"}`, i%10, 100+i%9000, i%50, i%300), DocTime: 1,
		}}
	}
	return out, []int64{1}, nil
}

const tenRules = `rules:
- id: sold-out
  match: item.stock <= 0
  then: [exclude: {}]
- id: seen
  match: item.id in user.last_viewed
  then: [exclude: {}]
- id: boost-1
  match: item.category in user.top_categories
  then: [boost: {multiply: 1.2}]
- id: boost-2
  match: item.price < 20 and item.stock > 10
  then: [boost: {multiply: 1.1}]
- id: bury-1
  match: item.margin < 0.05
  then: [bury: {multiply: 0.5}]
- id: pin-1
  match: item.sales_7d > 1000
  then: [pin: {position: 1, order_by: item.sales_7d desc, max: 1}]
- id: inject-1
  when: user.spend_90d > 500
  then: [inject: {source: hot, window: 24h, count: 4}]
- id: variety
  then: [cap: {by: item.brand, max: 2, within: 10}]
`

func benchmarked(b testing.TB, items int, body string, reg prometheus.Registerer) *recommender.Recommender {
	s := newShop()
	s.happen(view("u1", "sku-000001", time.Minute), view("u1", "sku-000002", time.Hour))
	state, err := s.User(b.Context(), "u1")
	if err != nil {
		b.Fatal(err)
	}
	r := recommender.New(recommender.Options{Schema: s.schema, Users: fixedUsers{state}, Now: func() time.Time { return noon }, Registerer: reg, Budget: patient, UserTimeout: patient})
	if err := r.Refresh(b.Context(), stocked(items)); err != nil {
		b.Fatal(err)
	}
	if err := r.SetModel(newRandom(items, 64)); err != nil {
		b.Fatal(err)
	}
	r.SetRules(rules.Empty())
	if body != "" {
		r.SetRules(ruleSet(b, s, body))
	}
	return r
}

// BenchmarkRecommend prints the time per stage beside the total.
func BenchmarkRecommend(b *testing.B) {
	for _, items := range []int{1000, 10_000, 100_000} {
		for name, body := range map[string]string{"no-rules": "", "8-rules": tenRules} {
			b.Run(fmt.Sprintf("items=%d/%s", items, name), func(b *testing.B) {
				reg := prometheus.NewRegistry()
				r := benchmarked(b, items, body, reg)
				q := recommender.Request{UserID: "u1", Scenario: "home", Count: 10, Context: map[string]any{"country": "DE"}}
				ask(b, r, q)
				before := stageSeconds(b, reg)
				b.ReportAllocs()
				for b.Loop() {
					ask(b, r, q)
				}
				for stage, sum := range stageSeconds(b, reg) {
					b.ReportMetric((sum-before[stage])*1e6/float64(b.N), stage+"-us/op")
				}
			})
		}
	}
}

// stageSeconds reads the time spent in each stage so far.
func stageSeconds(b testing.TB, reg *prometheus.Registry) map[string]float64 {
	b.Helper()
	families, err := reg.Gather()
	if err != nil {
		b.Fatal(err)
	}
	out := map[string]float64{}
	for _, f := range families {
		if f.GetName() != "sartor_recommend_stage_seconds" {
			continue
		}
		for _, m := range f.GetMetric() {
			out[m.GetLabel()[0].GetValue()] = m.GetHistogram().GetSampleSum()
		}
	}
	return out
}

// BenchmarkRefresh is one refresh that brings ten changed items into a catalogue of 100,000.
func BenchmarkRefresh(b *testing.B) {
	r := benchmarked(b, 100_000, tenRules, nil)
	ask(b, r, recommender.Request{UserID: "u1", Filter: "item.price < 50"})
	ten := stocked(10)
	b.ReportAllocs()
	for b.Loop() {
		if err := r.Refresh(b.Context(), ten); err != nil {
			b.Fatal(err)
		}
	}
}

// TestAllocationBudget keeps the read path from growing by accident: 200 candidates, no rules, a user
// without stored features.
func TestAllocationBudget(t *testing.T) {
	r := recommender.New(recommender.Options{Schema: features.Default(), Users: fixedUsers{}, Budget: patient, UserTimeout: patient})
	if err := r.Refresh(t.Context(), stocked(2000)); err != nil {
		t.Fatal(err)
	}
	if err := r.SetModel(newRandom(2000, 64)); err != nil {
		t.Fatal(err)
	}
	const budget = 80 // 40 alone, 61 under the race detector
	q := recommender.Request{UserID: "u1", Count: 10}
	if got := testing.AllocsPerRun(200, func() { ask(t, r, q) }); got > budget {
		t.Errorf("%v allocations a request, the budget is %d", got, budget)
	}
}

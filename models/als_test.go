package models

import (
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sartorhq/sartor/features"
	"github.com/sartorhq/sartor/models/kernel"
	"github.com/sartorhq/sartor/streams"
)

var noon = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)

func testParams() ALSParams {
	return ALSParams{Factors: 8, Unobserved: 0.1, Lambda: 0.5, Nu: 1, Signal: Signal{
		Weights: map[string]float64{"view": 1, "order": 4, "cart-remove": -1}, HalfLife: 24 * time.Hour}}
}

// testALS has items a..e with random factors and popularity 0..4.
func testALS(t testing.TB, p ALSParams) *ALS {
	t.Helper()
	rng := rand.New(rand.NewPCG(7, 7))
	table := ItemTable{IDs: []string{"a", "b", "c", "d", "e"}}
	for j := range table.IDs {
		table.Popularity = append(table.Popularity, float32(j))
		for range p.Factors {
			table.Factors = append(table.Factors, float32(rng.NormFloat64()))
		}
	}
	m, err := NewALS(Meta{Schema: "s1", Seed: 7, CreatedAt: noon, TrainedThrough: noon}, p, table)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func entry(kind streams.Type, item string, age time.Duration) features.Entry {
	return features.Entry{Type: kind, ItemID: item, Time: noon.Add(-age).UnixMilli()}
}

// residual is the largest element of A x - b of the user's row, in float64, from the definition.
func residual(m *ALS, confidence map[string]float64, vec []float32) float64 {
	f := m.params.Factors
	grad := make([]float64, f)
	total := 0.0
	for j, id := range m.table.IDs {
		v := m.factors.Row(j)
		score := 0.0
		for i := range v {
			score += float64(v[i]) * float64(vec[i])
		}
		c := confidence[id]
		total += c
		for i := range v {
			grad[i] += (m.params.Unobserved*score + c*(score-1)) * float64(v[i])
		}
	}
	ridge, worst := m.params.Lambda*math.Pow(total+m.params.Unobserved*float64(len(m.table.IDs)), m.params.Nu), 0.0
	for i := range grad {
		worst = max(worst, math.Abs(grad[i]+ridge*float64(vec[i])))
	}
	return worst
}

func TestEncodeSolvesTheNormalEquation(t *testing.T) {
	for _, nu := range []float64{0, 0.5, 1} {
		p := testParams()
		p.Nu = nu
		m := testALS(t, p)
		u := &features.User{History: []features.Entry{
			entry("order", "b", 0), entry("view", "a", 24*time.Hour), entry("view", "b", 48*time.Hour),
			entry("search", "c", 0), entry("view", "unknown", 0),
		}}
		vec, ok := m.Encode(u, noon)
		if !ok || len(vec) != 8 {
			t.Fatalf("Encode = %v, %v", vec, ok)
		}
		// One day halves: a has 1/2, b has 4 + 1/4; confidence is the square root.
		want := map[string]float64{"a": math.Sqrt(0.5), "b": math.Sqrt(4.25)}
		if r := residual(m, want, vec); r > 1e-5 {
			t.Errorf("nu %v: residual %v", nu, r)
		}
	}
}

func TestEncodeCountsOnlyEvidence(t *testing.T) {
	m := testALS(t, testParams())
	for name, history := range map[string][]features.Entry{
		"nothing":         nil,
		"unknown-item":    {entry("order", "zzz", 0)},
		"no-weight":       {entry("search", "a", 0)},
		"after-now":       {entry("order", "a", -time.Hour)},
		"taken-back":      {entry("cart-remove", "a", 0), entry("view", "a", 0)},
		"only-taken-back": {entry("cart-remove", "a", 0)},
	} {
		if vec, ok := m.Encode(&features.User{History: history}, noon); ok {
			t.Errorf("%s: encoded as %v", name, vec)
		}
	}
	if _, ok := m.Encode(nil, noon); ok {
		t.Error("no user at all was encoded")
	}
}

func TestEncodeMeasuresAgeFromTheNewestEvent(t *testing.T) {
	m := testALS(t, testParams())
	fresh := []features.Entry{entry("order", "a", 0), entry("view", "c", 12*time.Hour)}
	old := []features.Entry{entry("order", "a", 9000*time.Hour), entry("view", "c", 9012*time.Hour)}
	a, _ := m.Encode(&features.User{History: fresh}, noon)
	b, _ := m.Encode(&features.User{History: old}, noon)
	if !slices.Equal(a, b) {
		t.Errorf("a customer who comes back is encoded otherwise: %v and %v", a, b)
	}
}

func TestPopularityTermIsOneMoreDimension(t *testing.T) {
	p := testParams()
	plain := testALS(t, p)
	with, err := plain.WithKappa(0.3)
	if err != nil {
		t.Fatal(err)
	}
	u := &features.User{History: []features.Entry{entry("view", "d", 0)}}
	a, _ := plain.Encode(u, noon)
	b, _ := with.Encode(u, noon)
	if d := with.Items().Dim; d != 16 || len(b) != 16 || with.Items().Taste != 8 || with.Meta().Dim != 16 {
		t.Fatalf("dimensions: %d, %d", d, len(b))
	}
	// The balance of taste and popularity does not depend on how much is known of the user.
	length := math.Sqrt(float64(kernel.Dot(a, a)))
	for j := range with.Items().IDs {
		got := float64(kernel.Dot(b, with.Items().Vectors[j*16:(j+1)*16]))
		want := float64(kernel.Dot(a, plain.Items().Vectors[j*8:(j+1)*8])) + 0.3*length*math.Log1p(float64(j))
		if math.Abs(got-want) > 1e-5 {
			t.Errorf("item %d: score %v, want %v", j, got, want)
		}
	}
	if _, err := plain.WithKappa(-1); err == nil {
		t.Error("a negative kappa was accepted")
	}
	if plain.Meta().Params["kappa"] != 0 || with.Meta().Params["kappa"] != 0.3 {
		t.Error("the manifests share their parameters")
	}
}

func TestNewALSRefuses(t *testing.T) {
	nan := float32(math.NaN())
	for _, c := range []struct {
		name   string
		change func(*ALSParams, *ItemTable)
		want   string
	}{
		{"factors", func(p *ALSParams, _ *ItemTable) { p.Factors = 12 }, "12 factors: need a multiple of 8"},
		{"unobserved", func(p *ALSParams, _ *ItemTable) { p.Unobserved = 0 }, "unobserved pairs is 0"},
		{"lambda", func(p *ALSParams, _ *ItemTable) { p.Lambda = math.NaN() }, "lambda is NaN"},
		{"nu", func(p *ALSParams, _ *ItemTable) { p.Nu = 3 }, "nu is 3"},
		{"kappa", func(p *ALSParams, _ *ItemTable) { p.Kappa = -1 }, "kappa is -1"},
		{"no-weight", func(p *ALSParams, _ *ItemTable) { p.Signal.Weights = map[string]float64{"view": -1} }, "no event type has a positive weight"},
		{"weight", func(p *ALSParams, _ *ItemTable) { p.Signal.Weights["view"] = math.Inf(1) }, "the weight of view is +Inf"},
		{"half-life", func(p *ALSParams, _ *ItemTable) { p.Signal.HalfLife = time.Millisecond }, "the half-life is 1ms"},
		{"no-item", func(_ *ALSParams, x *ItemTable) { *x = ItemTable{} }, "no item"},
		{"same-id", func(_ *ALSParams, x *ItemTable) { x.IDs[1] = "a" }, `items 0 and 1 have the same id "a"`},
		{"empty-id", func(_ *ALSParams, x *ItemTable) { x.IDs[1] = "" }, "item 1 has no id"},
		{"short", func(_ *ALSParams, x *ItemTable) { x.Factors = x.Factors[1:] }, "15 factors for 2 items of 8"},
		{"nan", func(_ *ALSParams, x *ItemTable) { x.Factors[3] = nan }, "not a finite number"},
		{"popularity", func(_ *ALSParams, x *ItemTable) { x.Popularity[1] = -1 }, "popularity of item 1 is -1"},
		{"popularities", func(_ *ALSParams, x *ItemTable) { x.Popularity = nil }, "0 popularity values for 2 items"},
	} {
		p, table := testParams(), ItemTable{IDs: []string{"a", "b"}, Factors: make([]float32, 16), Popularity: make([]float32, 2)}
		c.change(&p, &table)
		if _, err := NewALS(Meta{}, p, table); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
}

func TestPopularityModel(t *testing.T) {
	m, err := NewPopularity(Meta{}, []string{"a", "b"}, []float32{0, 3})
	if err != nil {
		t.Fatal(err)
	}
	vec, ok := m.Encode(nil, noon)
	if !ok || !slices.Equal(vec, []float32{1}) || m.Items().Vectors[0] != 0 || m.Items().Vectors[1] != float32(math.Log(4)) {
		t.Errorf("Encode = %v %v, vectors %v", vec, ok, m.Items().Vectors)
	}
	for _, c := range []struct {
		ids   []string
		count []float32
	}{{nil, nil}, {[]string{"a"}, nil}, {[]string{"a", "a"}, []float32{1, 1}}, {[]string{"a"}, []float32{float32(math.Inf(1))}}} {
		if _, err := NewPopularity(Meta{}, c.ids, c.count); err == nil {
			t.Errorf("%v accepted", c)
		}
	}
}

func TestEncodeIsSafeForConcurrentUse(t *testing.T) {
	m := testALS(t, testParams())
	for _, item := range []string{"a", "b", "c", "d"} {
		u := &features.User{History: []features.Entry{entry("view", item, 0)}}
		want, _ := m.Encode(u, noon)
		t.Run(item, func(t *testing.T) {
			t.Parallel()
			for range 100 {
				if got, _ := m.Encode(u, noon); !slices.Equal(got, want) {
					t.Fatal("concurrent encodes disturb each other")
				}
			}
		})
	}
}

func TestDefaultSignalIsValid(t *testing.T) {
	s := DefaultSignal()
	if err := s.Validate(); err != nil {
		t.Error(err)
	}
	for name := range s.Weights {
		if st := streams.Type(name).Stream(); st != streams.Behavior && st != streams.Orders {
			t.Errorf("the weight %q is of no event type on behavior or orders", name)
		}
	}
	if s.Confidence(0) != 0 || s.Confidence(-1) != 0 || s.Confidence(math.NaN()) != 0 || s.Confidence(9) != 3 {
		t.Error("Confidence is not the square root of positive evidence")
	}
	if s.Fade(-5) != 1 || s.Fade(s.HalfLife.Milliseconds()) != 0.5 || (Signal{}).Fade(1e15) != 1 {
		t.Error("Fade does not halve per half-life")
	}
}

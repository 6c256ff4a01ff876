package models

import (
	"errors"
	"math"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sartorhq/sartor/features"
	"github.com/sartorhq/sartor/models/kernel"
)

func testLAEParams() LAEParams {
	return LAEParams{Factors: 8, Tau: 0.1, Beta: 0.5, Kappa: 0.7, Signal: testParams().Signal}
}

// testLAE has items a..e, wanted by 0..4 users and twice as popular.
func testLAE(t testing.TB, p LAEParams) *LAE {
	t.Helper()
	rng := rand.New(rand.NewPCG(8, 8))
	table := LAETable{IDs: []string{"a", "b", "c", "d", "e"}}
	for j := range table.IDs {
		table.Users, table.Popularity = append(table.Users, float32(j)), append(table.Popularity, float32(2*j))
		for range p.Factors {
			table.In, table.Out = append(table.In, float32(rng.NormFloat64())), append(table.Out, float32(rng.NormFloat64()))
		}
	}
	m, err := NewLAE(Meta{Schema: "s1", Seed: 7, CreatedAt: noon, TrainedThrough: noon}, p, table)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestLAEScoresByTheDefinition(t *testing.T) {
	m := testLAE(t, testLAEParams())
	u := &features.User{History: []features.Entry{entry("order", "b", 0), entry("view", "c", 24*time.Hour), entry("view", "zzz", 0)}}
	vec, ok := m.Encode(u, noon)
	if !ok || len(vec) != 16 || m.Items().Dim != 16 || m.Items().Taste != 8 {
		t.Fatalf("Encode = %v, %v; items of %d, %d of them taste", vec, ok, m.Items().Dim, m.Items().Taste)
	}
	// A day halves: b counts sqrt(4) / sqrt(1+1), c sqrt(1/2) / sqrt(2+1).
	row := func(table []float32, j int) []float32 { return table[j*8 : (j+1)*8] }
	sum, norm := make([]float64, 8), 0.0
	for i := range sum {
		sum[i] = 2/math.Sqrt(2)*float64(row(m.table.In, 1)[i]) + math.Sqrt(0.5)/math.Sqrt(3)*float64(row(m.table.In, 2)[i])
		norm += sum[i] * sum[i]
	}
	for j := range m.table.IDs {
		cosine, length := 0.0, 0.0
		for i, b := range row(m.table.Out, j) {
			cosine += sum[i] / math.Sqrt(norm) * float64(b)
			length += float64(b) * float64(b)
		}
		want := cosine/math.Sqrt(length)/0.1 + 0.7*math.Log(1+2*float64(j))
		if got := float64(kernel.Dot(vec, m.items.Vectors[j*16:(j+1)*16])); math.Abs(got-want) > 1e-4 {
			t.Errorf("score of %d is %v, want %v", j, got, want)
		}
	}
}

func TestLAEWithKappaSharesTheTaste(t *testing.T) {
	m := testLAE(t, testLAEParams())
	c, err := WithKappa(m, 0)
	if err != nil {
		t.Fatal(err)
	}
	if it := c.Items(); it.Dim != 8 || !slices.Equal(it.Vectors[8:16], m.items.Vectors[16:24]) {
		t.Errorf("without popularity: %d dimensions", it.Dim)
	}
	if _, err := WithKappa(m, -1); err == nil {
		t.Error("a negative weight of popularity was taken")
	}
	if _, err := WithKappa(foreign{m}, 1); err == nil {
		t.Error("a foreign model was taken")
	}
	if _, err := WithMetrics(foreign{m}, nil); err == nil {
		t.Error("a foreign model was taken")
	}
	if got, err := WithMetrics(m, map[string]float64{"x": 1}); err != nil || got.Meta().Metrics["x"] != 1 {
		t.Errorf("%v, %v", got, err)
	}
}

func TestLAEEncodesOnlyEvidence(t *testing.T) {
	m := testLAE(t, testLAEParams())
	for name, history := range map[string][]features.Entry{"nothing": nil, "unknown": {entry("order", "zzz", 0)},
		"taken-back": {entry("cart-remove", "a", 0), entry("view", "a", 0)}} {
		if _, ok := m.Encode(&features.User{History: history}, noon); ok {
			t.Errorf("%s: encoded", name)
		}
	}
	if _, ok := m.Encode(nil, noon); ok {
		t.Error("no user at all was encoded")
	}
	u := &features.User{History: []features.Entry{entry("view", "a", 0), entry("order", "b", 0)}}
	if n := testing.AllocsPerRun(100, func() { m.Encode(u, noon) }); n > 1.5 && !raceEnabled {
		t.Errorf("%v allocations", n)
	}
}

func TestNewLAERefuses(t *testing.T) {
	ok := testLAE(t, testLAEParams()).table
	nan := slices.Clone(ok.In)
	nan[3] = float32(math.NaN())
	for want, change := range map[string]func(*LAEParams, *LAETable){
		"12 factors":     func(p *LAEParams, _ *LAETable) { p.Factors = 12 },
		"tau is 0":       func(p *LAEParams, _ *LAETable) { p.Tau = 0 },
		"beta is -1":     func(p *LAEParams, _ *LAETable) { p.Beta = -1 },
		"kappa is NaN":   func(p *LAEParams, _ *LAETable) { p.Kappa = math.NaN() },
		"positive weigh": func(p *LAEParams, _ *LAETable) { p.Signal.Weights = nil },
		"no item":        func(_ *LAEParams, t *LAETable) { t.IDs = nil },
		"5 items of 8":   func(_ *LAEParams, t *LAETable) { t.Out = t.Out[1:] },
		"not finite":     func(_ *LAEParams, t *LAETable) { t.In = nan },
		"of users: 1":    func(_ *LAEParams, t *LAETable) { t.Users = t.Users[:1] },
		"the same id":    func(_ *LAEParams, t *LAETable) { t.IDs = []string{"a", "b", "c", "d", "a"} },
	} {
		p, table := testLAEParams(), ok
		change(&p, &table)
		if _, err := NewLAE(Meta{}, p, table); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

func TestLoadRefusesADamagedLAE(t *testing.T) {
	for want, damage := range map[string]func(*Meta){
		"need [5 16]":              func(m *Meta) { m.Params["factors"] = 16 },
		"tau is 0":                 func(m *Meta) { delete(m.Params, "tau") },
		"is missing":               func(m *Meta) { m.Kind = KindALS },
		"the manifest says 5 of 9": func(m *Meta) { m.Dim = 9 },
	} {
		dir := filepath.Join(t.TempDir(), "m")
		if _, err := Save(dir, testLAE(t, testLAEParams())); err != nil {
			t.Fatal(err)
		}
		resign(damage)(t, dir)
		if _, err := Load(dir); !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), want) {
			t.Errorf("Load: %v, want ErrDamaged with %q", err, want)
		}
	}
}

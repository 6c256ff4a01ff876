package train

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/sartorhq/sartor/features"
	"github.com/sartorhq/sartor/models"
	"github.com/sartorhq/sartor/models/kernel"
	"github.com/sartorhq/sartor/streams"
)

// colours is the catalogue of a checkerboard: even items are black, odd ones white; the prices rise.
func colours(items int) *Catalog {
	c := NewCatalog(features.Default())
	for i := range items {
		c.Add(upsert(i, noon.Add(-time.Hour)))
	}
	return c
}

func upsert(i int, at time.Time) *streams.Event {
	colour := []any{"black", "white"}[i%2]
	return &streams.Event{Type: streams.ItemUpsert, Time: at, Items: []streams.Line{{ItemID: fmt.Sprint("i", i)}},
		Attributes: map[string]any{"category": colour, "category_path": []any{"board", colour}, "title": fmt.Sprint("A ", colour, " square ", i),
			"brand": fmt.Sprint("only-", i), "price": float64(100 * (i + 1)), "color": colour}}
}

func towerOptions(items int) Options {
	o := smallLAE()
	o.LAE.Tower = TowerOptions{Catalog: colours(items), Hidden: 8}
	return o
}

func TestCatalogKeepsTheFirstAndTheNewestDocument(t *testing.T) {
	c := NewCatalog(features.Default())
	for day, price := range []float64{300, 100, 200} {
		e := upsert(0, noon.AddDate(0, 0, day))
		e.Attributes["price"] = price
		c.Add(e)
	}
	c.Add(&streams.Event{Type: streams.View, UserID: "u", Items: []streams.Line{{ItemID: "i9"}}, Time: noon})
	for day, want := range map[int]float64{-1: 3, 1: 3, 2: 2, 5: 2} {
		if got := c.Item("i0", noon.AddDate(0, 0, day)).Env["price"]; got != want {
			t.Errorf("day %d: price %v, want %v", day, got, want)
		}
	}
	if c.Item("i9", noon) != nil || c.Len() != 1 || !slices.Equal(c.IDs(), []string{"i0"}) {
		t.Errorf("%d items: %v", c.Len(), c.IDs())
	}
}

func TestTowerLearnsOnlyFeaturesThatItemsShare(t *testing.T) {
	c, ids := colours(16), []string{}
	for i := range 16 {
		ids = append(ids, fmt.Sprint("i", i))
	}
	spec, err := c.towerSpec(ids, noon)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"category=black", "category_path=board", "category_path=board>white", "title=white square", "attrs=color:black"} {
		if !slices.Contains(spec.Features, want) {
			t.Errorf("no feature %s", want)
		}
	}
	for _, text := range spec.Features {
		if text == "brand=only-3" || text == "title=3" {
			t.Errorf("feature %s has one item only", text)
		}
	}
	for _, f := range spec.Fields {
		if f.As == models.AsBucket && len(f.Edges) != priceEdges {
			t.Errorf("%d edges of %s: %v", len(f.Edges), f.Name, f.Edges)
		}
	}
	// The shares of a field add up to 1: category 1, path 1, title 1, attrs 1.
	sum := float32(0)
	for _, f := range spec.Of(c.Item("i3", noon)) {
		sum += f.Weight
	}
	if math.Abs(float64(sum)-4) > 1e-5 {
		t.Errorf("shares add up to %v", sum)
	}
}

// wideSide is one side of the tower in float64.
type wideSide struct{ embed, w1, b1, w2 []float64 }

func (w wideSide) output(s *towerSide, k, d, h int) []float64 {
	x, hidden, y := make([]float64, d), make([]float64, h), make([]float64, d)
	for _, f := range s.shown[s.shownAt[k]:s.shownAt[k+1]] {
		for i := range x {
			x[i] += float64(f.weight) * w.embed[int(f.row)*d+i]
		}
	}
	for r := range hidden {
		hidden[r] = w.b1[r]
		for i := range x {
			hidden[r] += w.w1[r*d+i] * x[i]
		}
		hidden[r] = max(0, hidden[r])
	}
	for i := range y {
		y[i] = x[i]
		for r := range hidden {
			y[i] += w.w2[i*h+r] * hidden[r]
		}
	}
	return y
}

// effective is a table in float64 with what the tower adds for the items of the step.
func (w wideSide) effective(s *towerSide, table []float64, d, h int) []float64 {
	out := slices.Clone(table)
	for k, j := range s.items {
		for i, v := range w.output(s, k, d, h) {
			if s.dropped[k] {
				out[int(j)*d+i] = 0
			}
			out[int(j)*d+i] += v
		}
	}
	return out
}

func TestTowerGradientAgainstFiniteDifferences(t *testing.T) {
	l, o := random(3, 40, 30, 800), towerOptions(30).laeDefaults()
	p, err := weigh(l, o)
	if err != nil {
		t.Fatal(err)
	}
	a, err := newAutoencoder(p, l, o)
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(2, 2))
	for i := range a.tower.sides {
		for k := range a.tower.sides[i].w.W2 {
			a.tower.sides[i].w.W2[k] = float32(0.3 * rng.NormFloat64())
		}
		for k := range a.tower.sides[i].w.B1 {
			a.tower.sides[i].w.B1[k] = float32(0.05 * rng.NormFloat64())
		}
	}
	a.draw(a.batch, rand.New(rand.NewPCG(1, 1)), a.users)
	tables := [2][]float64{wide(a.state.In), wide(a.state.Out)}
	var w [2]wideSide
	for i, s := range a.tower.sides {
		w[i] = wideSide{wide(s.w.Embed), wide(s.w.W1), wide(s.w.B1), wide(s.w.W2)}
	}
	loss := func() float64 {
		var eff [2][]float64
		for i := range w {
			eff[i] = w[i].effective(&a.tower.sides[i], tables[i], a.tower.d, a.tower.h)
		}
		return lossByDefinition(a, eff[0], eff[1])
	}
	adam := kernel.NewAdam(0.01, 1)
	a.step(movers{adam, adam, adam})
	for side := range w {
		m := a.tower.sides[side].mean
		table := a.state.InMean
		if side == outSide {
			table = a.state.OutMean
		}
		for name, c := range map[string]struct {
			x    []float64
			mean []float32 // 0.1 of the gradient, after the first step
		}{"table": {tables[side], table}, "embed": {w[side].embed, m.Embed}, "w1": {w[side].w1, m.W1}, "b1": {w[side].b1, m.B1}, "w2": {w[side].w2, m.W2}} {
			scale := 0.0
			for _, g := range c.mean {
				scale = max(scale, math.Abs(float64(g)*10))
			}
			if scale == 0 {
				t.Errorf("side %d %s: no gradient", side, name)
			}
			for i := 0; i < len(c.x); i += 3 {
				const h = 1e-6
				was := c.x[i]
				c.x[i] = was + h
				up := loss()
				c.x[i] = was - h
				down := loss()
				c.x[i] = was
				if want, got := (up-down)/(2*h), float64(c.mean[i])*10; math.Abs(want-got) > 2e-3*scale {
					t.Fatalf("side %d %s %d: gradient %v, by differences %v", side, name, i, got, want)
				}
			}
		}
	}
}

func TestANewItemHasAVectorLikeItsKind(t *testing.T) {
	const users, items = 40, 10
	l := checkerboard(users, items)
	o := towerOptions(items)
	o.Signal, o.Epochs, o.Kappa = models.Signal{Weights: map[string]float64{"view": 1}}, 40, 0.5
	m, _ := mustLAE(t, l, o)
	fresh := NewCatalog(features.Default())
	fresh.Add(upsert(20, noon)) // black, and nobody has seen it
	fresh.Add(upsert(21, noon)) // white
	vec, _ := m.Encode(history(l, "u0"), noon)
	black, ok := m.EncodeItem(fresh.Item("i20", noon))
	white, ok2 := m.EncodeItem(fresh.Item("i21", noon))
	if !ok || !ok2 || len(black) != m.Items().Dim {
		t.Fatalf("no vector: %v %v, %d of %d", ok, ok2, len(black), m.Items().Dim)
	}
	if b, w := kernel.Dot(vec, black), kernel.Dot(vec, white); b < w+2 {
		t.Errorf("a friend of black scores the new black item %.3f, the white one %.3f", b, w)
	}
	// An item of the model keeps its own row, a stranger without known features has none.
	if row, ok := m.EncodeItem(&features.Item{ID: m.Items().IDs[3]}); !ok || !slices.Equal(row, m.Items().Vectors[3*m.Items().Dim:4*m.Items().Dim]) {
		t.Error("an item of the model has another vector")
	}
	if _, ok := m.EncodeItem(&features.Item{ID: "x", Env: map[string]any{"category": "red"}, Known: map[string]bool{"category": true}}); ok {
		t.Error("an item without known features has a vector")
	}
	if _, ok := m.EncodeItem(nil); ok {
		t.Error("no item has a vector")
	}
	// The tower is saved with the model.
	dir := filepath.Join(t.TempDir(), "m")
	if _, err := models.Save(dir, m); err != nil {
		t.Fatal(err)
	}
	loaded, err := models.Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	again, ok := loaded.(*models.LAE).EncodeItem(fresh.Item("i20", noon))
	if !ok || !slices.Equal(again, black) || !slices.Equal(loaded.Items().Vectors, m.Items().Vectors) {
		t.Error("the loaded model differs")
	}
}

func TestTowerBitReproducibleAndResumable(t *testing.T) {
	l := random(1, 300, 120, 6000)
	want, _ := mustLAE(t, l, towerOptions(120))
	for _, workers := range []int{1, 3} {
		o := towerOptions(120)
		o.Workers = workers
		if got, _ := mustLAE(t, l, o); !slices.Equal(got.Items().Vectors, want.Items().Vectors) {
			t.Fatalf("%d workers: another model", workers)
		}
	}
	o := towerOptions(120)
	var kept *LAEState
	stop := errors.New("killed")
	o.LAE.Checkpoint = func(s *LAEState) error {
		if s.Epoch == 3 {
			c := *s
			for _, x := range []*[]float32{&c.In, &c.InMean, &c.InSquare, &c.Out, &c.OutMean, &c.OutSquare, &c.Tower, &c.TowerMean, &c.TowerSquare} {
				*x = slices.Clone(*x)
			}
			kept = &c
			return stop
		}
		return nil
	}
	if _, _, err := LAE(t.Context(), l, o); !errors.Is(err, stop) {
		t.Fatal(err)
	}
	o.LAE.Checkpoint, o.LAE.Resume = nil, kept
	if got, _ := mustLAE(t, l, o); !slices.Equal(got.Items().Vectors, want.Items().Vectors) {
		t.Error("the resumed training gave another model")
	}
	o.LAE.Tower.Catalog = nil
	if _, _, err := LAE(t.Context(), l, o); err == nil {
		t.Error("a state with a tower was resumed without one")
	}
}

func TestTowerWarmStartAndFreeze(t *testing.T) {
	l := random(1, 200, 60, 4000)
	base, _ := mustLAE(t, l, towerOptions(60))
	o := smallLAE() // no catalogue: the tower and what it knows of the items come from the model
	o.LAE.From, o.LAE.Tower.Freeze, o.Epochs = base, true, 2
	m, _ := mustLAE(t, l, o)
	was, is := base.Table().Tower, m.Table().Tower
	if is == nil || !slices.Equal(was.Out.Embed, is.Out.Embed) || !slices.Equal(was.In.W1, is.In.W1) || !slices.Equal(was.Of, is.Of) {
		t.Error("the frozen tower changed")
	}
	if slices.Equal(base.Table().Out, m.Table().Out) {
		t.Error("the tables did not change")
	}
	o.LAE.Tower.Freeze, o.LAE.FreezeIn, o.LAE.FreezeOut = false, true, true
	m, _ = mustLAE(t, l, o)
	if slices.Equal(was.Out.Embed, m.Table().Tower.Out.Embed) || !slices.Equal(base.Table().Out, m.Table().Out) || !slices.Equal(base.Table().In, m.Table().In) {
		t.Error("with frozen tables the tower alone should change")
	}
}

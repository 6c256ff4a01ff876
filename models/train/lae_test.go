package train

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sartorhq/sartor/models"
	"github.com/sartorhq/sartor/models/kernel"
)

func smallLAE() Options {
	o := small()
	o.LAE = LAEOptions{Batch: 32, Negatives: 20, Rate: 0.05, Tau: 0.2, Beta: 0.25}
	return o
}

func mustLAE(t *testing.T, l *Log, o Options) (*models.LAE, Report) {
	t.Helper()
	m, r, err := LAE(context.Background(), l, o)
	if err != nil {
		t.Fatal(err)
	}
	return m, r
}

func TestLAEOnTheCheckerboard(t *testing.T) {
	const users, items = 40, 10
	l := checkerboard(users, items)
	o := smallLAE()
	o.Signal, o.Epochs = models.Signal{Weights: map[string]float64{"view": 1}}, 30
	m, r := mustLAE(t, l, o)
	if r.Users != users || r.Items != items || r.Epochs != 30 || r.Loss[29] >= r.Loss[0] || m.Meta().Kind != models.KindLAE {
		t.Errorf("report %+v", r)
	}
	checkColours(t, m, l, users, items, func(wanted, other float32) bool { return wanted >= other+2 })
}

// lossByDefinition computes the loss of the batch from the equations, in float64.
func lossByDefinition(a *autoencoder, in, out []float64) float64 {
	b, d, total := a.batch, a.o.Dim, 0.0
	for u := range b.users {
		x, shown := make([]float64, d), map[int32]bool{}
		for _, k := range b.kept[b.keptAt[u]:b.keptAt[u+1]] {
			shown[k.row] = true
			for i := range x {
				x[i] += float64(k.weight) * in[int(k.row)*d+i]
			}
		}
		norm := 0.0
		for _, v := range x {
			norm += v * v
		}
		logits, sum := make([]float64, len(b.items)), 0.0
		for k, j := range b.items {
			dot, length := 0.0, 0.0
			for i, v := range out[int(j)*d : int(j+1)*d] {
				dot += x[i] * v
				length += v * v
			}
			logits[k] = dot / math.Sqrt(norm*length) / a.o.LAE.Tau
			if !shown[j] {
				sum += math.Exp(logits[k])
			}
		}
		weight, loss := 0.0, 0.0
		for _, g := range b.goal[b.goalAt[u]:b.goalAt[u+1]] {
			weight += float64(g.weight)
			loss += float64(g.weight) * (math.Log(sum) - logits[g.row])
		}
		total += loss / math.Sqrt(weight) / float64(b.users)
	}
	return total
}

func TestLAEGradientAgainstFiniteDifferences(t *testing.T) {
	l, o := random(3, 40, 30, 800), smallLAE().laeDefaults()
	o.LAE.Objective = map[string]float64{"view": 1, "order": 3, "cart-add": 0.5}
	p, err := weigh(l, o)
	if err != nil {
		t.Fatal(err)
	}
	a, err := newAutoencoder(p, l, o)
	if err != nil {
		t.Fatal(err)
	}
	a.draw(a.batch, rand.New(rand.NewPCG(1, 1)), a.users)
	in, out := wide(a.state.In), wide(a.state.Out)
	adam := kernel.NewAdam(0.01, 1)
	a.step(movers{adam, adam, adam})
	for name, c := range map[string]struct {
		x    []float64
		mean []float32 // 0.1 of the gradient, after the first step
	}{"in": {in, a.state.InMean}, "out": {out, a.state.OutMean}} {
		scale := 0.0
		for _, g := range c.mean {
			scale = max(scale, math.Abs(float64(g)*10))
		}
		for i := range c.x {
			const h = 1e-5
			was := c.x[i]
			c.x[i] = was + h
			up := lossByDefinition(a, in, out)
			c.x[i] = was - h
			down := lossByDefinition(a, in, out)
			c.x[i] = was
			if want, got := (up-down)/(2*h), float64(c.mean[i])*10; math.Abs(want-got) > 1e-3*scale {
				t.Fatalf("%s %d: gradient %v, by differences %v", name, i, got, want)
			}
		}
	}
}

func wide(x []float32) []float64 {
	out := make([]float64, len(x))
	for i, v := range x {
		out[i] = float64(v)
	}
	return out
}

func TestLAEBitReproducibleForAnyNumberOfWorkers(t *testing.T) {
	l := random(1, 300, 120, 6000)
	want, _ := mustLAE(t, l, smallLAE())
	for _, workers := range []int{1, 2, 5} {
		o := smallLAE()
		o.Workers = workers
		if got, _ := mustLAE(t, l, o); !slices.Equal(got.Items().Vectors, want.Items().Vectors) || !slices.Equal(got.Table().In, want.Table().In) {
			t.Fatalf("%d workers: another model", workers)
		}
	}
	o := smallLAE()
	o.Seed = 4
	if other, _ := mustLAE(t, l, o); slices.Equal(other.Items().Vectors, want.Items().Vectors) {
		t.Error("the seed has no effect")
	}
}

func TestLAEResumesToTheSameBits(t *testing.T) {
	l := random(2, 100, 60, 2000)
	want, _ := mustLAE(t, l, smallLAE())
	o := smallLAE()
	var kept *LAEState
	stop := errors.New("killed")
	o.LAE.Checkpoint = func(s *LAEState) error {
		if s.Epoch < 3 {
			return nil
		}
		c := *s
		for _, x := range []*[]float32{&c.In, &c.InMean, &c.InSquare, &c.Out, &c.OutMean, &c.OutSquare} {
			*x = slices.Clone(*x)
		}
		kept = &c
		return stop
	}
	if _, _, err := LAE(t.Context(), l, o); !errors.Is(err, stop) {
		t.Fatalf("%v, want the error of the checkpoint", err)
	}
	o.LAE.Checkpoint, o.LAE.Resume = nil, kept
	got, r := mustLAE(t, l, o)
	if !slices.Equal(got.Table().Out, want.Table().Out) || !slices.Equal(got.Table().In, want.Table().In) || r.Epochs != o.Epochs {
		t.Errorf("resumed at 3, ended after %d, with other bits", r.Epochs)
	}
	kept.Out = kept.Out[1:]
	if _, _, err := LAE(t.Context(), l, o); err == nil || !strings.Contains(err.Error(), "does not belong") {
		t.Errorf("a state of another log: %v", err)
	}
}

func TestLAEKeepsTheBestAndStops(t *testing.T) {
	l := random(2, 100, 60, 2000)
	o := smallLAE()
	o.Epochs, o.LAE.JudgeEvery, o.LAE.Patience = 10, 1, 2
	var judged []*models.LAE
	o.LAE.Judge = func(m *models.LAE) (float64, error) {
		judged = append(judged, m)
		return -math.Abs(float64(len(judged) - 3)), nil // the third is the best
	}
	m, r := mustLAE(t, l, o)
	if len(judged) != 5 || r.Epochs != 5 || !r.Stopped || !slices.Equal(m.Table().In, judged[2].Table().In) || slices.Equal(m.Table().In, judged[4].Table().In) {
		t.Errorf("%d judged, %d epochs", len(judged), r.Epochs)
	}
	o.LAE.Judge = func(*models.LAE) (float64, error) { return 0, errors.New("no judge") }
	if _, _, err := LAE(t.Context(), l, o); err == nil {
		t.Error("the judge's error is lost")
	}
}

func TestLAEFreezeWarmStartAndScenario(t *testing.T) {
	l := random(5, 100, 60, 2000)
	base, _ := mustLAE(t, l, smallLAE())
	l.Add(event("view", "u1", "brand-new", 0))
	l.Add(event("view", "u2", "brand-new", 0))
	o := smallLAE()
	o.LAE.From, o.LAE.FreezeOut, o.Dim, o.Epochs = base, true, 64, 2
	m, _ := mustLAE(t, l, o)
	if n := len(base.Table().Out); !slices.Equal(m.Table().Out[:n], base.Table().Out) || slices.Equal(m.Table().In[:n], base.Table().In) || len(m.Table().Out) != n+8 {
		t.Error("the frozen table moved, or the other did not, or the new item has no row")
	}
	// A part of the data is enough: the other items stay, with their counts.
	o.LAE.KeepCounts = true
	part := NewLog()
	for u := range 20 { // enough that each item is shown to someone
		part.Add(event("view", fmt.Sprint("p", u), "i1", 0))
		part.Add(event("order", fmt.Sprint("p", u), "i2", 0))
	}
	few, _ := mustLAE(t, part, o)
	kept := map[string]int{}
	for j, id := range few.Items().IDs {
		kept[id] = j
	}
	for j, id := range base.Items().IDs {
		k := kept[id]
		same := slices.Equal(few.Table().In[k*8:(k+1)*8], base.Table().In[j*8:(j+1)*8])
		if few.Table().Users[k] != base.Table().Users[j] || few.Table().Popularity[k] != base.Table().Popularity[j] || same != (id != "i1" && id != "i2") {
			t.Errorf("%s: %v users, moved %v", id, few.Table().Users[k], !same)
		}
	}
	o.LAE.FreezeOut, o.LAE.FreezeIn = false, true
	m, _ = mustLAE(t, l, o)
	if n := len(base.Table().In); !slices.Equal(m.Table().In[:n], base.Table().In) || slices.Equal(m.Table().Out[:n], base.Table().Out) {
		t.Error("the frozen inputs moved, or the outputs did not")
	}
	// Only what may be foreseen moves: even items, when they were ordered.
	o.LAE.Catalog = func(id string) bool { return strings.HasSuffix(id, "2") }
	o.LAE.Objective = map[string]float64{"order": 1}
	m, _ = mustLAE(t, l, o)
	for j, id := range m.Items().IDs {
		if same := slices.Equal(m.Table().Out[j*8:(j+1)*8], base.Table().Out[min(j, 59)*8:(min(j, 59)+1)*8]); j < 60 && same == o.LAE.Catalog(id) {
			t.Errorf("%s: moved %v", id, !same)
		}
	}
}

func TestLAEBudgetLowersTheEpochs(t *testing.T) {
	l, now := random(2, 50, 30, 900), noon
	o := smallLAE()
	o.Now = func() time.Time { now = now.Add(time.Second); return now }
	o.Epochs, o.Budget = 100, 20*time.Second
	var last Progress
	o.Progress = func(p Progress) { last = p }
	_, r := mustLAE(t, l, o)
	if !r.Stopped || r.Epochs < 1 || r.Epochs >= 100 || last.Epoch != last.Epochs || last.Rate != 0 {
		t.Errorf("%d epochs, last progress %+v", r.Epochs, last)
	}
}

func TestLAERefuses(t *testing.T) {
	for want, change := range map[string]func(*Options){
		"-1 epochs":         func(o *Options) { o.Epochs = -1 },
		"batches of -1":     func(o *Options) { o.LAE.Batch = -1 },
		"-1 negatives":      func(o *Options) { o.LAE.Negatives = -1 },
		"rate is 2":         func(o *Options) { o.LAE.Rate = 2 },
		"share of 1 is":     func(o *Options) { o.LAE.Keep = 1 },
		"tables are frozen": func(o *Options) { o.LAE.FreezeIn, o.LAE.FreezeOut = true, true },
		"tau is 9":          func(o *Options) { o.LAE.Tau = 9 },
		"0 users have":      func(o *Options) { o.LAE.Objective = map[string]float64{"wishlist": 1} },
		"0 items may be":    func(o *Options) { o.LAE.Catalog = func(string) bool { return false } },
	} {
		o := smallLAE()
		change(&o)
		if _, _, err := LAE(t.Context(), random(2, 20, 10, 200), o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	if _, _, err := LAE(t.Context(), NewLog(), smallLAE()); !errors.Is(err, ErrTooLittle) {
		t.Errorf("an empty log: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := LAE(ctx, random(2, 20, 10, 200), smallLAE()); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

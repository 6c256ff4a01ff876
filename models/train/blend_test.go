package train

import (
	"context"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sartorhq/sartor/models"
)

func smallBlend() Options {
	o := smallLAE()
	o.Blend = BlendOptions{Of: []string{models.KindLAE, models.KindALS}, Mix: []float64{2}}
	return o
}

// The parts are the models that training alone makes, and the blend is the same for any number of workers.
func TestBlendPartsAreTrainedAsAlone(t *testing.T) {
	l, o := random(5, 60, 30, 900), smallBlend()
	o.Kappa = 0.3
	m, r, err := Blend(context.Background(), l, o)
	if err != nil {
		t.Fatal(err)
	}
	lae, _ := mustLAE(t, l, o)
	alone := o
	alone.Kappa = 0
	als, _, err := ALS(context.Background(), l, alone)
	if err != nil {
		t.Fatal(err)
	}
	parts := m.Parts()
	for k, want := range []models.Model{lae, als} {
		if got := parts[k].Model; !slices.Equal(got.Items().Vectors, want.Items().Vectors) {
			t.Errorf("part %d, %s, is not the model that is trained alone", k, got.Meta().Kind)
		}
	}
	if parts[0].Weight != 1 || parts[1].Weight != 2 || m.Meta().Params["kappa"] != 0.3 || m.Meta().Events != lae.Meta().Events || r.Epochs != 2*o.Epochs {
		t.Errorf("weights %v and %v, %+v, %+v", parts[0].Weight, parts[1].Weight, m.Meta(), r)
	}
	o.Workers = 5
	again, _, err := Blend(context.Background(), l, o)
	if err != nil || !slices.Equal(again.Items().Vectors, m.Items().Vectors) {
		t.Errorf("another number of workers makes another model: %v", err)
	}
}

func TestBlendOnTheCheckerboard(t *testing.T) {
	const users, items = 40, 10
	l, o := checkerboard(users, items), smallBlend()
	o.Signal, o.Epochs = models.Signal{Weights: map[string]float64{"view": 1}}, 30
	m, r, err := Blend(context.Background(), l, o)
	if err != nil {
		t.Fatal(err)
	}
	if r.Epochs != 30+alsEpochs {
		t.Errorf("%d epochs, want 30 and the %d of ALS", r.Epochs, alsEpochs)
	}
	checkColours(t, m, l, users, items, func(wanted, other float32) bool { return wanted >= other+2 })
}

func TestBlendOfOneKindIsOfTwoSeeds(t *testing.T) {
	o := smallBlend()
	o.Blend.Of = []string{models.KindALS, models.KindALS, models.KindALS}
	m, _, err := Blend(context.Background(), random(6, 40, 20, 500), o)
	if err != nil {
		t.Fatal(err)
	}
	for k, p := range m.Parts() {
		if p.Model.Meta().Seed != o.Seed+uint64(k) {
			t.Errorf("part %d has seed %d", k, p.Model.Meta().Seed)
		}
	}
}

func TestBlendRefuses(t *testing.T) {
	l := random(6, 40, 20, 500)
	for want, change := range map[string]func(*Options){
		"1 models":                  func(o *Options) { o.Blend.Of = o.Blend.Of[:1] },
		"2 models with 2 weights":   func(o *Options) { o.Blend.Mix = []float64{1, 1} },
		"weight of a part is 0":     func(o *Options) { o.Blend.Mix = []float64{0} },
		"weight of a part is NaN":   func(o *Options) { o.Blend.Mix = []float64{math.NaN()} },
		`"ease" cannot be a part`:   func(o *Options) { o.Blend.Of[1] = "ease" },
		`"blend" cannot be a part`:  func(o *Options) { o.Blend.Of[1] = "blend" },
		"tau is 5":                  func(o *Options) { o.LAE.Tau = 5 },
		"12 factors":                func(o *Options) { o.Dim = 12 },
		"a hidden layer of":         func(o *Options) { o.LAE.Tower.Hidden = 3 },
		"steps of conjugate gradie": func(o *Options) { o.Steps = -1 },
	} {
		o := smallBlend()
		change(&o)
		if _, _, err := Blend(context.Background(), l, o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, _, err := Blend(ctx, l, smallBlend()); !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled training: %v", err)
	}
	if _, _, err := Blend(context.Background(), NewLog(), smallBlend()); !errors.Is(err, ErrTooLittle) {
		t.Errorf("nothing to learn from: %v", err)
	}
}

func TestBlendDividesTheBudget(t *testing.T) {
	o := smallBlend()
	o.Budget = time.Minute
	if got := o.part(1).Budget; got != 30*time.Second {
		t.Errorf("a part gets %v of a minute", got)
	}
}

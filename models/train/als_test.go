package train

import (
	"context"
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sartorhq/sartor/models"
	"github.com/sartorhq/sartor/models/kernel"
	"github.com/sartorhq/sartor/streams"
)

func TestCheckerboard(t *testing.T) {
	const users, items = 40, 10
	l := checkerboard(users, items)
	o := small()
	// Enough ridge that the two colours, not the gaps, are learned.
	o.Signal, o.Lambda = models.Signal{Weights: map[string]float64{"view": 1}}, 0.1
	m, r := mustTrain(t, l, o)
	if r.Users != users || r.Items != items || r.Events != users*(items/2-1) || m.Meta().TrainedThrough != noon {
		t.Errorf("report %+v, meta %+v", r, m.Meta())
	}
	checkColours(t, m, l, users, items, func(wanted, other float32) bool { return wanted >= 0.4 && other <= 0.1 })
}

func TestBitReproducibleForAnyNumberOfWorkers(t *testing.T) {
	l := random(1, 300, 120, 6000)
	want, _ := mustTrain(t, l, small())
	for _, workers := range []int{1, 2, 3, 7} {
		o := small()
		o.Workers = workers
		got, _ := mustTrain(t, l, o)
		if !slices.Equal(got.Items().Vectors, want.Items().Vectors) {
			t.Fatalf("%d workers: another model", workers)
		}
	}
	o := small()
	o.Seed = 4
	if other, _ := mustTrain(t, l, o); slices.Equal(other.Items().Vectors, want.Items().Vectors) {
		t.Error("the seed has no effect")
	}
}

// Steps of conjugate gradients take more epochs to the same loss, never raise it, and give the same bits for any
// number of workers.
func TestStepsInPlaceOfTheSolution(t *testing.T) {
	l, o := random(2, 200, 80, 4000), small()
	o.Epochs = 12
	_, exact := mustTrain(t, l, o)
	o.Steps, o.Workers = 3, 1
	want, r := mustTrain(t, l, o)
	for i := 1; i < len(r.Loss); i++ {
		if r.Loss[i] > r.Loss[i-1]*(1+1e-5) {
			t.Errorf("epoch %d: loss rose from %v to %v", i+1, r.Loss[i-1], r.Loss[i])
		}
	}
	if last := r.Loss[11]; last > 1.02*exact.Loss[11] {
		t.Errorf("loss %v, of exact rows %v", last, exact.Loss[11])
	}
	o.Workers = 3
	if got, _ := mustTrain(t, l, o); !slices.Equal(got.Items().Vectors, want.Items().Vectors) {
		t.Error("3 workers: another model")
	}
	o.Steps = -1
	if err := o.Validate(); err == nil || !strings.Contains(err.Error(), "conjugate gradients") {
		t.Errorf("-1 steps: %v", err)
	}
}

func TestLossFallsEveryEpoch(t *testing.T) {
	o := small()
	o.Epochs = 12
	_, r := mustTrain(t, random(2, 200, 80, 4000), o)
	for i := 1; i < len(r.Loss); i++ {
		// Each half-step is an exact minimum, so that only rounding can raise the loss.
		if r.Loss[i] > r.Loss[i-1]*(1+1e-5) {
			t.Errorf("epoch %d: loss rose from %v to %v", i+1, r.Loss[i-1], r.Loss[i])
		}
	}
	if r.Loss[11] > 0.9*r.Loss[0] {
		t.Errorf("loss fell only from %v to %v", r.Loss[0], r.Loss[11])
	}
}

// The loss that is reported must be the objective of MODEL.md, computed here term by term.
func TestLossIsTheObjective(t *testing.T) {
	o := small().withDefaults()
	o.Nu = 0.5
	p, err := prepare(random(3, 30, 20, 300), &o)
	if err != nil {
		t.Fatal(err)
	}
	f := newFactorisation(p, o)
	got, err := f.epoch(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	want := 0.0
	for u := range p.byUser.rows() {
		c := make([]float64, len(p.ids))
		cols, values := p.byUser.row(u)
		for k, col := range cols {
			c[col] = float64(values[k])
		}
		for i := range p.ids {
			score := float64(kernel.Dot(f.users.Row(u), f.items.Row(i)))
			want += c[i]*(1-score)*(1-score) + o.Unobserved*score*score
		}
		want += float64(f.params.Ridge(p.byUser.sums[u], len(p.ids))) * float64(kernel.Dot(f.users.Row(u), f.users.Row(u)))
	}
	for i := range p.ids {
		want += float64(f.params.Ridge(p.byItem.sums[i], p.byUser.rows())) * float64(kernel.Dot(f.items.Row(i), f.items.Row(i)))
	}
	if want /= float64(len(p.byUser.cols)); math.Abs(got-want) > 1e-4*want {
		t.Errorf("loss %v, want %v", got, want)
	}
}

// Serving must encode a training user as training would: the row of the least squares problem, with
// the final items.
func TestFoldInIsTheTrainedRow(t *testing.T) {
	l := random(4, 60, 40, 1500)
	o := small().withDefaults()
	p, err := prepare(l, &o)
	if err != nil {
		t.Fatal(err)
	}
	f := newFactorisation(p, o)
	for range 3 {
		if _, err := f.epoch(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.half(context.Background(), p.byUser, f.users, f.items, nil); err != nil {
		t.Fatal(err)
	}
	o.Epochs = 3
	m, _ := mustTrain(t, l, o)
	row := 0
	for n := range 60 {
		vec, ok := m.Encode(history(l, l.UserID(int32(n))), noon)
		if !ok {
			continue // no positive evidence: no row in training either
		}
		for i, v := range f.users.Row(row) {
			if math.Abs(float64(v-vec[i])) > 1e-4 {
				t.Fatalf("user %d: encoded %v, trained %v", n, vec, f.users.Row(row))
			}
		}
		row++
	}
	if row != p.byUser.rows() || row < 50 {
		t.Errorf("%d users encoded, %d trained", row, p.byUser.rows())
	}
}

func TestTooLittleData(t *testing.T) {
	one, two := NewLog(), NewLog()
	one.Add(event(streams.View, "u1", "i1", 0))
	two.Add(event(streams.View, "u1", "i1", 0))
	two.Add(event(streams.View, "u1", "i2", 0))
	unwanted := random(5, 5, 5, 50)
	for name, c := range map[string]struct {
		log  *Log
		want string
	}{
		"no-events":  {NewLog(), "have 0 and 0 (0 events in the log)"},
		"one-event":  {one, "have 1 and 1 (1 events in the log)"},
		"two-events": {two, "need at least 2 users and 2 items with events that carry weight, have 1 and 2 (2 events"},
		"no-weight":  {unwanted, "have 0 and 0 (50 events"},
	} {
		o := small()
		if name == "no-weight" {
			unwanted = nil
			o.Signal.Weights = map[string]float64{"rating": 1}
			c.log = random(5, 5, 5, 0)
			for i := range 50 {
				c.log.Add(event(streams.View, fmt.Sprint(i%5), fmt.Sprint(i%7), 0))
			}
		}
		_, _, err := ALS(context.Background(), c.log, o)
		if !errors.Is(err, ErrTooLittle) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
		if _, err := Popularity(c.log, o); !errors.Is(err, ErrTooLittle) {
			t.Errorf("%s: popularity: %v", name, err)
		}
	}
}

func TestRefusesOptions(t *testing.T) {
	l := checkerboard(4, 4)
	for want, change := range map[string]func(*Options){
		"12 factors":   func(o *Options) { o.Dim = 12 },
		"-1 epochs":    func(o *Options) { o.Epochs = -1 },
		"lambda is -1": func(o *Options) { o.Lambda = -1 },
		"pairs is -1":  func(o *Options) { o.Unobserved = -1 },
		"kappa is NaN": func(o *Options) { o.Kappa = math.NaN() },
		"half-life":    func(o *Options) { o.Signal.HalfLife = -time.Second },
	} {
		o := small()
		change(&o)
		if _, _, err := ALS(context.Background(), l, o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
		if err := o.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Validate: %v, want %q", err, want)
		}
	}
}

func TestUnstableTrainingIsAnError(t *testing.T) {
	o := small()
	o.Signal.Weights = map[string]float64{"view": 1e6}
	l := checkerboard(10, 6)
	for range 40 { // confidence beyond what float32 can factor beside a tiny ridge
		for u := range 10 {
			l.Add(event(streams.View, fmt.Sprint("u", u), fmt.Sprint("i", u%2), 0))
		}
	}
	o.Lambda, o.Nu, o.Unobserved = 1e-30, -1, 1e-30
	if _, _, err := ALS(context.Background(), l, o); !errors.Is(err, errUnstable) {
		t.Errorf("trained without ridge: %v", err)
	}
}

func TestBudgetStopsAfterAWholeEpoch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := checkerboard(10, 6)
		o := small()
		// Each epoch takes a second of the bubble's time.
		var epochs []Progress
		o.Now = time.Now
		o.Progress = func(p Progress) {
			epochs = append(epochs, p)
			time.Sleep(time.Second)
		}
		o.Epochs, o.Budget = 10, 3500*time.Millisecond
		_, r := mustTrain(t, l, o)
		if r.Epochs != 4 || !r.Stopped || len(epochs) != 4 || !strings.Contains(r.String(), "stopped by the time budget") {
			t.Errorf("report %s", r)
		}
		if p := epochs[2]; p.Epoch != 3 || p.Epochs != 10 || p.Elapsed != 2*time.Second || p.Left != 7*(2*time.Second/3) {
			t.Errorf("progress %+v", p)
		}
		o.Budget = time.Nanosecond
		// On this clock the first epoch takes no time, because only the report of it does.
		if _, r := mustTrain(t, l, o); r.Epochs != 2 {
			t.Errorf("a tiny budget left %d epochs", r.Epochs)
		}
		o.Budget = 0
		if _, r := mustTrain(t, l, o); r.Epochs != 10 || r.Stopped {
			t.Errorf("without a budget: %s", r)
		}
	})
}

func TestCancel(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	o := small()
	o.Progress = func(p Progress) {
		if p.Epoch == 2 {
			cancel()
		}
	}
	m, r, err := ALS(ctx, checkerboard(10, 6), o)
	if m != nil || !errors.Is(err, context.Canceled) || r.Epochs != 2 {
		t.Errorf("%v, %d epochs, %v", m, r.Epochs, err)
	}
}

func TestUnobservedFollowsTheDensity(t *testing.T) {
	o := small()
	o.Unobserved, o.Signal = 0, models.Signal{Weights: map[string]float64{"view": 1}}
	sparse := NewLog()
	for u := range 200 {
		sparse.Add(event(streams.View, fmt.Sprint("u", u), fmt.Sprint("i", u%100), 0))
		sparse.Add(event(streams.View, fmt.Sprint("u", u), fmt.Sprint("i", (u+1)%100), 0))
	}
	m, _ := mustTrain(t, sparse, o)
	if got, want := m.Params().Unobserved, float64(UnobservedShare)*2/100; math.Abs(got-want) > 1e-12 {
		t.Errorf("alpha0 = %v, want %v", got, want)
	}
	dense, _ := mustTrain(t, checkerboard(40, 10), o)
	if got := dense.Params().Unobserved; got != 1 {
		t.Errorf("alpha0 = %v, want the bound 1", got)
	}
}

func TestPopularityFadesFromTheNewestEvent(t *testing.T) {
	l := NewLog()
	for u := range 4 {
		l.Add(event(streams.View, fmt.Sprint("u", u), "old", 48*time.Hour))
	}
	l.Add(event(streams.View, "u1", "new", 0))
	l.Add(event(streams.Order, "u2", "new", 24*time.Hour))
	l.Add(event(streams.CartRemove, "u3", "new", 0))
	o := small()
	o.PopularityHalfLife = 24 * time.Hour
	m, err := Popularity(l, o)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]float32{}
	for j, id := range m.Items().IDs {
		got[id] = m.Items().Vectors[j]
	}
	want := map[string]float32{"old": float32(math.Log1p(1)), "new": float32(math.Log1p(1.5))}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("popularity %v, want %v", got, want)
	}
}

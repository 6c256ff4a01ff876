package train

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sartorhq/sartor/features"
	"github.com/sartorhq/sartor/models"
	"github.com/sartorhq/sartor/models/kernel"
	"github.com/sartorhq/sartor/streams"
)

// wheel is a shop whose answer is known: after item i everybody views i+1, after the last the first.
// All items are equally popular, and the same items in another order mean something else.
func wheel(users, items, views int) *Log {
	rng := rand.New(rand.NewPCG(1, 1))
	l := NewLog()
	for u := range users {
		at := rng.IntN(items)
		for v := range views {
			l.Add(&streams.Event{Type: streams.View, UserID: fmt.Sprint("u", u), Time: start.Add(time.Duration(v) * time.Minute),
				Items: []streams.Line{{ItemID: fmt.Sprint("i", (at+v)%items)}}})
		}
	}
	return l
}

func wheelOptions() Options {
	return Options{Dim: 16, Epochs: 12, Seed: 3, Workers: 2, Now: func() time.Time { return start },
		Encoder: EncoderOptions{Hidden: 16, Inner: 32, Dropout: 0.1, Schedule: Schedule{Rate: 0.02}}}
}

// foreseen is the share of items whose follower is the best of all.
func foreseen(m *models.Encoder, items int) float64 {
	hits := 0
	for i := range items {
		u := &features.User{History: []features.Entry{{Type: "view", ItemID: fmt.Sprint("i", i), Time: start.UnixMilli() + 60000},
			{Type: "view", ItemID: fmt.Sprint("i", (i+items-1)%items), Time: start.UnixMilli()}}}
		vec, _ := m.Encode(u, start.Add(time.Hour))
		all := m.Items()
		scores := make([]float32, len(all.IDs))
		kernel.Rows(scores, vec, all.Vectors)
		best := 0
		for j := range scores {
			if scores[j] > scores[best] {
				best = j
			}
		}
		if all.IDs[best] == fmt.Sprint("i", (i+1)%items) {
			hits++
		}
	}
	return float64(hits) / float64(items)
}

func TestEncoderLearnsWhatFollows(t *testing.T) {
	l := wheel(60, 20, 12)
	for name, change := range map[string]func(*EncoderOptions){
		"full":     func(*EncoderOptions) {},
		"sampled":  func(e *EncoderOptions) { e.Full, e.Negatives = -1, 4 },
		"clock":    func(e *EncoderOptions) { e.Clock = time.Minute },
		"plateau":  func(e *EncoderOptions) { e.Schedule.Shape = Plateau },
		"longest3": func(e *EncoderOptions) { e.Longest = 3 },
	} {
		o := wheelOptions()
		change(&o.Encoder)
		m, report, err := Encoder(t.Context(), l, o)
		if err != nil {
			t.Fatal(name, err)
		}
		if got := foreseen(m, 20); got < 1 {
			t.Errorf("%s: %v of the followers are found; loss %v", name, got, report.Loss)
		}
		if report.Users != 60 || report.Items != 20 || report.Events != 720 || report.Epochs != 12 || report.Loss[11] > report.Loss[0]/3 {
			t.Errorf("%s: report %+v", name, report)
		}
	}
}

// One network: what training computes without dropping is what serving computes.
func TestEncoderTrainsWhatItServes(t *testing.T) {
	for name, e := range map[string]EncoderOptions{"alone": {Recall: -1}, "recall": {Recall: 3}, "unit": {Recall: 8, Unit: true}} {
		t.Run(name, func(t *testing.T) {
			e.Hidden, e.Inner, e.Dropout, e.Clock = 16, 24, -1, time.Hour
			trainsWhatItServes(t, Options{Dim: 8, Seed: 5, Workers: 1, Encoder: e}.encoderDefaults())
		})
	}
}

func trainsWhatItServes(t *testing.T, o Options) {
	a, err := newEncoderTraining(tinyLog(), o)
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(1, 2))
	for i := range a.state.Values {
		a.state.Values[i] += float32(rng.NormFloat64() * 0.3)
	}
	table := a.layOut(a.state.Values)
	table.Popularity = a.data.popularity
	m, err := models.NewEncoder(models.Meta{}, a.p, table)
	if err != nil {
		t.Fatal(err)
	}
	a.gather(rng, a.pieces)
	a.prepare()
	compared := 0
	for i := range a.batch.shards {
		sh := &a.batch.shards[i]
		if len(sh.items) == 0 {
			continue
		}
		a.nets[0].forward(sh, &a.table, a.scoring.table, a.layers, 1, 1)
		a.nets[0].remember(sh, &a.table.Recall, &a.recall, a.scoring.table)
		z := a.nets[0].user()
		u := &features.User{}
		at := int64(0)
		for e := range sh.items {
			if sh.first[e] {
				u.History, at = nil, 0
			} else {
				at += int64(float64(sh.ticks[e]) * float64(time.Hour.Milliseconds()))
			}
			u.History = slices.Insert(u.History, 0, features.Entry{Type: streams.Type(a.p.Types()[sh.kinds[e]]), ItemID: a.data.ids[a.batch.rows[sh.items[e]]], Time: at})
			vec, ok := m.Encode(u, time.UnixMilli(at))
			for d := range a.p.Dim {
				if !ok || math.Abs(float64(vec[d]-z[e*a.p.Dim+d])) > 2e-4 {
					t.Fatalf("event %d, dimension %d: %v served, %v trained", e, d, vec[d], z[e*a.p.Dim+d])
				}
			}
			compared++
		}
	}
	if compared < 10 {
		t.Errorf("only %d events compared", compared)
	}
}

// bytesOf are all weights of a model.
func bytesOf(m *models.Encoder) [][]float32 {
	table := m.Table()
	var out [][]float32
	for _, x := range table.Arrays(m.Params()) {
		out = append(out, *x.Values)
	}
	return out
}

func TestEncoderIsTheSameForAnyWorkersAndAfterResume(t *testing.T) {
	l := wheel(40, 15, 10)
	for _, full := range []int{0, -1} {
		o := wheelOptions()
		o.Epochs, o.Encoder.Full, o.Encoder.Negatives = 4, full, 5
		o.Encoder.Judge = func(m *models.Encoder) (float64, error) { return -float64(m.Table().Bias[0]), nil }
		var states []EncoderState
		keep := o
		keep.Encoder.CheckpointEvery = 1
		keep.Encoder.Checkpoint = func(s *EncoderState) error {
			c := *s
			c.Values, c.Mean, c.Square, c.Best = slices.Clone(s.Values), slices.Clone(s.Mean), slices.Clone(s.Square), slices.Clone(s.Best)
			states = append(states, c)
			return nil
		}
		m, _, err := Encoder(t.Context(), l, keep)
		if err != nil {
			t.Fatal(err)
		}
		want := bytesOf(m)
		for _, workers := range []int{1, 3, 8} {
			o := o
			o.Workers = workers
			if m, _, err = Encoder(t.Context(), l, o); err != nil || !reflect.DeepEqual(bytesOf(m), want) {
				t.Errorf("full %d: other weights with %d workers (%v)", full, workers, err)
			}
		}
		if len(states) < 8 {
			t.Fatalf("%d states", len(states))
		}
		for i := range states {
			o := o
			o.Encoder.Resume = &states[i]
			if m, _, err = Encoder(t.Context(), l, o); err != nil || !reflect.DeepEqual(bytesOf(m), want) {
				t.Errorf("full %d: other weights after state %d, epoch %d step %d (%v)", full, i, states[i].Epoch, states[i].Step, err)
			}
		}
		other := o
		other.Seed++
		if m, _, err = Encoder(t.Context(), l, other); err != nil || reflect.DeepEqual(bytesOf(m), want) {
			t.Errorf("full %d: the same weights for another seed (%v)", full, err)
		}
		bad := states[0]
		bad.Mean = bad.Mean[1:]
		o.Encoder.Resume = &bad
		if _, _, err := Encoder(t.Context(), l, o); err == nil || !strings.Contains(err.Error(), "does not belong") {
			t.Errorf("a foreign state: %v", err)
		}
	}
}

func TestEncoderNeverKeepsABrokenModel(t *testing.T) {
	o := wheelOptions()
	o.Encoder.Schedule, o.Encoder.Clip = Schedule{Rate: 1, Warmup: -1, Shape: Constant}, -1
	steps := 0
	var a *encoderTraining
	o.Encoder.Checkpoint = func(s *EncoderState) error {
		if !kernel.Finite(s.Values) || !kernel.Finite(s.Mean) || !kernel.Finite(s.Square) {
			t.Errorf("a broken state after step %d", s.Step)
		}
		return nil
	}
	a, err := newEncoderTraining(wheel(20, 10, 8), o.encoderDefaults())
	if err != nil {
		t.Fatal(err)
	}
	run := &encoderRun{a: a, o: a.o, start: start, began: start}
	run.o.Encoder.OnStep = func(Step) {
		if steps++; steps == 2 { // as an overflow would leave it
			a.table.Item[0] = float32(math.Inf(1))
		}
	}
	before := []float32(nil)
	run.o.Encoder.CheckpointEvery = 1
	run.o.Encoder.Checkpoint = func(s *EncoderState) error { before = slices.Clone(s.Mean); return nil }
	err = run.epochs(t.Context())
	if !errors.Is(err, errDiverged) || steps != 2 {
		t.Errorf("error %v after %d steps", err, steps)
	}
	if !slices.Equal(before, a.state.Mean) {
		t.Error("the moments moved in the step that was refused")
	}
	if _, err := clipping(math.NaN(), 1); !errors.Is(err, errDiverged) {
		t.Errorf("NaN: %v", err)
	}
	for _, c := range []struct{ sum, limit, want float64 }{{4, 0, 1}, {4, 2, 1}, {4, 1, 0.5}} {
		if got, err := clipping(c.sum, c.limit); err != nil || float64(got) != c.want {
			t.Errorf("clipping(%v, %v) = %v, %v", c.sum, c.limit, got, err)
		}
	}
}

func TestEncoderKeepsTheBestAndStopsEarly(t *testing.T) {
	o := wheelOptions()
	values := []float64{0.1, 0.3, 0.2, 0.25, 0.9}
	var seen [][][]float32
	o.Encoder.Patience = 2
	o.Encoder.Judge = func(m *models.Encoder) (float64, error) {
		seen = append(seen, bytesOf(m))
		return values[len(seen)-1], nil
	}
	m, report, err := Encoder(t.Context(), wheel(20, 10, 8), o)
	if err != nil {
		t.Fatal(err)
	}
	if len(seen) != 4 || report.BestEpoch != 2 || report.Epochs != 4 || !report.Stopped || !reflect.DeepEqual(bytesOf(m), seen[1]) {
		t.Errorf("%d looks, report %+v", len(seen), report)
	}
	o.Encoder.Judge = func(*models.Encoder) (float64, error) { return 0, errors.New("no") }
	if _, _, err := Encoder(t.Context(), wheel(20, 10, 8), o); err == nil || !strings.Contains(err.Error(), "judge epoch 1: no") {
		t.Errorf("error %v", err)
	}
	o.Encoder.Judge, o.Encoder.StopAfter = nil, 3
	if _, report, err = Encoder(t.Context(), wheel(20, 10, 8), o); err != nil || report.Epochs != 3 {
		t.Errorf("stopped after %d epochs, %v", report.Epochs, err)
	}
	now := start
	o.Encoder.StopAfter, o.Budget = 0, 35*time.Second
	o.Now = func() time.Time { now = now.Add(time.Second); return now }
	if _, report, err = Encoder(t.Context(), wheel(20, 10, 8), o); err != nil || !report.Stopped || report.Epochs >= 12 {
		t.Errorf("budget: %d epochs, %v", report.Epochs, err)
	}
}

func TestEncoderFreezesGroupsAndStartsFromAModel(t *testing.T) {
	l := wheel(30, 12, 8)
	base, _, err := Encoder(t.Context(), l, wheelOptions())
	if err != nil {
		t.Fatal(err)
	}
	// The newcomers know a new item, and not the last.
	more := wheel(30, 11, 8)
	more.Add(&streams.Event{Type: streams.View, UserID: "u0", Time: start.Add(time.Hour), Items: []streams.Line{{ItemID: "new"}}})
	o := wheelOptions()
	o.Epochs, o.Encoder.From = 2, base
	o.Encoder.Rates = map[string]float64{"encoder.0": 0, "item": 0.5}
	m, _, err := Encoder(t.Context(), more, o)
	if err != nil {
		t.Fatal(err)
	}
	from, to := base.Table(), m.Table()
	arrays, was := to.Arrays(m.Params()), from.Arrays(base.Params())
	for i, x := range arrays {
		if x.Name == "item.embedding" || x.Name == "item.bias" {
			continue
		}
		if same := slices.Equal(*x.Values, *was[i].Values); same != strings.HasPrefix(x.Name, "encoder.0.") {
			t.Errorf("%s: unchanged is %v", x.Name, same)
		}
	}
	if len(to.IDs) != 13 || !slices.Contains(to.IDs, "new") || !slices.Contains(to.IDs, "i11") {
		t.Errorf("items %v", to.IDs)
	}
	o.Encoder.Rates = map[string]float64{"item": 0}
	if m, _, err = Encoder(t.Context(), l, o); err != nil || !slices.Equal(m.Table().Item, base.Table().Item) || !slices.Equal(m.Table().Bias, base.Table().Bias) {
		t.Errorf("frozen items moved: %v", err)
	}
}

func TestEncoderRefusesOptions(t *testing.T) {
	for want, change := range map[string]func(*Options){
		"-1 epochs":               func(o *Options) { o.Epochs = -1 },
		"12 dimensions":           func(o *Options) { o.Dim = 12 },
		"-1 events in a step":     func(o *Options) { o.Encoder.Tokens = -1 },
		"histories of -1":         func(o *Options) { o.Encoder.Longest = -1 },
		"-1 negatives":            func(o *Options) { o.Encoder.Negatives = -1 },
		"a share of 1":            func(o *Options) { o.Encoder.Dropout = 1 },
		"weight decay 11":         func(o *Options) { o.Encoder.WeightDecay = 11 },
		"the learning rate is 2":  func(o *Options) { o.Encoder.Schedule.Rate = 2 },
		"shape is \"steep\"":      func(o *Options) { o.Encoder.Schedule.Shape = "steep" },
		"ends at 2 of its height": func(o *Options) { o.Encoder.Schedule.Floor = 2 },
		"group \"encoder.2\"":     func(o *Options) { o.Encoder.Rates = map[string]float64{"encoder.2": 1} },
		"all groups": func(o *Options) {
			o.Encoder.Recall = -1
			o.Encoder.Rates = map[string]float64{"encoder.0": 0, "encoder.1": 0, "item": 0, "input": 0}
		},
		"the clock is": func(o *Options) { o.Encoder.Clock = time.Millisecond },
	} {
		o := wheelOptions()
		change(&o)
		if _, _, err := Encoder(t.Context(), wheel(4, 4, 4), o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := Encoder(ctx, wheel(4, 4, 4), wheelOptions()); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	for _, l := range []*Log{NewLog(), wheel(1, 4, 4), wheel(5, 4, 1)} {
		if _, _, err := Encoder(t.Context(), l, wheelOptions()); !errors.Is(err, ErrTooLittle) {
			t.Errorf("too little: %v", err)
		}
	}
	o := wheelOptions()
	o.Encoder.Checkpoint = func(*EncoderState) error { return errors.New("disk full") }
	if _, _, err := Encoder(t.Context(), wheel(4, 4, 4), o); err == nil || !strings.Contains(err.Error(), "disk full") {
		t.Errorf("error %v", err)
	}
}

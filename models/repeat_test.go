package models

import (
	"bytes"
	"errors"
	"maps"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/sartorhq/sartor/features"
	"github.com/sartorhq/sartor/streams"
)

// repeatModels returns a model of each kind that can have a repeat term, over the same items.
func repeatModels(t testing.TB) []Model {
	t.Helper()
	ids := []string{"a", "b", "c", "d"}
	popularity := []float32{4, 3, 2, 1}
	als, err := NewALS(Meta{}, ALSParams{Factors: 8, Unobserved: 1, Lambda: 1, Nu: 1, Kappa: 0.1, Signal: DefaultSignal()},
		ItemTable{IDs: ids, Factors: slices.Repeat([]float32{1, 2, 0, 1}, 8), Popularity: popularity})
	if err != nil {
		t.Fatal(err)
	}
	lae, err := NewLAE(Meta{}, LAEParams{Factors: 8, Tau: 0.1, Kappa: 0.2, Signal: DefaultSignal()},
		LAETable{IDs: ids, In: slices.Repeat([]float32{1, 2, 0, 1}, 8), Out: slices.Repeat([]float32{0, 1, 2, 1}, 8), Users: popularity, Popularity: popularity})
	if err != nil {
		t.Fatal(err)
	}
	pop, err := NewPopularity(Meta{}, ids, popularity)
	if err != nil {
		t.Fatal(err)
	}
	p := testEncoderParams()
	encoder, err := NewEncoder(Meta{}, p, randomTable(p, ids, 1, 0.5))
	if err != nil {
		t.Fatal(err)
	}
	return []Model{als, lae, encoder, pop}
}

func repeatParams() RepeatParams {
	return RepeatParams{Slow: RepeatScale{Weight: 2, HalfLife: 10 * 24 * time.Hour}, Fast: RepeatScale{Weight: 1, HalfLife: time.Hour},
		Power: 0.5, Rate: 1, Weights: map[string]float64{"order": 8, "view": 2, "return": -8}}
}

func repeatsOf(t testing.TB, m Model, history ...features.Entry) []Repeated {
	t.Helper()
	return m.(interface {
		Repeats(*features.User, time.Time, []Repeated) []Repeated
	}).Repeats(&features.User{History: history}, time.UnixMilli(1e12), nil)
}

// TestRepeatsByHand works the term out for a history of which every part can be followed.
func TestRepeatsByHand(t *testing.T) {
	const day, hour = 24 * 3600 * 1000, 3600 * 1000
	newest := int64(1e12 - 5*day) // how long ago that was does not matter
	history := []features.Entry{
		{Type: streams.Order, ItemID: "b", Time: 1e12 + 1}, // after now
		{Type: streams.View, ItemID: "c", Time: newest},
		{Type: streams.Click, ItemID: "a", Time: newest}, // no weight
		{Type: streams.Order, ItemID: "nobody knows", Time: newest - hour},
		{Type: streams.Order, ItemID: "d", Time: newest - 10*day},
		{Type: streams.Order, ItemID: "d", Time: newest - 20*day},
		{Type: streams.Return, ItemID: "b", Time: newest - 10*day},
		{Type: streams.Order, ItemID: "b", Time: newest - 10*day},
	}
	for _, m := range repeatModels(t) {
		again, err := WithRepeat(m, repeatParams(), []float32{1, 1, 2, 3})
		if err != nil {
			t.Fatal(err)
		}
		got := repeatsOf(t, again, history...)
		// c: one look, a quarter of an order, just now: 2 * (2 sqrt(1/4) + 1 sqrt(1/4)). d: a half and a quarter on
		// the slow scale, nothing that counts on the fast one.
		want := []Repeated{{Row: 2, Score: 2 * 1.5}, {Row: 3, Score: float32(3 * 2 * math.Sqrt(0.75))}}
		if len(got) != 2 || got[0].Row != 2 || got[1].Row != 3 || math.Abs(float64(got[0].Score-want[0].Score)) > 1e-5 || math.Abs(float64(got[1].Score-want[1].Score)) > 1e-5 {
			t.Errorf("%s: got %v, want %v", m.Meta().Kind, got, want)
		}
		if got := repeatsOf(t, m, history...); len(got) != 0 {
			t.Errorf("%s without a term: %v", m.Meta().Kind, got)
		}
	}
}

// TestRepeatsAreSparseAndFinite draws histories and constants: only items of the history are raised, each
// once, by a finite number greater than 0, in the order of the rows, and an order more never lowers one.
func TestRepeatsAreSparseAndFinite(t *testing.T) {
	models := repeatModels(t)
	rapid.Check(t, func(rt *rapid.T) {
		weight := rapid.SampledFrom([]float64{0, 0.1, 3, 1e6})
		half := rapid.SampledFrom([]time.Duration{0, time.Second, time.Hour, 9000 * time.Hour})
		p := RepeatParams{Slow: RepeatScale{weight.Draw(rt, "slow"), half.Draw(rt, "slow half-life")},
			Fast: RepeatScale{weight.Draw(rt, "fast"), half.Draw(rt, "fast half-life")}, Power: rapid.Float64Range(0.01, 2).Draw(rt, "power"),
			Rate: rapid.Float64Range(0, 2).Draw(rt, "rate"), Weights: DefaultSignal().Weights}
		if p.Slow.Weight+p.Fast.Weight == 0 {
			p.Slow.Weight = 1
		}
		rate := rapid.SliceOfN(rapid.Float32Range(0.001, 1000), 4, 4).Draw(rt, "rate of items")
		m, err := WithRepeat(rapid.SampledFrom(models).Draw(rt, "model"), p, rate)
		if err != nil {
			rt.Fatal(err)
		}
		entry := rapid.Custom(func(rt *rapid.T) features.Entry {
			return features.Entry{Type: rapid.SampledFrom(streams.Types()).Draw(rt, "type"), ItemID: rapid.SampledFrom([]string{"a", "b", "c", "d", "x"}).Draw(rt, "item"),
				Time: rapid.Int64Range(0, 1e12).Draw(rt, "time")}
		})
		history := rapid.SliceOfN(entry, 0, 30).Draw(rt, "history")
		had := map[string]bool{}
		for _, e := range history {
			had[e.ItemID] = true
		}
		got := repeatsOf(t, m, history...)
		for i, r := range got {
			if !had[m.Items().IDs[r.Row]] || !(r.Score > 0) || math.IsInf(float64(r.Score), 0) || i > 0 && r.Row <= got[i-1].Row {
				rt.Fatalf("%v of %v", got, history)
			}
		}
		more := repeatsOf(t, m, append([]features.Entry{{Type: streams.Order, ItemID: "a", Time: newestOf(history)}}, history...)...)
		if scoreOfRow(more, 0) < scoreOfRow(got, 0) {
			rt.Fatalf("one order more lowers %v to %v", got, more)
		}
	})
}

// newestOf is the time of the newest entry of a type with weight.
func newestOf(history []features.Entry) int64 {
	newest := int64(0)
	for _, e := range history {
		if DefaultSignal().Weights[string(e.Type)] != 0 {
			newest = max(newest, e.Time)
		}
	}
	return newest
}

func scoreOfRow(list []Repeated, row int32) float32 {
	for _, r := range list {
		if r.Row == row {
			return r.Score
		}
	}
	return 0
}

// TestRepeatSurvivesSavingAndChanges: a saved model has the term that it had, and so have those that WithKappa,
// WithSignal and WithMetrics make of it.
func TestRepeatSurvivesSavingAndChanges(t *testing.T) {
	history := []features.Entry{{Type: streams.Order, ItemID: "d", Time: 1e11}, {Type: streams.View, ItemID: "b", Time: 1e11 - 1e8}}
	for _, m := range repeatModels(t) {
		again, err := WithRepeat(m, repeatParams(), []float32{1, 0.5, 2, 3})
		if err != nil {
			t.Fatal(err)
		}
		want := repeatsOf(t, again, history...)
		if len(want) != 2 {
			t.Fatalf("%v", want)
		}
		same := func(what string, m Model, err error) {
			t.Helper()
			if err != nil {
				t.Fatalf("%s: %v", what, err)
			}
			if got := repeatsOf(t, m, history...); !slices.Equal(got, want) {
				t.Errorf("%s of %s: %v, want %v", what, m.Meta().Kind, got, want)
			}
			if !maps.Equal(repeatOnly(m), repeatOnly(again)) {
				t.Errorf("%s of %s: parameters %v", what, m.Meta().Kind, m.Meta().Params)
			}
		}
		dir := t.TempDir() + "/model"
		if _, err := Save(dir, again); err != nil {
			t.Fatal(err)
		}
		loaded, err := Load(dir)
		same("loading", loaded, err)
		x, err := WithMetrics(again, map[string]float64{"ndcg@20": 0.5})
		same("WithMetrics", x, err)
		if m.Meta().Kind != KindPopularity {
			x, err = WithKappa(again, 0.3)
			same("WithKappa", x, err)
		}
		if m.Meta().Kind == KindALS || m.Meta().Kind == KindLAE {
			x, err = WithSignal(again, Signal{Weights: map[string]float64{"order": 1}})
			same("WithSignal", x, err)
		}
		bare, err := WithoutRepeat(again)
		if err != nil {
			t.Fatal(err)
		}
		if got := repeatsOf(t, bare, history...); len(got) != 0 || !maps.Equal(bare.Meta().Params, m.Meta().Params) {
			t.Errorf("without: %v, %v", got, bare.Meta().Params)
		}
	}
}

func repeatOnly(m Model) map[string]float64 {
	out := map[string]float64{}
	for name, v := range m.Meta().Params {
		if strings.HasPrefix(name, repeatPrefix) {
			out[name] = v
		}
	}
	return out
}

// TestDamagedRepeatsAreRefused reads files whose term is not what Save writes.
func TestDamagedRepeatsAreRefused(t *testing.T) {
	again, err := WithRepeat(repeatModels(t)[0], repeatParams(), []float32{1, 0.5, 2, 3})
	if err != nil {
		t.Fatal(err)
	}
	s := again.(storable)
	for _, c := range []struct {
		name, want string
		change     func(params map[string]float64, list []tensor) []tensor
	}{
		{"whole", "", func(_ map[string]float64, l []tensor) []tensor { return l }},
		{"no-tensor", "is missing", func(_ map[string]float64, l []tensor) []tensor { return l[:len(l)-1] }},
		{"rate-zero", "rate of repeats of item 1 is 0", func(_ map[string]float64, l []tensor) []tensor {
			return append(l[:len(l)-1], floatTensor(repeatTensor, []float32{1, 0, 1, 1}, 4))
		}},
		{"too-few", "has shape", func(_ map[string]float64, l []tensor) []tensor {
			return append(l[:len(l)-1], floatTensor(repeatTensor, []float32{1, 1}, 2))
		}},
		{"power", "power of repeats", func(p map[string]float64, l []tensor) []tensor { p["repeat.power"] = 40; return l }},
		{"weight", "weight of repeats", func(p map[string]float64, l []tensor) []tensor { p["repeat.slow"] = -1; return l }},
		{"half-life", "half-life of repeats", func(p map[string]float64, l []tensor) []tensor {
			p["repeat.fast_half_life_seconds"] = math.NaN()
			return l
		}},
		{"no-scale", "no time scale", func(p map[string]float64, l []tensor) []tensor {
			p["repeat.slow"], p["repeat.fast"] = 0, 0
			return l
		}},
		{"no-type", "no event type", func(p map[string]float64, l []tensor) []tensor {
			delete(p, "repeat.weight.order")
			delete(p, "repeat.weight.view")
			return l
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			meta := again.Meta()
			meta.Params = maps.Clone(meta.Params)
			list := c.change(meta.Params, append(s.tensors(), s.repeatTensors()...))
			var b bytes.Buffer
			if err := writeTensors(&b, list); err != nil {
				t.Fatal(err)
			}
			_, err := decode(meta, b.Bytes())
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("error %v, want one with %q", err, c.want)
			}
		})
	}
}

// FuzzDecodeRepeat reads arbitrary tensors as a model whose manifest describes a repeat term.
func FuzzDecodeRepeat(f *testing.F) {
	again, err := WithRepeat(repeatModels(f)[3], repeatParams(), []float32{1, 0.5, 2, 3})
	if err != nil {
		f.Fatal(err)
	}
	s := again.(storable)
	var whole, bare bytes.Buffer
	if err := errors.Join(writeTensors(&whole, append(s.tensors(), s.repeatTensors()...)), writeTensors(&bare, s.tensors())); err != nil {
		f.Fatal(err)
	}
	f.Add(whole.Bytes())
	f.Add(bare.Bytes())
	f.Add(whole.Bytes()[:whole.Len()-4])
	f.Fuzz(func(t *testing.T, file []byte) {
		got, err := decode(again.Meta(), file)
		if err != nil {
			return
		}
		id := got.Items().IDs[0]
		list := repeatsOf(t, got, features.Entry{Type: streams.Order, ItemID: id, Time: 5})
		if len(list) != 1 || !(list[0].Score > 0) || math.IsInf(float64(list[0].Score), 0) {
			t.Errorf("an order of %q: %v", id, list)
		}
	})
}

func TestWithRepeatRefuses(t *testing.T) {
	m := repeatModels(t)[0]
	if _, err := WithRepeat(m, repeatParams(), []float32{1}); err == nil {
		t.Error("too few rates are taken")
	}
	p := repeatParams()
	p.Slow.HalfLife = time.Millisecond
	if _, err := WithRepeat(m, p, []float32{1, 1, 1, 1}); err == nil || !strings.Contains(err.Error(), "whole number of seconds") {
		t.Errorf("a half-life of a millisecond: %v", err)
	}
	if _, err := WithRepeat(&Content{}, repeatParams(), nil); err == nil {
		t.Error("a baseline takes a repeat term")
	}
}

package models

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sartorhq/sartor/features"
	"github.com/sartorhq/sartor/streams"
)

func testEncoderParams() EncoderParams {
	return EncoderParams{Dim: 8, Hidden: 16, Inner: 24, Blocks: 2, Clock: time.Hour,
		Signal: Signal{Weights: map[string]float64{"view": 1, "order": 8, "return": -6, "click": 0}}}
}

// randomTable fills every array with numbers of about the given size, scales with 1 added.
func randomTable(p EncoderParams, ids []string, seed uint64, size float64) EncoderTable {
	rng := rand.New(rand.NewPCG(seed, 4))
	t := EncoderTable{IDs: ids, Blocks: make([]EncoderBlock, p.Blocks), Popularity: make([]float32, len(ids))}
	for _, a := range t.Arrays(p) {
		*a.Values = make([]float32, a.Size())
		for i := range *a.Values {
			(*a.Values)[i] = float32(rng.NormFloat64() * size)
			if strings.Contains(a.Name, "scale") {
				(*a.Values)[i]++
			}
		}
	}
	for j := range ids {
		t.Popularity[j] = float32(j)
	}
	return t
}

func testEncoder(t *testing.T, p EncoderParams) *Encoder {
	t.Helper()
	m, err := NewEncoder(Meta{Schema: "s1", Seed: 7}, p, randomTable(p, []string{"a", "b", "c", "ü"}, 1, 0.5))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// wanted is the vector by the equations of MODEL.md in float64. events are oldest first.
func (m *Encoder) wanted(events []features.Entry) []float64 {
	p, t := m.params, m.table
	var x [][]float64
	var ticks []float64
	for i, e := range events {
		gap, since := 0, int64(0)
		if i > 0 {
			since = e.Time - events[i-1].Time
			gap = GapRow(since)
		}
		ticks = append(ticks, float64(p.Ticks(since)))
		row := make([]float64, p.Dim)
		for d := range row {
			item, _ := m.rows.Find(e.ItemID)
			row[d] = float64(t.Item[int(item)*p.Dim+d]) + float64(t.Type[slices.Index(p.Types(), string(e.Type))*p.Dim+d]) + float64(t.Gap[gap*p.Dim+d])
		}
		x = append(x, norm64(row, t.Scale, t.Shift))
	}
	for k := range t.Blocks {
		b, h := &t.Blocks[k], make([]float64, p.Hidden)
		for i := range x {
			a, g := affine(x[i], b.In, b.InBias), affine(x[i], b.Gate, b.GateBias)
			for j := range h {
				r := math.Exp(float64(b.Decay[j]))
				lambda := math.Exp(-r)
				gamma := math.Sqrt(1 - lambda*lambda)
				if p.Clock > 0 {
					lambda *= math.Exp(-ticks[i] * math.Exp(float64(b.Fade[j])))
				}
				h[j] = lambda*h[j] + gamma*a[j]
				g[j] *= h[j] / (1 + math.Exp(-g[j]))
			}
			y := norm64(plus(x[i], affine(g, b.Out, b.OutBias)), b.Scale1, b.Shift1)
			up := affine(y, b.Up, b.UpBias)
			for j, v := range up {
				up[j] = v / (1 + math.Exp(-1.702*v))
			}
			x[i] = norm64(plus(y, affine(up, b.Down, b.DownBias)), b.Scale2, b.Shift2)
		}
	}
	return x[len(x)-1]
}

func affine(x []float64, w, bias []float32) []float64 {
	out := make([]float64, len(bias))
	for j, v := range bias {
		out[j] = float64(v)
		for i := range x {
			out[j] += x[i] * float64(w[i*len(bias)+j])
		}
	}
	return out
}

func plus(x, y []float64) []float64 {
	for i := range y {
		y[i] += x[i]
	}
	return y
}

func norm64(x []float64, scale, shift []float32) []float64 {
	mean, square := 0.0, 0.0
	for _, v := range x {
		mean += v / float64(len(x))
	}
	for _, v := range x {
		square += (v - mean) * (v - mean) / float64(len(x))
	}
	for i := range x {
		x[i] = (x[i]-mean)/math.Sqrt(square+1e-5)*float64(scale[i]) + float64(shift[i])
	}
	return x
}

func TestEncoderEncodesByItsEquations(t *testing.T) {
	for _, clock := range []time.Duration{0, time.Hour} {
		p := testEncoderParams()
		p.Clock, p.Kappa = clock, 0.5
		m := testEncoder(t, p)
		var events []features.Entry
		rng := rand.New(rand.NewPCG(1, 1))
		at := int64(0)
		for i := range 60 {
			at += int64(rng.ExpFloat64() * 3e6)
			events = append(events, features.Entry{Type: []streams.Type{"view", "order", "return"}[i%3], ItemID: m.table.IDs[rng.IntN(4)], Time: at})
			newest := slices.Clone(events)
			slices.Reverse(newest)
			vec, ok := m.Encode(&features.User{History: newest}, time.UnixMilli(at))
			if !ok || len(vec) != m.Items().Dim || vec[p.Dim] != 1 {
				t.Fatalf("vector %v, %v", vec, ok)
			}
			for d, want := range m.wanted(events) {
				if math.Abs(float64(vec[d])-want) > 1e-4 {
					t.Fatalf("clock %v, %d events, dimension %d: %v, want %v", clock, i+1, d, vec[d], want)
				}
			}
		}
		// The score of the last item: its row, its bias and half of log(1 + 3).
		row := m.Items().Vectors[3*m.Items().Dim:]
		if want := m.table.Bias[3] + float32(0.5*math.Log(4)); math.Abs(float64(row[p.Dim]-want)) > 1e-6 || !slices.Equal(row[:p.Dim], m.table.Item[3*p.Dim:]) {
			t.Errorf("served row %v", row)
		}
	}
}

func TestEncoderReadsWhatItKnows(t *testing.T) {
	m := testEncoder(t, testEncoderParams())
	at := func(kind streams.Type, item string, minute int64) features.Entry {
		return features.Entry{Type: kind, ItemID: item, Time: minute * 60000}
	}
	now := time.UnixMilli(100 * 60000)
	plain, ok := m.Encode(&features.User{History: []features.Entry{at("order", "b", 9), at("view", "a", 3)}}, now)
	if !ok {
		t.Fatal("not encoded")
	}
	noisy := []features.Entry{at("view", "c", 101), at("click", "c", 50), at("order", "b", 9), at("view", "x", 5), at("search", "a", 4), at("view", "a", 3)}
	if got, ok := m.Encode(&features.User{History: noisy}, now); !ok || !slices.Equal(got, plain) {
		t.Errorf("later, unread and unknown events count: %v, %v", got, plain)
	}
	for _, u := range []*features.User{nil, {}, {History: []features.Entry{at("view", "x", 1)}}, {History: []features.Entry{at("view", "a", 101)}}} {
		if _, ok := m.Encode(u, now); ok {
			t.Errorf("encoded %+v", u)
		}
	}
	other, _ := m.Encode(&features.User{History: []features.Entry{at("view", "a", 9), at("order", "b", 3)}}, now)
	if slices.Equal(other, plain) {
		t.Error("the order of events does not count")
	}
}

func TestGapRowsDouble(t *testing.T) {
	for millis, want := range map[int64]int{-5: 1, 0: 1, 999: 1, 1000: 2, 1999: 2, 2000: 3, 3999: 3, 4000: 4, 86400000: 18, math.MaxInt64: 31} {
		if got := GapRow(millis); got != want {
			t.Errorf("GapRow(%d) = %d, want %d", millis, got, want)
		}
	}
	p := EncoderParams{Clock: time.Hour}
	for millis, want := range map[int64]float32{-1: 0, 0: 0, 1800000: 0.5, math.MaxInt64: 1000} {
		if got := p.Ticks(millis); got != want {
			t.Errorf("Ticks(%d) = %v, want %v", millis, got, want)
		}
	}
}

func TestEncoderIsSavedAndLoaded(t *testing.T) {
	p := testEncoderParams()
	p.Kappa = 0.25
	m := testEncoder(t, p).WithMetrics(map[string]float64{"ndcg@10": 0.5})
	dir := filepath.Join(t.TempDir(), "m")
	meta, err := Save(dir, m)
	if err != nil || !strings.HasPrefix(meta.Version, "encoder-") {
		t.Fatal(meta.Version, err)
	}
	got, err := Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	e := got.(*Encoder)
	p.Signal.Weights = map[string]float64{"view": 1, "order": 8, "return": -6, "click": 0}
	if !reflect.DeepEqual(e.Meta(), meta) || !reflect.DeepEqual(e.Items(), m.Items()) || !reflect.DeepEqual(e.Params(), p) || !reflect.DeepEqual(e.Table(), m.Table()) {
		t.Errorf("loaded %+v, want %+v", e.Meta(), meta)
	}
	u := &features.User{History: []features.Entry{entry("view", "b", 0)}}
	a, _ := m.Encode(u, noon)
	b, ok := got.Encode(u, noon)
	if !ok || !slices.Equal(a, b) {
		t.Error("the loaded model encodes otherwise")
	}
	k, err := WithKappa(got, 1)
	if err != nil || k.Items().Vectors[2*k.Items().Dim-1-7] != m.table.Bias[1]+float32(math.Log(2)) {
		t.Errorf("other kappa: %v", err)
	}
	if _, err := WithKappa(got, -1); err == nil {
		t.Error("kappa -1 is accepted")
	}
}

func TestNewEncoderRefuses(t *testing.T) {
	for want, change := range map[string]func(*EncoderParams, *EncoderTable){
		"12 dimensions":            func(p *EncoderParams, _ *EncoderTable) { p.Dim = 12 },
		"0 states":                 func(p *EncoderParams, _ *EncoderTable) { p.Hidden = 0 },
		"8192 inner units":         func(p *EncoderParams, _ *EncoderTable) { p.Inner = 8192 },
		"0 blocks":                 func(p *EncoderParams, _ *EncoderTable) { p.Blocks = 0 },
		"1 blocks, the parameters": func(_ *EncoderParams, t *EncoderTable) { t.Blocks = t.Blocks[:1] },
		"the clock is":             func(p *EncoderParams, _ *EncoderTable) { p.Clock = time.Millisecond },
		"kappa is":                 func(p *EncoderParams, _ *EncoderTable) { p.Kappa = math.NaN() },
		"a positive weight":        func(p *EncoderParams, _ *EncoderTable) { p.Signal.Weights = nil },
		"no item":                  func(_ *EncoderParams, t *EncoderTable) { t.IDs = nil },
		"the same id":              func(_ *EncoderParams, t *EncoderTable) { t.IDs[1] = "a" },
		"item.bias has 3":          func(_ *EncoderParams, t *EncoderTable) { t.Bias = t.Bias[1:] },
		"encoder.1.fade has 0":     func(_ *EncoderParams, t *EncoderTable) { t.Blocks[1].Fade = nil },
		"encoder.0.up is not finite": func(_ *EncoderParams, t *EncoderTable) {
			t.Blocks[0].Up[3] = float32(math.NaN())
		},
		"popularity": func(_ *EncoderParams, t *EncoderTable) { t.Popularity[0] = -1 },
	} {
		p := testEncoderParams()
		table := randomTable(p, []string{"a", "b", "c", "ü"}, 1, 0.5)
		change(&p, &table)
		if _, err := NewEncoder(Meta{}, p, table); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
}

func TestLoadRefusesAForeignEncoder(t *testing.T) {
	for want, change := range map[string]func(*Meta){
		"parameter hidden is 1.5":      func(m *Meta) { m.Params["hidden"] = 1.5 },
		"parameter factors is 1e+300":  func(m *Meta) { m.Params["factors"] = 1e300 },
		"need [8 24]":                  func(m *Meta) { m.Params["hidden"] = 24 },
		`"encoder.2.in" is missing`:    func(m *Meta) { m.Params["blocks"] = 3 },
		"need [4 8]":                   func(m *Meta) { m.Params["weight.rating"] = 1 }, // a type more
		"parameter clock_seconds is -": func(m *Meta) { m.Params["clock_seconds"] = -1 },
		"half_life_seconds":            func(m *Meta) { m.Params["half_life_seconds"] = -1 },
		"the manifest says 9 of":       func(m *Meta) { m.Items = 9 },
	} {
		dir := filepath.Join(t.TempDir(), "m")
		if _, err := Save(dir, testEncoder(t, testEncoderParams())); err != nil {
			t.Fatal(err)
		}
		resign(change)(t, dir)
		if _, err := Load(dir); !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
}

// FuzzDecodeEncoder gives the reader of tensors anything: it refuses, or the model works.
func FuzzDecodeEncoder(f *testing.F) {
	p := testEncoderParams()
	m, err := NewEncoder(Meta{}, p, randomTable(p, []string{"a", "b"}, 1, 0.5))
	if err != nil {
		f.Fatal(err)
	}
	path := filepath.Join(f.TempDir(), "t")
	if _, err := Save(path, m); err != nil {
		f.Fatal(err)
	}
	file, err := os.ReadFile(filepath.Join(path, TensorFile))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(file)
	f.Add(file[:len(file)/2])
	f.Add([]byte("\x02\x00\x00\x00\x00\x00\x00\x00{}"))
	f.Fuzz(func(t *testing.T, file []byte) {
		got, err := decode(m.Meta(), file)
		if err != nil {
			return
		}
		u := &features.User{History: []features.Entry{{Type: "view", ItemID: got.Items().IDs[0]}}}
		if vec, ok := got.Encode(u, noon); !ok || len(vec) != got.Items().Dim {
			t.Errorf("vector %v, %v", vec, ok)
		}
	})
}

// BenchmarkEncodeEncoder is a user of 50 events on one core: the goal is 0.15 ms.
func BenchmarkEncodeEncoder(b *testing.B) {
	p := EncoderParams{Dim: 64, Hidden: 128, Inner: 256, Blocks: 2, Signal: DefaultSignal()}
	var ids []string
	for j := range 1000 {
		ids = append(ids, fmt.Sprint("i", j))
	}
	m, err := NewEncoder(Meta{}, p, randomTable(p, ids, 1, 0.1))
	if err != nil {
		b.Fatal(err)
	}
	benchmarkEncode(b, m, ids)
}

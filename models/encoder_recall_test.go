package models

import (
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sartorhq/sartor/features"
)

func recallParams() EncoderParams {
	p := testEncoderParams()
	p.Recall, p.Unit = 3, true
	return p
}

// comeBackTo is what the recall adds to z, by its equations in float64: the heads' states, event by event.
// rows are what the first block reads of the events, oldest first.
func (m *Encoder) comeBackTo(events []occasion, rows [][]float32, z []float32) []float64 {
	p, r := m.params, m.table.Recall
	states := make([][]float64, p.Recall)
	for s := range states {
		states[s] = make([]float64, p.Dim)
	}
	for t, e := range events {
		for s := range states {
			k, lambda := float64(r.NoteBias[s]), math.Exp(-math.Exp(float64(r.Decay[s])))
			for d, v := range rows[t] {
				k += float64(v) * float64(r.Note[d*p.Recall+s])
			}
			if p.Clock > 0 {
				lambda *= math.Exp(-math.Exp(float64(r.Fade[s])) * float64(e.ticks))
			}
			for d, v := range m.vector(e.item) {
				states[s][d] = lambda*states[s][d] + k*float64(v)
			}
		}
	}
	out := make([]float64, p.Dim)
	for s := range states {
		q := float64(r.AskBias[s])
		for d, v := range z {
			q += float64(v) * float64(r.Ask[d*p.Recall+s])
		}
		for d := range out {
			out[d] += q * states[s][d]
		}
	}
	return out
}

func TestRecallAddsWhatItsEquationsSay(t *testing.T) {
	for _, clock := range []time.Duration{0, time.Hour} {
		p := recallParams()
		p.Clock, p.Unit = clock, false
		with := testEncoder(t, p)
		p.Recall = 0
		table := with.Table()
		table.Recall = EncoderRecall{}
		without, err := NewEncoder(Meta{}, p, table)
		if err != nil {
			t.Fatal(err)
		}
		u := &features.User{History: []features.Entry{{Type: "view", ItemID: "b", Time: 9e6}, {Type: "order", ItemID: "a", Time: 2e6},
			{Type: "view", ItemID: "b", Time: 1e6}, {Type: "view", ItemID: "c", Time: 5e5}}}
		z, _ := without.Encode(u, noon)
		got, _ := with.Encode(u, noon)
		e := &encoding{}
		with.read(e, u.History, noon.UnixMilli())
		with.run(e)
		add := with.comeBackTo(e.events, inputs(with, e.events), z[:p.Dim])
		for d := range p.Dim {
			if want := float64(z[d]) + add[d]; math.Abs(float64(got[d])-want) > 1e-4*(1+math.Abs(want)) {
				t.Errorf("clock %v, dimension %d: %v, want %v", clock, d, got[d], want)
			}
		}
	}
}

// inputs are the rows that the first block reads.
func inputs(m *Encoder, events []occasion) (rows [][]float32) {
	d := m.params.Dim
	for _, o := range events {
		sum := make([]float64, d)
		for i := range sum {
			sum[i] = float64(m.vector(o.item)[i]) + float64(m.table.Type[int(o.kind)*d+i]) + float64(m.table.Gap[o.gap*d+i])
		}
		var row []float32
		for _, v := range norm64(sum, m.table.Scale, m.table.Shift) {
			row = append(row, float32(v))
		}
		rows = append(rows, row)
	}
	return rows
}

// A rare item's vector is as long as any other's.
func TestUnitVectorsHaveLengthOne(t *testing.T) {
	m := testEncoder(t, recallParams())
	for j := range m.Items().IDs {
		square := 0.0
		for _, v := range m.vector(int32(j)) {
			square += float64(v) * float64(v)
		}
		if math.Abs(square-1) > 1e-5 {
			t.Errorf("item %d: length %v", j, math.Sqrt(square))
		}
	}
}

func TestRecallIsSavedAndLoaded(t *testing.T) {
	dir, m := filepath.Join(t.TempDir(), "m"), testEncoder(t, recallParams())
	if _, err := Save(dir, m); err != nil {
		t.Fatal(err)
	}
	got, err := Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	if p := got.(*Encoder).Params(); p.Recall != 3 || !p.Unit {
		t.Errorf("parameters %+v", p)
	}
	u := &features.User{History: []features.Entry{{Type: "view", ItemID: "b", Time: 2e6}, {Type: "order", ItemID: "a", Time: 1e6}}}
	want, _ := m.Encode(u, noon)
	if vec, ok := got.Encode(u, noon); !ok || !slices.Equal(vec, want) {
		t.Errorf("vector %v, was %v", vec, want)
	}
}

func TestRecallRefuses(t *testing.T) {
	for heads, want := range map[int]string{-1: "-1 heads of recall: need 0 to 64", 65: "65 heads"} {
		p := recallParams()
		if p.Recall = heads; p.Validate() == nil || !strings.Contains(p.Validate().Error(), want) {
			t.Errorf("%d heads: %v", heads, p.Validate())
		}
	}
	for want, change := range map[string]func(*Meta){
		"parameter recall is 65": func(m *Meta) { m.Params["recall"] = 65 },
		"parameter unit is 2":    func(m *Meta) { m.Params["unit"] = 2 },
		"need [8 4]":             func(m *Meta) { m.Params["recall"] = 4 },
	} {
		dir := filepath.Join(t.TempDir(), "m")
		if _, err := Save(dir, testEncoder(t, recallParams())); err != nil {
			t.Fatal(err)
		}
		resign(change)(t, dir)
		if _, err := Load(dir); !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
}

// Encoding a user of 50 events with a recall: go test ./models -run xxx -bench EncodeRecall
func BenchmarkEncodeRecall(b *testing.B) {
	p := EncoderParams{Dim: 64, Hidden: 128, Inner: 256, Blocks: 2, Recall: 8, Unit: true, Signal: DefaultSignal()}
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

package train

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/sartorhq/sartor/features"
	"github.com/sartorhq/sartor/models"
	"github.com/sartorhq/sartor/models/kernel"
	"github.com/sartorhq/sartor/streams"
)

// definition is the encoder's loss written from the equations of MODEL.md in float64, one number after
// another, to hold the float32 passes against.
type definition struct {
	p      models.EncoderParams
	values map[string][]float64
	left   float64    // added to the logits of what a user was shown and left
	tower  *itemTower // as drawn for the step, with the places of the items; nil = none
	place  []int32
	heads  []headSpace // as drawn for the step, by shard; empty = none
	items  map[int][]float64
}

func (f *definition) at(k int, name string) []float64 {
	return f.values[fmt.Sprintf("encoder.%d.%s", k, name)]
}

func sigmoid64(x float64) float64 { return 1 / (1 + math.Exp(-x)) }

// times returns x W + bias for one row x; W has as many rows as x.
func times(x, w, bias []float64) []float64 {
	out := slices.Clone(bias)
	for i, v := range x {
		for j := range out {
			out[j] += v * w[i*len(out)+j]
		}
	}
	return out
}

func layerNorm(x, scale, shift []float64) []float64 {
	mean, square := 0.0, 0.0
	for _, v := range x {
		mean += v / float64(len(x))
	}
	for _, v := range x {
		square += (v - mean) * (v - mean) / float64(len(x))
	}
	out := make([]float64, len(x))
	for i, v := range x {
		out[i] = (v-mean)/math.Sqrt(square+1e-5)*scale[i] + shift[i]
	}
	return out
}

// masks returns what Drop multiplies n rows of width numbers by.
func masks(n, width int, key uint32, rate float64) [][]float64 {
	ones := slices.Repeat([]float32{1}, n*width)
	kernel.Drop(ones, key, 0, rate)
	out := make([][]float64, n)
	for i := range out {
		for _, v := range ones[i*width : (i+1)*width] {
			out[i] = append(out[i], float64(v))
		}
	}
	return out
}

func product64(x, y []float64) []float64 {
	out := make([]float64, len(x))
	for i := range x {
		out[i] = x[i] * y[i]
	}
	return out
}

// run returns the last block's result for every event of the shard.
func (f *definition) run(sh *shard, rows []int32, keys []uint32, drop float64) [][]float64 {
	d, h, n := f.p.Dim, f.p.Hidden, len(sh.items)
	x, mask := make([][]float64, n), masks(n, d, keys[0], drop)
	input := make([][]float64, n)
	for t := range x {
		item := int(rows[sh.items[t]])
		sum := make([]float64, d)
		for i := range sum {
			sum[i] = f.values["input.type"][int(sh.kinds[t])*d+i] + f.values["input.gap"][int(sh.gaps[t])*d+i]
		}
		if !sh.hidden(t) {
			for i, v := range f.item(item) {
				sum[i] += v
			}
		}
		x[t] = layerNorm(product64(sum, mask[t]), f.values["input.scale"], f.values["input.shift"])
		input[t] = x[t]
	}
	for k := range f.p.Blocks {
		mask1, mask2, mask3 := masks(n, d, keys[1+3*k], drop), masks(n, f.p.Inner, keys[2+3*k], drop), masks(n, d, keys[3+3*k], drop)
		state := make([]float64, h)
		for t := range x {
			if sh.first[t] {
				clear(state)
			}
			a, g := times(x[t], f.at(k, "in"), f.at(k, "in_bias")), times(x[t], f.at(k, "gate"), f.at(k, "gate_bias"))
			out := make([]float64, h)
			for i := range state {
				lambda := math.Exp(-math.Exp(f.at(k, "decay")[i]))
				gamma := math.Sqrt(1 - lambda*lambda + 1e-8)
				if sh.ticks != nil {
					lambda *= math.Exp(-math.Exp(f.at(k, "fade")[i]) * float64(sh.ticks[t]))
				}
				state[i] = lambda*state[i] + gamma*a[i]
				out[i] = g[i] * sigmoid64(g[i]) * state[i]
			}
			y := product64(times(out, f.at(k, "out"), f.at(k, "out_bias")), mask1[t])
			for i := range y {
				y[i] += x[t][i]
			}
			y = layerNorm(y, f.at(k, "scale1"), f.at(k, "shift1"))
			up := times(y, f.at(k, "up"), f.at(k, "up_bias"))
			for i, v := range up {
				up[i] = v * sigmoid64(1.702*v)
			}
			z := product64(times(product64(up, mask2[t]), f.at(k, "down"), f.at(k, "down_bias")), mask3[t])
			for i := range z {
				z[i] += y[i]
			}
			x[t] = layerNorm(z, f.at(k, "scale2"), f.at(k, "shift2"))
		}
	}
	return f.recall(sh, rows, input, x)
}

// item returns the vector of an item.
func (f *definition) item(row int) []float64 {
	if f.items[row] == nil {
		f.items[row] = f.makeItem(row)
	}
	return f.items[row]
}

func (f *definition) makeItem(row int) []float64 {
	d := f.p.Dim
	v := slices.Clone(f.values["item.embedding"][row*d : (row+1)*d])
	if f.tower != nil {
		side, at := f.tower.side(), f.place[row]
		w := wideSide{f.values["tower.embed"], f.values["tower.w1"], f.values["tower.b1"], f.values["tower.w2"]}
		if side.dropped[at] {
			clear(v)
		}
		for i, x := range w.output(side, int(at), d, f.tower.h) {
			v[i] += x
		}
	}
	if f.p.Unit {
		square := 0.0
		for _, x := range v {
			square += x * x
		}
		for i := range v {
			v[i] /= math.Sqrt(square)
		}
	}
	return v
}

// bias returns that of an item.
func (f *definition) bias(row int) float64 {
	if f.tower != nil && f.tower.side().dropped[f.place[row]] {
		return 0
	}
	return f.values["item.bias"][row]
}

// head adds to z what the head of shard i makes of it at goal k.
func (f *definition) head(i, k int, z []float64, drop float64) []float64 {
	if len(f.heads) == 0 {
		return z
	}
	c := f.heads[i]
	q := times(z, f.values["head.in"], f.values["head.bias"])
	mask := masks(len(c.at)-1, len(q), c.key, drop)[k]
	for _, x := range c.of[c.at[k]:c.at[k+1]] {
		for j := range q {
			q[j] += float64(x.Weight) * f.values["head.embed"][int(x.Row)*len(q)+j]
		}
	}
	for j, v := range q {
		q[j] = v * sigmoid64(1.702*v) * mask[j]
	}
	out := times(q, f.values["head.out"], f.values["head.out_bias"])
	for j, v := range z {
		out[j] += v
	}
	return out
}

// loss is the loss of a whole step.
func (f *definition) loss(g *gathering, keys [][]uint32, drop float64) (sum float64) {
	f.items = map[int][]float64{}
	for i := range g.shards {
		sh := &g.shards[i]
		if len(sh.items) == 0 {
			continue
		}
		z := f.run(sh, g.rows, keys[i], drop)
		for k, goal := range sh.goals {
			total, aim, user := 0.0, 0.0, f.head(i, k, z[goal.at], drop)
			for c, row := range g.rows[:g.candidates] {
				logit := f.bias(int(row))
				if g.shift != nil {
					logit += float64(g.shift[c])
				}
				for j, v := range f.item(int(row)) {
					logit += v * user[j]
				}
				if slices.Contains(goal.left, int32(c)) {
					logit += f.left
				}
				total += math.Exp(logit)
				if c == int(goal.item) {
					aim = logit
				}
			}
			sum += float64(goal.weight) * (math.Log(total) - aim) / g.weight
		}
	}
	return sum
}

// tinyLog has users who view, buy and put back at uneven times.
func tinyLog() *Log {
	rng := rand.New(rand.NewPCG(3, 3))
	l := NewProfiledLog(NewProfile(features.Default()))
	for u := range 6 {
		l.Add(&streams.Event{Type: streams.UserUpsert, UserID: fmt.Sprint("u", u), Time: start, Attributes: map[string]any{"tier": []string{"gold", "silver"}[u%2]}})
		at := start
		for range 2 + rng.IntN(6) {
			at = at.Add(time.Duration(rng.ExpFloat64()*float64(20*time.Hour)) + time.Second)
			kind := []streams.Type{streams.View, streams.View, streams.Order, streams.Return}[rng.IntN(4)]
			l.Add(&streams.Event{Type: kind, UserID: fmt.Sprint("u", u), Time: at, Country: []string{"DE", "FR"}[rng.IntN(2)],
				Items: []streams.Line{{ItemID: fmt.Sprint("i", rng.IntN(7))}}})
		}
	}
	return l
}

var start = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// The gradients that the backward passes give by every array are the numeric ones of the definition in
// float64: full and sampled softmax, with and without a clock, with what was dropped, with weights and a
// catalogue, with a recall, item features and a head.
func TestEncoderGradientsAgainstTheDefinition(t *testing.T) {
	for _, c := range []struct {
		name string
		e    EncoderOptions
	}{
		{"full", EncoderOptions{Dropout: -1}},
		{"dropped", EncoderOptions{Dropout: 0.3, Clock: 24 * time.Hour}},
		{"sampled", EncoderOptions{Dropout: -1, Full: -1, Negatives: 2, Clock: time.Hour}},
		{"recall", EncoderOptions{Dropout: 0.3, Clock: 24 * time.Hour, Recall: 3}},
		{"unit", EncoderOptions{Dropout: -1, Unit: true, Full: -1, Negatives: 2}},
		{"both", EncoderOptions{Dropout: -1, Unit: true, Recall: 8}},
		{"tower", EncoderOptions{Dropout: 0.3, Tower: TowerOptions{Catalog: colours(7), Hidden: 8, IDDropout: 0.4}}},
		{"tower sampled unit", EncoderOptions{Dropout: -1, Full: -1, Negatives: 1, Unit: true, Recall: 3, Tower: TowerOptions{Catalog: colours(6), Hidden: 8, IDDropout: 0.4}}},
		{"masked", EncoderOptions{Dropout: -1, Augment: AugmentOptions{Mask: 0.4}}},
		{"head", EncoderOptions{Dropout: 0.3, Head: HeadOptions{Hidden: 16, FeatureDropout: 0.3}}},
		{"head tower recall", EncoderOptions{Dropout: 0.2, Recall: 3, Clock: time.Hour, Head: HeadOptions{Hidden: 8}, Tower: TowerOptions{Catalog: colours(7), Hidden: 8}}},
		{"left", EncoderOptions{Dropout: -1, Full: -1, Negatives: 1, Exposures: tinyExposures(), ExposureWeight: 5}},
		{"catalogue", EncoderOptions{Dropout: -1, Objective: map[string]float64{"order": 3, "view": 1}, Catalog: func(id string) bool { return id != "i3" && id != "i0" }}},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := Options{Dim: 8, Seed: 5, Workers: 2, Encoder: c.e}
			o.Encoder.Hidden, o.Encoder.Inner, o.Encoder.Longest = 16, 8, 6
			o = o.encoderDefaults()
			a, err := newEncoderTraining(tinyLog(), o)
			if err != nil {
				t.Fatal(err)
			}
			// Larger weights than at the start, so that nothing is nearly linear.
			rng := rand.New(rand.NewPCG(1, 2))
			for i := range a.state.Values {
				a.state.Values[i] += float32(rng.NormFloat64() * 0.3)
			}
			if h := a.residual; h != nil && len(h.Spec.Features) < 10 {
				t.Fatalf("features %v", h.Spec.Features)
			}
			checkGradients(t, a)
		})
	}
}

func checkGradients(t *testing.T, a *encoderTraining) {
	t.Helper()
	a.gather(rand.New(rand.NewPCG(1, 1)), a.pieces)
	a.prepare()
	keys, loss := make([][]uint32, shards), 0.0
	var heads []headSpace
	for i := range shards {
		a.learn(a.nets[0], i, 7)
		keys[i] = slices.Clone(a.nets[0].keys)
		if c := a.nets[0].head; c.rows != nil {
			heads = append(heads, headSpace{key: c.key, of: slices.Clone(c.of), at: slices.Clone(c.at)})
		}
		loss += a.parts[i].loss
	}
	a.add()
	f := &definition{p: a.p, left: math.Log(max(a.o.Encoder.ExposureWeight, 1)), values: map[string][]float64{}, tower: a.tower, place: a.batch.place, heads: heads}
	for _, x := range a.table.Arrays(a.p) {
		for _, v := range *x.Values {
			f.values[x.Name] = append(f.values[x.Name], float64(v))
		}
	}
	drop := a.o.Encoder.Dropout
	want := f.loss(&a.batch, keys, drop)
	if got := loss / a.batch.weight; math.Abs(got-want) > 1e-5*want {
		t.Fatalf("loss %v, want %v", got, want)
	}
	for _, x := range a.table.Arrays(a.p) {
		values := f.values[x.Name]
		worst, size := 0.0, 1e-3
		for i := 0; i < len(values); i += 1 + len(values)/24 { // of a long array every so many-th
			const step = 1e-5
			v := values[i]
			values[i] = v + step
			up := f.loss(&a.batch, keys, drop)
			values[i] = v - step
			numeric := (up - f.loss(&a.batch, keys, drop)) / (2 * step)
			values[i] = v
			worst, size = max(worst, math.Abs(a.gradientOf(x, i)-numeric)), max(size, math.Abs(numeric))
		}
		if worst > 2e-4*size {
			t.Errorf("%s: off by %v of at most %v", x.Name, worst, size)
		}
	}
}

// gradientOf returns the gradient by element i of an array.
func (a *encoderTraining) gradientOf(x models.EncoderArray, i int) float64 {
	d := a.p.Dim
	switch x.Name {
	case "item.embedding":
		at := a.batch.place[i/d]
		if at < 0 {
			return 0
		}
		return float64(a.parts[0].item[int(at)*d+i%d])
	case "item.bias":
		at := a.batch.place[i]
		if at < 0 || int(at) >= a.batch.candidates {
			return 0
		}
		return float64(a.parts[0].bias[at])
	}
	if side := a.towerSide(); side != nil {
		switch x.Name {
		case "tower.embed":
			if at := side.slot[i/d]; at >= 0 {
				return float64(a.tower.gradient[int(at)*d+i%d])
			}
			return 0
		case "tower.w1":
			return float64(side.dW1.Row(i / d)[i%d])
		case "tower.b1":
			return float64(side.db1[i])
		case "tower.w2":
			return float64(side.dW2.Row(i / a.tower.h)[i%a.tower.h])
		}
	}
	return float64(a.parts[0].rest[a.offset(x)-a.shared+i])
}

func (a *encoderTraining) towerSide() *towerSide {
	if a.tower == nil {
		return nil
	}
	return a.tower.side()
}

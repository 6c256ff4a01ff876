package train

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/sartorhq/sartor/models"
	"github.com/sartorhq/sartor/models/kernel"
)

// begin sets the weights to their start: random, from a model, or from a state.
func (a *encoderTraining) begin() error {
	n, shape := 0, a.shape()
	for _, x := range shape.Arrays(a.p) {
		n += x.Size()
	}
	if s := a.o.Encoder.Resume; s != nil {
		a.state = *s
		for _, t := range []*[]float32{&a.state.Values, &a.state.Mean, &a.state.Square} {
			if len(*t) != n || !kernel.Finite(*t) {
				return fmt.Errorf("train: resume: the state does not belong to this log and these options: begin anew")
			}
			*t = slices.Clone(*t)
		}
		if s.Best != nil && (len(s.Best) != n || !kernel.Finite(s.Best)) {
			return fmt.Errorf("train: resume: the best weights do not belong to this log and these options: begin anew")
		}
		a.table = a.layOut(a.state.Values)
		return nil
	}
	a.state = EncoderState{Epochs: a.o.Epochs, Values: make([]float32, n), Mean: make([]float32, n), Square: make([]float32, n)}
	a.table = a.layOut(a.state.Values)
	a.random()
	a.randomParts()
	if a.o.Encoder.From != nil {
		a.warm(a.o.Encoder.From.Table())
	}
	return nil
}

// random draws matrices from a normal distribution cut at two deviations. The states of a block forget
// half of everything within about 0.2 to 200 events, evenly spread over the logarithm, and with a clock
// within 1/100 to 100 ticks.
func (a *encoderTraining) random() {
	const deviation = 0.02
	rng := rand.New(rand.NewPCG(a.o.Seed, 0xe5c0d))
	for _, x := range a.table.Arrays(a.p) {
		if !x.Weight {
			continue
		}
		for i := range *x.Values {
			v := rng.NormFloat64()
			for math.Abs(v) > 2 {
				v = rng.NormFloat64()
			}
			(*x.Values)[i] = float32(v * deviation)
		}
	}
	fill := func(x []float32, v float32) {
		for i := range x {
			x[i] = v
		}
	}
	spread := func(x []float32, shortest, longest float64) {
		for i := range x {
			x[i] = -float32(math.Log(shortest) + rng.Float64()*math.Log(longest/shortest))
		}
	}
	fill(a.table.Scale, 1)
	if a.p.Unit {
		for row := range slices.Chunk(a.table.Item, a.p.Dim) {
			models.UnitRow(row, row)
		}
	}
	// At first the newest item of a history counts about 4, half of it for ever shorter times.
	fill(a.table.Recall.AskBias, 1)
	fill(a.table.Recall.NoteBias, 4/float32(max(a.p.Recall, 1)))
	spread(a.table.Recall.Decay, 0.3, 300)
	spread(a.table.Recall.Fade, 0.01, 100)
	for k := range a.table.Blocks {
		b := &a.table.Blocks[k]
		fill(b.Scale1, 1)
		fill(b.Scale2, 1)
		fill(b.GateBias, 1)
		spread(b.Decay, 0.3, 300)
		spread(b.Fade, 0.01, 100)
	}
	if a.p.Recall > 0 {
		// What people come back to is learned first, and what else they may like on top of it.
		fill(a.table.Blocks[a.p.Blocks-1].Scale2, 0.25)
	}
}

// randomParts begins a tower as in a linear autoencoder, and a head with units of about 1 that add nothing.
func (a *encoderTraining) randomParts() {
	const spread = 0.05
	rng := rand.New(rand.NewPCG(a.o.Seed, 0xe5c0d3))
	normal := func(x []float32, deviation float64) {
		for i := range x {
			x[i] = float32(rng.NormFloat64() * deviation)
		}
	}
	if t := a.table.Tower; t != nil {
		normal(t.Out.Embed, spread)
		normal(t.Out.W1, math.Sqrt(2/float64(a.p.Dim)))
		clear(t.Out.W2)
		if a.o.Encoder.From != nil { // a new tower leaves a model as it was
			clear(t.Out.Embed)
		}
	}
	if h := a.table.Head; h != nil {
		normal(h.Embed, 0.3)
		normal(h.In, math.Sqrt(1/float64(a.p.Dim)))
		clear(h.Out)
	}
}

// warm copies the weights of the other model, those of the items by id.
func (a *encoderTraining) warm(t models.EncoderTable) {
	d, rows := a.p.Dim, make(map[string]int, len(t.IDs))
	for j, id := range t.IDs {
		rows[id] = j
	}
	for j, id := range a.data.ids {
		if from, ok := rows[id]; ok {
			copy(a.table.Item[j*d:(j+1)*d], t.Item[from*d:])
			a.table.Bias[j] = t.Bias[from]
		}
	}
	from := map[string][]float32{}
	for _, x := range t.Arrays(a.p) {
		from[x.Name] = *x.Values
	}
	for _, x := range a.table.Arrays(a.p) {
		if !strings.HasPrefix(x.Name, "item.") {
			copy(*x.Values, from[x.Name])
		}
	}
}

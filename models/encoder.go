package models

import (
	"fmt"
	"maps"
	"math"
	"math/bits"
	"slices"
	"sync"
	"time"

	"github.com/sartorhq/sartor/models/kernel"
)

// KindEncoder is the Meta.Kind of an *Encoder.
const KindEncoder = "encoder"

// EncoderParams are the constants of a gated linear-recurrent encoder; MODEL.md has the equations.
type EncoderParams struct {
	Dim    int // D, of items and of the user's vector: a multiple of 8, at most MaxFactors
	Hidden int // H, of the recurrence: a multiple of 8, at most MaxFactors
	Inner  int // F, of the feed-forward layer: a multiple of 8, at most MaxInner
	Blocks int // 1 to MaxBlocks
	// Clock is the time that counts as one in the second decay, by which the state fades with time and
	// not only with events; 0 leaves that decay out. A whole number of seconds.
	Clock time.Duration
	// Recall is the number of heads by which the encoder comes back to the items of the history; 0 = none.
	Recall int
	// Unit scales the vectors of items to length 1, as input and output, so that a rare item has no shorter
	// vector than one that training has often seen.
	Unit bool
	// Kappa is the weight of log(1 + popularity) in the score, beside the learned bias; 0 leaves it out.
	Kappa float64
	// Signal's weights say which events are read: those of a type that is not 0.
	Signal Signal
}

// The largest feed-forward layer and number of blocks.
const (
	MaxInner  = 4096
	MaxBlocks = 16
)

// Validate refuses constants that mean nothing.
func (p EncoderParams) Validate() error {
	for _, size := range []struct {
		name    string
		n, most int
	}{{"dimensions", p.Dim, MaxFactors}, {"states", p.Hidden, MaxFactors}, {"inner units", p.Inner, MaxInner}} {
		if size.n < 8 || size.n > size.most || size.n%8 != 0 {
			return fmt.Errorf("%d %s: need a multiple of 8 from 8 to %d", size.n, size.name, size.most)
		}
	}
	switch {
	case p.Blocks < 1 || p.Blocks > MaxBlocks:
		return fmt.Errorf("%d blocks: need 1 to %d", p.Blocks, MaxBlocks)
	case p.Clock < 0 || p.Clock%time.Second != 0 || p.Clock > 100*365*24*time.Hour:
		return fmt.Errorf("the clock is %v: need a whole number of seconds, or 0", p.Clock)
	case !(p.Kappa >= 0 && p.Kappa <= 1e3):
		return fmt.Errorf("kappa is %v: need 0 to 1000", p.Kappa)
	}
	if err := p.validateRecall(); err != nil {
		return err
	}
	return p.Signal.Validate()
}

// Types returns the event types that are read, sorted: the rows of the type embedding.
func (p EncoderParams) Types() []string {
	return slices.DeleteFunc(slices.Sorted(maps.Keys(p.Signal.Weights)), func(t string) bool { return p.Signal.Weights[t] == 0 })
}

// GapRows is the number of rows of the gap embedding.
const GapRows = 32

// GapRow returns the row for the time in milliseconds since the event before: 1 below a second, then one
// row for each doubling. Row 0 is for the first event of a history.
func GapRow(millis int64) int {
	return min(1+bits.Len64(uint64(max(millis, 0)/1000)), GapRows-1)
}

// maxTicks bounds a pause as the second decay sees it.
const maxTicks = 1000

// Ticks returns a pause in units of the clock, at most 1000; 0 without a clock.
func (p EncoderParams) Ticks(millis int64) float32 {
	if p.Clock <= 0 || millis <= 0 {
		return 0
	}
	return float32(min(float64(millis)/float64(p.Clock.Milliseconds()), maxTicks))
}

// EncoderBlock holds the weights of one block, matrices row-major with as many rows as they have inputs.
type EncoderBlock struct {
	In, InBias     []float32 // W_in [D, H], b_in
	Gate, GateBias []float32 // W_g [D, H], b_g
	Decay          []float32 // nu [H]: a state keeps exp(-exp(nu)) of itself at every event
	Fade           []float32 // mu [H], with a clock only: and exp(-exp(mu)) of itself at every tick
	Out, OutBias   []float32 // W_o [H, D], b_o
	Scale1, Shift1 []float32 // of the first LayerNorm
	Up, UpBias     []float32 // W_1 [D, F], c_1
	Down, DownBias []float32 // W_2 [F, D], c_2
	Scale2, Shift2 []float32 // of the second LayerNorm
}

// EncoderTable is what training hands over: row j of Item belongs to IDs[j].
type EncoderTable struct {
	IDs          []string
	Item         []float32 // E [n, D], input and output
	Bias         []float32 // of the score, by item
	Type         []float32 // [len(Types()), D]
	Gap          []float32 // [GapRows, D]
	Scale, Shift []float32 // of the LayerNorm of the input
	Recall       EncoderRecall
	Blocks       []EncoderBlock
	// Tower adds to the rows of Item what the items' documents say, its side Out; Head adds to the user's
	// vector what is known of him and of his visit. nil = none.
	Tower *Tower
	Head  *Head
	// Popularity is the faded number of positive events, >= 0.
	Popularity []float32
}

// EncoderArray is one array of a table, by the name that it has in the file. What stands before the last
// dot of the name is its group: item, tower, input, recall, encoder.K for block K, or head.
type EncoderArray struct {
	Name   string
	Shape  []int
	Values *[]float32
	Weight bool // a matrix, which weight decay pulls to 0; else a bias, scale or rate
}

// Size returns the number of values that the shape calls for.
func (a EncoderArray) Size() int {
	n := 1
	for _, s := range a.Shape {
		n *= s
	}
	return n
}

// Arrays lists the learned arrays of a table with blocks as p says, in the order of the file, popularity
// left out.
func (t *EncoderTable) Arrays(p EncoderParams) []EncoderArray {
	n, d, h, f := len(t.IDs), p.Dim, p.Hidden, p.Inner
	list := []EncoderArray{
		{"item.embedding", []int{n, d}, &t.Item, true},
		{"item.bias", []int{n}, &t.Bias, false},
	}
	if w := t.Tower; w != nil {
		v, units, side := len(w.Spec.Features), w.Hidden, &w.Out
		list = append(list, EncoderArray{"tower.embed", []int{v, d}, &side.Embed, true}, EncoderArray{"tower.w1", []int{units, d}, &side.W1, true},
			EncoderArray{"tower.b1", []int{units}, &side.B1, false}, EncoderArray{"tower.w2", []int{d, units}, &side.W2, true})
	}
	list = append(list,
		EncoderArray{"input.type", []int{len(p.Types()), d}, &t.Type, true}, EncoderArray{"input.gap", []int{GapRows, d}, &t.Gap, true},
		EncoderArray{"input.scale", []int{d}, &t.Scale, false}, EncoderArray{"input.shift", []int{d}, &t.Shift, false})
	list = append(list, t.Recall.arrays(p)...)
	for k := range t.Blocks {
		b, name := &t.Blocks[k], func(s string) string { return fmt.Sprintf("encoder.%d.%s", k, s) }
		list = append(list,
			EncoderArray{name("in"), []int{d, h}, &b.In, true}, EncoderArray{name("in_bias"), []int{h}, &b.InBias, false},
			EncoderArray{name("gate"), []int{d, h}, &b.Gate, true}, EncoderArray{name("gate_bias"), []int{h}, &b.GateBias, false},
			EncoderArray{name("decay"), []int{h}, &b.Decay, false})
		if p.Clock > 0 {
			list = append(list, EncoderArray{name("fade"), []int{h}, &b.Fade, false})
		}
		list = append(list,
			EncoderArray{name("out"), []int{h, d}, &b.Out, true}, EncoderArray{name("out_bias"), []int{d}, &b.OutBias, false},
			EncoderArray{name("scale1"), []int{d}, &b.Scale1, false}, EncoderArray{name("shift1"), []int{d}, &b.Shift1, false},
			EncoderArray{name("up"), []int{d, f}, &b.Up, true}, EncoderArray{name("up_bias"), []int{f}, &b.UpBias, false},
			EncoderArray{name("down"), []int{f, d}, &b.Down, true}, EncoderArray{name("down_bias"), []int{d}, &b.DownBias, false},
			EncoderArray{name("scale2"), []int{d}, &b.Scale2, false}, EncoderArray{name("shift2"), []int{d}, &b.Shift2, false})
	}
	if t.Head != nil {
		list = append(list, t.Head.arrays(d)...)
	}
	return list
}

// Encoder reads a history event by event: a user's vector is what the recurrence has come to. It keeps
// no user. Safe for concurrent use.
type Encoder struct {
	repeating
	meta   Meta
	params EncoderParams
	table  EncoderTable
	rows   *Rows
	types  map[string]int32 // row of the type embedding
	blocks []packedBlock
	recall *packedRecall // nil without heads
	fields []string      // of users, that the head reads
	items  Items
	pool   *sync.Pool // of *encoding
}

// NewEncoder builds a model from trained weights. It keeps the slices of the table. Kind, Dim, Items and
// Params of meta are filled in here.
func NewEncoder(meta Meta, params EncoderParams, table EncoderTable) (*Encoder, error) {
	if err := params.Validate(); err != nil {
		return nil, fmt.Errorf("build encoder: %w", err)
	}
	switch {
	case len(table.IDs) == 0:
		return nil, fmt.Errorf("build encoder: no item: train on events with items")
	case len(table.Blocks) != params.Blocks:
		return nil, fmt.Errorf("build encoder: %d blocks, the parameters say %d", len(table.Blocks), params.Blocks)
	}
	if err := table.checkParts(); err != nil {
		return nil, fmt.Errorf("build encoder: %w", err)
	}
	for _, a := range table.Arrays(params) {
		if len(*a.Values) != a.Size() {
			return nil, fmt.Errorf("build encoder: %s has %d numbers, need %v", a.Name, len(*a.Values), a.Shape)
		}
		if !kernel.Finite(*a.Values) {
			return nil, fmt.Errorf("build encoder: %s is not finite: lower the learning rate and train again", a.Name)
		}
	}
	if err := checkPopularity(table.Popularity, len(table.IDs)); err != nil {
		return nil, fmt.Errorf("build encoder: %w", err)
	}
	rows, err := rowsByID(table.IDs)
	if err != nil {
		return nil, fmt.Errorf("build encoder: %w", err)
	}
	m := &Encoder{meta: meta, params: params, table: table, rows: rows, types: map[string]int32{}, pool: &sync.Pool{}}
	for i, name := range params.Types() {
		m.types[name] = int32(i)
	}
	for k := range table.Blocks {
		m.blocks = append(m.blocks, packBlock(&table.Blocks[k], params))
	}
	m.recall = packRecall(&m.table.Recall, params)
	if table.Head != nil {
		m.fields = table.Head.readFields()
	}
	m.serve()
	return m, nil
}

// serve lays out the vectors that are searched: the item's row and one more dimension for its bias and
// popularity, padded to a multiple of 8, for which the kernels are made.
func (m *Encoder) serve() {
	d, n := m.params.Dim, len(m.table.IDs)
	m.items = Items{IDs: m.table.IDs, Dim: d + 8, Taste: d, Vectors: make([]float32, n*(d+8))}
	table := m.table.Item
	if m.table.Tower != nil {
		table = m.table.Tower.effective(table, &m.table.Tower.Out, d)
	}
	for j := range n {
		row := m.items.Vectors[j*(d+8):][:d+8]
		copy(row, table[j*d:(j+1)*d])
		if m.params.Unit {
			unit(row[:d])
		}
		row[d] = m.table.Bias[j] + float32(m.params.Kappa*math.Log1p(float64(m.table.Popularity[j])))
	}
	p := m.params
	m.meta.Kind, m.meta.Dim, m.meta.Items = KindEncoder, m.items.Dim, n
	if m.meta.Scaling == "" {
		m.meta.Scaling = MinMax
	}
	m.meta.Params = map[string]float64{"factors": float64(d), "hidden": float64(p.Hidden), "inner": float64(p.Inner),
		"blocks": float64(p.Blocks), "clock_seconds": p.Clock.Seconds(), "kappa": p.Kappa}
	m.parts(m.meta.Params)
	p.Signal.params(m.meta.Params)
	m.describe(m.meta.Params)
}

// Meta returns the manifest.
func (m *Encoder) Meta() Meta { return m.meta }

// Params returns the constants of the model.
func (m *Encoder) Params() EncoderParams { return m.params }

// Table returns the trained weights, to go on training from. Shared, not to be changed.
func (m *Encoder) Table() EncoderTable { return m.table }

// Items returns the vectors that are searched.
func (m *Encoder) Items() Items { return m.items }

// WithMetrics returns a copy of the model, sharing everything else, whose manifest holds metrics.
func (m *Encoder) WithMetrics(metrics map[string]float64) *Encoder {
	c := *m
	c.meta.Metrics = maps.Clone(metrics)
	return &c
}

// WithKappa returns a copy of the model with another weight of the popularity term.
func (m *Encoder) WithKappa(kappa float64) (*Encoder, error) {
	c := *m
	c.params.Kappa = kappa
	if err := c.params.Validate(); err != nil {
		return nil, err
	}
	c.serve()
	return &c, nil
}

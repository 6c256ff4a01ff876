package models

import (
	"fmt"
	"maps"
	"math"
	"sync"
	"time"

	"github.com/sartorhq/sartor/features"
	"github.com/sartorhq/sartor/models/kernel"
)

// KindLAE is the Meta.Kind of a *LAE.
const KindLAE = "lae"

// LAEParams are the constants of a linear autoencoder; MODEL.md has the equations.
type LAEParams struct {
	// Factors is D, the number of taste dimensions: a multiple of 8, at most MaxFactors.
	Factors int
	// Tau is the temperature by which cosines are divided, 0.03 to 1.
	Tau float64
	// Beta damps popular items of the history: an item that n users wanted counts (n+1)^-beta.
	Beta float64
	// Kappa is the weight of log(1 + popularity) in the score; 0 leaves the term out.
	Kappa  float64
	Signal Signal
}

// Validate refuses constants that mean nothing.
func (p LAEParams) Validate() error {
	switch {
	case p.Factors < 8 || p.Factors > MaxFactors || p.Factors%8 != 0:
		return fmt.Errorf("%d factors: need a multiple of 8 from 8 to %d", p.Factors, MaxFactors)
	case !(p.Tau >= 0.03 && p.Tau <= 1):
		return fmt.Errorf("tau is %v: need 0.03 to 1", p.Tau)
	case !(p.Beta >= 0 && p.Beta <= 2):
		return fmt.Errorf("beta is %v: need 0 to 2", p.Beta)
	case !(p.Kappa >= 0 && p.Kappa <= 1e3):
		return fmt.Errorf("kappa is %v: need 0 to 1000", p.Kappa)
	}
	return p.Signal.Validate()
}

// Gain returns the factor by which an item that users wanted counts as input.
func (p LAEParams) Gain(users float32) float32 {
	return float32(math.Pow(float64(users)+1, -p.Beta))
}

// LAETable is what training hands over: row j of each table belongs to IDs[j].
type LAETable struct {
	IDs []string
	// In and Out are the tables A and B, with LAEParams.Factors floats a row.
	In, Out []float32
	// Users is how many users wanted each item in training, and Popularity the faded number of
	// positive events, both >= 0.
	Users, Popularity []float32
	// Tower adds to the rows of both tables what the items' documents say; nil = nothing.
	Tower *Tower
}

// LAE is an inductive linear autoencoder with cosine softmax: a user is the normalised sum of the input
// rows of the history's items, an item its normalised output row. It keeps no user.
type LAE struct {
	repeating
	meta   Meta
	params LAEParams
	table  LAETable
	rows   *Rows
	in     []float32 // input rows with what the tower adds
	out    []float32 // output rows, likewise
	gain   []float32 // by row
	items  Items
	pool   sync.Pool // of *evidence
}

// NewLAE builds a model from trained tables. It keeps the slices of the table. Kind, Dim, Items and
// Params of meta are filled in here.
func NewLAE(meta Meta, params LAEParams, table LAETable) (*LAE, error) {
	if err := params.Validate(); err != nil {
		return nil, fmt.Errorf("build LAE model: %w", err)
	}
	n := len(table.IDs)
	switch {
	case n == 0:
		return nil, fmt.Errorf("build LAE model: no item: train on events with items")
	case len(table.In) != n*params.Factors || len(table.Out) != n*params.Factors:
		return nil, fmt.Errorf("build LAE model: %d and %d numbers for %d items of %d", len(table.In), len(table.Out), n, params.Factors)
	case !kernel.Finite(table.In) || !kernel.Finite(table.Out):
		return nil, fmt.Errorf("build LAE model: an item row is not finite: lower the learning rate and train again")
	}
	if err := checkPopularity(table.Popularity, n); err != nil {
		return nil, fmt.Errorf("build LAE model: %w", err)
	}
	if err := checkPopularity(table.Users, n); err != nil {
		return nil, fmt.Errorf("build LAE model: numbers of users: %w", err)
	}
	rows, err := rowsByID(table.IDs)
	if err != nil {
		return nil, fmt.Errorf("build LAE model: %w", err)
	}
	m := &LAE{meta: meta, params: params, table: table, rows: rows, in: table.In, out: table.Out, gain: make([]float32, n)}
	if t := table.Tower; t != nil {
		if err := t.check(params.Factors, n); err != nil {
			return nil, fmt.Errorf("build LAE model: %w", err)
		}
		m.in, m.out = t.effective(table.In, &t.In, params.Factors), t.effective(table.Out, &t.Out, params.Factors)
	}
	for j, users := range table.Users {
		m.gain[j] = params.Gain(users)
	}
	m.serve()
	return m, nil
}

// serve lays out the vectors that are searched: b/|b|/tau and, with a popularity term, one more
// dimension for it, padded to a multiple of 8, for which the kernels are made.
func (m *LAE) serve() {
	d, n := m.params.Factors, len(m.table.IDs)
	m.items = Items{IDs: m.table.IDs, Dim: d, Taste: d}
	if m.params.Kappa > 0 {
		m.items.Dim = d + 8
	}
	m.items.Vectors = make([]float32, n*m.items.Dim)
	for j := range n {
		row, out := m.items.Vectors[j*m.items.Dim:][:m.items.Dim], m.out[j*d:(j+1)*d]
		kernel.Axpy(InverseNorm(out)/float32(m.params.Tau), out, row[:d])
		if m.params.Kappa > 0 {
			row[d] = float32(m.params.Kappa * math.Log1p(float64(m.table.Popularity[j])))
		}
	}
	m.meta.Kind, m.meta.Dim, m.meta.Items = KindLAE, m.items.Dim, n
	if m.meta.Scaling == "" {
		m.meta.Scaling = MinMax
	}
	m.meta.Params = map[string]float64{"factors": float64(d), "tau": m.params.Tau, "beta": m.params.Beta, "kappa": m.params.Kappa}
	if t := m.table.Tower; t != nil {
		m.meta.Params["tower_features"], m.meta.Params["tower_hidden"] = float64(len(t.Spec.Features)), float64(t.Hidden)
	}
	m.params.Signal.params(m.meta.Params)
	m.describe(m.meta.Params)
}

// InverseNorm returns 1/|x|, or a large finite number for a vector near 0.
func InverseNorm(x []float32) float32 {
	return float32(1 / math.Sqrt(float64(kernel.Dot(x, x))+1e-12))
}

// Meta returns the manifest.
func (m *LAE) Meta() Meta { return m.meta }

// Params returns the constants of the model.
func (m *LAE) Params() LAEParams { return m.params }

// Table returns the trained tables, to go on training from. Shared, not to be changed.
func (m *LAE) Table() LAETable { return m.table }

// Items returns the vectors that are searched.
func (m *LAE) Items() Items { return m.items }

// WithMetrics returns a copy of the model, sharing everything else, whose manifest holds metrics.
func (m *LAE) WithMetrics(metrics map[string]float64) *LAE {
	meta := m.meta
	meta.Metrics = maps.Clone(metrics)
	return &LAE{repeating: m.repeating, meta: meta, params: m.params, table: m.table, rows: m.rows, in: m.in, out: m.out, gain: m.gain, items: m.items}
}

// WithKappa returns a copy of the model with another weight of the popularity term.
func (m *LAE) WithKappa(kappa float64) (*LAE, error) {
	p := m.params
	p.Kappa = kappa
	if err := p.Validate(); err != nil {
		return nil, err
	}
	c := &LAE{repeating: m.repeating, meta: m.meta, params: p, table: m.table, rows: m.rows, in: m.in, out: m.out, gain: m.gain}
	c.serve()
	return c, nil
}

// Encode returns the user's vector: the normalised sum, over the items of the history, of gain times
// confidence times input row. What counts is as for ALS; ok is false when nothing does. It costs
// microseconds and one allocation, the vector, which the caller owns.
func (m *LAE) Encode(u *features.User, now time.Time) (vec []float32, ok bool) {
	if u == nil || len(u.History) == 0 {
		return nil, false
	}
	e, _ := m.pool.Get().(*evidence)
	if e == nil {
		e = &evidence{}
	}
	defer m.pool.Put(e)
	if !e.collect(m.params.Signal, m.rows, u.History, now.UnixMilli()) {
		return nil, false
	}
	d := m.params.Factors
	vec = make([]float32, m.items.Dim)
	for k, j := range e.ids {
		kernel.Axpy(m.gain[j]*e.weights[k], m.in[int(j)*d:int(j+1)*d], vec[:d])
	}
	scale := InverseNorm(vec[:d])
	for i := range vec[:d] {
		vec[i] *= scale
	}
	if m.params.Kappa > 0 {
		vec[d] = 1
	}
	return vec, true
}

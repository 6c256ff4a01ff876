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

// KindALS is the Meta.Kind of an *ALS.
const KindALS = "als"

// MaxFactors bounds the dimension of a factor model.
const MaxFactors = 512

// ALSParams are the constants of the least squares problem that training and Encode both solve. See
// MODEL.md for the equations.
type ALSParams struct {
	// Factors is the number of taste dimensions: a multiple of 8, at most MaxFactors.
	Factors int
	// Unobserved is alpha0, the weight of every pair without evidence, whose target is 0.
	Unobserved float64
	// Lambda and Nu are the ridge: lambda * (confidence + alpha0 * rows) ^ nu.
	Lambda, Nu float64
	// Kappa is the weight of log(1 + popularity) in the score, against a taste vector of length 1; 0
	// leaves the term out. The vector of a user with little evidence is short: a weight that did not
	// shrink with it would show every newcomer what is popular.
	Kappa  float64
	Signal Signal
}

// Validate refuses constants with which the problem has no good solution.
func (p ALSParams) Validate() error {
	switch {
	case p.Factors < 8 || p.Factors > MaxFactors || p.Factors%8 != 0:
		return fmt.Errorf("%d factors: need a multiple of 8 from 8 to %d", p.Factors, MaxFactors)
	case !(p.Unobserved > 0 && p.Unobserved <= 1e3):
		return fmt.Errorf("the weight of unobserved pairs is %v: need more than 0, at most 1000", p.Unobserved)
	case !(p.Lambda > 0 && p.Lambda <= 1e6):
		return fmt.Errorf("lambda is %v: need more than 0, at most 1e6", p.Lambda)
	case !(p.Nu >= 0 && p.Nu <= 2):
		return fmt.Errorf("nu is %v: need 0 to 2", p.Nu)
	case !(p.Kappa >= 0 && p.Kappa <= 1e3):
		return fmt.Errorf("kappa is %v: need 0 to 1000", p.Kappa)
	}
	return p.Signal.Validate()
}

// Ridge returns the regularisation of one row whose confidences sum to confidence, against others
// rows on the other side.
func (p ALSParams) Ridge(confidence float64, others int) float32 {
	return float32(p.Lambda * math.Pow(confidence+p.Unobserved*float64(others), p.Nu))
}

// ItemTable is what training hands over: row j of Factors (stride ALSParams.Factors) and of
// Popularity belongs to IDs[j].
type ItemTable struct {
	IDs     []string
	Factors []float32
	// Popularity is the faded number of positive events of each item, >= 0.
	Popularity []float32
}

// ALS is a matrix factorisation by implicit alternating least squares. It keeps no user: Encode
// solves the user's row of the training problem again from the stored history.
type ALS struct {
	repeating
	meta   Meta
	params ALSParams
	table  ItemTable
	rows   *Rows
	// factors are those of the table, which is where they came from: with a popularity term they are part of
	// the vectors that are searched.
	factors kernel.Matrix
	items   Items
	gram    []float32 // alpha0 * sum of v v', upper triangle, kernel.Pad square
	pool    sync.Pool // of *encoder
}

// NewALS builds a model from trained item factors. It keeps the table's slices. Kind, Dim, Items and
// Params of meta are filled in here.
func NewALS(meta Meta, params ALSParams, table ItemTable) (*ALS, error) {
	if err := params.Validate(); err != nil {
		return nil, fmt.Errorf("build ALS model: %w", err)
	}
	n := len(table.IDs)
	switch {
	case n == 0:
		return nil, fmt.Errorf("build ALS model: no item: train on events with items")
	case len(table.Factors) != n*params.Factors:
		return nil, fmt.Errorf("build ALS model: %d factors for %d items of %d", len(table.Factors), n, params.Factors)
	case !kernel.Finite(table.Factors):
		return nil, fmt.Errorf("build ALS model: an item factor is not a finite number: raise lambda and train again")
	}
	if err := checkPopularity(table.Popularity, n); err != nil {
		return nil, fmt.Errorf("build ALS model: %w", err)
	}
	rows, err := rowsByID(table.IDs)
	if err != nil {
		return nil, fmt.Errorf("build ALS model: %w", err)
	}
	m := &ALS{meta: meta, params: params, table: table, rows: rows,
		factors: kernel.Matrix{Data: table.Factors, Dim: params.Factors, Stride: params.Factors}}
	m.table.Factors = nil
	m.serve()
	m.gram = gramOf(m.factors, n, params)
	return m, nil
}

// serve lays out the vectors that are searched: the factors and, with a popularity term, one more
// dimension for it, padded to a multiple of 8, for which the kernels are made.
func (m *ALS) serve() {
	f, n := m.params.Factors, len(m.table.IDs)
	m.items = Items{IDs: m.table.IDs, Dim: f, Taste: f}
	if m.params.Kappa > 0 {
		m.items.Dim = f + 8
	}
	if old := m.factors; m.params.Kappa > 0 || old.Stride != f {
		m.factors = kernel.Matrix{Data: make([]float32, n*m.items.Dim), Dim: f, Stride: m.items.Dim}
		for j := range n {
			row := m.factors.Data[j*m.items.Dim:][:m.items.Dim]
			copy(row, old.Row(j))
			if m.params.Kappa > 0 {
				row[f] = float32(m.params.Kappa * math.Log1p(float64(m.table.Popularity[j])))
			}
		}
	}
	m.items.Vectors = m.factors.Data
	m.meta.Kind, m.meta.Dim, m.meta.Items = KindALS, m.items.Dim, n
	if m.meta.Scaling == "" {
		m.meta.Scaling = MinMax
	}
	m.meta.Params = map[string]float64{"factors": float64(f), "unobserved": m.params.Unobserved,
		"lambda": m.params.Lambda, "nu": m.params.Nu, "kappa": m.params.Kappa}
	m.params.Signal.params(m.meta.Params)
	m.describe(m.meta.Params)
}

// gramOf returns alpha0 times the Gramian of the factors.
func gramOf(factors kernel.Matrix, n int, p ALSParams) []float32 {
	pad := kernel.Pad(p.Factors)
	sum := make([]float64, pad*pad)
	kernel.Gram(sum, factors, 0, n)
	gram := make([]float32, len(sum))
	for i, v := range sum {
		gram[i] = float32(p.Unobserved * v)
	}
	return gram
}

// Meta returns the manifest.
func (m *ALS) Meta() Meta { return m.meta }

// Params returns the constants of the model.
func (m *ALS) Params() ALSParams { return m.params }

// Items returns the vectors that are searched.
func (m *ALS) Items() Items { return m.items }

// WithMetrics returns a copy of the model, sharing everything else, whose manifest holds metrics.
func (m *ALS) WithMetrics(metrics map[string]float64) *ALS {
	meta := m.meta
	meta.Metrics = maps.Clone(metrics)
	return &ALS{repeating: m.repeating, meta: meta, params: m.params, table: m.table, rows: m.rows, factors: m.factors, items: m.items, gram: m.gram}
}

// WithKappa returns a copy of the model with another weight of the popularity term.
func (m *ALS) WithKappa(kappa float64) (*ALS, error) {
	p := m.params
	p.Kappa = kappa
	if err := p.Validate(); err != nil {
		return nil, err
	}
	c := &ALS{repeating: m.repeating, meta: m.meta, params: p, table: m.table, rows: m.rows, factors: m.factors, gram: m.gram}
	c.serve()
	return c, nil
}

// encoder is the work space of one Encode.
type encoder struct {
	solver *kernel.Solver
	known  evidence
}

// Encode returns the user's vector: the solution of the user's row of the training problem, with the
// item side as it was trained. Entries after now, of types without weight and of items that the model
// does not know do not count; ok is false when none is left. It costs tens of microseconds and one
// allocation, the vector, which the caller owns.
func (m *ALS) Encode(u *features.User, now time.Time) (vec []float32, ok bool) {
	if u == nil || len(u.History) == 0 {
		return nil, false
	}
	e, _ := m.pool.Get().(*encoder)
	if e == nil {
		e = &encoder{solver: kernel.NewSolver(m.params.Factors)}
	}
	defer m.pool.Put(e)
	if !e.known.collect(m.params.Signal, m.rows, u.History, now.UnixMilli()) {
		return nil, false
	}
	confidence := 0.0
	for _, w := range e.known.weights {
		confidence += float64(w)
	}
	e.solver.Reset(m.gram, m.params.Ridge(confidence, len(m.table.IDs)))
	e.solver.Add(m.factors, e.known.ids, e.known.weights)
	vec = make([]float32, m.items.Dim)
	if !e.solver.Solve(vec) {
		return nil, false
	}
	if m.params.Kappa > 0 {
		taste := vec[:m.params.Factors]
		vec[m.params.Factors] = float32(math.Sqrt(float64(kernel.Dot(taste, taste))))
	}
	return vec, true
}

func checkPopularity(popularity []float32, n int) error {
	if len(popularity) != n {
		return fmt.Errorf("%d popularity values for %d items", len(popularity), n)
	}
	for j, p := range popularity {
		if !(p >= 0 && p <= math.MaxFloat32) {
			return fmt.Errorf("the popularity of item %d is %v", j, p)
		}
	}
	return nil
}

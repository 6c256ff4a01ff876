package models

import (
	"fmt"
	"sync"
	"time"

	"github.com/sartorhq/sartor/features"
	"github.com/sartorhq/sartor/models/kernel"
)

// The kinds of *Neighbours.
const (
	KindItemKNN = "item-knn" // cosine of co-visitation
	KindEASE    = "ease"     // closed-form linear autoencoder
)

// MaxDenseItems bounds the catalogue for which Neighbours has vectors: they take 4 bytes for every pair
// of items.
const MaxDenseItems = 8192

// NeighbourTable is a matrix of weights between items by rows: the neighbours of item i are
// Items[Starts[i]:Starts[i+1]], each with a weight.
type NeighbourTable struct {
	IDs        []string
	Starts     []int
	Items      []int32
	Weights    []float32
	Popularity []float32
}

// Neighbours scores an item by its weights to the items of the history: the baselines that need no
// embedding. With at most MaxDenseItems items it is a Model like any other, in as many dimensions as
// there are items; with more it can only Score. It cannot be saved.
type Neighbours struct {
	meta  Meta
	sig   Signal
	table NeighbourTable
	rows  *Rows
	items func() Items
	pool  sync.Pool // of *evidence
}

// NewNeighbours builds the model. It keeps the slices of the table.
func NewNeighbours(meta Meta, signal Signal, table NeighbourTable) (*Neighbours, error) {
	n := len(table.IDs)
	if n == 0 || len(table.Starts) != n+1 || len(table.Items) != table.Starts[n] || len(table.Weights) != len(table.Items) {
		return nil, fmt.Errorf("build %s model: %d items with %d starts, %d neighbours and %d weights do not fit",
			meta.Kind, n, len(table.Starts), len(table.Items), len(table.Weights))
	}
	if !kernel.Finite(table.Weights) {
		return nil, fmt.Errorf("build %s model: a weight is not finite", meta.Kind)
	}
	if err := signal.Validate(); err != nil {
		return nil, fmt.Errorf("build %s model: %w", meta.Kind, err)
	}
	rows, err := rowsByID(table.IDs)
	if err != nil {
		return nil, fmt.Errorf("build %s model: %w", meta.Kind, err)
	}
	m := &Neighbours{meta: meta, sig: signal, table: table, rows: rows}
	m.meta.Items, m.meta.Scaling = n, MinMax
	if n <= MaxDenseItems {
		m.meta.Dim = (n + 7) &^ 7
	}
	m.items = sync.OnceValue(m.dense)
	return m, nil
}

// dense lays the weights out as vectors: dimension i of item j is the weight from i to j.
func (m *Neighbours) dense() Items {
	it := Items{IDs: m.table.IDs, Dim: m.meta.Dim, Vectors: make([]float32, len(m.table.IDs)*m.meta.Dim)}
	if it.Dim == 0 {
		return it
	}
	for i := range m.table.IDs {
		for k := m.table.Starts[i]; k < m.table.Starts[i+1]; k++ {
			it.Vectors[int(m.table.Items[k])*it.Dim+i] = m.table.Weights[k]
		}
	}
	return it
}

// Meta returns the manifest. Dim is 0 when there are too many items for vectors.
func (m *Neighbours) Meta() Meta { return m.meta }

// Items returns the vectors, laid out at the first call. There is no taste dimension.
func (m *Neighbours) Items() Items { return m.items() }

// Encode returns the confidence of each item of the history, in the dimension of the item.
func (m *Neighbours) Encode(u *features.User, now time.Time) (vec []float32, ok bool) {
	e, ok := m.known(u, now)
	if !ok {
		return nil, false
	}
	defer m.pool.Put(e)
	if m.meta.Dim == 0 {
		return nil, false
	}
	vec = make([]float32, m.meta.Dim)
	for k, j := range e.ids {
		vec[j] = e.weights[k]
	}
	return vec, true
}

// Score adds up the weights from the user's history to every item, without vectors; ok is false when
// there is nothing to add. scores has one place for each item and is overwritten.
func (m *Neighbours) Score(u *features.User, now time.Time, scores []float32) (ok bool) {
	e, ok := m.known(u, now)
	if !ok {
		return false
	}
	defer m.pool.Put(e)
	clear(scores)
	for k, i := range e.ids {
		for at := m.table.Starts[i]; at < m.table.Starts[i+1]; at++ {
			scores[m.table.Items[at]] += e.weights[k] * m.table.Weights[at]
		}
	}
	return true
}

func (m *Neighbours) known(u *features.User, now time.Time) (*evidence, bool) {
	if u == nil {
		return nil, false
	}
	e, _ := m.pool.Get().(*evidence)
	if e == nil {
		e = &evidence{}
	}
	if !e.collect(m.sig, m.rows, u.History, now.UnixMilli()) {
		m.pool.Put(e)
		return nil, false
	}
	return e, true
}

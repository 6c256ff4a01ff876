package recommender

import (
	"maps"
	"math"

	"github.com/sartorhq/sartor/features"
	"github.com/sartorhq/sartor/models"
	"github.com/sartorhq/sartor/models/index"
)

// ItemEncoder is a model that has vectors for items that it was not trained on, made of what is known of
// them: such an item can be found by its vector as soon as the catalogue has it.
type ItemEncoder interface {
	// EncodeItem returns a vector of length Items().Dim, which the caller owns, or false when it has none.
	EncodeItem(it *features.Item) (vec []float32, ok bool)
}

// The kinds of index.
const (
	// IndexAuto takes IndexExact up to approximateFrom items and IndexApproximate beyond.
	IndexAuto        = "auto"
	IndexExact       = "exact"
	IndexApproximate = "ivf"
)

// approximateFrom is how many items take too long to be scanned for every request.
const approximateFrom = 4_000_000

// modelView is a model as the catalogue sees it: row j of its indexes is row j of the catalogue. It is
// immutable.
type modelView struct {
	model   models.Model
	encoder ItemEncoder // nil = none
	items   models.Items
	order   *order  // of the catalogue's rows; nil = the model's own comes first in it
	asked   string  // kind of index: what was wanted
	kind    string  // and what it is
	recall  float64 // of the index; 1 for an exact one
	// The first rows of the catalogue have their vectors here, row by row. has tells which of them have
	// one; nil = all.
	rows    int
	vectors []float32
	has     index.Bitmap
	// index is by inner product, cosine by angle. Rows that the catalogue got later stand behind.
	index, cosine *index.Extended
}

// newModelView indexes a model in its own order, or with cat, in that of a catalogue. kind is IndexAuto,
// IndexExact or IndexApproximate.
func newModelView(m models.Model, cat *catalog, kind string) *modelView {
	v := &modelView{model: m, items: m.Items(), asked: kind, kind: kind, recall: 1}
	v.encoder, _ = m.(ItemEncoder)
	if v.rows, v.vectors = len(v.items.IDs), v.items.Vectors; cat != nil {
		v.order = cat.order
		v.permute(cat)
	}
	if kind == IndexAuto {
		v.kind = IndexExact
		if v.rows >= approximateFrom {
			v.kind = IndexApproximate
		}
	}
	dim := v.items.Dim
	weights := inverseLengths(dim, len(tasteOf(v.items, make([]float32, dim))), v.vectors)
	if v.kind == IndexApproximate {
		x := index.NewIVF(dim, v.vectors, index.IVFOptions{})
		v.recall, v.index, v.cosine = x.Recall(), index.Extend(x, dim), index.Extend(x.Weighted(weights), dim)
	} else {
		x := index.NewFlat(dim, v.vectors)
		v.index, v.cosine = index.Extend(x.Share(), dim), index.Extend(x.Weighted(weights).Share(), dim)
	}
	if cat != nil {
		return v.behind(cat)
	}
	return v
}

// trained returns the model, nil for none.
func (v *modelView) trained() models.Model {
	if v == nil {
		return nil
	}
	return v.model
}

// permute copies the vectors into the order of the catalogue. Items that it does not know are left out.
// Of its items those behind the last one with a vector are left to behind; the encoder places others
// once, where they stand, until the next model.
func (v *modelView) permute(cat *catalog) {
	dim := v.items.Dim
	rows := make([]int32, len(v.items.IDs))
	v.rows = 0
	for i, id := range v.items.IDs {
		row, ok := cat.find(id)
		if rows[i] = row; !ok {
			rows[i] = -1
			continue
		}
		v.rows = max(v.rows, int(row)+1)
	}
	v.vectors, v.has = make([]float32, v.rows*dim), index.NewBitmap(v.rows)
	for i, row := range rows {
		if row >= 0 {
			copy(v.vectors[int(row)*dim:], v.items.Vectors[i*dim:(i+1)*dim])
			v.has.Set(int(row))
		}
	}
	if v.encoder == nil {
		return
	}
	inParts(v.rows, func(from, to int) {
		for i := from; i < to; i++ {
			if v.has.Has(i) {
				continue
			}
			if vec, _ := v.encodeRow(cat.rows[i]); vec != nil {
				copy(v.vectors[i*dim:], vec)
				v.has.Set(i) // parts share no word
			}
		}
	})
}

// behind returns the view with the rows of the catalogue that its model was not trained on.
func (v *modelView) behind(cat *catalog) *modelView {
	out := *v
	out.index, out.cosine = v.index.Bare(), v.cosine.Bare()
	changed := make([]int32, 0, max(len(cat.rows)-v.rows, 0))
	for i := v.rows; i < len(cat.rows); i++ {
		changed = append(changed, int32(i))
	}
	return out.encode(cat, changed)
}

// with returns the view over the next catalogue, in which some rows changed.
func (v *modelView) with(old, next *catalog, changed []int32) *modelView {
	if v == nil || v.encoder == nil {
		return v
	}
	var late []int32
	for _, row := range changed {
		// A row that only aged is the item that it was.
		if int(row) >= v.rows && (int(row) >= len(old.rows) || old.rows[row].state != next.rows[row].state) {
			late = append(late, row)
		}
	}
	if len(late) == 0 {
		return v
	}
	return v.encode(next, late)
}

// encode gives rows behind those of the model the vectors that its encoder has for them.
func (v *modelView) encode(cat *catalog, rows []int32) *modelView {
	if v.encoder == nil || len(rows) == 0 {
		return v
	}
	products, angles := make([]index.Row, len(rows)), make([]index.Row, len(rows))
	inParts(len(rows), func(from, to int) {
		for i := from; i < to; i++ {
			vec, unit := v.encodeRow(cat.rows[rows[i]])
			products[i], angles[i] = index.Row{Row: int(rows[i]), Vector: vec}, index.Row{Row: int(rows[i]), Vector: unit}
		}
	})
	out := *v
	out.index, out.cosine = v.index.Set(products), v.cosine.Set(angles)
	return &out
}

// encodeRow returns the vector of an item, and the same with a taste of length 1; nil for one without, or a useless one.
func (v *modelView) encodeRow(r *row) (vec, unit []float32) {
	if r.deleted {
		return nil, nil
	}
	it := r.made.Load()
	if it == nil { // most new items are not asked for: no need to keep them
		it = r.view.schema.Item(r.id, r.state, r.view.now)
	}
	vec, ok := v.encoder.EncodeItem(it)
	if !ok || len(vec) != v.items.Dim || index.Check(v.items.Dim, vec) != nil {
		return nil, nil
	}
	taste := tasteOf(v.items, vec)
	length := math.Sqrt(float64(dot(taste, taste)))
	if length == 0 {
		return vec, nil
	}
	unit = make([]float32, len(vec))
	for i, x := range vec {
		unit[i] = float32(float64(x) / length)
	}
	return vec, unit
}

// vector returns the vector of a row, not to be changed; nil when it has none, or there is no model.
func (v *modelView) vector(row int32) []float32 {
	switch {
	case v == nil:
		return nil
	case int(row) >= v.rows:
		return v.index.Vector(int(row))
	case v.has != nil && !v.has.Has(int(row)):
		return nil
	}
	return v.vectors[int(row)*v.items.Dim : (int(row)+1)*v.items.Dim]
}

// count returns the number of rows that have a vector.
func (v *modelView) count() int {
	if v == nil {
		return 0
	}
	n := v.rows
	if v.has != nil {
		n = v.has.Count()
	}
	return n + v.index.Added()
}

// searchable returns those of the allowed rows that a search of the view may return.
func (v *modelView) searchable(allowed index.Bitmap) index.Bitmap {
	if v.has == nil {
		return allowed
	}
	out := allowed.Clone()
	for i := range min(len(out), len(v.has)) {
		word := v.has[i]
		if last := v.rows - i*64; last < 64 {
			word |= ^uint64(0) << last // rows behind those of the model are judged by the index
		}
		out[i] &= word
	}
	return out
}

func (v *modelView) version() string { return v.model.Meta().Version }

// scenarioViews are the models of single scenarios by the scenario's name. It is never changed.
type scenarioViews map[string]*modelView

// renumbered returns the views over a catalogue whose rows have other numbers.
func (s scenarioViews) renumbered(cat *catalog) scenarioViews {
	return s.each(func(v *modelView) *modelView { return newModelView(v.model, cat, v.asked) })
}

// with returns the views over the next catalogue, in which some rows changed.
func (s scenarioViews) with(old, next *catalog, changed []int32) scenarioViews {
	return s.each(func(v *modelView) *modelView { return v.with(old, next, changed) })
}

func (s scenarioViews) each(do func(*modelView) *modelView) scenarioViews {
	if len(s) == 0 {
		return s
	}
	out := make(scenarioViews, len(s))
	for name, v := range s {
		out[name] = do(v)
	}
	return out
}

// replaced returns the views with another one for a scenario, nil for none.
func (s scenarioViews) replaced(name string, v *modelView) scenarioViews {
	out := maps.Clone(s)
	if out == nil {
		out = scenarioViews{}
	}
	if out[name] = v; v == nil {
		delete(out, name)
	}
	return out
}

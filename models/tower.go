package models

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/sartorhq/sartor/features"
	"github.com/sartorhq/sartor/models/kernel"
)

// TowerWeights are the weights of one side of a tower, row-major. For an item with features f of share w:
//
//	x = sum of w_f Embed_f,   tower = x + W2 relu(W1 x + B1)
type TowerWeights struct {
	Embed []float32 // features x D
	W1    []float32 // hidden x D
	B1    []float32 // hidden
	W2    []float32 // D x hidden
}

// Tower is the part of a model that makes vectors from what an item is, for the input and the output
// table; an encoder, which has one table for both, has Out alone. Weights of a side have the shapes that
// TowerWeights says.
type Tower struct {
	Spec    *TowerSpec
	Hidden  int
	In, Out TowerWeights
	// Starts and Of are the features of the items of the table, row by row: item j has
	// Of[Starts[j]:Starts[j+1]].
	Starts []int
	Of     []Feature
}

// check refuses shapes of two sides that do not fit each other, d dimensions and n items.
func (t *Tower) check(d, n int) error {
	v := len(t.Spec.Features)
	for _, w := range []TowerWeights{t.In, t.Out} {
		if len(w.Embed) != v*d || len(w.W1) != t.Hidden*d || len(w.B1) != t.Hidden || len(w.W2) != d*t.Hidden {
			return fmt.Errorf("the tower's weights do not fit %d features, %d hidden and %d dimensions", v, t.Hidden, d)
		}
		if !kernel.Finite(w.Embed) || !kernel.Finite(w.W1) || !kernel.Finite(w.B1) || !kernel.Finite(w.W2) {
			return fmt.Errorf("a weight of the tower is not finite: lower the learning rate and train again")
		}
	}
	return t.checkItems(n)
}

// checkItems refuses features of items that do not fit n items and the spec.
func (t *Tower) checkItems(n int) error {
	v := len(t.Spec.Features)
	if len(t.Starts) != n+1 || t.Starts[0] != 0 || t.Starts[n] != len(t.Of) || !slices.IsSorted(t.Starts) {
		return fmt.Errorf("the features of the items do not fit %d items", n)
	}
	for _, f := range t.Of {
		if f.Row < 0 || int(f.Row) >= v || !(f.Weight >= 0 && f.Weight <= 1) {
			return fmt.Errorf("an item has feature %d of %d with share %v", f.Row, v, f.Weight)
		}
	}
	return nil
}

// Add adds the tower's output for the features to dst, whose length is D. hidden is work space of the
// tower's hidden size, x of D.
func (w *TowerWeights) Add(dst []float32, of []Feature, x, hidden []float32) {
	d := len(dst)
	clear(x)
	for _, f := range of {
		kernel.Axpy(f.Weight, w.Embed[int(f.Row)*d:int(f.Row+1)*d], x)
	}
	kernel.Axpy(1, x, dst)
	for h := range hidden {
		hidden[h] = max(0, w.B1[h]+kernel.Dot(w.W1[h*d:(h+1)*d], x))
	}
	for i := range dst {
		dst[i] += kernel.Dot(w.W2[i*len(hidden):(i+1)*len(hidden)], hidden)
	}
}

// effective returns the table with the tower's output added to every row.
func (t *Tower) effective(table []float32, side *TowerWeights, d int) []float32 {
	out := slices.Clone(table)
	x, hidden := make([]float32, d), make([]float32, t.Hidden)
	for j := range len(t.Starts) - 1 {
		if of := t.Of[t.Starts[j]:t.Starts[j+1]]; len(of) > 0 {
			side.Add(out[j*d:(j+1)*d], of, x, hidden)
		}
	}
	return out
}

// EncodeItem returns the vector that is searched for an item, of length Items().Dim. An item of the model
// has its own row; another one gets a vector from what its document says, so that it can be recommended
// before anybody has seen it. ok is false when the model has no tower or knows none of the item's features.
func (m *LAE) EncodeItem(it *features.Item) (vec []float32, ok bool) {
	if it == nil {
		return nil, false
	}
	if j, known := m.rows.Find(it.ID); known {
		return slices.Clone(m.items.Vectors[int(j)*m.items.Dim : int(j+1)*m.items.Dim]), true
	}
	t := m.table.Tower
	if t == nil {
		return nil, false
	}
	of := t.Spec.Of(it)
	if len(of) == 0 {
		return nil, false
	}
	d := m.params.Factors
	vec = make([]float32, m.items.Dim)
	t.Out.Add(vec[:d], of, make([]float32, d), make([]float32, t.Hidden))
	scale := InverseNorm(vec[:d]) / float32(m.params.Tau)
	for i := range vec[:d] {
		vec[i] *= scale
	}
	return vec, true
}

// The names of the tensors of a tower's items; what is read is stored under tower.fields, as JSON, and
// tower.feature, and a side's weights are named after the side.
const (
	towerStarts = "tower.item.starts"
	towerRows   = "tower.item.features"
	towerShares = "tower.item.shares"
)

// tensors stores the tower with both sides.
func (t *Tower) tensors(d int) []tensor {
	out := t.specTensors()
	for name, w := range map[string]TowerWeights{"in": t.In, "out": t.Out} {
		out = append(out, floatTensor("tower."+name+".embed", w.Embed, len(t.Spec.Features), d), floatTensor("tower."+name+".w1", w.W1, t.Hidden, d),
			floatTensor("tower."+name+".b1", w.B1, t.Hidden), floatTensor("tower."+name+".w2", w.W2, d, t.Hidden))
	}
	slices.SortFunc(out, func(a, b tensor) int { return cmp.Compare(a.name, b.name) })
	return out
}

// tensors stores what is read, and as which features, under the prefix.
func (s *TowerSpec) tensors(prefix string) []tensor {
	text, err := json.Marshal(s.Fields)
	if err != nil {
		panic(fmt.Sprintf("fields are not JSON: %v", err)) // NewTowerSpec refuses such edges
	}
	return append(textTensors(prefix+".feature", s.Features), tensor{name: prefix + ".fields", dtype: "U8", shape: []int{len(text)}, data: text})
}

// decodeSpec reads what TowerSpec.tensors stored.
func decodeSpec(set tensorSet, prefix string) (*TowerSpec, error) {
	raw, err := set.get(prefix+".fields", "U8", nil)
	if err != nil {
		return nil, err
	}
	var fields []TowerField
	if err := json.Unmarshal(raw.data, &fields); err != nil {
		return nil, fmt.Errorf("tensor %q: %w", raw.name, err)
	}
	known, err := set.texts(prefix + ".feature")
	if err != nil {
		return nil, err
	}
	return NewTowerSpec(fields, known)
}

// specTensors stores all of the tower but its weights.
func (t *Tower) specTensors() []tensor {
	starts, rows, shares := make([]int64, len(t.Starts)), make([]int64, len(t.Of)), make([]float32, len(t.Of))
	for i, s := range t.Starts {
		starts[i] = int64(s)
	}
	for i, f := range t.Of {
		rows[i], shares[i] = int64(f.Row), f.Weight
	}
	return append(t.Spec.tensors("tower"), intTensor(towerStarts, starts), intTensor(towerRows, rows), floatTensor(towerShares, shares, len(shares)))
}

// decodeTower reads what tensors stored; nil when the file has no tower.
func decodeTower(set tensorSet, d int) (*Tower, error) {
	b1, ok := set["tower.in.b1"]
	if !ok {
		return nil, nil
	}
	t := &Tower{Hidden: len(b1.data) / 4}
	var err error
	if t.Spec, err = decodeSpec(set, "tower"); err != nil {
		return nil, err
	}
	v := len(t.Spec.Features)
	for name, w := range map[string]*TowerWeights{"in": &t.In, "out": &t.Out} {
		for part, to := range map[string]struct {
			values *[]float32
			shape  []int
		}{"embed": {&w.Embed, []int{v, d}}, "w1": {&w.W1, []int{t.Hidden, d}}, "b1": {&w.B1, []int{t.Hidden}}, "w2": {&w.W2, []int{d, t.Hidden}}} {
			if *to.values, err = set.floats("tower."+name+"."+part, to.shape...); err != nil {
				return nil, err
			}
		}
	}
	return t, t.decodeItems(set)
}

// decodeItems reads the features of the items; their bounds are checked by checkItems.
func (t *Tower) decodeItems(set tensorSet) error {
	starts, err := set.ints(towerStarts)
	if err != nil {
		return err
	}
	rows, err := set.ints(towerRows)
	if err != nil {
		return err
	}
	shares, err := set.floats(towerShares, len(rows))
	if err != nil {
		return err
	}
	for _, s := range starts {
		if s < 0 || s > int64(len(rows)) {
			return fmt.Errorf("tensor %q: %d is out of range", towerStarts, s)
		}
		t.Starts = append(t.Starts, int(s))
	}
	for i, r := range rows {
		if r < 0 || r >= int64(len(t.Spec.Features)) {
			return fmt.Errorf("tensor %q: %d is out of range", towerRows, r)
		}
		t.Of = append(t.Of, Feature{Row: int32(r), Weight: shares[i]})
	}
	return nil
}

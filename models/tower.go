package models

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/sartorhq/sartor/features"
	"github.com/sartorhq/sartor/models/kernel"
)

// Reading says how a field of the item's document becomes features.
type Reading string

// The readings of an item's field.
const (
	AsValue  Reading = "value"  // each text or flag is a feature
	AsPath   Reading = "path"   // a list from the root to the leaf: each beginning of it is a feature
	AsWords  Reading = "words"  // the words of a text and pairs of neighbouring words
	AsPairs  Reading = "pairs"  // each key of a map with its value
	AsBucket Reading = "bucket" // a number by the stored edges between which it lies
)

// TowerField is one field that the tower reads.
type TowerField struct {
	Name string  `json:"name"`
	As   Reading `json:"as"`
	// Edges part the numbers of AsBucket, ascending; they are quantiles of the training catalogue.
	Edges []float64 `json:"edges,omitempty"`
}

// TowerSpec says what the tower reads of an item, and in which row of its embedding each feature is.
type TowerSpec struct {
	Fields []TowerField
	// Features are the known texts, "field=value", by row. What is not among them is left out: a value
	// that one item alone has says nothing about another item.
	Features []string
	rows     map[string]int32
}

// TowerFields returns what a tower reads under the schema: texts, lists and maps of the item's document,
// and its price. Aggregates are left out: a new item has none.
func TowerFields(s *features.Schema) []TowerField {
	var out []TowerField
	for _, f := range s.ItemFields() {
		as := AsValue
		switch {
		case f.Type == features.Text && f.Name == "title":
			as = AsWords
		case f.Type == features.TextList && strings.HasSuffix(f.Name, "_path"):
			as = AsPath
		case f.Type == features.Text, f.Type == features.TextList:
		case f.Type == features.TextMap:
			as = AsPairs
		case f.Type == features.Money && f.Name == "price":
			as = AsBucket
		default:
			continue
		}
		out = append(out, TowerField{Name: f.Name, As: as})
	}
	return out
}

// Feature is one feature of an item: a row of the embedding and its share.
type Feature struct {
	Row    int32
	Weight float32
}

// NewTowerSpec numbers the features. It keeps the slices.
func NewTowerSpec(fields []TowerField, known []string) (*TowerSpec, error) {
	s := &TowerSpec{Fields: fields, Features: known}
	var err error
	if s.rows, err = rowsByID(known); err != nil {
		return nil, fmt.Errorf("item features: %w", err)
	}
	for _, f := range fields {
		ok := f.Name != "" && slices.IsSorted(f.Edges) && !slices.ContainsFunc(f.Edges, func(e float64) bool { return math.IsNaN(e) || math.IsInf(e, 0) })
		if !ok || !slices.Contains([]Reading{AsValue, AsPath, AsWords, AsPairs, AsBucket}, f.As) {
			return nil, fmt.Errorf("item features: field %q is read as %q by edges %v", f.Name, f.As, f.Edges)
		}
	}
	return s, nil
}

// Texts calls add with every feature of the item, known to the tower or not, field by field.
func (s *TowerSpec) Texts(it *features.Item, add func(field int, text string)) {
	for i, f := range s.Fields {
		if !it.Known[f.Name] {
			continue
		}
		prefix := f.Name + "="
		f.read(it.Env[f.Name], func(text string) {
			if text != "" {
				add(i, prefix+text)
			}
		})
	}
}

// read calls add with the texts of one value.
func (f *TowerField) read(value any, add func(string)) {
	switch v := value.(type) {
	case string:
		if f.As == AsWords {
			words(v, add)
			return
		}
		add(v)
	case []string:
		for i := range v {
			if f.As == AsPath {
				add(strings.Join(v[:i+1], ">"))
				continue
			}
			add(v[i])
		}
	case map[string]string:
		for _, k := range slices.Sorted(maps.Keys(v)) {
			add(k + ":" + v[k])
		}
	case bool:
		add(strconv.FormatBool(v))
	case float64:
		if f.As == AsBucket && v > 0 {
			at, _ := slices.BinarySearch(f.Edges, v)
			add(strconv.Itoa(at))
		}
	}
}

// words calls add with the words of a text in lower case, and with pairs of neighbours.
func words(text string, add func(string)) {
	before := ""
	for _, w := range strings.FieldsFunc(strings.ToLower(text), func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) }) {
		add(w)
		if before != "" {
			add(before + " " + w)
		}
		before = w
	}
}

// Of returns the features of an item. The shares of one field add up to 1, so that a long title does
// not drown the category.
func (s *TowerSpec) Of(it *features.Item) []Feature {
	var out []Feature
	first, field := 0, -1
	spread := func() {
		for i := first; i < len(out); i++ {
			out[i].Weight = 1 / float32(len(out)-first)
		}
		first = len(out)
	}
	s.Texts(it, func(i int, text string) {
		if i != field {
			spread()
			field = i
		}
		if row, ok := s.rows[text]; ok {
			out = append(out, Feature{Row: row})
		}
	})
	spread()
	return out
}

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
// table. Weights of a side have the shapes that TowerWeights says.
type Tower struct {
	Spec    *TowerSpec
	Hidden  int
	In, Out TowerWeights
	// Starts and Of are the features of the items of the table, row by row: item j has
	// Of[Starts[j]:Starts[j+1]].
	Starts []int
	Of     []Feature
}

// check refuses shapes that do not fit each other, d dimensions and n items.
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
	if j, known := m.rows[it.ID]; known {
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

// The names of a tower's tensors; a side's weights are named after the side.
const (
	towerFields   = "tower.fields" // JSON
	towerFeatures = "tower.feature"
	towerStarts   = "tower.item.starts"
	towerRows     = "tower.item.features"
	towerShares   = "tower.item.shares"
)

// tensors stores the tower.
func (t *Tower) tensors(d int) []tensor {
	text, err := json.Marshal(t.Spec.Fields)
	if err != nil {
		panic(fmt.Sprintf("the fields of a tower are not JSON: %v", err)) // NewTowerSpec refuses such edges
	}
	starts, rows, shares := make([]int64, len(t.Starts)), make([]int64, len(t.Of)), make([]float32, len(t.Of))
	for i, s := range t.Starts {
		starts[i] = int64(s)
	}
	for i, f := range t.Of {
		rows[i], shares[i] = int64(f.Row), f.Weight
	}
	out := append(textTensors(towerFeatures, t.Spec.Features), tensor{name: towerFields, dtype: "U8", shape: []int{len(text)}, data: text},
		intTensor(towerStarts, starts), intTensor(towerRows, rows), floatTensor(towerShares, shares, len(shares)))
	for name, w := range map[string]TowerWeights{"in": t.In, "out": t.Out} {
		out = append(out, floatTensor("tower."+name+".embed", w.Embed, len(t.Spec.Features), d), floatTensor("tower."+name+".w1", w.W1, t.Hidden, d),
			floatTensor("tower."+name+".b1", w.B1, t.Hidden), floatTensor("tower."+name+".w2", w.W2, d, t.Hidden))
	}
	slices.SortFunc(out, func(a, b tensor) int { return cmp.Compare(a.name, b.name) })
	return out
}

// decodeTower reads what tensors stored; nil when the file has no tower.
func decodeTower(set tensorSet, d int) (*Tower, error) {
	b1, ok := set["tower.in.b1"]
	if !ok {
		return nil, nil
	}
	raw, err := set.get(towerFields, "U8", nil)
	if err != nil {
		return nil, err
	}
	var fields []TowerField
	if err := json.Unmarshal(raw.data, &fields); err != nil {
		return nil, fmt.Errorf("tensor %q: %w", towerFields, err)
	}
	known, err := set.texts(towerFeatures)
	if err != nil {
		return nil, err
	}
	t := &Tower{Hidden: len(b1.data) / 4}
	if t.Spec, err = NewTowerSpec(fields, known); err != nil {
		return nil, err
	}
	for name, w := range map[string]*TowerWeights{"in": &t.In, "out": &t.Out} {
		for part, to := range map[string]struct {
			values *[]float32
			shape  []int
		}{"embed": {&w.Embed, []int{len(known), d}}, "w1": {&w.W1, []int{t.Hidden, d}}, "b1": {&w.B1, []int{t.Hidden}}, "w2": {&w.W2, []int{d, t.Hidden}}} {
			if *to.values, err = set.floats("tower."+name+"."+part, to.shape...); err != nil {
				return nil, err
			}
		}
	}
	return t, t.decodeItems(set)
}

// decodeItems reads the features of the items; their bounds are checked by NewLAE.
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

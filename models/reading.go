package models

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/sartorhq/sartor/features"
)

// Reading says how a field of an item, a user or a visit becomes features.
type Reading string

// The readings of an item's field.
const (
	AsValue  Reading = "value"  // each text or flag is a feature
	AsPath   Reading = "path"   // a list from the root to the leaf: each beginning of it is a feature
	AsWords  Reading = "words"  // the words of a text and pairs of neighbouring words
	AsPairs  Reading = "pairs"  // each key of a map with its value
	AsBucket Reading = "bucket" // a positive number by the stored edges between which it lies
	AsNumber Reading = "number" // any number by the stored edges between which it lies, to three digits
)

// TowerField is one field that a tower or a head reads.
type TowerField struct {
	Name string  `json:"name"`
	As   Reading `json:"as"`
	// Edges part the numbers of AsBucket and AsNumber, ascending; they are quantiles of the training data.
	Edges []float64 `json:"edges,omitempty"`
}

// TowerSpec says what a tower reads of an item, or a head of a user and his visit, and in which row of its
// embedding each feature is.
type TowerSpec struct {
	Fields []TowerField
	// Features are the known texts, "field=value", by row. What is not among them is left out: a value
	// that one item alone has says nothing about another item.
	Features []string
	rows     *Rows
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
		if !ok || !slices.Contains([]Reading{AsValue, AsPath, AsWords, AsPairs, AsBucket, AsNumber}, f.As) {
			return nil, fmt.Errorf("item features: field %q is read as %q by edges %v", f.Name, f.As, f.Edges)
		}
	}
	return s, nil
}

// Row returns the row of a feature; ok is false for one that is not known.
func (s *TowerSpec) Row(text string) (row int32, ok bool) {
	row, ok = s.rows.Find(text)
	return row, ok
}

// Texts calls add with every feature of the item, known to the tower or not, field by field.
func (s *TowerSpec) Texts(it *features.Item, add func(field int, text string)) {
	s.texts(ofItem(it), add)
}

// lookup returns the value of a field by its name; ok is false when it is not known.
type lookup func(name string) (value any, ok bool)

func ofItem(it *features.Item) lookup {
	return func(name string) (any, bool) { return it.Env[name], it.Known[name] }
}

func (s *TowerSpec) texts(of lookup, add func(field int, text string)) {
	for i := range s.Fields {
		f := &s.Fields[i]
		value, known := of(f.Name)
		if !known {
			continue
		}
		f.Texts(value, func(text string) { add(i, text) })
	}
}

// Texts calls add with the features that a value of the field makes.
func (f *TowerField) Texts(value any, add func(text string)) {
	prefix := f.Name + "="
	f.read(value, func(text string) {
		if text != "" {
			add(prefix + text)
		}
	})
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
	case int:
		f.number(float64(v), add)
	case float64:
		f.number(v, add)
	}
}

// number calls add with the bucket of a number, or with the number itself where that is a value.
func (f *TowerField) number(v float64, add func(string)) {
	switch {
	case f.As == AsBucket && v > 0:
	case f.As == AsNumber && !math.IsNaN(v):
		v = Coarse(v)
	case f.As == AsValue:
		add(strconv.FormatFloat(v, 'f', -1, 64))
		return
	default:
		return
	}
	at, _ := slices.BinarySearch(f.Edges, v)
	add(strconv.Itoa(at))
}

// Coarse rounds a number to three digits, as AsNumber reads it: so training need not keep every cent.
func Coarse(v float64) float64 {
	if v == 0 || math.IsInf(v, 0) || math.IsNaN(v) {
		return v
	}
	unit := math.Pow10(int(math.Floor(math.Log10(math.Abs(v)))) - 2)
	if unit == 0 {
		return 0
	}
	return math.Round(v/unit) * unit
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
func (s *TowerSpec) Of(it *features.Item) []Feature { return s.of(nil, ofItem(it)) }

// of appends to out the features of what the lookup knows.
func (s *TowerSpec) of(out []Feature, of lookup) []Feature {
	out = out[:0]
	first, field := 0, -1
	spread := func() {
		for i := first; i < len(out); i++ {
			out[i].Weight = 1 / float32(len(out)-first)
		}
		first = len(out)
	}
	s.texts(of, func(i int, text string) {
		if i != field {
			spread()
			field = i
		}
		if row, ok := s.rows.Find(text); ok {
			out = append(out, Feature{Row: row})
		}
	})
	spread()
	return out
}

package models

import (
	"fmt"
	"strings"
	"time"

	"github.com/sartorhq/sartor/features"
	"github.com/sartorhq/sartor/models/kernel"
)

// MaxHead bounds the units of a head.
const MaxHead = 1024

// The prefixes of the names that a head reads: fields of the user, of the request's context, and of the
// moment of the request.
const (
	ofUser    = "user."
	ofContext = "context."
	nowHour   = "now.hour"    // 0 to 23, UTC
	nowDay    = "now.weekday" // 0 is Sunday, UTC
	nowPause  = "now.pause"   // GapRow of the time since the newest event of the history
)

// Head is a small residual network on the user's vector z, of what is known of the user and of his visit.
// For features f with shares w:
//
//	q = V1 z + c1 + sum of w_f Embed_f,   z' = z + V2 gelu(q) + c2
//
// With V2 and c2 at 0 it changes nothing, as it begins. Matrices are row-major with a row for each input.
type Head struct {
	Spec            *TowerSpec
	Hidden          int       // H, a multiple of 8, at most MaxHead
	Embed           []float32 // [features, H]
	In, Bias        []float32 // V1 [D, H], c1
	Out, OutputBias []float32 // V2 [H, D], c2
}

// HeadFields returns what a head reads under the schema, without edges: texts, flags and numbers of the
// user, lists and maps of his document and his favourite categories and brands, the context of the
// request, hour and weekday, and how long ago his newest event was. Lists of items are left out: the
// history says more.
func HeadFields(s *features.Schema) []TowerField {
	var out []TowerField
	for _, f := range s.UserFields() {
		as, ok := readUser(f.Type)
		if ok && !strings.HasPrefix(s.Origin(features.UserEntity, f.Name), "list") {
			out = append(out, TowerField{Name: ofUser + f.Name, As: as})
		}
	}
	for _, f := range s.ContextFields() {
		if as, ok := readUser(f.Type); ok {
			out = append(out, TowerField{Name: ofContext + f.Name, As: as})
		}
	}
	return append(out, TowerField{Name: nowHour, As: AsValue}, TowerField{Name: nowDay, As: AsValue}, TowerField{Name: nowPause, As: AsValue})
}

// readUser says how a field of the user or the context is read; ok is false for moments, of which the
// schema makes ages.
func readUser(t features.ValueType) (as Reading, ok bool) {
	switch t {
	case features.Text, features.TextList, features.Bool:
		return AsValue, true
	case features.TextMap:
		return AsPairs, true
	case features.Int, features.Number, features.Money:
		return AsNumber, true
	}
	return "", false
}

// HeadValue returns what a head reads under the name of one of its fields for a request of the user in the
// context, which may be nil, at the moment now; ok is false when that is not known.
func HeadValue(name string, u *features.User, context map[string]any, now time.Time) (value any, ok bool) {
	if field, found := strings.CutPrefix(name, ofUser); found {
		return u.Env[field], u.Known[field]
	}
	if field, found := strings.CutPrefix(name, ofContext); found {
		value, ok = context[field]
		return value, ok
	}
	switch name {
	case nowHour:
		return now.UTC().Hour(), true
	case nowDay:
		return int(now.UTC().Weekday()), true
	case nowPause:
		if len(u.History) > 0 {
			return GapRow(now.UnixMilli() - u.History[0].Time), true
		}
	}
	return nil, false
}

// check refuses a head whose sizes mean nothing; its arrays are checked with the encoder's.
func (h *Head) check() error {
	if h.Hidden < 8 || h.Hidden > MaxHead || h.Hidden%8 != 0 {
		return fmt.Errorf("a head of %d units: need a multiple of 8 from 8 to %d", h.Hidden, MaxHead)
	}
	return nil
}

// arrays lists the learned arrays, d dimensions.
func (h *Head) arrays(d int) []EncoderArray {
	return []EncoderArray{
		{"head.embed", []int{len(h.Spec.Features), h.Hidden}, &h.Embed, true},
		{"head.in", []int{d, h.Hidden}, &h.In, true}, {"head.bias", []int{h.Hidden}, &h.Bias, false},
		{"head.out", []int{h.Hidden, d}, &h.Out, true}, {"head.out_bias", []int{d}, &h.OutputBias, false},
	}
}

// apply adds the head's output for the features to z. q and s are work space of Hidden numbers.
func (h *Head) apply(z []float32, of []Feature, q, s []float32) {
	n, d := h.Hidden, len(z)
	copy(q, h.Bias)
	for i, v := range z {
		kernel.Axpy(v, h.In[i*n:(i+1)*n], q)
	}
	for _, f := range of {
		kernel.Axpy(f.Weight, h.Embed[int(f.Row)*n:int(f.Row+1)*n], q)
	}
	kernel.Sigmoid(s, q, swish)
	kernel.Mul(q, q, s)
	kernel.Axpy(1, h.OutputBias, z)
	for i, v := range q {
		kernel.Axpy(v, h.Out[i*d:(i+1)*d], z)
	}
}

// decodeHead reads the spec of a head of the given size.
func decodeHead(set tensorSet, hidden int) (*Head, error) {
	h := &Head{Hidden: hidden}
	if err := h.check(); err != nil {
		return nil, err
	}
	var err error
	h.Spec, err = decodeSpec(set, "head")
	return h, err
}

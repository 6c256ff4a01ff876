package models

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/sartorhq/sartor/features"
	"github.com/sartorhq/sartor/models/kernel"
)

// KindBlend is the Meta.Kind of a *Blend.
const KindBlend = "blend"

// maxParts bounds the models of a blend.
const maxParts = 8

// BlendPart is a model of a blend with the weight of its score.
type BlendPart struct {
	Model  Model
	Weight float64 // more than 0, at most 1000
}

// Blend is several models searched as one: its vectors are those of its parts side by side, so that
//
//	score(u, j) = sum over the parts p of  weight_p score_p(u, j) / size_p(u)
//
// stays one dot product. size_p is 1, but for an ALS part the length of the user's taste vector: it grows with
// the number of his events, as the scores of the other kinds do not. The popularity term is the first part's.
type Blend struct {
	repeating
	meta  Meta
	parts []BlendPart
	rows  *Rows
	// places say where the dimensions of each part lie: all tastes come first, as Items.Taste demands.
	places []place
	items  Items
}

// place is where a part's dimensions lie in the vectors of the blend.
type place struct {
	taste, rest int // begin of its taste dimensions, and of the others
	dim, tastes int // of the part: all dimensions, those of taste
}

// NewBlend puts models of the kinds als, lae and encoder side by side. An item that a part does not know has
// no score there. Kind, Dim, Items and Params of meta are filled in here.
func NewBlend(meta Meta, parts ...BlendPart) (*Blend, error) {
	if len(parts) < 2 || len(parts) > maxParts {
		return nil, fmt.Errorf("build blend: %d models: need 2 to %d", len(parts), maxParts)
	}
	var ids []string
	var rows *Rows
	for i, p := range parts {
		if !Blendable(p.Model.Meta().Kind) {
			return nil, fmt.Errorf("build blend: a model of kind %q cannot be a part", p.Model.Meta().Kind)
		}
		if !(p.Weight > 0 && p.Weight <= 1e3) {
			return nil, fmt.Errorf("build blend: the weight of part %d is %v: need more than 0, at most 1000", i, p.Weight)
		}
		if r, ok := p.Model.(interface{ RepeatParams() (RepeatParams, bool) }); ok {
			if _, has := r.RepeatParams(); has {
				return nil, fmt.Errorf("build blend: part %d has a repeat term: the blend has it, its parts do not", i)
			}
		}
		if _, err := json.Marshal(p.Model.Meta()); err != nil {
			return nil, fmt.Errorf("build blend: manifest of part %d: %w", i, err)
		}
		for _, id := range p.Model.Items().IDs {
			if _, known := rows.Find(id); !known {
				ids = append(ids, id)
			}
		}
		rows, _ = NewRows(slices.Clip(ids))
	}
	m := &Blend{meta: meta, parts: slices.Clone(parts), rows: rows, items: Items{IDs: ids}}
	m.serve()
	return m, nil
}

// rowOf returns the vector of an item that a part knows.
func (m *Blend) rowOf(id string) []float32 {
	j, _ := m.rows.Find(id)
	return m.row(j)
}

// Blendable tells whether a kind can be a part of a blend.
func Blendable(kind string) bool {
	return kind == KindALS || kind == KindLAE || kind == KindEncoder
}

// serve lays out the vectors that are searched.
func (m *Blend) serve() {
	m.items.Dim, m.items.Taste, m.places = 0, 0, nil
	for _, p := range m.parts {
		m.items.Taste += p.Model.Items().Taste
	}
	taste, rest := 0, m.items.Taste
	for _, p := range m.parts {
		items := p.Model.Items()
		m.places = append(m.places, place{taste: taste, rest: rest, dim: items.Dim, tastes: items.Taste})
		taste, rest = taste+items.Taste, rest+items.Dim-items.Taste
	}
	m.items.Dim = rest
	m.items.Vectors = make([]float32, len(m.items.IDs)*m.items.Dim)
	for k, p := range m.parts {
		items := p.Model.Items()
		for j, id := range items.IDs {
			m.place(k, items.Vectors[j*items.Dim:(j+1)*items.Dim], float32(p.Weight), m.rowOf(id))
		}
	}
	m.meta.Kind, m.meta.Dim, m.meta.Items = KindBlend, m.items.Dim, len(m.items.IDs)
	if m.meta.Scaling == "" {
		m.meta.Scaling = MinMax
	}
	m.meta.Params = map[string]float64{"parts": float64(len(m.parts)), "factors": float64(m.items.Taste)}
	for k, p := range m.parts {
		m.meta.Params[weightParam(k)] = p.Weight
	}
	if kappa, ok := m.parts[0].Model.Meta().Params["kappa"]; ok {
		m.meta.Params["kappa"] = kappa * m.parts[0].Weight
	}
	m.describe(m.meta.Params)
}

func weightParam(part int) string { return fmt.Sprintf("part.%d.weight", part) }

func (m *Blend) row(j int32) []float32 {
	return m.items.Vectors[int(j)*m.items.Dim : int(j+1)*m.items.Dim]
}

// place puts scale times a vector of the part where it belongs in a vector of the blend.
func (m *Blend) place(part int, from []float32, scale float32, to []float32) {
	at := m.places[part]
	kernel.Axpy(scale, from[:at.tastes], to[at.taste:at.taste+at.tastes])
	kernel.Axpy(scale, from[at.tastes:], to[at.rest:at.rest+at.dim-at.tastes])
}

// Meta returns the manifest.
func (m *Blend) Meta() Meta { return m.meta }

// Parts returns the models with their weights. Shared, not to be changed.
func (m *Blend) Parts() []BlendPart { return m.parts }

// Items returns the vectors that are searched.
func (m *Blend) Items() Items { return m.items }

// WithMetrics returns a copy of the model, sharing everything else, whose manifest holds metrics.
func (m *Blend) WithMetrics(metrics map[string]float64) *Blend {
	c := *m
	c.meta.Metrics = maps.Clone(metrics)
	return &c
}

// WithKappa returns a copy of the model with another weight of the popularity term.
func (m *Blend) WithKappa(kappa float64) (*Blend, error) {
	first, err := WithKappa(m.parts[0].Model, kappa/m.parts[0].Weight)
	if err != nil {
		return nil, err
	}
	c := *m
	c.parts = slices.Clone(m.parts)
	c.parts[0].Model = first
	c.serve()
	return &c, nil
}

// WithMix returns a copy of the model with other weights of the parts after the first; the last of mix counts
// for all that are left.
func (m *Blend) WithMix(mix ...float64) (*Blend, error) {
	if len(mix) == 0 || len(mix) >= len(m.parts) {
		return nil, fmt.Errorf("%d weights for the %d models after the first: need one for each, or one for all", len(mix), len(m.parts)-1)
	}
	parts := slices.Clone(m.parts)
	for k := range parts[1:] {
		parts[k+1].Weight = mix[min(k, len(mix)-1)]
	}
	return m.of(parts)
}

// of returns a blend of other parts with what else the model has.
func (m *Blend) of(parts []BlendPart) (*Blend, error) {
	c, err := NewBlend(m.meta, parts...)
	if err != nil {
		return nil, err
	}
	if m.term != nil {
		c.repeating.set(&repeatTerm{params: m.term.params, rate: m.term.rate, factor: m.term.factor, weights: m.term.weights}, &c.meta, c.rows)
	}
	return c, nil
}

// Encode returns the vectors of the parts side by side, of which a part that has nothing to encode has 0. ok
// is false when no part has.
func (m *Blend) Encode(u *features.User, now time.Time) (vec []float32, ok bool) {
	return m.EncodeIn(u, nil, now)
}

// EncodeIn is Encode with the context of the request, of which the parts that can make use.
func (m *Blend) EncodeIn(u *features.User, context map[string]any, now time.Time) (vec []float32, ok bool) {
	for k, p := range m.parts {
		var part []float32
		var encoded bool
		if e, can := p.Model.(*Encoder); can {
			part, encoded = e.EncodeIn(u, context, now)
		} else {
			part, encoded = p.Model.Encode(u, now)
		}
		if !encoded {
			continue
		}
		if vec == nil {
			vec = make([]float32, m.items.Dim)
		}
		scale := float32(1)
		if p.Model.Meta().Kind == KindALS {
			scale = InverseNorm(part[:m.places[k].tastes])
		}
		m.place(k, part, scale, vec)
	}
	return vec, vec != nil
}

// EncodeItem returns the vector that is searched for an item, as LAE.EncodeItem does: its own row for an item
// of the model, else what the parts that read documents make of it.
func (m *Blend) EncodeItem(it *features.Item) (vec []float32, ok bool) {
	if it == nil {
		return nil, false
	}
	if j, known := m.rows.Find(it.ID); known {
		return slices.Clone(m.row(j)), true
	}
	for k, p := range m.parts {
		reader, can := p.Model.(interface {
			EncodeItem(it *features.Item) (vec []float32, ok bool)
		})
		if !can {
			continue
		}
		if part, read := reader.EncodeItem(it); read {
			if vec == nil {
				vec = make([]float32, m.items.Dim)
			}
			m.place(k, part, float32(p.Weight), vec)
		}
	}
	return vec, vec != nil
}

// UserFields lists the fields of users that the parts read besides the history.
func (m *Blend) UserFields() []string {
	var names []string
	for _, p := range m.parts {
		if e, can := p.Model.(*Encoder); can {
			names = append(names, e.UserFields()...)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// partsOf returns the number of parts that the manifest claims.
func partsOf(meta Meta) (int, error) {
	n, err := meta.whole("parts", maxParts)
	if err != nil {
		return 0, err
	}
	for k := range n {
		if w := meta.Params[weightParam(k)]; math.IsNaN(w) || math.IsInf(w, 0) {
			return 0, fmt.Errorf("parameter %s is %v", weightParam(k), w)
		}
	}
	return n, nil
}

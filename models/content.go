package models

import (
	"fmt"
	"math"
	"time"

	"github.com/sartorhq/sartor/features"
)

// KindContent is the Meta.Kind of a *Content.
const KindContent = "content"

// Content is the baseline that knows items by their documents alone: an item is its features, the rarer
// the heavier, on the unit sphere; a user is the sum of the items of the history. It only scores, and
// cannot be saved.
type Content struct {
	meta   Meta
	sig    Signal
	ids    []string
	rows   *Rows
	starts []int
	of     []Feature // by item, on the unit sphere
	known  int       // features
	crowd  []float64 // everybody's profile; nil = each user's own
}

// NewContent builds the model for the items of the ids, whose features are of[starts[j]:starts[j+1]]. With
// a popularity for each item, everybody gets the profile of all: what is popular by its kind. It changes of.
func NewContent(meta Meta, signal Signal, spec *TowerSpec, ids []string, starts []int, of []Feature, popularity []float64) (*Content, error) {
	rows, err := rowsByID(ids)
	if err == nil && len(starts) != len(ids)+1 {
		err = fmt.Errorf("%d starts for %d items", len(starts), len(ids))
	}
	if err == nil {
		err = signal.Validate()
	}
	if err != nil {
		return nil, fmt.Errorf("build content model: %w", err)
	}
	m := &Content{meta: meta, sig: signal, ids: ids, rows: rows, starts: starts, of: of, known: len(spec.Features)}
	m.meta.Kind, m.meta.Items, m.meta.Scaling = KindContent, len(ids), MinMax
	m.normalise()
	if popularity != nil {
		m.crowd = make([]float64, m.known)
		for j, p := range popularity {
			for _, f := range m.item(int32(j)) {
				m.crowd[f.Row] += p * float64(f.Weight)
			}
		}
	}
	return m, nil
}

func (m *Content) item(j int32) []Feature { return m.of[m.starts[j]:m.starts[j+1]] }

// normalise weighs every feature by log(items / items that have it) and brings items to length 1.
func (m *Content) normalise() {
	count := make([]float64, m.known)
	for _, f := range m.of {
		count[f.Row]++
	}
	for j := range m.ids {
		sum := 0.0
		for i, f := range m.item(int32(j)) {
			w := float64(f.Weight) * math.Log(1+float64(len(m.ids))/count[f.Row])
			m.item(int32(j))[i].Weight = float32(w)
			sum += w * w
		}
		for i := range m.item(int32(j)) {
			m.item(int32(j))[i].Weight /= float32(math.Sqrt(sum) + 1e-12)
		}
	}
}

// Meta returns the manifest.
func (m *Content) Meta() Meta { return m.meta }

// Items returns the ids: there are no vectors.
func (m *Content) Items() Items { return Items{IDs: m.ids} }

// Encode never can: the model only scores.
func (m *Content) Encode(*features.User, time.Time) (vec []float32, ok bool) { return nil, false }

// Score sets the score of every item; ok is false when the history says nothing and there is no crowd.
func (m *Content) Score(u *features.User, now time.Time, scores []float32) (ok bool) {
	profile := m.crowd
	if profile == nil {
		e := &evidence{}
		if u == nil || !e.collect(m.sig, m.rows, u.History, now.UnixMilli()) {
			return false
		}
		profile = make([]float64, m.known)
		for k, j := range e.ids {
			for _, f := range m.item(j) {
				profile[f.Row] += float64(e.weights[k]) * float64(f.Weight)
			}
		}
	}
	for j := range m.ids {
		sum := 0.0
		for _, f := range m.item(int32(j)) {
			sum += profile[f.Row] * float64(f.Weight)
		}
		scores[j] = float32(sum)
	}
	return true
}

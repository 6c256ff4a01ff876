package models

import (
	"fmt"
	"maps"
	"math"
	"time"

	"github.com/sartorhq/sartor/features"
)

// KindPopularity is the Meta.Kind of a *Popularity.
const KindPopularity = "popularity"

// Popularity recommends to everybody what most users wanted lately: the baseline that every other
// model has to beat, behind the same interface.
type Popularity struct {
	repeating
	meta  Meta
	items Items
	count []float32
}

// NewPopularity builds the model from a popularity, >= 0, for each id. It keeps both slices.
func NewPopularity(meta Meta, ids []string, popularity []float32) (*Popularity, error) {
	if len(ids) == 0 {
		return nil, fmt.Errorf("build popularity model: no item: train on events with items")
	}
	if err := checkPopularity(popularity, len(ids)); err != nil {
		return nil, fmt.Errorf("build popularity model: %w", err)
	}
	if _, err := rowsByID(ids); err != nil {
		return nil, fmt.Errorf("build popularity model: %w", err)
	}
	p := &Popularity{meta: meta, count: popularity, items: Items{IDs: ids, Dim: 1, Vectors: make([]float32, len(ids))}}
	for j, c := range popularity {
		p.items.Vectors[j] = float32(math.Log1p(float64(c)))
	}
	p.meta.Kind, p.meta.Dim, p.meta.Items = KindPopularity, 1, len(ids)
	if p.meta.Scaling == "" {
		p.meta.Scaling = MinMax
	}
	return p, nil
}

// Meta returns the manifest.
func (p *Popularity) Meta() Meta { return p.meta }

// Items returns one number per item: log(1 + popularity). There is no taste dimension.
func (p *Popularity) Items() Items { return p.items }

// Encode returns the same vector for every user, seen or not.
func (p *Popularity) Encode(*features.User, time.Time) (vec []float32, ok bool) {
	return []float32{1}, true
}

// WithMetrics returns a copy of the model, sharing everything else, whose manifest holds metrics.
func (p *Popularity) WithMetrics(metrics map[string]float64) *Popularity {
	c := *p
	c.meta.Metrics = maps.Clone(metrics)
	return &c
}

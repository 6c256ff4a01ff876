package models

import (
	"fmt"
	"slices"
)

// WithMetrics returns m with metrics in its manifest, sharing everything else.
func WithMetrics(m Model, metrics map[string]float64) (Model, error) {
	switch m := m.(type) {
	case *ALS:
		return m.WithMetrics(metrics), nil
	case *LAE:
		return m.WithMetrics(metrics), nil
	case *Encoder:
		return m.WithMetrics(metrics), nil
	case *Blend:
		return m.WithMetrics(metrics), nil
	case *Popularity:
		return m.WithMetrics(metrics), nil
	}
	return nil, fmt.Errorf("a model of kind %q takes no metrics", m.Meta().Kind)
}

// WithKappa returns m with another weight of the popularity term, for the kinds that have one.
func WithKappa(m Model, kappa float64) (Model, error) {
	switch m := m.(type) {
	case *ALS:
		return m.WithKappa(kappa)
	case *LAE:
		return m.WithKappa(kappa)
	case *Encoder:
		return m.WithKappa(kappa)
	case *Blend:
		return m.WithKappa(kappa)
	}
	return nil, fmt.Errorf("a model of kind %q has no popularity term", m.Meta().Kind)
}

// WithSignal returns m with other weights of event types and another half-life of evidence when users are
// encoded, for the kinds that have them. The tables stay as they were trained.
func WithSignal(m Model, s Signal) (Model, error) {
	if err := s.Validate(); err != nil {
		return nil, err
	}
	switch m := m.(type) {
	case *ALS:
		c := &ALS{repeating: m.repeating, meta: m.meta, params: m.params, table: m.table, rows: m.rows, factors: m.factors, gram: m.gram}
		c.params.Signal = s
		c.serve()
		return c, nil
	case *LAE:
		c := &LAE{repeating: m.repeating, meta: m.meta, params: m.params, table: m.table, rows: m.rows, in: m.in, out: m.out, gain: m.gain}
		c.params.Signal = s
		c.serve()
		return c, nil
	case *Blend:
		parts := slices.Clone(m.parts)
		for k, p := range parts {
			var err error
			if parts[k].Model, err = WithSignal(p.Model, s); err != nil {
				return nil, err
			}
		}
		return m.of(parts)
	}
	return nil, fmt.Errorf("a model of kind %q has no weights of event types", m.Meta().Kind)
}

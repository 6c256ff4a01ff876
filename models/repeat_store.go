package models

import (
	"fmt"
	"strings"
	"time"
)

// What the file and the manifest say of a repeat term. Files without them are of models without one.
const (
	repeatTensor = "item.repeat_rate"
	repeatPrefix = "repeat."
)

// describe writes the constants of the term into a manifest's parameters.
func (r repeating) describe(to map[string]float64) {
	if r.term == nil {
		return
	}
	p := &r.term.params
	for name, s := range map[string]RepeatScale{"slow": p.Slow, "fast": p.Fast} {
		to[repeatPrefix+name] = s.Weight
		to[repeatPrefix+name+"_half_life_seconds"] = s.HalfLife.Seconds()
	}
	to[repeatPrefix+"power"], to[repeatPrefix+"rate"] = p.Power, p.Rate
	for name, w := range p.Weights {
		to[repeatPrefix+weightPrefix+name] = w
	}
}

// repeatTensors is what the file holds of the term.
func (r repeating) repeatTensors() []tensor {
	if r.term == nil {
		return nil
	}
	return []tensor{floatTensor(repeatTensor, r.term.rate, len(r.term.rate))}
}

// decodeRepeat gives the model the repeat term that the file and the manifest describe, if they do.
func decodeRepeat(meta Meta, set tensorSet, m Model) (Model, error) {
	if _, ok := set[repeatTensor]; !ok {
		for name := range meta.Params {
			if strings.HasPrefix(name, repeatPrefix) {
				return nil, fmt.Errorf("the manifest describes repeats, but tensor %q is missing", repeatTensor)
			}
		}
		return m, nil
	}
	p := RepeatParams{Weights: map[string]float64{}, Power: meta.Params[repeatPrefix+"power"], Rate: meta.Params[repeatPrefix+"rate"]}
	for name, s := range map[string]*RepeatScale{"slow": &p.Slow, "fast": &p.Fast} {
		seconds := meta.Params[repeatPrefix+name+"_half_life_seconds"]
		if !(seconds >= 0 && seconds < 1e9) {
			return nil, fmt.Errorf("the %s half-life of repeats is %v seconds", name, seconds)
		}
		s.Weight, s.HalfLife = meta.Params[repeatPrefix+name], time.Duration(seconds)*time.Second
	}
	for name, v := range meta.Params {
		if kind, ok := strings.CutPrefix(name, repeatPrefix+weightPrefix); ok {
			p.Weights[kind] = v
		}
	}
	rate, err := set.floats(repeatTensor, len(m.Items().IDs))
	if err != nil {
		return nil, err
	}
	return WithRepeat(m, p, rate)
}

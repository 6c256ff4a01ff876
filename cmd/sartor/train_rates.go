package main

import (
	"fmt"
	"time"

	"github.com/sartorhq/sartor/models"
)

// popularityHalfLife is the age at which popularity counts half where nothing else is asked for: in
// training, tuning and evaluation alike.
const popularityHalfLife = 30 * 24 * time.Hour

// Groups of weights of an encoder, of which train.EncoderGroups has all.
const (
	groupItem  = "item"
	groupInput = "input"
)

// popularityWeights are tried on the validation window of a scenario. An encoder learns how popular an item
// is from all its data; the term says what is popular lately.
func popularityWeights(kind string) []float64 {
	if kind == models.KindEncoder {
		return []float64{0, 0.05, 0.1, 0.2, 0.4, 0.8, 1.5, 3}
	}
	return modelKinds()[kind].kappas
}

// otherGroups lists the ways in which groups of weights may be held back that the scenario did not name:
// the items' tables slower or not at all, and of an encoder all but the last block.
func (t *tuner) otherGroups(s scenarioSpec) []scenarioSpec {
	held := func(freeze []string, rates map[string]float64) scenarioSpec {
		c := s
		c.Freeze, c.Rates = freeze, rates
		return c
	}
	if t.o.Kind == models.KindLAE {
		return []scenarioSpec{held(nil, map[string]float64{groupIn: 0.1}), held(nil, map[string]float64{groupOut: 0.1}), held([]string{groupIn}, nil)}
	}
	below := []string{groupItem, groupInput}
	for k := range max(t.o.Train.Encoder.Blocks, 2) - 1 {
		below = append(below, fmt.Sprintf("encoder.%d", k))
	}
	return []scenarioSpec{held(nil, nil), held(nil, map[string]float64{groupItem: 0.1}), held([]string{groupItem}, nil), held(below, nil)}
}

// otherRates lists a slower and a faster tuning.
func otherRates(s scenarioSpec) []scenarioSpec {
	slower, faster := s, s
	slower.Rate, faster.Rate = s.Rate/3, min(s.Rate*3, 1)
	return []scenarioSpec{slower, faster}
}

package models

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"
)

// Signal says how events become evidence that a user wants an item. Training and Encode share it, so
// that a history means the same to both. It is not to be changed once in use.
type Signal struct {
	// Weights is the evidence of one event by its type. A negative weight takes evidence away; a type
	// that is absent counts nothing. Items whose evidence is not positive are as good as never seen.
	Weights map[string]float64
	// HalfLife is the age at which evidence counts half. Age is measured from the user's own newest
	// event, not from now: a customer who comes back after a year is not a stranger. 0 = no fading.
	HalfLife time.Duration
}

// DefaultSignal returns the weights for a shop: looking is weak evidence, buying strong, and putting
// goods back takes away what taking them added.
func DefaultSignal() Signal {
	return Signal{
		Weights: map[string]float64{"view": 1, "click": 1, "wishlist": 2, "cart-add": 3, "cart-remove": -2,
			"order": 8, "return": -6, "rating": 3},
		HalfLife: 180 * 24 * time.Hour,
	}
}

// Fade returns the share of an event's weight that is left at the given age in milliseconds.
func (s Signal) Fade(age int64) float64 {
	if s.HalfLife <= 0 || age <= 0 {
		return 1
	}
	return math.Exp2(-float64(age) / float64(s.HalfLife.Milliseconds()))
}

// Confidence turns the sum of faded weights of one user and item into the weight of that pair in the
// least squares problem; 0 drops the pair. It grows like a square root, so that a hundred looks at one
// item do not drown everything else.
func (s Signal) Confidence(evidence float64) float32 {
	if !(evidence > 0) {
		return 0
	}
	return float32(math.Sqrt(evidence))
}

// Validate refuses weights and half-lives that mean nothing.
func (s Signal) Validate() error {
	positive := false
	for _, name := range slices.Sorted(maps.Keys(s.Weights)) {
		w := s.Weights[name]
		if math.Abs(w) > 1e6 || math.IsNaN(w) {
			return fmt.Errorf("the weight of %s is %v, need a number between -1e6 and 1e6", name, w)
		}
		positive = positive || w > 0
	}
	switch {
	case !positive:
		return fmt.Errorf("no event type has a positive weight: nothing could be learned")
	case s.HalfLife < 0 || s.HalfLife%time.Second != 0:
		return fmt.Errorf("the half-life is %v, need a whole number of seconds, or 0 for no fading", s.HalfLife)
	}
	return nil
}

const weightPrefix = "weight."

// params writes the signal into a manifest's parameters.
func (s Signal) params(to map[string]float64) {
	for name, w := range s.Weights {
		to[weightPrefix+name] = w
	}
	to["half_life_seconds"] = s.HalfLife.Seconds()
}

// signalOf reads what params wrote.
func signalOf(params map[string]float64) (Signal, error) {
	s := Signal{Weights: map[string]float64{}}
	for name, v := range params {
		if kind, ok := strings.CutPrefix(name, weightPrefix); ok {
			s.Weights[kind] = v
		}
	}
	seconds := params["half_life_seconds"]
	if !(seconds >= 0 && seconds < 1e9) {
		return s, fmt.Errorf("half_life_seconds is %v", seconds)
	}
	s.HalfLife = time.Duration(seconds) * time.Second
	return s, s.Validate()
}

package eval

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
)

// Logged is one decision of a logging policy whose result is known, with what another policy, the
// target, would have done in its place.
type Logged struct {
	Reward float64 // what came of it: a click, a purchase, money
	// Propensity is the probability with which the logging policy chose what it chose, in (0, 1].
	Propensity float64
	// Target is the probability with which the target policy would have chosen the same.
	Target float64
	// Predicted is a model's expected reward of what was chosen, and Direct that of what the target
	// policy would choose, the mean over its choices; for DoublyRobust and DirectMethod only.
	Predicted, Direct float64
}

// OffPolicy is what a log says about the value of the target policy: the mean reward of a decision.
type OffPolicy struct {
	// IPS weighs every reward with Target / Propensity: unbiased, with a wide interval.
	IPS Interval
	// SNIPS divides by the sum of the weights instead of their number: slightly biased, narrower.
	SNIPS Interval
	// DoublyRobust corrects the model's prediction by the weighted errors of the model: unbiased when
	// either the propensities or the model are right.
	DoublyRobust Interval
	// DirectMethod is the model's prediction alone, as biased as the model is.
	DirectMethod Interval
	// Effective is the effective sample size (sum of weights)^2 / sum of squared weights: far below the
	// number of decisions the target policy does what the log hardly ever shows.
	Effective float64
	// Largest is the largest weight, before the bound.
	Largest float64
}

// CheckLogged refuses a log from which nothing can be estimated.
func CheckLogged(log []Logged) error {
	if len(log) == 0 {
		return fmt.Errorf("no logged decision: log exposures with their propensity first")
	}
	for i, x := range log {
		switch {
		case !(x.Propensity > 0 && x.Propensity <= 1):
			return fmt.Errorf("decision %d has propensity %v: need more than 0, at most 1: what the logging policy never shows cannot be judged", i+1, x.Propensity)
		case !(x.Target >= 0 && x.Target <= 1):
			return fmt.Errorf("decision %d has target probability %v: need 0 to 1", i+1, x.Target)
		case math.IsNaN(x.Reward+x.Predicted+x.Direct) || math.IsInf(x.Reward+x.Predicted+x.Direct, 0):
			return fmt.Errorf("decision %d has a reward or prediction that is not finite", i+1)
		}
	}
	return nil
}

// EstimatePolicy judges the target policy by the log. Weights above bound are cut to it, which trades
// variance for bias; 0 = no bound. Intervals are bootstrapped over decisions. The log must pass CheckLogged.
func EstimatePolicy(log []Logged, bound float64, seed uint64) OffPolicy {
	var p OffPolicy
	n := len(log)
	weights := make([]float64, n)
	ips, robust, direct := make([]float64, n), make([]float64, n), make([]float64, n)
	sum, squares := 0.0, 0.0
	for i, x := range log {
		w := x.Target / x.Propensity
		p.Largest = max(p.Largest, w)
		if bound > 0 {
			w = min(w, bound)
		}
		weights[i], ips[i] = w, w*x.Reward
		robust[i], direct[i] = x.Direct+w*(x.Reward-x.Predicted), x.Direct
		sum, squares = sum+w, squares+w*w
	}
	if squares > 0 {
		p.Effective = sum * sum / squares
	}
	p.IPS, p.DoublyRobust, p.DirectMethod = Bootstrap(ips, seed), Bootstrap(robust, seed), Bootstrap(direct, seed)
	p.SNIPS = ratio(ips, weights, seed)
	return p
}

// ratio returns the sum of a over the sum of b with its bootstrap interval; 0 where b adds up to 0.
func ratio(a, b []float64, seed uint64) Interval {
	n := len(a)
	of := func(x, y float64) float64 {
		if y == 0 {
			return 0
		}
		return x / y
	}
	x, y := 0.0, 0.0
	for i := range a {
		x, y = x+a[i], y+b[i]
	}
	rng := rand.New(rand.NewPCG(seed, 0xb007))
	values := make([]float64, rounds)
	for r := range values {
		s, t := 0.0, 0.0
		for range n {
			i := rng.IntN(n)
			s, t = s+a[i], t+b[i]
		}
		values[r] = of(s, t)
	}
	slices.Sort(values)
	return Interval{Mean: of(x, y), Low: values[rounds*25/1000], High: values[rounds*975/1000-1]}
}

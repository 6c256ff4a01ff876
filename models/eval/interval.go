package eval

import (
	"fmt"
	"math/rand/v2"
	"slices"
)

// Interval is an estimate with the bounds between which it lies with 95 % confidence.
type Interval struct {
	Mean, Low, High float64
}

// Above tells whether even the lower bound exceeds x.
func (i Interval) Above(x float64) bool { return i.Low > x }

// String prints four digits.
func (i Interval) String() string { return fmt.Sprintf("%.4f [%.4f, %.4f]", i.Mean, i.Low, i.High) }

// rounds is the number of resamplings: enough for the second digit of a bound's place.
const rounds = 1000

// Bootstrap returns the mean of the values, one per user, with its percentile bootstrap interval:
// users are drawn with replacement. The same values and seed give the same interval.
func Bootstrap(values []float64, seed uint64) Interval {
	n := len(values)
	if n == 0 {
		return Interval{}
	}
	sum := 0.0
	for _, v := range values {
		sum += v
	}
	rng := rand.New(rand.NewPCG(seed, 0xb007))
	means := make([]float64, rounds)
	for r := range means {
		s := 0.0
		for range n {
			s += values[rng.IntN(n)]
		}
		means[r] = s / float64(n)
	}
	slices.Sort(means)
	return Interval{Mean: sum / float64(n), Low: means[rounds*25/1000], High: means[rounds*975/1000-1]}
}

// Paired returns the mean of a-b with its interval, where a[i] and b[i] belong to the same user: what
// the users have in common cancels. It panics when the lengths differ.
func Paired(a, b []float64, seed uint64) Interval {
	if len(a) != len(b) {
		panic(fmt.Sprintf("eval: %d and %d values are not paired", len(a), len(b)))
	}
	diff := make([]float64, len(a))
	for i := range a {
		diff[i] = a[i] - b[i]
	}
	return Bootstrap(diff, seed)
}

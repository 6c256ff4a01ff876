package eval

import (
	"math"
	"slices"
	"testing"
)

func near(t *testing.T, what string, got, want float64) {
	t.Helper()
	if math.Abs(got-want) > 1e-12 {
		t.Errorf("%s is %v, want %v", what, got, want)
	}
}

func TestNoveltyAndDiversity(t *testing.T) {
	near(t, "novelty", Novelty([]int32{0, 1, 2}, []float64{1, 0.5, 0.25}), 1) // 0, 1 and 2 bits
	near(t, "novelty of nothing", Novelty(nil, nil), 0)
	group := []int32{7, 7, 8}
	same := func(a, b int32) float64 {
		if group[a] == group[b] {
			return 1
		}
		return 0
	}
	near(t, "diversity", Diversity([]int32{0, 1, 2}, same), 2.0/3) // two of three pairs differ
	near(t, "diversity of one", Diversity([]int32{0}, same), 0)
}

func TestPopularitySharesAndGini(t *testing.T) {
	if got, want := PopularityShares([]float64{5, 1, 5, 0}), []float64{1, 0.5, 1, 0.25}; !slices.Equal(got, want) {
		t.Errorf("shares %v, want %v", got, want)
	}
	near(t, "mean", MeanOver([]int32{0, 2}, []float64{1, 9, 2}), 1.5)
	near(t, "mean of nothing", MeanOver(nil, nil), 0)
	near(t, "gini of equals", Gini([][]int32{{0, 1}, {2, 3}}, 4), 0)
	near(t, "gini of one", Gini([][]int32{{3}, {3}}, 4), 0.75) // 1 - 1/n
	near(t, "gini of half", Gini([][]int32{{0, 1}}, 4), 0.5)
	near(t, "gini of nothing", Gini(nil, 4), 0)
}

func TestMiscalibration(t *testing.T) {
	group := []int32{0, 0, 1, 1, -1}
	near(t, "in proportion", Miscalibration([]int32{0, 2}, []int32{1, 3, 4}, group), 0)
	// All of the list is of one of two groups: half of log2(0.5/(0.99+0.005)) and half of log2(0.5/0.005).
	near(t, "one-sided", Miscalibration([]int32{0, 2}, []int32{0, 1}, group), 0.5*math.Log2(0.5/0.995)+0.5*math.Log2(100))
	near(t, "no-history", Miscalibration([]int32{4}, []int32{0}, group), 0)
}

// A log over two actions: the logging policy takes the first with probability 0.8, it pays 0.1, the
// other pays 1; the target always takes the second. The value is 1 whatever was logged.
func TestOffPolicyKnownAnswer(t *testing.T) {
	var log []Logged
	for i := range 1000 {
		x := Logged{Reward: 0.1, Propensity: 0.8, Predicted: 0.1, Direct: 0.5}
		if i%5 == 0 {
			x = Logged{Reward: 1, Propensity: 0.2, Target: 1, Predicted: 0.5, Direct: 0.5} // the model errs by half
		}
		log = append(log, x)
	}
	if err := CheckLogged(log); err != nil {
		t.Fatal(err)
	}
	p := EstimatePolicy(log, 0, 1)
	near(t, "IPS", p.IPS.Mean, 1)
	near(t, "SNIPS", p.SNIPS.Mean, 1)
	near(t, "SNIPS low", p.SNIPS.Low, 1)
	near(t, "DR", p.DoublyRobust.Mean, 1) // 0.5 + 0.2 * 5 * (1 - 0.5)
	near(t, "DM", p.DirectMethod.Mean, 0.5)
	near(t, "effective", p.Effective, 200)
	near(t, "largest", p.Largest, 5)
	if bound := EstimatePolicy(log, 2, 1); bound.IPS.Mean >= 0.5 || math.Abs(bound.SNIPS.Mean-1) > 1e-12 {
		t.Errorf("with bound: %v %v", bound.IPS, bound.SNIPS)
	}
	for name, x := range map[string]Logged{"never-shown": {Target: 1}, "above-1": {Propensity: 0.5, Target: 1.5}, "nan": {Propensity: 1, Reward: math.NaN()}} {
		if CheckLogged([]Logged{x}) == nil {
			t.Errorf("%s was accepted", name)
		}
	}
	if CheckLogged(nil) == nil {
		t.Error("an empty log was accepted")
	}
	if got := ratio([]float64{1}, []float64{0}, 1); got != (Interval{}) {
		t.Errorf("ratio by 0: %v", got)
	}
}

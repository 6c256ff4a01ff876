package eval

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

func TestMeasureKnownAnswers(t *testing.T) {
	log2 := math.Log2
	for name, c := range map[string]struct {
		ranked, relevant []int32
		k                int
		want             Measures
	}{
		"perfect":       {[]int32{1, 2, 3}, []int32{3, 1, 2}, 3, Measures{1, 1, 1, 1, 1}},
		"nothing-found": {[]int32{1, 2, 3}, []int32{9}, 3, Measures{}},
		"second-place":  {[]int32{1, 2, 3}, []int32{2}, 3, Measures{1, 1 / log2(3), 0.5, 1, 0.5}},
		"beyond-k":      {[]int32{1, 2, 3}, []int32{3}, 2, Measures{}},
		// The ideal has min(k, relevant) = 2 hits in front; one hit stands first.
		"ideal-is-cut":  {[]int32{1, 2}, []int32{1, 7, 8, 9}, 2, Measures{0.25, 1 / (1 + 1/log2(3)), 1, 1, 0.5}},
		"short-list":    {[]int32{5}, []int32{5, 6}, 20, Measures{0.5, 1 / (1 + 1/log2(3)), 1, 1, 0.5}},
		"two-of-three":  {[]int32{4, 1, 5, 2}, []int32{1, 2, 3}, 4, Measures{2.0 / 3, (1/log2(3) + 1/log2(5)) / (1 + 1/log2(3) + 0.5), 0.5, 1, (0.5 + 0.5) / 3}},
		"no-truth":      {[]int32{1}, nil, 3, Measures{}},
		"no-places":     {[]int32{1}, []int32{1}, 0, Measures{}},
		"empty-ranking": {nil, []int32{1}, 3, Measures{}},
	} {
		got := Measure(c.ranked, c.relevant, c.k)
		for i, pair := range [][2]float64{{got.Recall, c.want.Recall}, {got.NDCG, c.want.NDCG}, {got.MRR, c.want.MRR}, {got.Hit, c.want.Hit}, {got.AP, c.want.AP}} {
			if math.Abs(pair[0]-pair[1]) > 1e-12 {
				t.Errorf("%s: measure %d is %v, want %v", name, i, pair[0], pair[1])
			}
		}
	}
}

func TestMeanAndCoverage(t *testing.T) {
	if got, want := Mean([]Measures{{1, 0.5, 1, 1, 0.5}, {0, 0, 0.5, 1, 0}}), (Measures{0.5, 0.25, 0.75, 1, 0.25}); got != want {
		t.Errorf("Mean = %v, want %v", got, want)
	}
	if got := Mean(nil); got != (Measures{}) {
		t.Errorf("Mean of nobody = %v", got)
	}
	if got := Coverage([][]int32{{1, 2}, {2, 3}, nil}, 6); got != 0.5 {
		t.Errorf("Coverage = %v", got)
	}
	if got := Coverage([][]int32{{1}}, 0); got != 0 {
		t.Errorf("Coverage of no items = %v", got)
	}
}

// The interval of a mean of independent values must have about the width that theory gives it, and
// must cover the truth about as often as it claims.
func TestBootstrapHasTheWidthAndCoverageOfTheory(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	covered := 0
	const trials, n = 200, 100
	for trial := range trials {
		values := make([]float64, n)
		for i := range values {
			values[i] = rng.NormFloat64()
		}
		b := Bootstrap(values, uint64(trial))
		if b.Low <= 0 && 0 <= b.High {
			covered++
		}
		if width := (b.High - b.Low) / 2 * math.Sqrt(n) / 1.96; width < 0.6 || width > 1.5 {
			t.Errorf("trial %d: width is %v of the theory", trial, width)
		}
		if !(b.Low <= b.Mean && b.Mean <= b.High) {
			t.Errorf("mean outside its interval: %v", b)
		}
	}
	if covered < trials*88/100 || covered > trials*99/100 {
		t.Errorf("the 95 %% interval covered the truth %d of %d times", covered, trials)
	}
}

func TestBootstrapIsDeterministic(t *testing.T) {
	values := []float64{1, 2, 3, 4, 5, 6}
	if a, b := Bootstrap(values, 7), Bootstrap(values, 7); a != b {
		t.Errorf("%v and %v", a, b)
	}
	if got := Bootstrap(nil, 1); got != (Interval{}) {
		t.Errorf("of nobody: %v", got)
	}
	if got := Bootstrap([]float64{3, 3}, 1); got != (Interval{3, 3, 3}) || got.String() != "3.0000 [3.0000, 3.0000]" {
		t.Errorf("of equals: %v", got)
	}
}

func TestPairedSeesThroughWhatUsersShare(t *testing.T) {
	rng := rand.New(rand.NewPCG(2, 1))
	a, b := make([]float64, 300), make([]float64, 300)
	for i := range a {
		shared := 100 * rng.Float64() // users differ far more than the two systems
		a[i], b[i] = shared+0.5+0.1*rng.NormFloat64(), shared
	}
	d := Paired(a, b, 1)
	if !d.Above(0.45) || d.High > 0.55 || d.Above(0.6) {
		t.Errorf("difference %v, want about 0.5", d)
	}
	defer func() {
		if recover() == nil {
			t.Error("unequal lengths were accepted")
		}
	}()
	Paired(a, b[1:], 1)
}

func TestCutAt(t *testing.T) {
	for name, c := range map[string]struct {
		times []int64
		share float64
		want  int64
	}{
		"last-fifth":     {[]int64{5, 1, 4, 2, 3}, 0.2, 5},
		"two-fifths":     {[]int64{5, 1, 4, 2, 3}, 0.4, 4},
		"ties-together":  {[]int64{1, 2, 2, 2, 3}, 0.4, 2},
		"oldest-stays":   {[]int64{1, 1, 1, 2}, 0.9, 2},
		"all-equal":      {[]int64{7, 7, 7}, 0.5, 7},
		"share-0":        {[]int64{1, 2}, 0, 3},
		"share-1":        {[]int64{1, 2}, 1, 2},
		"no-events":      {nil, 0.2, math.MaxInt64},
		"one-event":      {[]int64{4}, 0.2, 5},
		"negative-times": {[]int64{-5, -1, -3}, 0.34, -1},
	} {
		if got := CutAt(c.times, c.share); got != c.want {
			t.Errorf("%s: CutAt = %d, want %d", name, got, c.want)
		}
	}
	if got, want := Since([]int64{1, 3, 2}, 2), []bool{false, true, true}; !slices.Equal(got, want) {
		t.Errorf("Since = %v", got)
	}
}

func TestLastOfEach(t *testing.T) {
	users := []int32{1, 2, 1, 1, 3, 1, 2, 1}
	times := []int64{50, 9, 10, 20, 5, 30, 9, 40}
	for share, want := range map[float64][]bool{
		// User 1 has five events, 2 has two at one moment (the later in the slice is newer), 3 has one.
		0.4: {true, false, false, false, false, false, true, true},
		0.2: {true, false, false, false, false, false, true, false},
		0:   make([]bool, 8),
	} {
		if got := LastOfEach(users, times, share); !slices.Equal(got, want) {
			t.Errorf("share %v: %v, want %v", share, got, want)
		}
	}
}

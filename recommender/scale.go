package recommender

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/sartorhq/sartor/models"
	"github.com/sartorhq/sartor/models/index"
)

// floorBase is the least base score of a model's candidate: above 0, so that multipliers act on it
// and there is room for fillers below it.
const floorBase = 0.01

// scale turns the raw scores of a request's candidates, best first, into base scores in
// [floorBase, 1]. It keeps their order, and takes room if that has the capacity.
func scale(hits []index.Hit, how models.Scaling, room []float64) []float64 {
	out := slices.Grow(room[:0], len(hits))[:len(hits)]
	if len(hits) == 0 {
		return out
	}
	top, bottom := float64(hits[0].Score), float64(hits[len(hits)-1].Score)
	for i, h := range hits {
		out[i] = scaleOne(float64(h.Score), i, len(hits), top, bottom, how)
	}
	return out
}

// scaleOne scales one score that stands (or would stand) at index i of n. It is never outside
// [floorBase, 1] and never NaN.
func scaleOne(score float64, i, n int, top, bottom float64, how models.Scaling) float64 {
	var unit float64
	switch how {
	case models.Sigmoid:
		unit = 1 / (1 + math.Exp(-score))
	case models.Rank:
		unit = 1 - float64(i)/float64(n)
	default: // models.MinMax
		unit = 1
		if top > bottom {
			unit = (score - bottom) / (top - bottom)
		}
	}
	switch {
	case !(unit > 0): // NaN, too
		unit = 0
	case unit > 1:
		unit = 1
	}
	return floorBase + (1-floorBase)*unit
}

// percentile returns the p-th percentile (nearest rank) of the base scores, false for none.
func percentile(bases []float64, p float64) (float64, bool) {
	if len(bases) == 0 {
		return 0, false
	}
	sorted := slices.Sorted(slices.Values(bases))
	i := int(math.Ceil(p/100*float64(len(sorted)))) - 1
	return sorted[min(max(i, 0), len(sorted)-1)], true
}

// fetchScore reads Fetch.Score: fixed is the one score for all items of the source, ok is false when
// the source's own scores stand.
func fetchScore(score string, model []float64) (fixed float64, ok bool) {
	if p, isPercentile := strings.CutPrefix(score, "p"); isPercentile {
		if v, err := strconv.ParseFloat(p, 64); err == nil {
			return percentile(model, v)
		}
	}
	v, err := strconv.ParseFloat(score, 64)
	if err != nil || math.IsNaN(v) {
		return 0, false
	}
	return min(max(v, 0), 1), true
}

// inverseLengths returns one over the length of the first taste values of each vector, 0 for a zero
// vector.
func inverseLengths(dim, taste int, vectors []float32) []float32 {
	out := make([]float32, len(vectors)/dim)
	inParts(len(out), func(from, to int) {
		for i := from; i < to; i++ {
			var sum float64
			for _, v := range vectors[i*dim : i*dim+taste] {
				sum += float64(v) * float64(v)
			}
			if sum > 0 {
				out[i] = float32(min(1/math.Sqrt(sum), math.MaxFloat32))
			}
		}
	})
	return out
}

// checkModel refuses a model that would break the read path.
func checkModel(m models.Model) error {
	items := m.Items()
	if err := checkVectors(items.Dim, items.Vectors); err != nil {
		return err
	}
	if len(items.Vectors) != len(items.IDs)*items.Dim {
		return fmt.Errorf("%d values for %d items of dimension %d", len(items.Vectors), len(items.IDs), items.Dim)
	}
	if _, own := m.(rowed); own {
		return nil // a model that numbers its items has seen each once
	}
	if _, again := models.NewRows(items.IDs); again >= 0 {
		return fmt.Errorf("item %q has two vectors", items.IDs[again])
	}
	return nil
}

// checkVectors is index.Check by all processors.
func checkVectors(dim int, vectors []float32) error {
	if dim < 1 || len(vectors)%dim != 0 {
		return index.Check(dim, vectors)
	}
	var wrong atomic.Bool
	inParts(len(vectors)/dim, func(from, to int) {
		if index.Check(dim, vectors[from*dim:to*dim]) != nil {
			wrong.Store(true)
		}
	})
	if wrong.Load() {
		return index.Check(dim, vectors) // which names the first
	}
	return nil
}

func dot(a, b []float32) float32 {
	var sum float32
	for i, v := range a {
		sum += v * b[i]
	}
	return sum
}

func length(v []float32) float64 { return math.Sqrt(float64(dot(v, v))) }

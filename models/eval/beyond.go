package eval

import (
	"math"
	"slices"
)

// Novelty returns the mean over the list of -log2 of the share of users who know the item, in bits: 0 for
// what everybody has, 10 for what one in 1,024 has. known[item] is a share in (0, 1].
func Novelty(list []int32, known []float64) float64 {
	if len(list) == 0 {
		return 0
	}
	sum := 0.0
	for _, item := range list {
		sum -= math.Log2(known[item])
	}
	return sum / float64(len(list))
}

// Diversity returns the mean of 1 - like(a, b) over all pairs of the list, where like is 0 to 1 and
// symmetric; 0 for a list with less than two items.
func Diversity(list []int32, like func(a, b int32) float64) float64 {
	pairs := len(list) * (len(list) - 1) / 2
	if pairs == 0 {
		return 0
	}
	sum := 0.0
	for i, a := range list {
		for _, b := range list[:i] {
			sum += 1 - like(a, b)
		}
	}
	return sum / float64(pairs)
}

// PopularityShares returns for every item the share of the items that are at most as popular, in (0, 1]:
// 1 for the most popular one.
func PopularityShares(popularity []float64) []float64 {
	sorted := slices.Clone(popularity)
	slices.Sort(sorted)
	out := make([]float64, len(popularity))
	for i, p := range popularity {
		at, _ := slices.BinarySearch(sorted, math.Nextafter(p, math.Inf(1)))
		out[i] = float64(at) / float64(len(sorted))
	}
	return out
}

// MeanOver returns the mean of value over the list, 0 for an empty one.
func MeanOver(list []int32, value []float64) float64 {
	if len(list) == 0 {
		return 0
	}
	sum := 0.0
	for _, item := range list {
		sum += value[item]
	}
	return sum / float64(len(list))
}

// Gini returns how unequally the places of the lists are divided among the items: 0 when each item has as
// many, near 1 when one item has all.
func Gini(lists [][]int32, items int) float64 {
	counts, total := make([]float64, max(items, 1)), 0.0
	for _, list := range lists {
		for _, item := range list {
			counts[item]++
			total++
		}
	}
	if total == 0 {
		return 0
	}
	slices.Sort(counts)
	sum := 0.0
	for i, c := range counts {
		sum += float64(2*(i+1)-len(counts)-1) * c
	}
	return sum / float64(len(counts)) / total
}

// Miscalibration returns how far the groups of the list are from those of the history (Steck, Calibrated
// Recommendations, 2018): the Kullback-Leibler divergence sum p log2(p/q), where p is the history's
// share of a group and q that of the list, mixed with a hundredth of p. 0 = in the same proportions. Items
// of group -1 do not count; without history or list it is 0.
func Miscalibration(history, list []int32, group []int32) float64 {
	p, n := shares(history, group)
	q, m := shares(list, group)
	if n == 0 || m == 0 {
		return 0
	}
	const mix = 0.01
	// The order of a map must not reach the sum.
	groups := make([]int32, 0, len(p))
	for g := range p {
		groups = append(groups, g)
	}
	slices.Sort(groups)
	sum := 0.0
	for _, g := range groups {
		sum += p[g] * math.Log2(p[g]/((1-mix)*q[g]+mix*p[g]))
	}
	return sum
}

// shares returns the share of each group among the items, and how many items have one.
func shares(items []int32, group []int32) (share map[int32]float64, n int) {
	share = map[int32]float64{}
	for _, item := range items {
		if g := group[item]; g >= 0 {
			share[g]++
			n++
		}
	}
	for g := range share {
		share[g] /= float64(n)
	}
	return share, n
}

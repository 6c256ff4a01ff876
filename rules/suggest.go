package rules

import "sort"

// suggest returns the candidate that the author most likely meant: the nearest one within two
// edits, "" when none is near. Ties go to the first in alphabetical order.
func suggest(word string, candidates []string) string {
	best, bestDistance := "", 3
	sorted := append([]string(nil), candidates...)
	sort.Strings(sorted)
	for _, c := range sorted {
		d := editDistance(word, c)
		if d < bestDistance && d < len(c) && d < len(word) {
			best, bestDistance = c, d
		}
	}
	return best
}

// didYouMean is the hint made of suggest, "" when nothing is near.
func didYouMean(word string, candidates []string, prefix string) string {
	if s := suggest(word, candidates); s != "" {
		return "did you mean `" + prefix + s + "`?"
	}
	return ""
}

// editDistance is the Damerau-Levenshtein distance (optimal string alignment): insertions,
// deletions, substitutions and swaps of neighbours. Distances above two are cut off at three.
func editDistance(a, b string) int {
	if diff := len(a) - len(b); diff > 2 || diff < -2 {
		return 3
	}
	before, previous, current := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range previous {
		previous[j] = j
	}
	for i := 1; i <= len(a); i++ {
		current[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			current[j] = min(previous[j]+1, current[j-1]+1, previous[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				current[j] = min(current[j], before[j-2]+1)
			}
		}
		before, previous, current = previous, current, before
	}
	return min(previous[len(b)], 3)
}

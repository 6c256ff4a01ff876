package rules

import (
	"slices"
	"strings"
)

// Nearest returns the known name that a name was most likely meant to be, or "" when none is near: at
// most two slips of the keyboard away (one for short names), in large or small letters, in the plural
// or not. Ties go by the order of known.
func Nearest(name string, known []string) string {
	limit := 2
	if len(name) <= 3 {
		limit = 1
	}
	best, bestAt := "", limit+1
	lower := strings.ToLower(strings.Trim(name, "-_ "))
	for _, k := range known {
		if d := editDistance(lower, strings.ToLower(k), limit); d < bestAt && d < len(k) && (d < len(lower) || d == 0) {
			best, bestAt = k, d
		}
	}
	if best != "" || lower == "" {
		return best
	}
	for _, k := range known {
		if lower == k+"s" || lower+"s" == k || strings.ReplaceAll(lower, "-", "_") == k {
			return k
		}
	}
	return ""
}

// suggest is Nearest among names in no order: ties go to the first in the alphabet.
func suggest(word string, candidates []string) string {
	return Nearest(word, sortedTexts(candidates))
}

// didYouMean is the hint made of suggest, "" when nothing is near.
func didYouMean(word string, candidates []string, prefix string) string {
	if s := suggest(word, candidates); s != "" {
		return "did you mean `" + prefix + s + "`?"
	}
	return ""
}

// editDistance is the Damerau-Levenshtein distance (optimal string alignment): insertions, deletions,
// substitutions and swaps of neighbours; limit+1 when it is larger than limit.
func editDistance(a, b string, limit int) int {
	if len(a) > 64 || len(b) > 64 || len(a)-len(b) > limit || len(b)-len(a) > limit {
		return limit + 1
	}
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, before
	}
	return min(last[len(b)], limit+1)
}

func sortedTexts(in []string) []string {
	out := slices.Clone(in)
	slices.Sort(out)
	return out
}

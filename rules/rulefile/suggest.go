package rulefile

import "strings"

// Nearest returns the known name that name was most likely meant to be, or "" when none is near:
// at most two slips of the keyboard away (one for short names), ties by order in known.
func Nearest(name string, known []string) string {
	limit := 2
	if len(name) <= 3 {
		limit = 1
	}
	best, bestAt := "", limit+1
	lower := strings.ToLower(strings.Trim(name, "-_ "))
	for _, k := range known {
		d := distance(lower, strings.ToLower(k), limit)
		if d < bestAt {
			best, bestAt = k, d
		}
	}
	if best == "" && lower != "" {
		for _, k := range known {
			if lower == k+"s" || lower+"s" == k || strings.ReplaceAll(lower, "-", "_") == k {
				return k
			}
		}
	}
	return best
}

// distance is the Damerau-Levenshtein distance (optimal string alignment), or limit+1 when larger.
func distance(a, b string, limit int) int {
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

// Package spelling finds the known name that somebody meant who wrote one that is not known. It knows no
// vocabulary of its own and makes no sentences: whoever reports the mistake has both. It imports nothing of
// ours and stands in streams because that is the lowest floor, from which every package may take it.
package spelling

import (
	"strings"
	"unicode"
)

// maxLength bounds the names that are compared, in bytes: a longer one is no slip of the keyboard.
const maxLength = 64

// Nearest returns the known name that a name was most likely meant to be, or "" when none is near. Case and
// separators do not count: userId, User-ID and user_id are the same. Otherwise a name is at most two slips of
// the keyboard away (one for names of up to three letters, three for twelve and more), or is the plural or the
// singular. Ties go by the order of known, so that the same mistake is answered alike.
func Nearest(name string, known []string) string {
	given := plain(name)
	if given == "" || len(name) > maxLength {
		return ""
	}
	limit := 2
	switch {
	case len(given) <= 3:
		limit = 1
	case len(given) >= 12:
		limit = 3
	}
	best, bestAt := "", limit+1
	for _, k := range known {
		other := plain(k)
		if d := distance(given, other, limit); d < bestAt && (d == 0 || d < len(other) && d < len(given)) {
			best, bestAt = k, d
		}
	}
	if best != "" {
		return best
	}
	for _, k := range known {
		if other := plain(k); given == other+"s" || given+"s" == other {
			return k
		}
	}
	return ""
}

// plain drops case and separators.
func plain(name string) string {
	return strings.Map(func(r rune) rune {
		if strings.ContainsRune("_-. ", r) {
			return -1
		}
		return unicode.ToLower(r)
	}, name)
}

// distance is the Damerau-Levenshtein distance (optimal string alignment): insertions, deletions,
// substitutions and swaps of neighbours; limit+1 when it is larger than limit.
func distance(a, b string, limit int) int {
	if len(b) > maxLength || len(a)-len(b) > limit || len(b)-len(a) > limit {
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

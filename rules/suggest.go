package rules

import (
	"slices"

	"github.com/sartorhq/sartor/streams/spelling"
)

// suggest is the nearest among names in no order: ties go to the first in the alphabet.
func suggest(word string, candidates []string) string {
	return spelling.Nearest(word, sortedTexts(candidates))
}

// didYouMean is the hint made of suggest, "" when nothing is near.
func didYouMean(word string, candidates []string, prefix string) string {
	if s := suggest(word, candidates); s != "" {
		return "did you mean `" + prefix + s + "`?"
	}
	return ""
}

func sortedTexts(in []string) []string {
	out := slices.Clone(in)
	slices.Sort(out)
	return out
}

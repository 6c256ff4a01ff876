// Package rulestest runs the test files that rule authors write: given a user, items and candidates,
// expect an order and the rules that made it. It goes through the real compiler and the real engine,
// and knows nothing of streams, models or stores.
package rulestest

import (
	"slices"
	"time"

	"github.com/sartorhq/sartor/features"
	"github.com/sartorhq/sartor/rules"
)

// File is one test file, typed against the schema.
type File struct {
	Path    string
	RuleSet string // name of the rule set under test
	Now     time.Time
	Cases   []Case

	items   map[string]*item
	sources sources
	lists   map[string][]string // values of lists of the rule file, for this test
	lines   []string
}

// item is one item of the test's small catalogue.
type item struct {
	*features.Item
	score  float64
	scored bool // the test gave the score
	vector []float32
}

// sources are the answers of the sources that rules may ask: by name, then by the value of "by"
// ("" = everywhere), best first.
type sources map[rules.Source]map[string][]string

// Case is one situation and what is expected of it.
type Case struct {
	Name string
	Line int

	now        time.Time
	user       *features.User
	taste      []float32        // the user's vector
	shown      []features.Entry // what was shown to the user
	source     *features.Item   // that request.source_item names
	context    map[string]any
	request    rules.Request
	params     map[string]any
	candidates []string
	sources    sources
	expect     expectation
}

// expectation is what a case says about the result; nil parts are not checked.
type expectation struct {
	order       *[]string // the whole list
	top         []string  // its beginning
	contains    []string
	notContains []string
	fired       []string
	notFired    []string
	removed     []pair[string]
	score       []pair[float64]
	badges      []pair[[]string]
	strategy    *string
}

// pair is one entry of a mapping by item, in the author's order.
type pair[T any] struct {
	item string
	want T
}

// RuleIDs lists the rules that the expectations of the file name, each once, sorted.
func (f *File) RuleIDs() []string {
	seen := map[string]bool{}
	for i := range f.Cases {
		x := &f.Cases[i].expect
		for _, id := range slices.Concat(x.fired, x.notFired) {
			seen[id] = true
		}
		for _, p := range x.removed {
			seen[p.want] = true
		}
	}
	return sortedNames(seen)
}

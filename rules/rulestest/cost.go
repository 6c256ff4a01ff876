package rulestest

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/sartorhq/sartor/rules"
)

// RuleCost is what a rule adds to one request.
type RuleCost struct {
	Rule    string        `json:"rule"`
	Request time.Duration `json:"ns_per_request"`
}

// Costs measures what each rule costs, the dearest first: it plays up to limit recorded requests with
// a set of that rule alone, three times, and takes the best time less that of no rules. now is the
// clock. A rule that does not compile alone is left out.
func (r *Recordings) Costs(ctx context.Context, files []rules.File, limit int, now func() time.Time) ([]RuleCost, error) {
	requests := r.Requests[:min(limit, len(r.Requests))]
	if len(requests) == 0 {
		return nil, nil
	}
	measure := func(set *rules.Set) time.Duration {
		best := time.Duration(1<<63 - 1)
		for range 3 {
			start := now()
			for i := range requests {
				r.Play(set, &requests[i], false)
			}
			best = min(best, now().Sub(start))
		}
		return best / time.Duration(len(requests))
	}
	nothing := measure(rules.Empty())
	var out []RuleCost
	for _, f := range files {
		for _, part := range alone(f) {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			set, _ := rules.Compile([]rules.File{part.file}, r.schema, rules.Options{})
			if set != nil {
				out = append(out, RuleCost{part.id, max(0, measure(set)-nothing)})
			}
		}
	}
	slices.SortStableFunc(out, func(a, b RuleCost) int { return cmp.Compare(b.Request, a.Request) })
	return out, nil
}

// part is a rule file with one rule or table left.
type part struct {
	id   string
	file rules.File
}

// alone takes a file apart.
func alone(f rules.File) []part {
	parts := make([]part, 0, len(f.Rules)+len(f.Tables))
	for _, rule := range f.Rules {
		one := f
		one.Rules, one.Tables = []rules.Rule{rule}, nil
		parts = append(parts, part{rule.ID, one})
	}
	for _, table := range f.Tables {
		one := f
		one.Rules, one.Tables = nil, []rules.Table{table}
		parts = append(parts, part{table.ID, one})
	}
	return parts
}

package recommender

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/sartorhq/sartor/features"
	"github.com/sartorhq/sartor/recommender/decision"
	"github.com/sartorhq/sartor/rules"
	"github.com/sartorhq/sartor/streams/spelling"
)

// compiledFilter is the outcome of compiling a request's filter, good or bad.
type compiledFilter struct {
	condition *rules.Condition
	problems  []Problem
}

// check validates a request and compiles what it holds. It reports all problems at once.
func (r *Recommender) check(q Request) (*checked, error) {
	var p problems
	q.shape(&p)
	for i := range p {
		if p[i].Field == "scenario" {
			p[i].Message += meant(q.Scenario, r.current.Load().scenarios())
		}
	}
	c := &checked{Request: q, now: r.opts.Now().UTC().Truncate(time.Millisecond)}
	c.subject = decision.Subject(q.UserID, q.AnonymousID)
	q.facts(&p)
	values, wrong := r.schema.Context(q.Context)
	c.context = values
	for _, w := range wrong {
		p.add(contextField(w.Field), "%s", w.Message)
	}
	c.turn(&p)
	r.checkFields(q.Fields, &p)
	if q.Filter != "" && len(q.Filter) <= MaxFilterBytes {
		f := r.compile(q.Filter)
		c.filter = f.condition
		p = append(p, f.problems...)
	}
	if len(p) > 0 {
		return nil, &InvalidError{Problems: p}
	}
	if len(q.Exclude) > 0 {
		c.exclude = make(map[string]bool, len(q.Exclude))
		for _, id := range q.Exclude {
			c.exclude[id] = true
		}
	}
	return c, nil
}

// MaxCountryBytes bounds the country of a visit, as that of an event: answers leave events.
const MaxCountryBytes = 64

// facts checks the sizes of the texts of the context; the schema judges the rest.
func (q *Request) facts(p *problems) {
	for _, name := range slices.Sorted(maps.Keys(q.Context)) {
		text, ok := q.Context[name].(string)
		most := MaxTextBytes
		if name == "country" {
			most = MaxCountryBytes
		}
		switch {
		case !ok:
		case len(text) > most:
			p.add(contextField("context."+name), "longer than %d bytes", most)
		case hasControl(text):
			p.add(contextField("context."+name), "contains a control character")
		}
	}
}

// CheckDocument returns what is wrong with the document of an item or user that somebody wants to store: values that would count as
// unknown.
func (r *Recommender) CheckDocument(k features.EntityKind, document map[string]any) []features.Problem {
	return r.schema.CheckDocument(k, document)
}

// checkFields refuses item fields that the schema does not know.
func (r *Recommender) checkFields(names []string, p *problems) {
	if len(names) > MaxFields {
		p.add("include_fields", "more than %d names", MaxFields)
		return
	}
	for i, name := range names {
		if !r.itemFields[name] {
			p.add(fmt.Sprintf("include_fields[%d]", i), "is not an item field of the schema%s", meant(name, r.fieldNames))
		}
	}
}

// itemFields are the names of the schema's item fields, as a set and in its order.
func itemFields(schema *features.Schema) (set map[string]bool, names []string) {
	set = make(map[string]bool)
	for _, f := range schema.ItemFields() {
		set[f.Name] = true
		names = append(names, f.Name)
	}
	return set, names
}

// meant says which known name may have been meant, "" for none.
func meant(name string, known []string) string {
	if near := spelling.Nearest(name, known); near != "" {
		return "; did you mean " + near + "?"
	}
	return ""
}

// scenarios are those that rules, sources or a model of their own are for, in the order of their names.
func (s *snapshot) scenarios() []string {
	names := s.rules.Scenarios()
	for name := range s.blends {
		names = append(names, name)
	}
	for name := range s.special {
		names = append(names, name)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func contextField(name string) string {
	if strings.HasPrefix(name, "context") {
		return name
	}
	return "context." + name
}

// compile returns the compiled filter, from the cache when it was seen before. Broken filters are
// remembered too, so that repeating one costs nothing.
func (r *Recommender) compile(src string) *compiledFilter {
	if f, ok := r.filters.get(src); ok {
		return f
	}
	cond, wrong := rules.CompileFilter(src, r.schema)
	f := &compiledFilter{condition: cond}
	for _, w := range wrong {
		if w.Severity == rules.SeverityWarning {
			continue
		}
		f.problems = append(f.problems, Problem{Field: "filter", Message: filterMessage(w)})
	}
	if cond == nil && len(f.problems) == 0 {
		f.problems = []Problem{{Field: "filter", Message: "is not a condition"}}
	}
	r.filters.put(src, f)
	return f
}

func filterMessage(p rules.Problem) string {
	msg := p.Message
	if p.Hint != "" {
		msg += "; " + p.Hint
	}
	return msg
}

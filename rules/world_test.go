package rules

import (
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sartorhq/sartor/features"
)

// schema is the shop's default schema, parsed once.
var schema = sync.OnceValue(features.Default)

// visitor2 is a user of whom nothing is known but the id.
func visitor2(id string) *features.User { return &features.User{ID: id} }

// The tests' own words for rule files, so that a table reads like one.

var friday = time.Date(2026, 10, 23, 17, 0, 0, 0, time.UTC) // 19:00 in Berlin

func text(s string) Expr { return Expr{Text: s} }

func set(fields ...string) []ActionField {
	var out []ActionField
	for i := 0; i+1 < len(fields); i += 2 {
		f := ActionField{Name: fields[i], Value: text(fields[i+1])}
		if list, ok := strings.CutPrefix(fields[i+1], "["); ok {
			f.Value = Expr{}
			for _, e := range strings.Split(strings.TrimSuffix(list, "]"), ",") {
				f.List = append(f.List, text(strings.TrimSpace(e)))
			}
		}
		out = append(out, f)
	}
	return out
}

func act(name string, fields ...string) Action { return Action{Name: name, Fields: set(fields...)} }

type ruleOption func(*Rule)

func when(s string) ruleOption    { return func(r *Rule) { r.When = text(s) } }
func match(s string) ruleOption   { return func(r *Rule) { r.Match = text(s) } }
func priority(n int) ruleOption   { return func(r *Rule) { r.Priority = n } }
func group(s string) ruleOption   { return func(r *Rule) { r.Group = s } }
func hard() ruleOption            { return func(r *Rule) { r.Hard = true } }
func stop() ruleOption            { return func(r *Rule) { r.Stop = true } }
func then(a ...Action) ruleOption { return func(r *Rule) { r.Then = append(r.Then, a...) } }

func mk(id string, options ...ruleOption) Rule {
	r := Rule{ID: id}
	for _, o := range options {
		o(&r)
	}
	return r
}

func rulesOf(rules ...Rule) File {
	return File{Path: "home.yaml", Name: "home", Owner: "a@example.com", Description: "test", Rules: rules}
}

// compiled is a set without errors; warnings are ignored.
func compiled(t testing.TB, files ...File) *Set {
	t.Helper()
	s, problems := Compile(files, schema(), Options{})
	if s == nil {
		t.Fatalf("Compile: %+v", problems)
	}
	return s
}

// thing makes a candidate from the schema's defaults and what differs from them.
func thing(id string, base float64, values map[string]any) Candidate {
	env := map[string]any{}
	known := map[string]bool{}
	for _, f := range schema().ItemFields() {
		env[f.Name] = f.Default
	}
	for k, v := range values {
		env[k], known[k] = v, true
	}
	env["id"] = id
	return Candidate{Item: &features.Item{ID: id, Env: env, Known: known}, Base: base, Sources: []Source{SourceModel}}
}

func from(c Candidate, sources ...Source) Candidate {
	c.Sources = sources
	return c
}

func visitor(values map[string]any) *features.User {
	env := map[string]any{}
	known := map[string]bool{}
	for _, f := range schema().UserFields() {
		env[f.Name] = f.Default
	}
	for k, v := range values {
		env[k], known[k] = v, true
	}
	id, _ := values["id"].(string)
	if id == "" {
		id = "u1"
	}
	env["id"] = id
	return &features.User{ID: id, Seen: true, Env: env, Known: known, Now: friday}
}

func at(user map[string]any, context map[string]any) *Env {
	full := map[string]any{}
	for _, f := range schema().ContextFields() {
		full[f.Name] = f.Default
	}
	for k, v := range context {
		full[k] = v
	}
	return &Env{Now: friday, User: visitor(user), Context: full, Request: Request{Scenario: "home", Count: 10}}
}

// ranked numbers candidates by base score, as the recommender does.
func rank(cs ...Candidate) []Candidate {
	for i := range cs {
		cs[i].Rank = 1
		for j := range cs {
			if cs[j].Base > cs[i].Base || cs[j].Base == cs[i].Base && cs[j].Item.ID < cs[i].Item.ID {
				cs[i].Rank++
			}
		}
	}
	return cs
}

func ids(r Result) string {
	var out []string
	for _, it := range r.Items {
		out = append(out, it.Item.ID)
	}
	return strings.Join(out, " ")
}

func firedIDs(fired []Fired) string {
	var out []string
	for _, f := range fired {
		if len(out) == 0 || out[len(out)-1] != f.Rule {
			out = append(out, f.Rule)
		}
	}
	return strings.Join(out, " ")
}

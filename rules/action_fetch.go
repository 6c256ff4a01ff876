package rules

import (
	"fmt"
	"strings"
)

// localStrategies can always be answered from memory; they may end a list of fill strategies.
var localStrategies = map[Source]bool{SourcePopular: true, SourceNew: true}

// source checks the name of a source or strategy.
func (r *actionReader) source(field, name string) Source {
	known := []string{string(SourceHot), string(SourceTrending), string(SourceNew), string(SourcePopular), string(SourceSimilar)}
	if listName, ok := strings.CutPrefix(name, "list:"); ok {
		listName = strings.TrimSpace(listName)
		if l := r.typer.lists[listName]; l != nil {
			l.used = true
			return Source("list:" + listName)
		}
		r.errorAt(field, CodeUnknownName, "unknown list `"+listName+"`", didYouMean(listName, keysOf(r.typer.lists), "list:"))
		return ""
	}
	for _, k := range known {
		if k == name {
			return Source(name)
		}
	}
	hint := didYouMean(name, known, "")
	if hint == "" {
		hint = "use hot, trending, new, popular, similar or list:NAME"
	}
	r.errorAt(field, CodeUnknownName, "unknown source `"+name+"`", hint)
	return ""
}

// window checks that the feature store keeps sales or views of the window.
func (r *actionReader) window() string {
	w, ok := r.text("window")
	if !ok {
		return ""
	}
	var known []string
	for _, name := range r.typer.symbols.names("item") {
		for _, prefix := range []string{"sales_", "views_"} {
			if kept, ok := strings.CutPrefix(name, prefix); ok && kept != "total" {
				if kept == w {
					return w
				}
				known = append(known, kept)
			}
		}
	}
	r.errorAt("window", CodeUnknownName, "no window `"+w+"` is kept", "use one of "+strings.Join(unique(known), ", "))
	return ""
}

// contextField reads "context.country" or "country".
func (r *actionReader) contextField() string {
	e, ok := r.expr("by")
	if !ok {
		return ""
	}
	name := strings.TrimPrefix(strings.TrimSpace(e.Text), "context.")
	f, known := r.typer.symbols.field("context", name)
	if !known {
		r.error(e.Pos, CodeUnknownField, "unknown field `context."+name+"`", didYouMean(name, r.typer.symbols.names("context"), "context."))
		return ""
	}
	if kindOf(f.Type) != kindText {
		r.error(e.Pos, CodeTypeMismatch, "`context."+name+"` is "+kindOf(f.Type).plain()+"; `by` needs text", "for instance `by: context.country`")
		return ""
	}
	return name
}

func (r *actionReader) inject(a *action) {
	f := Fetch{Window: r.window(), By: r.contextField(), Count: r.int("count", 10, 1, 1000), Rule: r.rule.ID}
	if name, ok := r.text("source"); ok {
		f.Source = r.source("source", name)
	} else {
		r.missing("source")
	}
	f.Score = r.score()
	if e, ok := r.expr("match"); ok {
		f.Match = r.condition(e)
	}
	a.byField, a.fetches = f.By, []Fetch{f}
}

func (r *actionReader) score() string {
	text, ok := r.text("score")
	if !ok || text == "source" {
		return ""
	}
	if p, ok := strings.CutPrefix(text, "p"); ok {
		if v, ok := parseNumber(p); ok && v >= 0 && v <= 100 {
			return text
		}
	}
	if v, ok := parseNumber(text); ok && v >= 0 && v <= 1 {
		return text
	}
	r.errorAt("score", CodeOutOfBounds, "`score: "+text+"` is not a score", "write `source`, a number from 0 to 1, or a percentile such as p90")
	return ""
}

func (r *actionReader) replace(a *action) {
	f := Fetch{Window: r.window(), By: r.contextField(), Rule: r.rule.ID}
	if name, ok := r.text("strategy"); ok {
		f.Source = r.source("strategy", name)
	} else {
		r.missing("strategy")
	}
	a.byField, a.fetches, a.keep = f.By, []Fetch{f}, r.share("keep_model")
}

func (r *actionReader) fill(a *action) {
	names := r.texts("strategy")
	if len(names) == 0 {
		r.missing("strategy")
		return
	}
	a.byField = r.contextField()
	window := r.window()
	for _, name := range names {
		a.fetches = append(a.fetches, Fetch{Source: r.source("strategy", name), Window: window, By: a.byField, Rule: r.rule.ID})
	}
	last := &a.fetches[len(a.fetches)-1]
	if last.Source != "" && !localStrategies[last.Source] {
		r.errorAt("strategy", CodeActionField, fmt.Sprintf("the last strategy, `%s`, can come up empty", last.Source), "end the list with `popular` or `new`")
	}
	last.By, last.Window = "", ""
}

func (r *actionReader) model(a *action) {
	name, ok := r.text("name")
	version, hasVersion := r.text("version")
	if !ok && !hasVersion {
		r.missing("name")
	}
	a.model = name
	if hasVersion {
		a.model = strings.TrimPrefix(name+"@"+version, "@")
	}
}

// condition compiles a fetch's own condition, which has its own frame.
func (r *actionReader) condition(e Expr) *Condition {
	t := *r.typer
	t.layout, t.place = newLayout(), placeFilter
	c, faults := compileCondition(&t, e.Text)
	r.faults(e, faults)
	return c
}

func unique(in []string) []string {
	seen := map[string]bool{}
	for _, s := range in {
		seen[s] = true
	}
	return keysOf(seen)
}

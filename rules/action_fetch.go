package rules

import (
	"fmt"
	"strings"
)

// localStrategies can always be answered from memory; they may end a list of fill strategies.
var localStrategies = map[Source]bool{SourcePopular: true, SourceNew: true}

// source checks the name of a source or strategy.
func (r *actionReader) source(field, name string) Source {
	known := []string{string(SourceHot), string(SourceTrending), string(SourceNew), string(SourcePopular), string(SourceSimilar), string(SourceBought)}
	if r.in.Name == "inject" {
		known = append(known, string(SourceSegment))
	}
	if listName, ok := strings.CutPrefix(name, "list:"); ok {
		listName = strings.TrimSpace(listName)
		if l := r.typer.lists[listName]; l != nil {
			l.used = true
			return Source("list:" + listName)
		}
		r.errorAt(field, CodeUnknownName, "unknown list `"+listName+"`", didYouMean(listName, keysOf(r.typer.lists), "list:"))
		return ""
	}
	if contains(known, name) {
		if Source(name) == SourceBought {
			r.boughtWith(field)
		}
		return Source(name)
	}
	hint := didYouMean(name, known, "")
	if other := sourceSynonyms[strings.NewReplacer(" ", "-", "_", "-").Replace(strings.ToLower(name))]; hint == "" && contains(known, other) {
		hint = "write `" + other + "`"
	}
	if hint == "" {
		hint = "use " + strings.Join(known, ", ") + " or list:NAME"
	}
	if name == string(SourceSegment) {
		hint = "only `inject` cuts a segment out of the catalogue"
	}
	r.errorAt(field, CodeUnknownName, "unknown source `"+name+"`", hint)
	return ""
}

// boughtWith checks that the schema keeps what is bought together, and notes that the set reads it.
func (r *actionReader) boughtWith(field string) {
	f, ok := r.typer.symbols.field("item", BoughtWith)
	if !ok || kindOf(f.Type) != kindTextList {
		r.errorAt(field, CodeUnknownName, "the schema keeps no item field `"+BoughtWith+"`, which `co-bought` reads",
			"add it to the feature schema: `"+BoughtWith+": {type: \"[]text\", max: 20, default: [], together: {events: [order], half_life: 30d, remember: 100}}`")
		return
	}
	r.typer.layout.place(r.typer.symbols.variable("item", f))
}

// listed is what a source that names a list holds, in its author's order; nil for any other source.
func (r *actionReader) listed(s Source) []string {
	name, ok := strings.CutPrefix(string(s), "list:")
	if l := r.typer.lists[name]; ok && l != nil {
		return l.values
	}
	return nil
}

// sourceSynonyms are the words that people try first.
var sourceSynonyms = map[string]string{"bestseller": "hot", "bestsellers": "hot", "best-sellers": "hot", "top": "hot", "top-sellers": "hot", "newest": "new", "latest": "new",
	"new-arrivals": "new", "rising": "trending", "related": "similar", "alike": "similar", "look-alike": "similar", "bought-together": "co-bought", "cobought": "co-bought",
	"together": "co-bought", "also-bought": "co-bought", "catalog": "segment", "catalogue": "segment", "bought_with": "co-bought"}

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
		f.Items = r.listed(f.Source)
	} else {
		r.missing("source")
	}
	f.Score = r.score()
	if f.Source == SourceSegment {
		r.segment(&f)
	} else {
		if e, ok := r.expr("match"); ok {
			f.Match = r.condition(e)
		}
		if r.has("order_by") && f.Source != "" {
			r.errorAt("order_by", CodeMisplaced, "`"+string(f.Source)+"` has an order of its own", "`order_by` goes with `source: segment`")
		}
	}
	a.byField, a.fetches = f.By, []Fetch{f}
}

// segment reads the part of the catalogue that a condition cuts out. What looks at nothing but the item
// is kept with the catalogue; the rest of a condition is asked in each request.
func (r *actionReader) segment(f *Fetch) {
	f.Seek = &Seek{Rule: r.rule.ID, Count: f.Count, Ordered: true}
	for _, name := range []string{"window", "by"} {
		if r.has(name) {
			r.errorAt(name, CodeMisplaced, "`"+name+"` has no meaning for a segment", "order it by a field, such as `order_by: item.sales_24h desc`")
		}
	}
	place := r.typer.place
	r.typer.place = placeFilter
	defer func() { r.typer.place = place }()
	if e, ok := r.expr("match"); ok {
		if p := r.compile(e, kindBool); p != nil && p.deps == depItem {
			f.Seek.match = p
		} else if p != nil {
			f.Match = r.condition(e)
		}
	}
	e, ok := r.expr("order_by")
	if !ok {
		r.error(r.in.Pos, CodeActionField, "a segment needs an order", "say which items come first: `order_by: item.sales_7d desc`")
		return
	}
	if f.Seek.order, f.Seek.ascend = r.order(e); f.Seek.order != nil && f.Seek.order.deps&^depItem != 0 {
		r.errorAt("order_by", CodeTypeMismatch, "the order of a segment may look at the item only", "for instance `order_by: item.margin desc`")
	}
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
		f.Items = r.listed(f.Source)
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
		f := Fetch{Source: r.source("strategy", name), Window: window, By: a.byField, Rule: r.rule.ID}
		f.Items = r.listed(f.Source)
		a.fetches = append(a.fetches, f)
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

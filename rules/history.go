package rules

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/expr-lang/expr/ast"

	"github.com/sartorhq/sartor/features"
)

// historyVar is the name that expressions know the user's history by; no author can write it.
const historyVar = "the history"

// history answers what the user did to an item, and how often.
type history struct {
	env   *Env
	asked int
	at    map[deed][]int64 // Unix milliseconds; made when asked more than once
}

type deed struct{ event, item string }

func newHistory(env *Env) any {
	return &history{env: env}
}

// each calls do for all that is known to have happened.
func (h *history) each(do func(e *features.Entry)) {
	if h.env.User != nil {
		for i := range h.env.User.History {
			do(&h.env.User.History[i])
		}
	}
	for i := range h.env.Shown {
		do(&h.env.Shown[i])
	}
}

func (h *history) index() {
	h.at = map[deed][]int64{}
	h.each(func(e *features.Entry) {
		d := deed{string(e.Type), e.ItemID}
		h.at[d] = append(h.at[d], e.Time)
	})
}

// times counts how often the user did it within a span up to now.
func (h *history) times(event, item string, within time.Duration, now time.Time) int {
	n, since := 0, now.Add(-within).UnixMilli()
	if h.asked++; h.asked == 1 { // a filter asks once
		h.each(func(e *features.Entry) {
			if e.ItemID == item && string(e.Type) == event && e.Time >= since {
				n++
			}
		})
		return n
	}
	if h.at == nil {
		h.index()
	}
	for _, at := range h.at[deed{event, item}] {
		if at >= since {
			n++
		}
	}
	return n
}

// deeds are the events that did() and times() can ask for.
var deeds = []string{"view", "click", "cart-add", "cart-remove", "wishlist", "rating", "order", "return", "exposure"}

// Deeds lists the events that did(), times() and fatigue() can ask for.
func Deeds() []string { return slices.Clone(deeds) }

// DeedHint says which event somebody may have meant.
func DeedHint(event string) string {
	meant := suggest(event, deeds)
	if meant == "" {
		meant = map[string]string{"buy": "order", "bought": "order", "purchase": "order", "purchased": "order", "shown": "exposure", "seen": "exposure", "impression": "exposure",
			"show": "exposure", "looked": "view", "visit": "view", "cart": "cart-add", "basket": "cart-add", "add-to-cart": "cart-add", "like": "wishlist", "favorite": "wishlist", "rate": "rating"}[strings.ToLower(event)]
	}
	if meant != "" {
		return "did you mean `" + meant + "`?"
	}
	return "use one of " + strings.Join(deeds, ", ")
}

// inHistory types did(event, span), times(event, span) and fatigue(event, factor, half-life), which look
// at the user and the item behind the scenes.
func (t *typer) inHistory(n *ast.CallNode, name string, args []*node) *node {
	usage := "for instance `" + helpers[name].usage + "`"
	if !args[0].constant() {
		return t.fail(n.Arguments[0], CodeTypeMismatch, "`"+name+"` needs a fixed event here", usage)
	}
	if event := args[0].value.(string); !slices.Contains(deeds, event) {
		return t.fail(n.Arguments[0], CodeUnknownName, fmt.Sprintf("there is no event `%s`", event), DeedHint(event))
	}
	if t.place == placeWhen {
		return t.misplaced(n, name+"(...)")
	}
	id, _ := t.symbols.field("item", "id")
	history := variable{name: historyVar, kind: kindHistory, deps: depUser, request: newHistory}
	parts := []*node{args[0], args[len(args)-1], t.variable(n, nowVariable), t.variable(n, t.symbols.variable("item", id)), t.variable(n, history)}
	if name == "fatigue" {
		if f := args[1]; !f.constant() || !(number(f.value) > 0 && number(f.value) <= 1) {
			return t.fail(n.Arguments[1], CodeOutOfBounds, "`fatigue` multiplies by a fixed number above 0 and at most 1 for each time; `"+f.text+"` is not one", usage)
		}
		if d := args[2]; !d.constant() || d.value.(time.Duration) <= 0 {
			return t.fail(n.Arguments[2], CodeOutOfBounds, "`fatigue` needs a fixed time span after which half is forgotten; `"+d.text+"` is not one", usage)
		}
		parts = append(parts, args[1])
	}
	out := branch(n, name, helpers[name].result, parts...)
	out.cost += 5
	return out
}

// times is the closure of did and times.
func (n *node) times() intFn {
	event, within, now, id, h := n.kids[0].value.(string), n.kids[1].duration(), n.kids[2].time(), n.kids[3].string(), read[*history](n.kids[4])
	return func(f *frame) int { return h(f).times(event, id(f), within(f), now(f)) }
}

// minFatigue is the least that fatigue multiplies by: enough to bring an item to the end, and never so
// little that a bury refuses it.
const minFatigue = minProduct

// fatigue is factor for each time that it happened, a time long ago counting less: half after each
// half-life. What happened just now twice, with a factor of 0.8, gives 0.64.
func (h *history) fatigue(event, item string, factor float64, halfLife time.Duration, now time.Time) float64 {
	sum, at := 0.0, now.UnixMilli()
	if h.at == nil {
		h.index()
	}
	for _, ms := range h.at[deed{event, item}] {
		sum += math.Exp2(-float64(max(0, at-ms)) / float64(halfLife/time.Millisecond))
	}
	return max(minFatigue, math.Pow(factor, sum))
}

// fatigue is the closure of fatigue.
func (n *node) fatigue() numFn {
	event, halfLife, now, id, h, factor := n.kids[0].value.(string), n.kids[1].duration(), n.kids[2].time(), n.kids[3].string(), read[*history](n.kids[4]), n.kids[5].number()
	return func(f *frame) float64 { return h(f).fatigue(event, id(f), factor(f), halfLife(f), now(f)) }
}

// machineFatigue is fatigue as the machine calls it.
func machineFatigue(a []any) float64 {
	return a[0].(*history).fatigue(a[1].(string), a[4].(string), machineNumber(a[5]), a[2].(time.Duration), a[3].(time.Time))
}

// machineTimes is times as the machine calls it.
func machineTimes(a []any) int {
	return a[0].(*history).times(a[1].(string), a[4].(string), a[2].(time.Duration), a[3].(time.Time))
}

// sourceField tells whether a path is request.source_item.FIELD.
func sourceField(n *ast.MemberNode) (*ast.StringNode, bool) {
	inner, ok := n.Node.(*ast.MemberNode)
	if !ok {
		return nil, false
	}
	root, isRoot := inner.Node.(*ast.IdentifierNode)
	source, isName := inner.Property.(*ast.StringNode)
	field, constName := n.Property.(*ast.StringNode)
	return field, isRoot && isName && constName && root.Value == "request" && source.Value == "source_item"
}

// sourceField types a field of the item that the request is about; without one it has its default.
func (t *typer) sourceField(n *ast.MemberNode, field *ast.StringNode) *node {
	f, ok := t.symbols.field("item", field.Value)
	if !ok {
		return t.fail(field, CodeUnknownField, "unknown field `"+sourceItem+"."+field.Value+"`", didYouMean(field.Value, t.symbols.names("item"), sourceItem+"."))
	}
	v := t.symbols.variable("item", f)
	read, def := v.item, v.kind.coerce(f.Default, v.kind.zero())
	v.name, v.deps, v.item = sourceItem+"."+field.Value, depRequest, nil
	v.request = func(env *Env) any {
		if env.Source == nil {
			return def
		}
		return read(env.Source)
	}
	out := t.variable(n, v)
	if out.max = f.Max; out.max <= 0 {
		out.max = 50
	}
	return out
}

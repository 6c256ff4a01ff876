package rules

import (
	"fmt"
	"maps"
	"sort"
	"strconv"
	"strings"
	"time"
)

// why shows the values that made a rule match: "item.sales_7d 4000, item.brand acme".
func (r *run) why(ru *rule, c *cand) string {
	if ru.match == nil {
		return "applies to every item"
	}
	parts := make([]string, 0, 3)
	for _, n := range ru.match.reads {
		if len(parts) == 3 {
			break
		}
		parts = append(parts, n.text+" "+plainValue(c.value(n.ref)))
	}
	return strings.Join(parts, ", ")
}

// value is what an expression reads of the candidate.
func (c *cand) value(r ref) any {
	switch r.at {
	case atScore:
		return c.Base
	case atRank:
		return c.Rank
	case atSimilarity:
		return c.similarity
	}
	return c.values()[r.at]
}

// plainValue prints a value as an author would write it.
func plainValue(v any) string {
	switch x := v.(type) {
	case string:
		if x == "" {
			return "(empty)"
		}
		return x
	case float64:
		return strconv.FormatFloat(x, 'g', 6, 64)
	case time.Time:
		return x.UTC().Format("2006-01-02")
	case []string:
		if len(x) > 5 {
			return strings.Join(x[:5], " ") + " ..."
		}
		return strings.Join(x, " ")
	}
	return fmt.Sprint(v)
}

// annotate adds badges, notes and the rules that brought each item where it is. It changes no order.
func (r *run) annotate(items []Ranked) {
	for k := range items {
		items[k].Reasons = r.reasons(r.listed[k])
	}
	for i, ru := range r.state.active {
		for k := range ru.actions {
			if a := &ru.actions[k]; a.stage == stageAnnotate {
				r.label(i, ru, a, items)
			}
		}
	}
}

func (r *run) label(i int, ru *rule, a *action, items []Ranked) {
	hits, _ := r.matched(i) // no deadline in this stage
	labelled := 0
	for k := range items {
		j := r.listed[k]
		c := &r.cands[j]
		if !hits[j] || !r.marks[j].in(stageAnnotate) {
			continue
		}
		labelled++
		r.stopStage(j, ru, stageAnnotate)
		if a.name == "badge" {
			items[k].Badges = append(items[k].Badges, firstOf(a.text, a.key))
		} else {
			if items[k].Notes == nil {
				items[k].Notes = map[string]string{}
			}
			if key := firstOf(a.key, ru.id); items[k].Notes[key] == "" { // the first rule wins
				items[k].Notes[key] = firstOf(a.text, a.key)
			}
		}
		if r.explain {
			c.effects = append(c.effects, Effect{Rule: ru.id, Action: a.name, Detail: firstOf(a.text, a.key)})
		}
	}
	r.fire(ru, a, labelled, "")
}

func firstOf(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// reasons lists the rules that gave an item its place, by rank.
func (r *run) reasons(j int) []string {
	var out []string
	c := &r.cands[j]
	for i, ru := range r.state.active {
		if r.gave(i, j, ru, c) {
			out = append(out, ru.id)
		}
	}
	return out
}

// gave tells whether a rule pinned, brought or weighed an item.
func (r *run) gave(i, j int, ru *rule, c *cand) bool {
	if c.pinRule == ru.id {
		return true
	}
	for k := range ru.actions {
		a := &ru.actions[k]
		switch {
		case a.stage == stageScore && r.matches[i].acted != nil && r.matches[i].acted[j]:
			return true
		case a.name == "inject" && hasSource(c.Sources, a.fetches[0].Source) && r.injected(ru.id):
			return true
		case a.name == "replace" && r.state.replacedBy == ru.id && hasSource(c.Sources, r.state.strategy):
			return true
		}
	}
	return false
}

func (r *run) injected(id string) bool {
	for i := range r.plan.Inject {
		if r.plan.Inject[i].Rule == id {
			return true
		}
	}
	return false
}

// story tells what happened. The parts about single items are made only when explaining.
func (r *run) story(items []Ranked) Trace {
	t := Trace{Superseded: r.losers, Strategy: string(r.state.strategy), Errors: r.state.errors, Held: r.state.held}
	sort.SliceStable(r.fired, func(i, j int) bool { return r.fired[i].rule.order < r.fired[j].rule.order })
	t.Fired = append(t.Fired, r.plan.Fired...)
	for _, f := range r.fired {
		t.Fired = append(t.Fired, Fired{Rule: f.rule.id, Action: f.action.name, Items: f.items, Detail: f.detail})
	}
	for _, e := range r.errors {
		t.Errors = append(t.Errors[:len(t.Errors):len(t.Errors)], Effect{Rule: e.rule, Action: e.action, Error: e.text, Detail: fmt.Sprintf("%d items", e.items)})
	}
	if !r.explain {
		return t
	}
	t.Removed, t.Params = r.removed, maps.Clone(r.set.params)
	for j := range r.cands {
		t.Items = append(t.Items, r.itemStory(&r.cands[j]))
	}
	sort.SliceStable(t.Items, func(i, j int) bool { return t.Items[i].before(&t.Items[j]) })
	return t
}

// before orders the story of items: the list first, then the others by rank and id.
func (t *ItemTrace) before(o *ItemTrace) bool {
	switch {
	case (t.Position > 0) != (o.Position > 0):
		return t.Position > 0
	case t.Position != o.Position:
		return t.Position < o.Position
	}
	return t.Rank < o.Rank
}

func (r *run) itemStory(c *cand) ItemTrace {
	t := ItemTrace{ItemID: c.Item.ID, Sources: c.Sources, Rank: c.Rank, Base: c.Base, Score: c.score, Position: c.place, Fill: c.fill, Bottom: c.bottom, Removed: c.removed, Effects: c.effects}
	if c.pin > 0 && c.place > 0 {
		t.Effects = append(t.Effects, Effect{Rule: c.pinRule, Action: "pin", Detail: moved(c) + " by " + c.pinRule + ": " + r.why(r.activeRule(c.pinRule), c)})
	}
	return t
}

func moved(c *cand) string {
	switch {
	case c.Rank == 0:
		return fmt.Sprintf("Put at %d", c.place)
	case c.Rank == c.place:
		return fmt.Sprintf("Held at %d", c.place)
	}
	return fmt.Sprintf("Moved from %d to %d", c.Rank, c.place)
}

package recommender

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sartorhq/sartor/rules"
)

// Explanation is the story of one answer, for people.
type Explanation struct {
	// Summary says in plain sentences what was known, where candidates came from and what rules did.
	Summary []string
	Stages  []Stage
	Items   []ItemStory
	// Rules is the full trace of the rule set.
	Rules rules.Trace
	// Static counts, by rule, the items that were removed from the search itself: rules that look at
	// nothing but the item apply to the whole catalogue before candidates are chosen.
	Static map[string]int
}

// Stage is what one stage did and how long it took.
type Stage struct {
	Name   string
	Took   time.Duration
	Detail []string
}

// ItemStory says why one item is where it is.
type ItemStory struct {
	ItemID   string
	Position int // 0 = not in the list
	Story    []string
}

// trail collects what the stages say while a request is explained. A nil trail collects nothing.
type trail struct{ said [stages][]string }

func (t *trail) say(s stage, format string, args ...any) {
	t.said[s] = append(t.said[s], fmt.Sprintf(format, args...))
}

func (t *trail) user(w *work, lost string) {
	if t == nil {
		return
	}
	switch {
	case w.q.subject == "":
		t.say(stageUser, "The request names no user, so the answer depends on the context only.")
	case lost == DegradedUserUnavailable:
		t.say(stageUser, "The user's features could not be read in time; defaults were used.")
	case lost == DegradedUserCached:
		t.say(stageUser, "The user's features could not be read in time; those of the last minutes were used.")
	case !w.user.Seen:
		t.say(stageUser, "Nothing is stored about this user: all features are defaults.")
	default:
		t.say(stageUser, "%d remembered interactions and %d known features of the user were read.",
			len(w.user.History), len(w.user.Known))
	}
}

func (t *trail) plan(w *work) {
	if t == nil {
		return
	}
	for _, f := range w.plan.Fired {
		t.say(stagePlan, "Rule %s acted: %s%s.", f.Rule, f.Action, detail(f.Detail))
	}
	if w.otherModel() {
		t.say(stagePlan, "A rule asks for the model %s, which is not loaded; the current one answers.", w.plan.Model)
	}
	if known := w.s.scenarios(); w.q.Scenario != DefaultScenario && !slices.Contains(known, w.q.Scenario) {
		t.say(stagePlan, "No rule, source or model is for the scenario %s alone%s", w.q.Scenario, cmp.Or(meant(w.q.Scenario, known), "."))
	}
	if len(w.plan.Fired) == 0 {
		t.say(stagePlan, "No rule changed where candidates come from.")
	}
	for _, rule := range sortedKeys(w.gate.static.removed) {
		n := w.gate.static.removed[rule]
		switch {
		case n == 0:
		case rule == removedDeleted:
			t.say(stagePlan, "%d items are deleted and were not considered.", n)
		default:
			t.say(stagePlan, "Rule %s keeps %d items out of the search.", rule, n)
		}
	}
	if w.q.filter != nil && w.gate.mixed == nil {
		t.say(stagePlan, "The filter and the rules leave %d of %d items to search.", w.gate.bits.Count(), len(w.s.cat.rows))
	}
}

func detail(s string) string {
	if s == "" {
		return ""
	}
	return " (" + strings.TrimSuffix(s, ".") + ")"
}

func (t *trail) noVector() {
	if t != nil {
		t.say(stageCandidates, "The model has nothing to go by for this user: no interaction with an item that it knows.")
	}
}

func (t *trail) model(w *work) {
	if t != nil {
		t.say(stageCandidates, "The model offered %d candidates, the best of all %d items that may be shown.", w.modelled, w.gate.bits.Count())
	}
}

func (t *trail) source(f rules.Fetch, n int, used []string) {
	if t == nil {
		return
	}
	by := ""
	if f.Rule != "" {
		by = " for rule " + f.Rule
	}
	t.say(stageCandidates, "%d candidates%s from %s.", n, by, describe(f, used))
}

func (t *trail) filled(f rules.Fetch, n int, used []string) {
	if t != nil {
		t.say(stageRules, "The list was short: %d more candidates from %s.", n, describe(f, used))
	}
}

func (t *trail) ranked(w *work) {
	if t == nil {
		return
	}
	tr := &w.result.Trace
	if len(tr.Removed) > 0 {
		t.say(stageRules, "Rules removed %d candidates.", len(tr.Removed))
	}
	t.say(stageRules, "%d of %d candidates are in the answer.", len(w.result.Items), len(w.pool.list))
}

// explain puts the story together.
func (w *work) explain(resp *Response) *Explanation {
	out := &Explanation{Rules: w.result.Trace, Static: map[string]int{}}
	for rule, n := range w.gate.static.removed {
		if n > 0 {
			out.Static[rule] = n
		}
	}
	for s := range stages {
		out.Stages = append(out.Stages, Stage{Name: s.String(), Took: w.took[s], Detail: w.trail.said[s]})
		out.Summary = append(out.Summary, w.trail.said[s]...)
	}
	if len(resp.Degraded) > 0 {
		out.Summary = append(out.Summary, "The answer is degraded: "+strings.Join(resp.Degraded, ", ")+".")
	}
	traced := make(map[string]bool, len(w.result.Trace.Items))
	for i := range w.result.Trace.Items {
		it := &w.result.Trace.Items[i]
		traced[it.ItemID] = true
		out.Items = append(out.Items, ItemStory{ItemID: it.ItemID, Position: it.Position, Story: story(it)})
	}
	for i := range w.result.Items { // a set that traces no items still gets a line for each
		it := &w.result.Items[i]
		if !traced[it.Item.ID] {
			out.Items = append(out.Items, ItemStory{ItemID: it.Item.ID, Position: it.Position, Story: []string{
				fmt.Sprintf("Candidate %d from %s with score %.3f; place %d.", it.Rank, sourceNames(it.Sources), it.Base, it.Position)}})
		}
	}
	return out
}

// story tells what happened to one item.
func story(it *rules.ItemTrace) []string {
	out := []string{fmt.Sprintf("Candidate %d from %s with score %.3f.", it.Rank, sourceNames(it.Sources), it.Base)}
	for _, e := range it.Effects {
		out = append(out, effect(e))
	}
	switch {
	case it.Removed != "":
		out = append(out, fmt.Sprintf("Removed by %s.", it.Removed))
	case it.Position == 0:
		out = append(out, fmt.Sprintf("Score %.3f was not enough for a place.", it.Score))
	case it.Position == it.Rank:
		out = append(out, fmt.Sprintf("Place %d with score %.3f.", it.Position, it.Score))
	default:
		out = append(out, fmt.Sprintf("Moved from %d to %d, score %.3f.", it.Rank, it.Position, it.Score))
	}
	return out
}

func effect(e rules.Effect) string {
	switch {
	case e.Error != "":
		return fmt.Sprintf("Rule %s failed on this item and was skipped: %s.", e.Rule, strings.TrimSuffix(e.Error, "."))
	case e.Multiply != 0:
		return fmt.Sprintf("Rule %s: %s, score times %.3g%s.", e.Rule, e.Action, e.Multiply, detail(e.Detail))
	case e.Add != 0:
		return fmt.Sprintf("Rule %s: %s, score %+.3g%s.", e.Rule, e.Action, e.Add, detail(e.Detail))
	}
	return fmt.Sprintf("Rule %s: %s%s.", e.Rule, e.Action, detail(e.Detail))
}

func sourceNames(sources []rules.Source) string {
	names := make([]string, len(sources))
	for i, s := range sources {
		names[i] = string(s)
	}
	return strings.Join(names, " and ")
}

package rulestest

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/sartorhq/sartor/rules"
)

// Story is a trace in plain sentences.
type Story struct {
	// Request says what rules did to the whole list.
	Request []string `json:"request"`
	// Items are told in the order of the list, those that are not in it last.
	Items []ItemStory `json:"items"`
}

// ItemStory says why one item is where it is.
type ItemStory struct {
	Item     string   `json:"item"`
	Position int      `json:"position"` // 0 = not in the list
	Says     []string `json:"says"`
}

// Tell puts a trace that was made with explain into sentences. ruleIDs are the rules of the set, so
// that those which did nothing can be named.
func Tell(t *rules.Trace, ruleIDs []string) Story {
	var s Story
	say := func(format string, args ...any) { s.Request = append(s.Request, fmt.Sprintf(format, args...)) }
	if t.Strategy != "" {
		say("The model was replaced by %s.", t.Strategy)
	}
	for _, f := range t.Fired {
		on := ""
		if f.Items > 0 {
			on = " on " + things(f.Items, "item")
		}
		say("%s acted: %s%s%s.", f.Rule, f.Action, on, after(f.Detail))
	}
	for _, f := range t.Superseded {
		say("%s wanted to act (%s) and could not%s.", f.Rule, f.Action, after(f.Detail))
	}
	for _, id := range t.Held {
		say("%s was held out from this user, so that its worth can be measured.", id)
	}
	for _, e := range t.Errors {
		say("%s failed (%s) and was skipped: %s%s.", e.Rule, e.Action, e.Error, after(e.Detail))
	}
	acted := firedRules(*t)
	var silent []string
	for _, id := range ruleIDs {
		if !slices.Contains(acted, id) {
			silent = append(silent, id)
		}
	}
	if len(silent) > 0 {
		say("Nothing to do for %s.", strings.Join(silent, ", "))
	}
	for _, name := range sortedNames(t.Params) {
		say("params.%s was %v.", name, t.Params[name])
	}
	for i := range t.Items {
		s.Items = append(s.Items, tellItem(&t.Items[i]))
	}
	return s
}

func tellItem(it *rules.ItemTrace) ItemStory {
	out := ItemStory{Item: it.ItemID, Position: it.Position}
	say := func(format string, args ...any) { out.Says = append(out.Says, fmt.Sprintf(format, args...)) }
	sources := make([]string, len(it.Sources))
	for i, src := range it.Sources {
		sources[i] = string(src)
	}
	say("Number %d before rules, from %s, score %s.", it.Rank, strings.Join(sources, " and "), short(it.Base))
	for _, e := range it.Effects {
		switch {
		case e.Error != "":
			say("%s failed on it and was skipped: %s.", e.Rule, e.Error)
		case e.Action == "pin" && e.Detail != "":
			say("%s.", e.Detail)
		case e.Multiply != 0:
			say("%s: %s, score times %s%s.", e.Rule, e.Action, short(e.Multiply), after(e.Detail))
		case e.Add != 0:
			say("%s: %s, score %s%s.", e.Rule, e.Action, signed(e.Add), after(e.Detail))
		default:
			say("%s: %s%s.", e.Rule, e.Action, after(e.Detail))
		}
	}
	switch {
	case it.Removed != "":
		say("Removed by %s.", it.Removed)
	case it.Position == 0:
		say("Its score of %s was not enough for a place.", short(it.Score))
	case it.Position == it.Rank:
		say("Stays number %d with a score of %s.", it.Position, short(it.Score))
	default:
		say("Moves from %d to %d with a score of %s.", it.Rank, it.Position, short(it.Score))
	}
	return out
}

// short is a number as people write it, with at most four digits that matter.
func short(x float64) string { return strconv.FormatFloat(x, 'g', 4, 64) }

func signed(x float64) string {
	if x > 0 {
		return "plus " + short(x)
	}
	return "minus " + short(-x)
}

func after(detail string) string {
	if detail == "" {
		return ""
	}
	return ": " + strings.TrimSuffix(detail, ".")
}

func things(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

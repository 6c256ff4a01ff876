package main

import (
	"slices"
	"testing"
)

const onceADay = `apiVersion: rules/v1
kind: RuleSet
name: home
owner: test@example.com
description: A cap for this test
rules:
  - id: once-a-day
    description: Nothing twice a day
    match: did("exposure", days(1))
    then: [exclude: {reason: shown today}]
`

// TestE2EFrequencyCap lets the whole road close the loop: an answer becomes exposures in the log, ingest
// folds them into the user, and the next answers obey a cap on what was shown. Another user's are not
// touched.
func TestE2EFrequencyCap(t *testing.T) {
	w := newWorld(t, nil)
	w.rule(onceADay)
	eventually(t, "the rule to be live", func() bool {
		return w.status().Rules.OK && w.ask("", "").Versions.Rules != "" && !slices.Contains(w.ask("", "").Degraded, "no_rules")
	})

	first := w.ask("ann", "").ids()
	if len(first) != 20 {
		t.Fatalf("ann is shown %d items, want 20", len(first))
	}
	repeats := func(ids []string) bool {
		return slices.ContainsFunc(ids, func(id string) bool { return slices.Contains(first, id) })
	}
	var second []string
	eventually(t, "the shown items to be gone", func() bool { second = w.ask("ann", "").ids(); return !repeats(second) })
	if want := len(goodsKinds)*itemsOfKind - len(first); len(second) != want {
		t.Errorf("then %d items, want the %d others", len(second), want)
	}
	eventually(t, "everything to have been shown", func() bool { return len(w.ask("ann", "").ids()) == 0 })
	if bob := w.ask("bob", "").ids(); len(bob) != 20 {
		t.Errorf("bob is shown %d items, want 20: what ann saw is nothing to him", len(bob))
	}
}

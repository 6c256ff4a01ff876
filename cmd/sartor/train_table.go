package main

import (
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/sartorhq/sartor/models/eval"
)

// table prints an evaluation for people: the baseline, which is model 0 of j, and the entries.
func (t *trainer) table(h *holdout, j *judged, entries []contender, items int) {
	t.say("\nEvaluation: %s\n", t.splitText(h))
	for _, e := range entries {
		prefix := ""
		if len(entries) > 1 {
			prefix = e.name + ": "
		}
		t.say("%sTrained on %s.\n", prefix, e.report)
	}
	t.say("Judged: %s users, %s%s; %s held-out users without history are not judged.\n\n",
		thousands(int64(j.users)), t.rankedText(items), t.seenText(), thousands(int64(j.cold)))
	names := []string{"popularity"}
	for _, e := range entries {
		names = append(names, e.name)
	}
	w := tabwriter.NewWriter(t.o.Out, 0, 4, 2, ' ', 0)
	fmt.Fprintf(w, "\tRecall@%d\tNDCG@%d\tMRR@%d\tcoverage\n", j.k, j.k, j.k)
	for m, name := range names {
		fmt.Fprintf(w, "%s\t%s\t%s\t%.4f\t%.1f %%\n", name,
			eval.Bootstrap(j.values(m, recallOf), 1), eval.Bootstrap(j.values(m, ndcgOf), 1),
			eval.Mean(j.measures[m]).MRR, 100*eval.Coverage(j.lists[m], items))
	}
	for m := 1; m < len(names); m++ {
		label := "difference"
		if len(entries) > 1 {
			label = names[m] + " - popularity"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t\t\n", label, eval.Paired(j.values(m, recallOf), j.values(0, recallOf), 1),
			eval.Paired(j.values(m, ndcgOf), j.values(0, ndcgOf), 1))
	}
	best := bestOf(j)
	for m := 1; m < len(names) && len(entries) > 1; m++ {
		if m != best {
			fmt.Fprintf(w, "%s - %s\t%s\t%s\t\t\n", names[best], names[m], eval.Paired(j.values(best, recallOf), j.values(m, recallOf), 1),
				eval.Paired(j.values(best, ndcgOf), j.values(m, ndcgOf), 1))
		}
	}
	aboveBaselines(w, j, entries)
	_ = w.Flush() // as other writes to people: an error cannot be told
	t.say("95 %% intervals by bootstrap over users; the difference is paired by user.\n")
	t.remarks(j, names)
	t.say("\n")
}

// bestOf is the entry with the highest NDCG, popularity left out.
func bestOf(j *judged) int {
	best := 1
	for m := 2; m < len(j.measures); m++ {
		if eval.Mean(j.measures[m]).NDCG > eval.Mean(j.measures[best]).NDCG {
			best = m
		}
	}
	return best
}

// remarks says what the figures alone do not.
func (t *trainer) remarks(j *judged, names []string) {
	for m := 1; m < len(names); m++ {
		if n := j.fallback[m]; n > 0 {
			t.say("%s users could not be encoded by %s and got the popular items, as in serving.\n", thousands(int64(n)), names[m])
		}
		if !eval.Paired(j.values(m, ndcgOf), j.values(0, ndcgOf), 1).Above(0) {
			t.say("%s is not clearly better than popularity here.\n", names[m])
		}
	}
}

func (t *trainer) splitText(h *holdout) string {
	held := thousands(int64(h.after.Len()))
	switch t.o.Split {
	case splitTime:
		return fmt.Sprintf("the newest %.0f %% of the events, %s, from %s on, are held out.", 100*t.o.Share, held, h.moment.UTC().Format(time.RFC3339))
	case splitFile:
		if t.o.TestHalf {
			return fmt.Sprintf("the %s events of the published split are held out; every second of their users is judged, the others chose.", held)
		}
		return fmt.Sprintf("the %s events of the published split are held out.", held)
	}
	if t.o.Split == splitRandom {
		return fmt.Sprintf("one event of each user at random, %s, is held out, whatever came after it: only for comparison with old tables.", held)
	}
	if t.o.Split == splitLast {
		return fmt.Sprintf("the last event of each user, %s, is held out (other users' later events are known).", held)
	}
	return fmt.Sprintf("the newest %.0f %% of each user's events, %s, are held out (other users' later events are known).", 100*t.o.Share, held)
}

func (t *trainer) seenText() string {
	s := ", what a user already had left out"
	if t.o.KeepSeen {
		s = ", also what a user already had"
	}
	if t.o.Whole {
		s += ", whole histories (more than serving keeps)"
	}
	return s
}

package main

import (
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/sartorhq/sartor/models/eval"
	"github.com/sartorhq/sartor/models/train"
)

// table prints an evaluation for people.
func (t *trainer) table(h *holdout, j *judged, r train.Report, items int) {
	t.say("\nEvaluation: %s\n", t.splitText(h))
	t.say("Trained on %s.\n", r)
	t.say("Judged: %s users, all %s items ranked%s; %s held-out users without history are not judged.\n\n",
		thousands(int64(j.users)), thousands(int64(items)), t.seenText(), thousands(int64(j.cold)))
	w := tabwriter.NewWriter(t.o.Out, 0, 4, 2, ' ', 0)
	fmt.Fprintf(w, "\tRecall@%d\tNDCG@%d\tMRR@%d\tcoverage\n", j.k, j.k, j.k)
	for m, name := range []string{"popularity", modelKinds()[t.o.Kind].name} {
		fmt.Fprintf(w, "%s\t%s\t%s\t%.4f\t%.1f %%\n", name,
			eval.Bootstrap(j.values(m, recallOf), 1), eval.Bootstrap(j.values(m, ndcgOf), 1),
			eval.Mean(j.measures[m]).MRR, 100*eval.Coverage(j.lists[m], items))
	}
	recall := eval.Paired(j.values(1, recallOf), j.values(0, recallOf), 1)
	ndcg := eval.Paired(j.values(1, ndcgOf), j.values(0, ndcgOf), 1)
	fmt.Fprintf(w, "difference\t%s\t%s\t\t\n", recall, ndcg)
	_ = w.Flush() // as other writes to people: an error cannot be told
	t.say("95 %% intervals by bootstrap over users; the difference is paired by user.\n")
	if n := j.fallback[1]; n > 0 {
		t.say("%s users could not be encoded and got the popular items, as in serving.\n", thousands(int64(n)))
	}
	if !ndcg.Above(0) {
		t.say("The model is not clearly better than popularity here.\n")
	}
	t.say("\n")
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

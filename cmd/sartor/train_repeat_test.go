package main

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sartorhq/sartor/models"
	"github.com/sartorhq/sartor/streams"
)

// grocer is a shop whose answer is known: each day every user buys two of the three goods that he always buys,
// and one that anybody may; with again false he buys three that he never bought before.
func grocer(users, items, days int, again bool) []streams.Event {
	rng := rand.New(rand.NewPCG(3, 1))
	var out []streams.Event
	for d := range days {
		for u := range users {
			at := trainStart.Add(time.Duration(24*d)*time.Hour + time.Duration(u)*time.Second)
			goods := []int{(7*u + d%3) % items, (7*u + (d+1)%3) % items, rng.IntN(items)}
			if !again {
				goods = []int{(7*u + 3*d) % items, (7*u + 3*d + 1) % items, (7*u + 3*d + 2) % items}
			}
			e := streams.Event{ID: fmt.Sprintf("%d-%d", u, d), Type: streams.Order, UserID: fmt.Sprint("u", u), Time: at}
			for _, g := range goods {
				e.Items = append(e.Items, streams.Line{ItemID: fmt.Sprint("i", g), Quantity: 1, Price: 100})
			}
			out = append(out, e)
		}
	}
	return out
}

// TestTrainPublishesARepeatTerm: where people buy the same again the published model says so, and is judged with it
// beside the one without.
func TestTrainPublishesARepeatTerm(t *testing.T) {
	path, dir := writeEvents(t, grocer(60, 200, 10, true)), filepath.Join(t.TempDir(), "models")
	code, out, errs := runHere(t, "train", "--from-file", "ndjson:"+path, "--models", dir, "--model", "popularity", "--keep-seen", "--k", "5")
	if code != exitOK {
		t.Fatalf("exit code %d\n%s%s", code, out, errs)
	}
	for _, want := range []string{"of what was taken: weight ", "popular + repeat  ", "popular + repeat - popular  ", "Published popularity-"} {
		if !strings.Contains(out, want) {
			t.Errorf("output lacks %q:\n%s", want, out)
		}
	}
	m, err := current(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := m.(*models.Popularity).RepeatParams(); !ok {
		t.Error("the published model has no repeat term")
	}
	// His three goods stand first, of which all are bought in the last two days, with two that anybody may buy.
	if got := m.Meta().Metrics; got["recall@5"] < 0.5 || got["recall@5"] < 5*got["popularity.recall@5"] {
		t.Errorf("metrics %v", got)
	}
	code, out, _ = runHere(t, "train", "--from-file", "ndjson:"+path, "--model", "popularity", "--keep-seen", "--repeat", "off", "--eval-only")
	if code != exitOK || strings.Contains(out, "repeat") {
		t.Errorf("--repeat off: exit code %d\n%s", code, out)
	}
	code, out, _ = runHere(t, "evaluate", "--from-file", "ndjson:"+path, "--model", "popularity,popularity+repeat", "--keep-seen", "--k", "5")
	if code != exitOK || !strings.Contains(out, "| popular + repeat ") {
		t.Errorf("evaluate: exit code %d\n%s", code, out)
	}
}

// TestTrainWithoutRepeats: where nobody buys anything again there is no term, asked for or not.
func TestTrainWithoutRepeats(t *testing.T) {
	path := writeEvents(t, grocer(60, 200, 10, false))
	for _, repeat := range []string{repeatAuto, repeatOn} {
		code, out, errs := runHere(t, "train", "--from-file", "ndjson:"+path, "--model", "popularity", "--keep-seen", "--repeat", repeat, "--eval-only")
		if code != exitOK || !strings.Contains(out, "0.0 % of what the users of the newest part of the training data took was theirs before: no repeat term.") || strings.Contains(out, "+ repeat") {
			t.Errorf("--repeat %s: exit code %d\n%s%s", repeat, code, out, errs)
		}
	}
	code, out, _ := runHere(t, "train", "--from-file", "ndjson:"+writeEvents(t, grocer(60, 200, 10, true)), "--model", "popularity", "--eval-only")
	if code != exitOK || strings.Contains(out, "repeat") {
		t.Errorf("what a user had is left out of the judgement, but the term is looked for: exit code %d\n%s", code, out)
	}
}

func TestRepeatUsage(t *testing.T) {
	for _, args := range [][]string{{"train", "--repeat", "maybe", "--from-file", "ndjson:x"}, {"evaluate", "--model", "item-knn+repeat", "--from-file", "ndjson:x"},
		{"evaluate", "--model", "als+repeat+documents", "--from-file", "ndjson:x"}} {
		if code, _, errs := runHere(t, args...); code != exitUsage {
			t.Errorf("%v: exit code %d: %s", args, code, errs)
		}
	}
}

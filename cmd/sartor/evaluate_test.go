package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sartorhq/sartor/models/eval"
	"github.com/sartorhq/sartor/streams"
)

// documented puts a catalogue in front of twoTastes, by which the tastes can be told apart, and new items
// that are viewed at the end only.
func documented(users, items, views int) []streams.Event {
	upsert := func(id string, taste int, at time.Time) streams.Event {
		return streams.Event{ID: "doc-" + id, Type: streams.ItemUpsert, Time: at, Items: []streams.Line{{ItemID: id}},
			Attributes: map[string]any{"category": fmt.Sprint("taste-", taste), "tags": []any{"all", fmt.Sprint("tag-", taste)}}}
	}
	var events []streams.Event
	for i := range items {
		events = append(events, upsert(fmt.Sprint("i", i), i%2, trainStart))
	}
	events = append(events, twoTastes(users, items, views)...)
	last := trainStart
	for _, e := range events {
		if e.Time.After(last) {
			last = e.Time
		}
	}
	last = last.Add(time.Hour)
	for k := range 6 {
		id := fmt.Sprint("new", k)
		events = append(events, upsert(id, k%2, last))
		for u := range users {
			if u%2 == k%2 {
				events = append(events, streams.Event{ID: fmt.Sprint("n", k, "-", u), Type: streams.View, UserID: fmt.Sprint("u", u), Time: last.Add(time.Duration(u) * time.Second),
					Items: []streams.Line{{ItemID: id}}})
			}
		}
	}
	return events
}

func TestEvaluateWritesAReportWithTheChampion(t *testing.T) {
	path, dir := writeEvents(t, twoTastes(40, 20, 20)), t.TempDir()
	if code, out, errs := runHere(t, "train", "--model", "als", "--from-file", "ndjson:"+path, "--models", filepath.Join(dir, "models"), "--dim", "8"); code != exitOK {
		t.Fatalf("exit code %d\n%s%s", code, out, errs)
	}
	code, out, errs := runHere(t, "evaluate", "--from-file", "ndjson:"+path, "--models", filepath.Join(dir, "models"), "--model", "lae,item-knn", "--dim", "8",
		"--epochs", "6", "--k", "5", "--report", filepath.Join(dir, "report"))
	if code != exitOK {
		t.Fatalf("exit code %d\n%s%s", code, out, errs)
	}
	for _, want := range []string{"| popularity |", "| champion als-", "| LAE |", "| item-kNN |", "has seen held-out events", "LAE less champion", "heavy users"} {
		if !strings.Contains(out, want) {
			t.Errorf("output lacks %q", want)
		}
	}
	data, err := os.ReadFile(filepath.Join(dir, "report", "report.json"))
	if err != nil {
		t.Fatal(err)
	}
	var r eval.Report
	if err := json.Unmarshal(data, &r); err != nil || len(r.Models) != 4 || r.Models[2].NDCG.Mean <= r.Models[0].NDCG.Mean || r.Models[2].OverChampion == nil {
		t.Errorf("%v: %+v", err, r.Models)
	}
	if r.Models[2].Coverage <= r.Models[0].Coverage || r.Models[2].Novelty <= 0 || r.Models[2].Popular <= 0 {
		t.Errorf("beyond accuracy: %+v", r.Models[2])
	}
	for _, name := range []string{"report.md", "report.html"} {
		if text, err := os.ReadFile(filepath.Join(dir, "report", name)); err != nil || !strings.Contains(string(text), "item-kNN") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if t.Failed() {
		t.Log(out)
	}
}

func TestEvaluateColdFindsNewItemsByTheirDocuments(t *testing.T) {
	path := writeEvents(t, documented(40, 20, 20))
	dir := t.TempDir()
	code, out, errs := runHere(t, "evaluate", "--cold", "--from-file", "ndjson:"+path, "--model", "lae,lae+documents", "--dim", "8", "--epochs", "20", "--k", "3",
		"--holdout", "0.14", "--report", dir)
	if code != exitOK {
		t.Fatalf("exit code %d\n%s%s", code, out, errs)
	}
	data, err := os.ReadFile(filepath.Join(dir, "report.json"))
	if err != nil {
		t.Fatal(err)
	}
	var r eval.Report
	if err := json.Unmarshal(data, &r); err != nil {
		t.Fatal(err)
	}
	recall := map[string]float64{}
	for _, m := range r.Models {
		recall[m.Name] = m.Recall.Mean
	}
	// Six new items, three of each taste: lists of three hold all of one's own, or half by chance.
	if recall["LAE + documents"] < 0.95 || recall["content"] < 0.95 || recall["LAE"] > 0.7 || recall["popularity"] > 0.7 {
		t.Errorf("recall of new items: %v\n%s", recall, out)
	}
}

func TestEvaluateUsageErrors(t *testing.T) {
	path := writeEvents(t, twoTastes(10, 6, 6))
	for want, args := range map[string][]string{
		"--model nothing: it can be":    {"--model", "nothing"},
		"--model als+documents: it can": {"--model", "als+documents"},
		"--version needs --models":      {"--version", "als-1"},
		"no item has a document":        {"--cold", "--model", "lae"},
	} {
		code, _, errs := runHere(t, append([]string{"evaluate", "--from-file", "ndjson:" + path}, args...)...)
		if code == exitOK || !strings.Contains(errs, want) {
			t.Errorf("%v: exit code %d, %s", args, code, errs)
		}
	}
}

func TestEvaluatePolicyOnAKnownAnswer(t *testing.T) {
	var b strings.Builder
	b.WriteString("click,p,q,model,mean\n")
	for i := range 500 {
		if i%5 == 0 {
			b.WriteString("1,0.2,1,0.5,0.5\n") // the other policy always takes what pays 1
			continue
		}
		b.WriteString("0,0.8,0,0,0.5\n")
	}
	path := filepath.Join(t.TempDir(), "log.csv")
	if err := os.WriteFile(path, []byte(b.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	args := []string{"evaluate", "policy", "--log", path, "--reward", "click", "--propensity", "p", "--target", "q", "--predicted", "model", "--direct", "mean"}
	code, out, errs := runHere(t, args...)
	for _, want := range []string{"IPS", "other policy, SNIPS               1.0000 [1.0000, 1.0000]", "doubly robust", "500 exposures, effective 100, largest weight 5.0."} {
		if code != exitOK || !strings.Contains(out, want) {
			t.Errorf("exit code %d, no %q\n%s%s", code, want, out, errs)
		}
	}
	args[len(args)-1] = "nowhere"
	if code, _, errs := runHere(t, args...); code == exitOK || !strings.Contains(errs, `no column "nowhere"`) {
		t.Errorf("exit code %d, %s", code, errs)
	}
	if code, _, _ := runHere(t, "evaluate", "policy"); code != exitUsage {
		t.Errorf("without --log: exit code %d", code)
	}
}

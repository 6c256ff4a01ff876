package main

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sartorhq/sartor/features"
	"github.com/sartorhq/sartor/models"
	"github.com/sartorhq/sartor/models/registry"
	"github.com/sartorhq/sartor/streams"
)

// visitEvents are those of the wheel, with tiers of users and countries of visits.
func visitEvents() []streams.Event {
	var events []streams.Event
	for _, e := range wheelEvents() {
		if e.UserID != "" && e.ID[len(e.ID)-2:] == "-0" { // the user's first
			events = append(events, streams.Event{ID: "doc" + e.ID, Type: streams.UserUpsert, UserID: e.UserID, Time: e.Time, Attributes: map[string]any{"tier": "gold"}})
		}
		if e.UserID != "" {
			e.Country = "DE"
		}
		events = append(events, e)
	}
	return events
}

func TestTrainEncoderOnDocumentsUsersAndVisits(t *testing.T) {
	path, dir := writeEvents(t, visitEvents()), filepath.Join(t.TempDir(), "models")
	code, out, errs := runHere(t, "train", "--model", "encoder", "--from-file", "ndjson:"+path, "--models", dir, "--split", "none", "--features", "--head", "8",
		"--id-dropout", "0.2", "--keep-order", "--mask", "0.1", "--dim", "8", "--hidden", "8", "--inner", "16", "--epochs", "2")
	if code != exitOK {
		t.Fatalf("exit code %d\n%s%s", code, out, errs)
	}
	version, err := registry.New(dir).Current()
	if err != nil {
		t.Fatal(err)
	}
	m, err := registry.New(dir).Load(version)
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := m.(itemEncoder).EncodeItem(&features.Item{ID: "new", Env: map[string]any{"tags": []string{"warm"}}, Known: map[string]bool{"tags": true}}); !ok {
		t.Error("a new item has no vector")
	}
	code, out, errs = runHere(t, "train", "inspect", version, "--models", dir)
	for _, want := range []string{version + ": 20 items", "\n  head 8\n", "\n  tower 64\n", "\nencoder.1 ", "\ntower ", "\nhead ", "read of items, 64 units", "\ntags ", "read of users and visits, 8 units",
		"\nuser.tier ", "\ncontext.country ", "\nnow.pause "} {
		if code != exitOK || !strings.Contains(out, want) {
			t.Errorf("exit code %d, %q is missing in\n%s%s", code, want, out, errs)
		}
	}
	code, out, errs = runHere(t, "train", "inspect", filepath.Join(dir, version), "--json")
	var s modelSummary
	if err := json.Unmarshal([]byte(out), &s); code != exitOK || err != nil || s.Visits == nil || s.Visits.Units != 8 || s.Items.Features < 2 || s.Weights == 0 || s.Meta.Items != 20 {
		t.Errorf("exit code %d, %v, %+v\n%s", code, err, s, errs)
	}
	for _, args := range [][]string{{"train", "inspect", "nothing"}, {"train", "inspect"}} {
		if code, _, errs := runHere(t, args...); code != exitUsage {
			t.Errorf("%v: exit code %d: %s", args, code, errs)
		}
	}
}

const headScenario = `scenario: next
objective: {view: 1}
freeze: [item, input, encoder.0, encoder.1]
head: 8
again: true
rate: 0.02
epochs: 2
`

// An encoder is tuned by a head alone: nothing else moves, and what is published reads users and visits.
func TestFinetuneAddsAHead(t *testing.T) {
	path, dir := writeEvents(t, visitEvents()), filepath.Join(t.TempDir(), "models")
	base := encoderBase(t, path, dir)
	before, err := registry.New(dir).Load(base)
	if err != nil {
		t.Fatal(err)
	}
	spec := headScenario
	if before.(*models.Encoder).Params().Recall > 0 {
		spec = strings.Replace(spec, "input,", "input, recall,", 1)
	}
	code, out, errs := runHere(t, "train", "finetune", "--scenario", scenarioFile(t, spec), "--from", base, "--from-file", "ndjson:"+path, "--models", dir, "--epochs", "2", "--k", "5")
	if code != exitOK || !strings.Contains(out, "for scenario next, tuned from "+base) {
		t.Fatalf("exit code %d\n%s%s", code, out, errs)
	}
	r := registry.New(dir).Scenario("next")
	version, err := r.Current()
	if err != nil {
		t.Fatal(err)
	}
	tuned, err := r.Load(version)
	if err != nil {
		t.Fatal(err)
	}
	was, is := before.(*models.Encoder).Table(), tuned.(*models.Encoder).Table()
	if is.Head == nil || is.Head.Hidden != 8 || len(is.Head.Spec.Features) == 0 {
		t.Fatalf("no head: %+v", is.Head)
	}
	for i := range was.Item {
		if was.Item[i] != is.Item[i] {
			t.Fatal("a frozen item moved")
		}
	}
	if code, _, errs := runHere(t, "train", "finetune", "--eval-only", "--scenario", scenarioFile(t, headScenario), "--from-file", "ndjson:"+path); code != exitUsage || !strings.Contains(errs, "head: is for models of kind encoder") {
		t.Errorf("a head of an lae: exit code %d: %s", code, errs)
	}
}

func TestEvaluateEncodersByWhatTheyRead(t *testing.T) {
	path := writeEvents(t, visitEvents())
	code, out, errs := runHere(t, "evaluate", "--model", "encoder,encoder+documents,encoder+user,encoder+documents+user", "--from-file", "ndjson:"+path, "--dim", "8", "--epochs", "1", "--k", "5", "--keep-seen")
	for _, want := range []string{"| Encoder |", "| Encoder + documents |", "| Encoder + user |", "| Encoder + documents + user |"} {
		if code != exitOK || !strings.Contains(out, want) {
			t.Errorf("exit code %d, %q is missing in\n%s%s", code, want, out, errs)
		}
	}
	for _, kind := range []string{"als+user", "lae+user", "popularity+documents", "encoder+user+documents", "content+documents", "nothing"} {
		if code, _, errs := runHere(t, "evaluate", "--model", kind, "--from-file", "ndjson:"+path); code != exitUsage || !strings.Contains(errs, "--model "+kind) {
			t.Errorf("%s: exit code %d: %s", kind, code, errs)
		}
	}
}

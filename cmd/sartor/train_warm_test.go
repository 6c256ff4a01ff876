package main

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sartorhq/sartor/models"
	"github.com/sartorhq/sartor/models/registry"
	"github.com/sartorhq/sartor/streams"
)

// A daily update begins with yesterday's tables: one epoch at a low rate hardly moves them, and new items are added.
func TestWarmStartGoesOnFromTheCurrentVersion(t *testing.T) {
	dir, events := t.TempDir(), twoTastes(40, 20, 20)
	args := []string{"train", "--model", "lae", "--models", dir, "--dim", "8", "--kappa", "0.2", "--split", "none"}
	if code, out, errs := runHere(t, append(args, "--epochs", "10", "--from-file", "ndjson:"+writeEvents(t, events))...); code != exitOK {
		t.Fatalf("exit code %d\n%s%s", code, out, errs)
	}
	before, err := current(dir)
	if err != nil {
		t.Fatal(err)
	}
	fresh := events[len(events)-1]
	for u := range 5 {
		fresh.ID, fresh.UserID, fresh.Items = fmt.Sprint("fresh", u), fmt.Sprint("u", 2*u), []streams.Line{{ItemID: "fresh"}}
		events = append(events, fresh)
	}
	code, out, errs := runHere(t, append(args, "--epochs", "1", "--rate", "0.0001", "--warm", "current", "--from-file", "ndjson:"+writeEvents(t, events))...)
	if code != exitOK || !strings.Contains(out, "Beginning with "+before.Meta().Version) {
		t.Fatalf("exit code %d\n%s%s", code, out, errs)
	}
	m, err := current(dir)
	if err != nil {
		t.Fatal(err)
	}
	was, is := before.(*models.LAE).Table(), m.(*models.LAE).Table()
	rows := map[string]int{}
	for j, id := range is.IDs {
		rows[id] = j
	}
	if _, ok := rows["fresh"]; !ok || len(is.IDs) != len(was.IDs)+1 {
		t.Errorf("%d items after %d", len(is.IDs), len(was.IDs))
	}
	for j, id := range was.IDs {
		for i := range 8 {
			if d := was.Out[j*8+i] - is.Out[rows[id]*8+i]; d > 0.01 || d < -0.01 {
				t.Fatalf("%s moved by %v", id, d)
			}
		}
	}
	if code, _, errs := runHere(t, "train", "--warm", "current", "--models", dir, "--from-file", "ndjson:"+writeEvents(t, events)); code != exitUsage || !strings.Contains(errs, "--warm needs --model lae") {
		t.Errorf("exit code %d, %s", code, errs)
	}
}

// Exposures, ordered examples, rates by group, a tuned signal and a checkpoint, all in one scenario file.
func TestFinetuneWithEverythingThatAScenarioMaySay(t *testing.T) {
	events := scenarioEvents()
	for u := range 40 {
		events = append(events, streams.Event{ID: fmt.Sprint("x", u), Type: streams.Exposure, UserID: fmt.Sprint("u", u), Time: trainStart.Add(time.Hour),
			Scenario: "home", Items: []streams.Line{{ItemID: "i1", Position: 1}, {ItemID: "i2", Position: 2}}})
	}
	path, dir := writeEvents(t, events), filepath.Join(t.TempDir(), "models")
	if code, out, errs := runHere(t, "train", "--model", "lae", "--features", "--from-file", "ndjson:"+path, "--models", dir, "--dim", "8", "--epochs", "5"); code != exitOK {
		t.Fatalf("exit code %d\n%s%s", code, out, errs)
	}
	base, err := registry.New(dir).Current()
	if err != nil {
		t.Fatal(err)
	}
	spec := scenarioFile(t, "scenario: home\nobjective: {order: 8, view: 1}\norder: 0.5\nahead: 2\nagain: true\nexposures: 5\nrates: {items.in: 0.1, tower: 0.5}\nfreeze: [items.out]\ntune_signal: true\nrate: 0.01\nepochs: 4\npatience: 2\n")
	code, out, errs := runHere(t, "train", "finetune", "--features", "--scenario", spec, "--from", base, "--from-file", "ndjson:"+path, "--models", dir, "--epochs", "5", "--k", "5",
		"--checkpoint", filepath.Join(t.TempDir(), "state"))
	if code != exitOK || !strings.Contains(out, "for scenario home, tuned from "+base) || !strings.Contains(out, "epochs, popularity weight") {
		t.Fatalf("exit code %d\n%s%s", code, out, errs)
	}
	for want, text := range map[string]string{
		"rates: items.up":      "scenario: x\nrates: {items.up: 1}\n",
		"again: needs order":   "scenario: x\nagain: true\n",
		"exposures: 0.5":       "scenario: x\nexposures: 0.5\n",
		"order: 2":             "scenario: x\norder: 2\n",
		"it can be items.in, ": "scenario: x\nfreeze: [head]\n",
	} {
		if code, _, errs := runHere(t, "train", "finetune", "--eval-only", "--scenario", scenarioFile(t, text), "--from-file", "ndjson:/nowhere"); code != exitUsage || !strings.Contains(errs, want) {
			t.Errorf("%q: exit code %d, %q, want %q", text, code, errs, want)
		}
	}
}

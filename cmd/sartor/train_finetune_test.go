package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sartorhq/sartor/models"
	"github.com/sartorhq/sartor/models/registry"
	"github.com/sartorhq/sartor/models/train"
	"github.com/sartorhq/sartor/streams"
)

// wheelEvents is a shop whose answer is known: after item k of a wheel of 20 a user always views the next one. Every
// third event is an order of the viewed item, and the first half of the items is warm.
func wheelEvents() []streams.Event {
	events := scenarioEvents()[:20] // the catalogue
	for v := range 12 {
		for u := range 24 {
			item := []streams.Line{{ItemID: fmt.Sprint("i", (u+v)%20)}}
			at := trainStart.Add(time.Duration(v)*time.Hour + time.Duration(u)*time.Millisecond)
			events = append(events, streams.Event{ID: fmt.Sprintf("%d-%d", u, v), Type: streams.View, UserID: fmt.Sprint("u", u), Time: at, Items: item})
			if (u+v)%3 == 0 {
				events = append(events, streams.Event{ID: fmt.Sprintf("%d-%do", u, v), Type: streams.Order, UserID: fmt.Sprint("u", u), Time: at.Add(time.Second),
					Items: []streams.Line{{ItemID: item[0].ItemID, Quantity: 1}}})
			}
		}
	}
	return events
}

// encoderBase publishes a small encoder of the shop.
func encoderBase(t *testing.T, path, dir string) string {
	t.Helper()
	if code, out, errs := runHere(t, "train", "--model", "encoder", "--from-file", "ndjson:"+path, "--models", dir, "--split", "none",
		"--dim", "8", "--hidden", "8", "--inner", "16", "--blocks", "2", "--epochs", "4"); code != exitOK {
		t.Fatalf("exit code %d\n%s%s", code, out, errs)
	}
	base, err := registry.New(dir).Current()
	if err != nil {
		t.Fatal(err)
	}
	return base
}

const encoderScenario = `scenario: next
objective: {order: 8, view: 1}
items: {attribute: tags, any: [warm]}
freeze: [encoder.0, input]
rates: {item: 0.5}
again: true
rate: 0.02
epochs: 3
patience: 2
`

func TestFinetuneEncoderKeepsWhatIsFrozenAndPublishesForTheScenario(t *testing.T) {
	path, dir := writeEvents(t, wheelEvents()), filepath.Join(t.TempDir(), "models")
	base := encoderBase(t, path, dir)
	state := filepath.Join(t.TempDir(), "state")
	code, out, errs := runHere(t, "train", "finetune", "--scenario", scenarioFile(t, encoderScenario), "--from", base, "--from-file", "ndjson:"+path,
		"--models", dir, "--shares", "0.5,1", "--epochs", "4", "--k", "5", "--checkpoint", state)
	if code != exitOK {
		t.Fatalf("exit code %d\n%s%s", code, out, errs)
	}
	for _, want := range []string{"Scenario next: ", "\npretrained ", "\ntuned, 50 % ", "\nfrom scratch, 100 % ", "tuned, 100 % minus from scratch, 100 %",
		"  processor s  peak MiB\n",
		"Published encoder-", "for scenario next, tuned from " + base} {
		if !strings.Contains(out, want) {
			t.Errorf("output lacks %q", want)
		}
	}
	if peakMemory() > 0 && !strings.Contains(out, " processor seconds, peak memory ") { // where the system tells it
		t.Error("what the tuning took is not told")
	}
	if strings.Contains(out, "half-life") || t.Failed() {
		t.Error(out)
	}
	r := registry.New(dir)
	version, err := r.Scenario("next").Current()
	if err != nil {
		t.Fatal(err)
	}
	tuned, err := r.Scenario("next").Load(version)
	if err != nil {
		t.Fatal(err)
	}
	if metrics := tuned.Meta().Metrics; metrics["ndcg@5"] == 0 || metrics["eval.users"] == 0 {
		t.Errorf("metrics %v", metrics)
	}
	if now, err := r.Current(); now != base || err != nil {
		t.Errorf("the registry's own current version is %s, %v", now, err)
	}
	checkFrozen(t, r, base, tuned.(*models.Encoder))
	if _, err := os.Stat(state); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the checkpoint is still there: %v", err)
	}
}

// checkFrozen compares the arrays of the groups encoder.0 and input bit by bit, and the others for a change.
func checkFrozen(t *testing.T, r *registry.Registry, base string, tuned *models.Encoder) {
	t.Helper()
	m, err := r.Load(base)
	if err != nil {
		t.Fatal(err)
	}
	from, to := m.(*models.Encoder).Table(), tuned.Table()
	if !slices.Equal(from.IDs, to.IDs) {
		t.Fatalf("items %v, were %v", to.IDs, from.IDs)
	}
	was := from.Arrays(tuned.Params())
	for i, x := range to.Arrays(tuned.Params()) {
		group, _, _ := strings.Cut(x.Name, ".")
		frozen := group == "input" || strings.HasPrefix(x.Name, "encoder.0.")
		// A bias before a softmax or a fade without a clock may rest by itself.
		if same := slices.Equal(*x.Values, *was[i].Values); frozen && !same || !frozen && same && x.Weight {
			t.Errorf("%s: unchanged is %v", x.Name, same)
		}
	}
}

func TestFinetuneJudgesEncodersWithoutABase(t *testing.T) {
	spec := scenarioFile(t, "scenario: next\nagain: true\nepochs: 1\nfreeze: [encoder.1]\n")
	code, out, errs := runHere(t, "train", "finetune", "--eval-only", "--model", "encoder", "--dim", "8", "--epochs", "1", "--scenario", spec,
		"--from-file", "ndjson:"+writeEvents(t, wheelEvents()), "--k", "5")
	if code != exitOK || !strings.Contains(out, "\ntuned, 100 % ") || strings.Contains(out, "Published") {
		t.Errorf("exit code %d\n%s%s", code, out, errs)
	}
}

// Rates and popularity weight are chosen on the validation window, and what users left counts.
func TestFinetuneEncoderChoosesItsRates(t *testing.T) {
	events := wheelEvents()
	for u := range 24 {
		events = append(events, streams.Event{ID: fmt.Sprint("x", u), Type: streams.Exposure, UserID: fmt.Sprint("u", u), Time: trainStart, Scenario: "next",
			Items: []streams.Line{{ItemID: "i3"}, {ItemID: "i4"}}})
	}
	spec := scenarioFile(t, "scenario: next\nagain: true\nepochs: 1\nfreeze: [input]\nexposures: 4\ntune_rates: true\n")
	code, out, errs := runHere(t, "train", "finetune", "--eval-only", "--model", "encoder", "--dim", "8", "--hidden", "8", "--inner", "8", "--epochs", "1",
		"--scenario", spec, "--from-file", "ndjson:"+writeEvents(t, events), "--k", "5")
	if code != exitOK || !strings.Contains(out, "Without tuning: popularity weight ") || !strings.Contains(out, ", rate 0.00") || !strings.Contains(out, " frozen [") {
		t.Errorf("exit code %d\n%s%s", code, out, errs)
	}
}

func TestOtherRatesAndGroups(t *testing.T) {
	s := scenarioSpec{Rate: 0.6, Freeze: []string{"input"}}
	if got := otherRates(s); len(got) != 2 || got[0].Rate >= 0.21 || got[1].Rate != 1 || !slices.Equal(got[0].Freeze, s.Freeze) {
		t.Errorf("rates %+v", got)
	}
	tn := &tuner{trainer: &trainer{}}
	for kind, o := range map[string]train.Options{models.KindLAE: {}, models.KindEncoder: {Encoder: train.EncoderOptions{Blocks: 3}}} {
		tn.o.Kind, tn.o.Train = kind, o
		for _, spec := range tn.otherGroups(s) {
			spec.Scenario, spec.Epochs = "x", 1
			if err := spec.checkKind(kind, train.Options{Dim: 8, Signal: models.DefaultSignal(), Encoder: o.Encoder}); err != nil {
				t.Errorf("%s: %+v: %v", kind, spec, err)
			}
		}
	}
}

// Where no epoch is better than none, the weights are the base's.
func TestFinetuneEncoderWithoutAGoodEpoch(t *testing.T) {
	path, dir := writeEvents(t, wheelEvents()), filepath.Join(t.TempDir(), "models")
	base := encoderBase(t, path, dir)
	spec := scenarioFile(t, "scenario: next\nobjective: {order: 1}\nagain: true\nrate: 1e-10\nepochs: 2\n")
	code, out, errs := runHere(t, "train", "finetune", "--scenario", spec, "--from", base, "--from-file", "ndjson:"+path, "--models", dir, "--epochs", "2", "--k", "5")
	if code != exitOK || !strings.Contains(out, "tuned, 100 %: 0 epochs") || !strings.Contains(out, "No epoch of tuning did better than none") {
		t.Fatalf("exit code %d\n%s%s", code, out, errs)
	}
	r := registry.New(dir)
	version, err := r.Scenario("next").Current()
	if err != nil {
		t.Fatal(err)
	}
	tuned, err := r.Scenario("next").Load(version)
	if err != nil {
		t.Fatal(err)
	}
	m, err := r.Load(base)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := tuned.(*models.Encoder).Table(), m.(*models.Encoder).Table(); !slices.Equal(got.Item, want.Item) {
		t.Error("items moved")
	}
}

func TestFinetuneRefusesWhatAnEncoderCannotDo(t *testing.T) {
	path, dir := writeEvents(t, wheelEvents()), filepath.Join(t.TempDir(), "models")
	base := encoderBase(t, path, dir)
	for text, want := range map[string]string{
		"freeze: [encodr.0]":                                  "encodr.0 is not a group (did you mean encoder.0?), it can be item, input, recall, encoder.0, encoder.1",
		"freeze: [items.out]":                                 "items.out is not a group",
		"freeze: [encoder.2]":                                 "encoder.2 is not a group (did you mean encoder.0?)",
		"rates: {imput: 1}":                                   "rates: imput is not a group (did you mean input?)",
		"rates: {input: 0}":                                   "rates: input: 0, need a part above 0",
		"rates: {input: 2}\nfreeze: [input]":                  "rates: input is frozen",
		"freeze: [item, input, recall, encoder.0, encoder.1]": "all groups of weights are frozen",
		"objective: {search-click: 1, view: 1}":               "search-click is not",
		"rate: 2":                                             "the learning rate is 2",
		"epochs: -1":                                          "epochs: -1",
		"order: 0.5\nahead: 2\nkeep: 0.5":                     "keep: is for models of kind lae",
		"half_life: 1h\nexposures: 2\ntune_signal: yes":       "tune_signal: is for models of kind lae",
	} {
		code, _, errs := runHere(t, "train", "finetune", "--from", base, "--models", dir, "--scenario", scenarioFile(t, "scenario: x\n"+text+"\n"), "--from-file", "ndjson:/nowhere")
		if code != exitUsage || !strings.Contains(errs, want) {
			t.Errorf("%q: exit code %d, %q, want %q", text, code, errs, want)
		}
	}
	spec := scenarioFile(t, "scenario: x\n")
	for want, args := range map[string][]string{
		"--model als: it can be lae, encoder": {"--eval-only", "--model", "als"},
		"use --models FOLDER":                 {"--from", base},
	} {
		if code, _, errs := runHere(t, append([]string{"train", "finetune", "--scenario", spec, "--from-file", "ndjson:" + path}, args...)...); code != exitUsage || !strings.Contains(errs, want) {
			t.Errorf("%v: exit code %d, %q", args, code, errs)
		}
	}
	if code, out, errs := runHere(t, "train", "--model", "popularity", "--split", "none", "--from-file", "ndjson:"+path, "--models", dir); code != exitOK {
		t.Fatalf("exit code %d\n%s%s", code, out, errs)
	}
	popular, err := registry.New(dir).Current()
	if err != nil {
		t.Fatal(err)
	}
	if code, _, errs := runHere(t, "train", "finetune", "--scenario", spec, "--from", popular, "--models", dir, "--from-file", "ndjson:"+path); code == exitOK || !strings.Contains(errs, "only lae and encoder can be tuned") {
		t.Errorf("exit code %d, %q", code, errs)
	}
}

// tuningOf returns the options of a tuning with its checkpoint, and the epoch after which it goes on.
func tuningOf(l *train.Log, o train.Options, base *models.Encoder, spec scenarioSpec, catalog func(string) bool, path string) (tuned train.Options, epoch int, err error) {
	tuned = spec.tune(o, catalog)
	goOn(&tuned, base, false)
	tn := &tuner{trainer: &trainer{log: l}, spec: spec}
	tn.o.Checkpoint, tn.o.Kind, tn.o.Out = path, models.KindEncoder, new(strings.Builder)
	_, err = tn.keepTuning(&tuned)
	if r := tuned.Encoder.Resume; r != nil {
		epoch = r.Epoch
	}
	return tuned, epoch, err
}

// A tuning of an encoder that is killed goes on to the same bytes, and its checkpoint fits no other tuning.
func TestFinetuneCheckpointOfAnEncoder(t *testing.T) {
	l, events := train.NewLog(), wheelEvents()
	for i := range events {
		l.Add(&events[i])
	}
	o := train.Options{Dim: 8, Epochs: 3, Seed: 1, Signal: models.DefaultSignal(), Now: func() time.Time { return trainStart }}
	o.Encoder.Hidden, o.Encoder.Inner, o.Encoder.Blocks = 8, 16, 1
	base, _, err := train.Encoder(t.Context(), l, o)
	if err != nil {
		t.Fatal(err)
	}
	spec := scenarioSpec{Scenario: "x", Rate: 0.01, Epochs: 4, Freeze: []string{"input"}, Objective: map[string]float64{"order": 1}, Again: true}
	begin := func(spec scenarioSpec, catalog func(string) bool, path string) (train.Options, int, error) {
		return tuningOf(l, o, base, spec, catalog, path)
	}
	all := func(string) bool { return true }
	whole, _, err := begin(spec, all, "")
	if err != nil {
		t.Fatal(err)
	}
	want, _, err := train.Encoder(t.Context(), l, whole)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "state")
	first, _, err := begin(spec, all, path)
	if err != nil {
		t.Fatal(err)
	}
	ctx, kill := context.WithCancel(t.Context())
	first.Progress = func(p train.Progress) {
		if p.Epoch == 2 {
			kill()
		}
	}
	if _, _, err := train.Encoder(ctx, l, first); err == nil {
		t.Fatal("not killed")
	}
	second, epoch, err := begin(spec, all, path)
	if err != nil || epoch != 2 {
		t.Fatalf("went on after epoch %d, %v", epoch, err)
	}
	got, _, err := train.Encoder(t.Context(), l, second)
	if err != nil || !reflect.DeepEqual(got.Table(), want.Table()) {
		t.Errorf("another model, %v", err)
	}
	frozen, objective := spec, spec
	frozen.Freeze, objective.Objective = []string{"item"}, map[string]float64{"view": 1}
	for name, try := range map[string]func() error{
		"frozen":    func() error { _, _, err := begin(frozen, all, path); return err },
		"objective": func() error { _, _, err := begin(objective, all, path); return err },
		"catalog":   func() error { _, _, err := begin(spec, func(id string) bool { return id != "i1" }, path); return err },
	} {
		if err := try(); err == nil || !strings.Contains(err.Error(), "other data or options") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

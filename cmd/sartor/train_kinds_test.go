package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/sartorhq/sartor/models"
	"github.com/sartorhq/sartor/models/registry"
	"github.com/sartorhq/sartor/models/train"
	"github.com/sartorhq/sartor/streams"
)

func TestTrainLAEPublishesWithHistory(t *testing.T) {
	dir := t.TempDir()
	history := filepath.Join(dir, "history.jsonl")
	code, out, errs := runHere(t, "train", "--model", "lae", "--from-file", "ndjson:"+writeEvents(t, twoTastes(60, 40, 30)),
		"--models", filepath.Join(dir, "models"), "--dim", "8", "--epochs", "12", "--history", history, "--checkpoint", filepath.Join(dir, "state"))
	if code != exitOK || !strings.Contains(out, "LAE         ") || !strings.Contains(out, "Published lae-") {
		t.Fatalf("exit code %d\n%s%s", code, out, errs)
	}
	m, err := current(filepath.Join(dir, "models"))
	if err != nil {
		t.Fatal(err)
	}
	if got := m.Meta().Metrics; m.Meta().Kind != models.KindLAE || got["recall@20"] < 0.9 || got["popularity.recall@20"] > 0.75 {
		t.Errorf("manifest %+v", m.Meta())
	}
	file, err := os.Open(history)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	counts := map[string]int{}
	for s := bufio.NewScanner(file); s.Scan(); {
		var l line
		if err := json.Unmarshal(s.Bytes(), &l); err != nil {
			t.Fatalf("%q: %v", s.Text(), err)
		}
		counts[l.What+l.Phase]++
		if l.What == "cost" && (l.Processor < 0 || l.Seconds <= 0 || runtime.GOOS == "linux" && l.Memory <= 0) {
			t.Errorf("cost %+v", l)
		}
		if l.What == "figures" && l.Metrics["recall@20"] != m.Meta().Metrics["recall@20"] {
			t.Errorf("figures %+v", l)
		}
	}
	if want := map[string]int{"choose": 12, "evaluate": 12, "train": 12, "figures": 1, "costchoose": 1, "costevaluate": 1, "costtrain": 1}; fmt.Sprint(counts) != fmt.Sprint(want) {
		t.Errorf("lines %v, want %v", counts, want)
	}
}

func TestTrainCompareJudgesAllKinds(t *testing.T) {
	path := writeEvents(t, twoTastes(40, 20, 20))
	code, out, errs := runHere(t, "train", "--compare", "--from-file", "ndjson:"+path, "--dim", "8", "--epochs", "6", "--k", "5")
	if code != exitOK || strings.Contains(out, "Published") {
		t.Fatalf("exit code %d\n%s%s", code, out, errs)
	}
	for _, want := range []string{"\npopularity ", "\nitem-kNN ", "\nEASE ", "\nALS ", "\nLAE ", "\nEncoder ", "LAE - popularity", "item-kNN: Trained on"} {
		if !strings.Contains(out, want) {
			t.Errorf("output lacks %q", want)
		}
	}
	if t.Failed() {
		t.Log(out)
	}
	if list := compared(models.MaxDenseItems+1, false); len(list) != 4 {
		t.Errorf("compared for a large catalogue: %v", list)
	}
}

func TestAutoPublishesTheKindThatDidBest(t *testing.T) {
	dir := t.TempDir()
	code, out, errs := runHere(t, "train", "--from-file", "ndjson:"+writeEvents(t, twoTastes(40, 20, 20)), "--models", dir, "--dim", "8", "--epochs", "6", "--k", "5")
	if code != exitOK || !strings.Contains(out, " for ALS, NDCG@5") || !strings.Contains(out, " for LAE, NDCG@5") {
		t.Fatalf("exit code %d\n%s%s", code, out, errs)
	}
	m, err := current(dir)
	if err != nil {
		t.Fatal(err)
	}
	if best := modelKinds()[m.Meta().Kind].name; !strings.Contains(out, best+" did best there.") || !strings.Contains(out, "Published "+m.Meta().Kind) {
		t.Errorf("published %s\n%s", m.Meta().Version, out)
	}
	// Everybody came once: nothing can be judged, and the cheaper kind is trained.
	code, out, errs = runHere(t, "train", "--from-file", "ndjson:"+writeEvents(t, twoTastes(8, 4, 1)), "--models", dir, "--dim", "8")
	if code != exitOK || !strings.Contains(out, "Published als-") {
		t.Errorf("exit code %d\n%s%s", code, out, errs)
	}
	for kind, want := range map[string]int{models.KindALS: 5, models.KindLAE: 3, models.KindEncoder: 3, models.KindPopularity: 2, kindAuto: 6} {
		if got := trainings(kind); got != want {
			t.Errorf("%s: %d trainings, want %d", kind, got, want)
		}
	}
}

// A model without vectors is ranked by its own scores, like the same model with vectors.
func TestJudgeAModelWithoutVectors(t *testing.T) {
	h := testHoldout()
	popularity, err := train.Popularity(h.before, train.Options{})
	if err != nil {
		t.Fatal(err)
	}
	knn, _, err := train.ItemKNN(t.Context(), h.before, train.Options{})
	if err != nil {
		t.Fatal(err)
	}
	j, err := h.judge(t.Context(), 5, popularity, knn, bareModel{knn})
	if err != nil {
		t.Fatal(err)
	}
	if fmt.Sprint(j.lists[1]) != fmt.Sprint(j.lists[2]) {
		t.Errorf("%v with vectors, %v without", j.lists[1], j.lists[2])
	}
}

// bareModel hides the vectors.
type bareModel struct{ *models.Neighbours }

func (b bareModel) Items() models.Items { return models.Items{IDs: b.Neighbours.Items().IDs} }

func TestKappaFromHalfOfTheTestUsers(t *testing.T) {
	events := twoTastes(30, 20, 20)
	part, test := events[:len(events)*3/4], events[len(events)*3/4:]
	code, out, errs := runHere(t, "train", "--model", "lae", "--from-file", "ndjson:"+writeEvents(t, part), "--test", writeEvents(t, test),
		"--eval-only", "--kappa", "test-half", "--dim", "8", "--epochs", "5")
	if code != exitOK || !strings.Contains(out, "On the first half of the test users") || !strings.Contains(out, "every second of their users is judged") {
		t.Errorf("exit code %d\n%s%s", code, out, errs)
	}
}

const purchases = `scenario: home
objective: {order: 8, cart-add: 3}
items: {attribute: tags, any: [warm]}
freeze: [items.out]
rate: 0.01
epochs: 3
half_life: 720h
`

func scenarioFile(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "scenario.yaml")
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// scenarioEvents adds orders and a catalogue, of which the first half is warm.
func scenarioEvents() []streams.Event {
	var events []streams.Event
	for i := range 20 {
		tag := "cold"
		if i < 10 {
			tag = "warm"
		}
		events = append(events, streams.Event{ID: fmt.Sprint("item", i), Type: streams.ItemUpsert, Time: trainStart,
			Items: []streams.Line{{ItemID: fmt.Sprint("i", i)}}, Attributes: map[string]any{"tags": []any{tag}}})
	}
	for k, e := range twoTastes(40, 20, 20) {
		events = append(events, e)
		if k%3 == 0 {
			e.ID, e.Type, e.Time = e.ID+"o", streams.Order, e.Time.Add(time.Second)
			e.Items = []streams.Line{{ItemID: e.Items[0].ItemID, Quantity: 1}}
			events = append(events, e)
		}
	}
	return events
}

func TestFinetuneJudgesAndPublishesForTheScenario(t *testing.T) {
	path, dir := writeEvents(t, scenarioEvents()), filepath.Join(t.TempDir(), "models")
	if code, out, errs := runHere(t, "train", "--model", "lae", "--from-file", "ndjson:"+path, "--models", dir, "--dim", "8", "--epochs", "5"); code != exitOK {
		t.Fatalf("exit code %d\n%s%s", code, out, errs)
	}
	base, err := registry.New(dir).Current()
	if err != nil {
		t.Fatal(err)
	}
	code, out, errs := runHere(t, "train", "finetune", "--scenario", scenarioFile(t, purchases), "--from", base, "--from-file", "ndjson:"+path,
		"--models", dir, "--shares", "0.5,1", "--epochs", "5", "--k", "5")
	if code != exitOK {
		t.Fatalf("exit code %d\n%s%s", code, out, errs)
	}
	for _, want := range []string{"Scenario home: ", "\npretrained ", "\ntuned, 50 % ", "\nfrom scratch, 100 % ", "tuned, 100 % minus from scratch, 100 %", "for scenario home, tuned from " + base} {
		if !strings.Contains(out, want) {
			t.Errorf("output lacks %q", want)
		}
	}
	if t.Failed() {
		t.Log(out)
	}
	// The scenario has a current version of its own, with the frozen table of the base.
	r := registry.New(dir)
	version, err := r.Scenario("home").Current()
	if err != nil {
		t.Fatal(err)
	}
	tuned, err := r.Scenario("home").Load(version)
	if err != nil {
		t.Fatal(err)
	}
	before, err := r.Load(base)
	if err != nil {
		t.Fatal(err)
	}
	a, b := tuned.(*models.LAE), before.(*models.LAE)
	if fmt.Sprint(a.Table().Out) != fmt.Sprint(b.Table().Out) || fmt.Sprint(a.Table().In) == fmt.Sprint(b.Table().In) || tuned.Meta().Metrics["ndcg@5"] == 0 {
		t.Errorf("metrics %v", tuned.Meta().Metrics)
	}
	if now, err := r.Current(); now != base || err != nil {
		t.Errorf("the registry's own current version is %s, %v", now, err)
	}
	if list, err := r.List(); len(list) != 1 || err != nil {
		t.Errorf("listed %d versions, %v", len(list), err)
	}
}

func TestScenarioFileProblems(t *testing.T) {
	for text, want := range map[string]string{
		"scenario: home\nspeed: 1\n":                 "field speed not found",
		"epochs: 3\n":                                "the name is missing",
		"scenario: x\nobjective: {item-upsert: 1}\n": "item-upsert is not a type",
		"scenario: x\nobjective: {order: -1}\n":      "order is -1",
		"scenario: x\nobjective: {order: 0}\n":       "no type has a weight above 0",
		"scenario: x\nitems: {attribute: tags}\n":    "need attribute and any",
		"scenario: x\nfreeze: [encoder.0]\n":         "encoder.0 is not a group",
		"scenario: x\nhalf_life: 1ms\n":              "half_life: 1ms",
	} {
		code, _, errs := runHere(t, "train", "finetune", "--eval-only", "--scenario", scenarioFile(t, text), "--from-file", "ndjson:/nowhere")
		if code != exitUsage || !strings.Contains(errs, want) {
			t.Errorf("%q: exit code %d, %q, want %q", text, code, errs, want)
		}
	}
	for want, args := range map[string][]string{
		"--scenario: name":       {"--eval-only"},
		"--from: name":           {"--scenario", "x"},
		"--shares: need numbers": {"--scenario", "x", "--eval-only", "--shares", "2"},
	} {
		if code, _, errs := runHere(t, append([]string{"train", "finetune"}, args...)...); code != exitUsage || !strings.Contains(errs, want) {
			t.Errorf("%v: exit code %d, %q", args, code, errs)
		}
	}
}

func TestSomeUsersAreNested(t *testing.T) {
	l := testHoldout().before
	for _, share := range []float64{0.2, 0.5, 1} {
		part := someUsers(l, share)
		users, _ := part.Distinct()
		all, _ := l.Distinct()
		if users > all || share == 1 && users != all {
			t.Errorf("%v: %d of %d users", share, users, all)
		}
	}
}

func TestDataInspect(t *testing.T) {
	path := writeEvents(t, scenarioEvents())
	code, out, errs := runHere(t, "data", "inspect", "--from-file", "ndjson:"+path)
	if code != exitOK || !strings.Contains(out, "1,067 events of 40 users on 20 items") || !strings.Contains(out, "Cleaning would keep 1,067 of 1,067") {
		t.Errorf("exit code %d\n%s%s", code, out, errs)
	}
	code, out, _ = runHere(t, "data", "inspect", "--from-file", "ndjson:"+path, "--bot-events", "1", "--json")
	var f train.Findings
	if err := json.Unmarshal([]byte(out), &f); code != exitOK || err != nil || f.Events != 1067 || f.Kept >= 1067 {
		t.Errorf("exit code %d, %v, %+v", code, err, f)
	}
	if code, _, errs := runHere(t, "data", "inspect"); code != exitUsage || !strings.Contains(errs, "no events to inspect") {
		t.Errorf("exit code %d: %s", code, errs)
	}
}

// A training that is killed goes on after its last whole epoch, to the same model.
func TestCheckpointGoesOnToTheSameModel(t *testing.T) {
	events, dir := twoTastes(30, 20, 20), t.TempDir()
	l := train.NewLog()
	for i := range events {
		l.Add(&events[i])
	}
	options := train.Options{Dim: 8, Epochs: 6, Seed: 3, Signal: models.DefaultSignal(), Now: func() time.Time { return trainStart }}
	want, _, err := train.LAE(t.Context(), l, options)
	if err != nil {
		t.Fatal(err)
	}
	c := newCheckpoint(filepath.Join(dir, "state"), models.KindLAE, l, options)
	first := options
	if resumed, err := c.attach(models.KindLAE, &first); resumed != 0 || err != nil {
		t.Fatalf("a new file: %d, %v", resumed, err)
	}
	ctx, kill := context.WithCancel(t.Context())
	first.Progress = func(p train.Progress) {
		if p.Epoch == 4 {
			kill() // before the state of epoch 4 is kept, the fifth has no chance
		}
	}
	if _, _, err := train.LAE(ctx, l, first); err == nil {
		t.Fatal("not killed")
	}
	second := options
	if resumed, err := c.attach(models.KindLAE, &second); resumed != 4 || err != nil {
		t.Fatalf("went on after %d, %v", resumed, err)
	}
	got, _, err := train.LAE(t.Context(), l, second)
	if err != nil || fmt.Sprint(got.Table()) != fmt.Sprint(want.Table()) {
		t.Errorf("another model, %v", err)
	}
	other := options
	other.Seed = 4
	if _, err := newCheckpoint(c.path, models.KindLAE, l, other).attach(models.KindLAE, &other); err == nil || !strings.Contains(err.Error(), "other data or options") {
		t.Errorf("another seed: %v", err)
	}
	data, err := os.ReadFile(c.path)
	if err != nil {
		t.Fatal(err)
	}
	data[len(data)-1] ^= 1
	if err := os.WriteFile(c.path, data, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := c.attach(models.KindLAE, &second); err == nil || !strings.Contains(err.Error(), "is damaged") {
		t.Errorf("a flipped bit: %v", err)
	}
	if err := c.done(); err != nil {
		t.Error(err)
	}
	if err := c.done(); err != nil {
		t.Errorf("removed twice: %v", err)
	}
}

package main

import (
	"compress/gzip"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sartorhq/sartor/features"
	"github.com/sartorhq/sartor/models"
	"github.com/sartorhq/sartor/models/eval"
	"github.com/sartorhq/sartor/models/registry"
	"github.com/sartorhq/sartor/models/train"
	"github.com/sartorhq/sartor/streams"
	"github.com/sartorhq/sartor/streams/codec"
)

var trainStart = time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)

// twoTastes is a shop whose answer is known: even users view even items only, odd users odd ones, one
// item an hour. Items of one colour are equally popular, so that popularity foresees little.
func twoTastes(users, items, views int) []streams.Event {
	rng := rand.New(rand.NewPCG(1, 1))
	var out []streams.Event
	for v := range views {
		for u := range users {
			out = append(out, streams.Event{ID: fmt.Sprintf("%d-%d", u, v), Type: streams.View, UserID: fmt.Sprint("u", u),
				Time:  trainStart.Add(time.Duration(v)*time.Hour + time.Duration(u)*time.Millisecond),
				Items: []streams.Line{{ItemID: fmt.Sprint("i", rng.IntN(items/2)*2+u%2)}}})
		}
	}
	return out
}

func writeEvents(t *testing.T, events []streams.Event) string {
	t.Helper()
	var b strings.Builder
	for i := range events {
		line, err := codec.Encode(&events[i])
		if err != nil {
			t.Fatal(err)
		}
		b.Write(line)
		b.WriteByte('\n')
	}
	path := filepath.Join(t.TempDir(), "events.ndjson")
	if err := os.WriteFile(path, []byte(b.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestTrainPublishesAJudgedModel(t *testing.T) {
	path, dir := writeEvents(t, twoTastes(60, 40, 30)), filepath.Join(t.TempDir(), "models")
	code, out, errs := runHere(t, "train", "--from-file", "ndjson:"+path, "--models", dir, "--dim", "8", "--epochs", "6")
	if code != exitOK {
		t.Fatalf("exit code %d\n%s%s", code, out, errs)
	}
	// 51 of the 60 users view something new in the held-out part.
	for _, want := range []string{"Data: 1800 events of 60 users on 40 items", "Chosen on the newest 20 % of the training part, 48 users",
		"the newest 20 % of the events, 360, from 2026-03-02T00:00:00Z on, are held out", "Judged: 51 users, all 40 items ranked", "popularity  ",
		"ALS         ", "difference  ", "Published als-"} {
		if !strings.Contains(out, want) {
			t.Errorf("output lacks %q", want)
		}
	}
	if t.Failed() {
		t.Log(out)
	}
	m, err := current(dir)
	if err != nil {
		t.Fatal(err)
	}
	meta := m.Meta()
	if meta.Users != 60 || meta.Items != 40 || meta.Events != 1800 || meta.Schema != features.Default().Version() ||
		!meta.TrainedThrough.Equal(trainStart.Add(29*time.Hour+59*time.Millisecond)) {
		t.Errorf("manifest %+v", meta)
	}
	// A user's held-out items are among the 20 of his colour; popularity wastes half of its places.
	if als, pop := meta.Metrics["recall@20"], meta.Metrics["popularity.recall@20"]; als < 0.95 || pop > 0.75 || meta.Metrics["eval.users"] != 51 {
		t.Errorf("metrics %v", meta.Metrics)
	}
}

// current loads the model that serving would.
func current(dir string) (models.Model, error) {
	r := registry.New(dir)
	version, err := r.Current()
	if err != nil {
		return nil, err
	}
	return r.Load(version)
}

func TestTrainEvalOnlyPublishesNothing(t *testing.T) {
	path, dir := writeEvents(t, twoTastes(20, 10, 10)), filepath.Join(t.TempDir(), "models")
	code, out, errs := runHere(t, "train", "--from-file", "ndjson:"+path, "--models", dir, "--eval-only", "--split", "user",
		"--keep-seen", "--whole-history", "--kappa", "0.1", "--dim", "8", "--weight", "view=2", "--budget", "1h")
	if code != exitOK || strings.Contains(out, "Published") || !strings.Contains(out, "whole histories") ||
		!strings.Contains(out, "the newest 20 % of each user's events") {
		t.Errorf("exit code %d\n%s%s", code, out, errs)
	}
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Errorf("the registry was touched: %v", err)
	}
}

func TestTrainOnAPublishedSplit(t *testing.T) {
	dir := t.TempDir()
	write := func(name string, pairs func(u, i int) bool) string {
		f, err := os.Create(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		z := gzip.NewWriter(f)
		fmt.Fprintln(z, "user_id\titem_id")
		for u := range 30 {
			for i := range 12 {
				if u%2 == i%2 && pairs(u, i) {
					fmt.Fprintf(z, "%d\t%d\n", u, i)
				}
			}
		}
		if err := z.Close(); err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		return f.Name()
	}
	write("train.tsv.gz", func(u, i int) bool { return i/2 != u/2%6 })
	test := write("test.tsv.gz", func(u, i int) bool { return i/2 == u/2%6 })
	code, out, errs := runHere(t, "train", "--from-file", "lightgcn:"+dir, "--test", test, "--eval-only", "--dim", "8", "--k", "1", "--lambda", "0.05", "--kappa", "0")
	if code != exitOK || !strings.Contains(out, "the 30 events of the published split are held out") || !strings.Contains(out, "Judged: 30 users") {
		t.Errorf("exit code %d\n%s%s", code, out, errs)
	}
	if !strings.Contains(out, "ALS         1.0000 [1.0000, 1.0000]") {
		t.Errorf("the one item left out of each user's colour is not first:\n%s", out)
	}
}

func TestTrainWithTooLittle(t *testing.T) {
	one := twoTastes(1, 2, 1)
	code, out, errs := runHere(t, "train", "--from-file", "ndjson:"+writeEvents(t, one), "--models", t.TempDir(), "--dim", "8")
	if code != exitFailed || !strings.Contains(out, "Not evaluated") || !strings.Contains(errs, "need at least 2 users and 2 items") {
		t.Errorf("exit code %d\n%s%s", code, out, errs)
	}
	// Everybody came once: nobody can be judged, but a model can be made.
	var once []streams.Event
	for u := range 8 {
		once = append(once, twoTastes(8, 4, 1)[u])
	}
	dir := t.TempDir()
	code, out, errs = runHere(t, "train", "--from-file", "ndjson:"+writeEvents(t, once), "--models", dir, "--dim", "8")
	if code != exitOK || !strings.Contains(out, "Not evaluated") || !strings.Contains(out, "Published") {
		t.Errorf("exit code %d\n%s%s", code, out, errs)
	}
	if m, err := current(dir); err != nil || len(m.Meta().Metrics) != 0 {
		t.Errorf("%v, %v", m, err)
	}
	if code, _, errs := runHere(t, "train", "--from-file", "ndjson:"+writeEvents(t, once), "--eval-only", "--dim", "8"); code != exitFailed || !strings.Contains(errs, "nothing to evaluate on") {
		t.Errorf("exit code %d: %s", code, errs)
	}
}

func TestTrainUsageErrors(t *testing.T) {
	path := writeEvents(t, twoTastes(2, 2, 1))
	from := "--from-file=ndjson:" + path
	for want, args := range map[string][]string{
		"no events to train on":             {"--eval-only"},
		"where to publish?":                 {from},
		"--from-file ndjson: need FORMAT":   {"--from-file", "ndjson"},
		"--from-file cvs:x: need FORMAT":    {"--from-file", "cvs:x"},
		"--test needs --from-file":          {"--test", "x"},
		"leave out --split":                 {from, "--test", "x", "--split", "user"},
		"--split weekly: it can be":         {from, "--split", "weekly"},
		"--holdout 1: need":                 {from, "--holdout", "1"},
		"--k 0: need":                       {from, "--k", "0"},
		"--kappa much: need a number":       {from, "--kappa", "much"},
		"--lambda much: need a number":      {from, "--lambda", "much"},
		"lambda is -1":                      {from, "--lambda", "-1"},
		"65 steps of conjugate gradients":   {from, "--model", "als", "--steps", "65"},
		"12 factors":                        {from, "--dim", "12"},
		"--weight view: need TYPE=NUMBER":   {from, "--weight", "view"},
		"--weight item-upsert=1: need TYPE": {from, "--weight", "item-upsert=1"},
		"a positive weight":                 {from, "--weight", "view=0", "--weight", "click=0", "--weight", "wishlist=0", "--weight", "cart-add=0", "--weight", "order=0", "--weight", "rating=0"},
	} {
		code, _, errs := runHere(t, append([]string{"train"}, args...)...)
		if code != exitUsage || !strings.Contains(errs, want) {
			t.Errorf("%v: exit code %d, %q, want %q", args, code, errs, want)
		}
	}
	if code, _, errs := runHere(t, "train", "--from-file", "ndjson:/nowhere", "--eval-only"); code != exitFailed || !strings.Contains(errs, "read events: open ndjson recording") {
		t.Errorf("exit code %d: %s", code, errs)
	}
}

// testHoldout has one user with 150 views, more than the schema keeps, one with nothing new in the
// held-out part, one without history, and others.
func testHoldout() *holdout {
	l := train.NewLog()
	add := func(user, item string, at int) {
		l.Add(&streams.Event{Type: streams.View, UserID: user, Items: []streams.Line{{ItemID: item}}, Time: trainStart.Add(time.Duration(at) * time.Minute)})
	}
	for i := range 150 {
		add("long", fmt.Sprint("i", i), i)
	}
	add("again", "i0", 10)
	add("other", "i1", 10)
	add("other", "i2", 11)
	n := l.Len()
	add("long", "i0", 200) // had it
	add("long", "x", 201)
	add("again", "i0", 202)
	add("cold", "i5", 203)
	add("other", "i3", 204)
	hold := make([]bool, l.Len())
	for i := n; i < l.Len(); i++ {
		hold[i] = true
	}
	h := &holdout{schema: features.Default(), signal: models.DefaultSignal(), moment: trainStart.Add(200 * time.Minute)}
	h.before, h.after = l.Split(hold)
	return h
}

func TestHoldoutPicksWhoCanBeJudged(t *testing.T) {
	for _, keep := range []bool{false, true} {
		h := testHoldout()
		h.keepSeen = keep
		users, cold := h.testUsers()
		got := map[string]int{}
		for _, u := range users {
			got[h.before.UserID(u.number)] = len(u.relevant)
		}
		want := map[string]int{"long": 1, "other": 1}
		if keep {
			want = map[string]int{"long": 2, "other": 1, "again": 1}
		}
		if cold != 1 || !reflect.DeepEqual(got, want) {
			t.Errorf("keep seen %v: users %v, want %v; %d cold", keep, got, want, cold)
		}
		h.limit = 1
		if users, _ := h.testUsers(); len(users) != 1 {
			t.Errorf("limit 1 left %d users", len(users))
		}
	}
}

func TestHoldoutUserIsWhatServingWouldRead(t *testing.T) {
	h := testHoldout()
	users, _ := h.testUsers()
	long := users[slices.IndexFunc(users, func(u testUser) bool { return h.before.UserID(u.number) == "long" })]
	u := h.user(long)
	if len(u.History) != 100 || u.History[0].ItemID != "i149" || u.History[99].ItemID != "i50" || u.Env["views_24h"] != 150 {
		t.Errorf("history of %d from %v, %v views", len(u.History), u.History[0], u.Env["views_24h"])
	}
	h.whole = true
	if w := h.user(long); len(w.History) != 150 || !reflect.DeepEqual(w.History[:100], u.History) {
		t.Errorf("whole history of %d differs", len(w.History))
	}
}

func TestJudgeGivesTheUnencodableTheBaseline(t *testing.T) {
	h := testHoldout()
	popularity, err := train.Popularity(h.before, train.Options{})
	if err != nil {
		t.Fatal(err)
	}
	// A model that knows none of the items that "other" had.
	als, err := models.NewALS(models.Meta{}, models.ALSParams{Factors: 8, Unobserved: 1, Lambda: 1, Signal: h.signal},
		models.ItemTable{IDs: []string{"i3", "i100"}, Factors: slices.Repeat([]float32{1}, 16), Popularity: []float32{1, 1}})
	if err != nil {
		t.Fatal(err)
	}
	var results []*judged
	for range 2 {
		j, err := h.judge(context.Background(), 5, popularity, als)
		if err != nil {
			t.Fatal(err)
		}
		results = append(results, j)
	}
	j := results[0]
	if !reflect.DeepEqual(j, results[1]) {
		t.Error("judging twice gives two results")
	}
	if j.users != 2 || j.cold != 1 || !slices.Equal(j.fallback, []int{0, 1}) {
		t.Errorf("%d users, %d cold, fallbacks %v", j.users, j.cold, j.fallback)
	}
	for i := range j.lists[0] {
		for _, list := range [][]int32{j.lists[0][i], j.lists[1][i]} {
			for _, item := range list {
				if users, _ := h.testUsers(); slices.Contains(users[i].seen, item) {
					t.Errorf("user %d was offered what he had", i)
				}
			}
		}
	}
	metrics := j.metrics(150)
	if _, ok := metrics["popularity.ndcg@5"]; !ok || len(metrics) != 9 {
		t.Errorf("metrics %v", metrics)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := h.judge(ctx, 5, popularity, als); err == nil {
		t.Error("judged although cancelled")
	}
}

// recorded returns the folder of a real data set, or skips the test: the sets are not in the
// repository.
func recorded(t *testing.T, name string) string {
	t.Helper()
	if testing.Short() {
		t.Skip("-short: leaves the real data out")
	}
	root := os.Getenv(envData)
	if root == "" {
		root = filepath.Join("..", "..", "..", "shared", "data")
	}
	dir := filepath.Join(root, name)
	if _, err := os.Stat(dir); err != nil {
		t.Skipf("no data set %s (set %s): %v", name, envData, err)
	}
	return dir
}

// On real data the model must be clearly better than popularity: even the lower bound of the paired
// difference. MODEL.md has the figures of full runs; this is a short one.
func TestTrainBeatsPopularityOnMovieLens(t *testing.T) {
	dir := recorded(t, "ml-1m")
	tr, err := newTrainer(t.Context(), trainOptions{Read: fileEvents("ml-1m", dir), Schema: features.Default(), Split: splitUser,
		Train: train.Options{Dim: 32, Epochs: 5, Lambda: 0.006, Kappa: 0.06, Seed: 1}})
	if err != nil {
		t.Fatal(err)
	}
	h := tr.cut(tr.log)
	h.limit = 1500
	als, _, err := tr.fit(t.Context(), h.before, "")
	if err != nil {
		t.Fatal(err)
	}
	popularity, err := train.Popularity(h.before, tr.o.Train)
	if err != nil {
		t.Fatal(err)
	}
	j, err := h.judge(t.Context(), 20, popularity, als)
	if err != nil {
		t.Fatal(err)
	}
	recall, ndcg := eval.Paired(j.values(1, recallOf), j.values(0, recallOf), 1), eval.Paired(j.values(1, ndcgOf), j.values(0, ndcgOf), 1)
	t.Logf("ALS minus popularity: Recall@20 %v, NDCG@20 %v", recall, ndcg)
	if !recall.Above(0.04) || !ndcg.Above(0.02) {
		t.Errorf("Recall@20 %v and NDCG@20 %v above popularity: need at least 0.04 and 0.02", recall, ndcg)
	}
}

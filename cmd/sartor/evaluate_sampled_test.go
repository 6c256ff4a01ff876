package main

import (
	"compress/gzip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/sartorhq/sartor/models/train"
)

// Rows 0..3 belong to the log's items 4, 0, 2 and 3; item 1 is unknown to the model.
func TestAmongRanksCandidatesOnly(t *testing.T) {
	r := &ranker{item: []int32{4, 0, 2, 3}, row: []int32{1, -1, 2, 3, 0}}
	scores := []float32{0.5, 0.9, 0.5, -2}
	for name, c := range map[string]struct {
		candidates []int32
		k          int
		want       []int32
	}{
		"by score":                 {[]int32{3, 2, 0}, 10, []int32{0, 2, 3}},
		"what is not there":        {[]int32{3, 4}, 10, []int32{4, 3}},
		"cut":                      {[]int32{3, 2, 0}, 2, []int32{0, 2}},
		"ties keep their order":    {[]int32{2, 4}, 1, []int32{2}},
		"ties, the other way":      {[]int32{4, 2}, 1, []int32{4}},
		"unknown items are no hit": {[]int32{1, 3}, 10, []int32{3}},
		"nothing":                  {nil, 10, []int32{}},
	} {
		if got := r.among(&judging{}, scores, c.k, c.candidates); !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

func TestCandidatesAreUnseenAndTheTruthComesLast(t *testing.T) {
	h := testHoldout()
	h.sampled, h.seed = 2, 7
	users, _ := h.testUsers()
	_, items := h.before.Numbers()
	if len(users) == 0 || items < 4 {
		t.Fatalf("%d users, %d items: too little to draw from", len(users), items)
	}
	for _, u := range users {
		got := h.candidates(u)
		drawn := len(got) - len(u.relevant)
		if want := min(h.sampled, items-len(unique(append(slices.Clone(u.seen), u.relevant...)))); drawn != want {
			t.Errorf("user %d: %d negatives, want %d", u.number, drawn, want)
		}
		if !slices.Equal(got[drawn:], u.relevant) {
			t.Errorf("user %d: %v does not end with the truth %v", u.number, got, u.relevant)
		}
		for _, item := range got[:drawn] {
			if slices.Contains(u.seen, item) || slices.Contains(u.relevant, item) {
				t.Errorf("user %d had item %d", u.number, item)
			}
		}
	}
}

func TestTrainAmongSampledNegatives(t *testing.T) {
	path := writeEvents(t, twoTastes(40, 20, 20))
	call := []string{"train", "--model", "als", "--dim", "8", "--k", "3", "--split", "random", "--sampled-negatives", "5", "--from-file", "ndjson:" + path}
	code, out, errs := runHere(t, append(call, "--eval-only")...)
	for _, want := range []string{"one event of each user at random, 40, is held out", "ranked among 5 sampled negatives each: only for comparison with old tables"} {
		if code != exitOK || !strings.Contains(out, want) {
			t.Errorf("exit code %d, no %q\n%s%s", code, want, out, errs)
		}
	}
	if code, _, errs := runHere(t, append(call, "--models", t.TempDir())...); code != exitUsage || !strings.Contains(errs, "must not stand in a published manifest") {
		t.Errorf("published: exit code %d\n%s", code, errs)
	}
	if code, _, errs := runHere(t, "train", "--eval-only", "--sampled-negatives", "10001", "--from-file", "ndjson:"+path); code != exitUsage || !strings.Contains(errs, "need 0 to 10000") {
		t.Errorf("-1: exit code %d\n%s", code, errs)
	}
	code, out, errs = runHere(t, "evaluate", "--model", "als", "--dim", "8", "--sampled-negatives", "5", "--from-file", "ndjson:"+path)
	if code != exitOK || !strings.Contains(out, "ranked among 5 sampled negatives each") {
		t.Errorf("evaluate: exit code %d\n%s%s", code, out, errs)
	}
}

// Of three films of one second the held-out one must come last in its user's order.
func TestNCFOrderPutsTheHeldOutFilmLast(t *testing.T) {
	data, work := t.TempDir(), t.TempDir()
	for name, text := range map[string]string{
		"ratings.csv.gz":  "user_id,movie_id,rating,ts,ts_err,user_seq\n1,10,5,100,0,1\n1,11,4,100,0,2\n1,12,3,100,0,3\n2,10,5,90,0,1\n2,11,5,91,0,2\n",
		"ncf_test.csv.gz": "user_id,movie_id,rating,ts,negatives\n1,11,4,100,12 13\n2,11,5,91,12 13\n",
	} {
		file, err := os.Create(filepath.Join(data, name))
		if err != nil {
			t.Fatal(err)
		}
		z := gzip.NewWriter(file)
		if _, err := z.Write([]byte(text)); err != nil || z.Close() != nil || file.Close() != nil {
			t.Fatal("cannot write", name, err)
		}
	}
	if err := ncfOrder(data, work); err != nil {
		t.Fatal(err)
	}
	read := fileEvents("ml-1m", work)
	l := train.NewLog()
	if err := read(t.Context(), l.Add); err != nil {
		t.Fatal(err)
	}
	last := map[string]string{}
	for i := range l.Len() {
		x := l.At(i)
		last[l.UserID(x.User)] = l.ItemID(x.Item)
	}
	if l.Len() != 5 || last["1"] != "11" || last["2"] != "11" {
		t.Errorf("%d events, last %v", l.Len(), last)
	}
	if err := os.WriteFile(filepath.Join(data, "ncf_test.csv.gz"), []byte("no gzip"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := ncfOrder(data, work); err == nil {
		t.Error("a broken file is taken")
	}
}

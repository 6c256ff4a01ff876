package main

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/sartorhq/sartor/models"
)

func TestBenchTrainTellsEveryPart(t *testing.T) {
	code, out, errs := runHere(t, "bench", "train", "--events", "4000,2000", "--dim", "8", "--json")
	if code != exitOK {
		t.Fatalf("exit code %d\n%s%s", code, out, errs)
	}
	var got []string
	for text := range strings.Lines(out) {
		var r trainRow
		if err := json.Unmarshal([]byte(text), &r); err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		got = append(got, r.Part)
		if want := int64(2000); len(got) <= 7 && r.Events != want || len(got) > 7 && r.Events != 2*want || r.Users < 2 || r.Items < 2 {
			t.Errorf("row %d: %+v", len(got), r)
		}
	}
	once := "shop log popularity item-knn als lae encoder"
	if s := strings.Join(got, " "); s != once+" "+once {
		t.Errorf("rows %s", s)
	}
	code, out, errs = runHere(t, "bench", "train", "--events", "2000", "--model", models.KindALS, "--dim", "8")
	if lines := strings.Split(out, "\n"); code != exitOK || len(lines) != 5 || !strings.Contains(lines[0], "processor s") || !strings.Contains(lines[3], " als ") {
		t.Errorf("exit code %d\n%s%s", code, out, errs)
	}
}

// A training that is ended after some steps says so, and how long the whole would take.
func TestBenchTrainOfSomeSteps(t *testing.T) {
	code, out, errs := runHere(t, "bench", "train", "--events", "3000", "--model", models.KindEncoder, "--dim", "8", "--steps", "3", "--json")
	lines := strings.Split(strings.TrimSpace(out), "\n")
	if code != exitOK || len(lines) != 3 {
		t.Fatalf("exit code %d\n%s%s", code, out, errs)
	}
	for i, text := range lines {
		var r trainRow
		if err := json.Unmarshal([]byte(text), &r); err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		if some := i == 2; (r.Share == 1) == some || r.Share <= 0 || r.Whole < r.CPU {
			t.Errorf("%+v", r)
		}
	}
}

func TestBenchTrainUsageErrors(t *testing.T) {
	for want, args := range map[string][]string{
		"--events 10: need at least 1000":  {"--events", "10"},
		"--model magic: it can be als":     {"--model", "magic"},
		"multiple of 8":                    {"--dim", "9"},
		"--steps -1: must not be negative": {"--steps", "-1"},
	} {
		if code, _, errs := runHere(t, append([]string{"bench", "train"}, args...)...); code != exitUsage || !strings.Contains(errs, want) {
			t.Errorf("%v: exit code %d, %s", args, code, errs)
		}
	}
}

// The memory that was in use is in the peak, wherever the system tells it.
func TestATrainingTellsWhatItTook(t *testing.T) {
	m := newMeter()
	kept := make([]byte, 64<<20)
	for i := 0; i < len(kept); i += 4096 {
		kept[i] = 1
	}
	switch c := m.cost(); {
	case c.Memory != 0 && c.Memory < int64(len(kept)):
		t.Errorf("%s, but %d bytes are in use", c, len(kept))
	case !strings.Contains(c.String(), "processor seconds, peak memory"):
		t.Error(c)
	}
	if kept[4096] != 1 {
		t.Error("nothing was kept")
	}
}

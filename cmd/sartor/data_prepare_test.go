package main

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"
)

func TestDataPrepareCleansPartsAndTrains(t *testing.T) {
	events := twoTastes(40, 20, 20)
	events = append(events, events[0]) // sent twice
	source, out := writeEvents(t, events), filepath.Join(t.TempDir(), "log.parquet")
	code, text, errs := runHere(t, "data", "prepare", "--from-file", "ndjson:"+source, "--out", out)
	if code != exitOK || !strings.Contains(text, "duplicates  1 ") || !strings.Contains(text, "Kept 800 of 801 events.") || !strings.Contains(text, "train ") {
		t.Fatalf("exit code %d\n%s%s", code, text, errs)
	}
	// What was prepared trains as the recording does.
	_, want, _ := runHere(t, "train", "--model", "als", "--from-file", "ndjson:"+writeEvents(t, twoTastes(40, 20, 20)), "--eval-only", "--dim", "8", "--epochs", "3")
	code, got, errs := runHere(t, "train", "--model", "als", "--from-file", "prepared:"+out, "--eval-only", "--dim", "8", "--epochs", "3")
	line := func(s string) string { _, s, _ = strings.Cut(s, "\nALS "); s, _, _ = strings.Cut(s, "\n"); return s }
	if code != exitOK || line(got) != line(want) || line(got) == "" {
		t.Errorf("exit code %d\n%s%s\n%s", code, got, errs, want)
	}
	code, got, errs = runHere(t, "train", "--model", "als", "--from-file", "prepared:"+out+"@train", "--eval-only", "--dim", "8", "--epochs", "3")
	if code != exitOK || strings.Contains(got, "Data: 800 events") {
		t.Errorf("exit code %d\n%s%s", code, got, errs)
	}
}

func TestDataPrepareSynthetic(t *testing.T) {
	out := filepath.Join(t.TempDir(), "log.parquet")
	code, text, errs := runHere(t, "data", "prepare", "--synthetic", "20000", "--out", out, "--json", "--strong", "0.1", "--drop", "duplicates,impossible,bots,cancelled,short-sessions,long-sessions")
	var r prepareReport
	if err := json.Unmarshal([]byte(text), &r); code != exitOK || err != nil {
		t.Fatalf("exit code %d: %v\n%s%s", code, err, text, errs)
	}
	if r.Cleaning.Events == 0 || r.Cleaning.Kept == 0 || r.Split.Events["strong"] == 0 || r.Split.Events["test"] == 0 || r.Bytes == 0 || len(r.Cleaning.Steps) != 6 {
		t.Errorf("%+v", r)
	}
	if r.Seconds > 0 && (r.Making <= 0 || r.Making >= r.Seconds) || r.Cleaning.Memory == 0 {
		t.Errorf("%.3f of %.3f s made the events, the tables took %d bytes", r.Making, r.Seconds, r.Cleaning.Memory)
	}
}

func TestDataPrepareUsageErrors(t *testing.T) {
	for want, args := range map[string][]string{
		"--out: name":              {"--synthetic", "10"},
		`"magic" is no step`:       {"--out", "x", "--drop", "magic", "--synthetic", "10"},
		"no events to prepare":     {"--out", "x"},
		"need 0 or more, less tha": {"--out", "x", "--synthetic", "10", "--test-share", "2"},
	} {
		if code, _, errs := runHere(t, append([]string{"data", "prepare"}, args...)...); code != exitUsage || !strings.Contains(errs, want) {
			t.Errorf("%v: exit code %d, %s", args, code, errs)
		}
	}
}

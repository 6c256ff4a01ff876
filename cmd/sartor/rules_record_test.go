package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/sartorhq/sartor/features"
	"github.com/sartorhq/sartor/recommender"
	"github.com/sartorhq/sartor/rules"
	"github.com/sartorhq/sartor/rules/rulestest"
)

func recordWiring() *wiring {
	return &wiring{schema: features.Default(), logger: slog.New(slog.DiscardHandler), metrics: prometheus.NewRegistry()}
}

// TestRecordAndPlay records answers of the real recommender and plays them: without rules the same
// lists come out.
func TestRecordAndPlay(t *testing.T) {
	path := filepath.Join(t.TempDir(), "recorded.ndjson")
	w := recordWiring()
	r, err := recordFlags{path: path, every: 2}.open(w)
	if err != nil {
		t.Fatal(err)
	}
	rec := recommender.New(recommender.Options{Schema: w.schema, Considered: r.considered, Now: func() time.Time { return shelfTime.Add(time.Minute) }})
	if err := rec.Refresh(t.Context(), shelf{w.schema, 30}); err != nil {
		t.Fatal(err)
	}
	rec.SetRules(rules.Empty())
	var answers []string
	for range 6 {
		resp, err := rec.Recommend(t.Context(), recommender.Request{UserID: "jane@example.com", Scenario: "home", Count: 5})
		if err != nil {
			t.Fatal(err)
		}
		ids := make([]string, len(resp.Items))
		for i, it := range resp.Items {
			ids[i] = it.ItemID
		}
		answers = append(answers, strings.Join(ids, " "))
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	r.run(ctx) // writes what waits, and ends
	if err := r.file.Close(); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(path)
	if err != nil || strings.Contains(string(data), "jane") {
		t.Fatalf("%v %s", err, data)
	}
	got, err := rulestest.ReadRecordings(strings.NewReader(string(data)), w.schema)
	if err != nil || len(got.Requests) != 3 {
		t.Fatalf("%d requests, %v", len(got.Requests), err)
	}
	for i := range got.Requests {
		var ids []string
		for _, it := range got.Play(rules.Empty(), &got.Requests[i], false).Items {
			ids = append(ids, it.Item.ID)
		}
		if played := strings.Join(ids, " "); played != answers[2*i] || !strings.HasPrefix(played, "i029 i028") {
			t.Errorf("request %d: played %q, answered %q", i, played, answers[2*i])
		}
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("others may read the recording: %v %v", info.Mode(), err)
	}
}

// broken is a file on a full disk.
type broken struct{ io.WriteCloser }

func (broken) Write([]byte) (int, error) { return 0, errors.New("disk full") }

func TestRecordNeverBlocksAndGivesUp(t *testing.T) {
	w := recordWiring()
	r, err := recordFlags{path: filepath.Join(t.TempDir(), "r"), every: 1}.open(w)
	if err != nil {
		t.Fatal(err)
	}
	defer r.file.Close()
	env := &rules.Env{User: w.schema.User("u", nil, nil, time.Unix(0, 0)), Request: rules.Request{Count: 1}}
	for range recordQueue + 3 { // nobody writes: a call that blocked would hang the test
		r.considered(env, nil)
	}
	if n := testutil.ToFloat64(r.dropped); n != 3 {
		t.Errorf("%v dropped, want 3", n)
	}
	r.recorder = rulestest.NewRecorder(broken{}, w.schema, rulestest.RecorderOptions{})
	r.run(t.Context()) // ends by itself
	r.written = maxRecordBytes
	r.run(t.Context())
	if left := len(r.queue); left != recordQueue-2 {
		t.Errorf("%d wait, want %d", left, recordQueue-2)
	}
	if _, err := (recordFlags{path: "x"}).open(w); err == nil || !strings.Contains(err.Error(), "--record-every 0") {
		t.Error(err)
	}
	if got, err := (recordFlags{}).open(w); got != nil || err != nil {
		t.Error(got, err)
	}
}

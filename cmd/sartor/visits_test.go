package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sartorhq/sartor/streams"
)

const visitSchema = `apiVersion: features/v1
history: {max: 20, events: [view, click, order]}
user: {}
item:
  viewed_with: {type: "[]text", max: 5, default: [], together: {events: [view, click], within: session, gap: 30m, remember: 40}, doc: d, example: e}
context: {}
`

// Items that are viewed in one visit are paired alike by ingest, also when it starts in the middle, by
// verify, and by a rebuild from the archive.
func TestVisitsAreTheSameForAllReaders(t *testing.T) {
	path := filepath.Join(t.TempDir(), "schema.yaml")
	if err := os.WriteFile(path, []byte(visitSchema), 0o600); err != nil {
		t.Fatal(err)
	}
	w := newFeatureWorldOf(t, path)
	r := rand.New(rand.NewPCG(3, 4))
	views := func(n int, after time.Duration) {
		var events []streams.Event
		for i := range n {
			e := shopEvent([]streams.Type{streams.View, streams.Click}[r.IntN(2)], fmt.Sprint("u", r.IntN(9)), fmt.Sprint("i", r.IntN(25)), after+time.Duration(i)*20*time.Second)
			e.SessionID = []string{"", "", "s"}[r.IntN(3)]
			events = append(events, e)
		}
		w.write(events...)
	}
	dir := t.TempDir()
	views(300, 0)
	if out := w.mustRun(exitOK, "features", "verify"); !strings.Contains(out, " 0 differ") {
		t.Errorf("got %s", out)
	}
	if out := w.mustRun(exitOK, "features", "show", "item", "i1"); !strings.Contains(out, "together of view, click within a session 30m") || strings.Contains(out, "viewed_with  []") {
		t.Errorf("got %s", out)
	}
	w.mustRun(exitOK, "archive", "--once", "--to", dir)
	// Another member takes over half of the partitions, in the middle of visits.
	background(t, func(ctx context.Context) error {
		return runIngest(ctx, w.wiring, w.store, func(string, int, int64) {})
	})
	views(300, time.Hour)
	for _, args := range [][]string{{"features", "verify"}, {"features", "verify", "--from-archive", dir},
		{"features", "rebuild", "--name", "g1", "--from-archive", dir}, {"features", "verify", "--wait", "60s"}} {
		if out := w.mustRun(exitOK, args...); args[1] == "verify" && !strings.Contains(out, "600 events folded into 9 users and 25 items: 0 differ") {
			t.Errorf("%v: got %s", args, out)
		}
	}
}

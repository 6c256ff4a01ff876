package main

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sartorhq/sartor/streams"
	"github.com/sartorhq/sartor/streams/kafka"
)

// archiveEvents are n events of all topics.
func archiveEvents(n int, after time.Duration) []streams.Event {
	var out []streams.Event
	for i := range n {
		typ := []streams.Type{streams.View, streams.Order, streams.CartAdd, streams.Exposure}[i%4]
		out = append(out, shopEvent(typ, fmt.Sprintf("u%d", i%17), fmt.Sprintf("i%d", i%23), after+time.Duration(i)*time.Second))
		if typ == streams.Exposure {
			out[i].Items[0].Position, out[i].RecommendationID = 1, fmt.Sprint("r", i)
		}
	}
	return append(out, streams.Event{Type: streams.ItemUpsert, Time: featuresNoon, Items: []streams.Line{{ItemID: "i1"}}, Attributes: map[string]any{"category": "coats", "price": 1999.0}},
		streams.Event{Type: streams.UserUpsert, UserID: "u1", Time: featuresNoon, Attributes: map[string]any{"tier": "gold"}})
}

// kept returns what a log holds, one line a record.
func kept(t *testing.T, l eventLog) []string {
	t.Helper()
	var out []string
	if err := l.Read(t.Context(), consumed(), func(r *streams.Record) error {
		out = append(out, fmt.Sprintf("%v %s %+v", r.Position, r.Event.ID, r.Event))
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return out
}

func TestArchiveOnceThenVerifyAndRebuildFromIt(t *testing.T) {
	w := newFeatureWorld(t)
	dir := t.TempDir()
	to := []string{"--to", dir}
	if out := w.mustRun(exitOK, append([]string{"archive", "show"}, to...)...); out != "the archive is empty\n" {
		t.Errorf("got %s", out)
	}
	w.write(archiveEvents(200, 0)...)
	if err := w.producer.WriteRaw(t.Context(), streams.Behavior, []byte("u"), []byte("{")); err != nil {
		t.Fatal(err)
	}
	if out := w.mustRun(exitOK, append([]string{"archive", "--once"}, to...)...); out != "202 events archived\n" {
		t.Errorf("got %s", out)
	}
	w.write(archiveEvents(100, time.Hour)...)

	// The archive alone holds the first part; with Kafka behind it, what Kafka holds.
	offline := w.wiring.kafka
	offline.Brokers = nil
	alone, both := archiveLog(dir, offline), archiveLog(dir, w.wiring.kafka)
	if n := len(kept(t, alone)); n != 202 {
		t.Errorf("the archive holds %d events", n)
	}
	want, got := map[string]bool{}, kept(t, both)
	for _, line := range kept(t, kafkaLog(w.wiring.kafka)) {
		want[line] = true
	}
	for _, line := range got {
		if !want[line] {
			t.Errorf("Kafka does not hold %s", line)
		}
	}
	if len(got) != len(want) {
		t.Errorf("the archive and Kafka hold %d events, want %d", len(got), len(want))
	}
	var times []time.Time
	if err := both.InOrder(t.Context(), consumed(), func(r *streams.Record) error { times = append(times, r.Event.Time); return nil }); err != nil {
		t.Fatal(err)
	}
	if len(times) != len(want) || !slices.IsSortedFunc(times[4:], time.Time.Compare) { // the documents are older than what is before them
		t.Errorf("%d events in order, want %d", len(times), len(want))
	}
	if out := w.mustRun(exitOK, "features", "verify", "--from-archive", dir); !strings.Contains(out, "304 events folded") || !strings.Contains(out, " 0 differ") {
		t.Errorf("got %s", out)
	}
	if out := w.mustRun(exitOK, append([]string{"archive", "--once"}, to...)...); out != "102 events archived\n" {
		t.Errorf("got %s", out)
	}
	if out := w.mustRun(exitOK, "features", "rebuild", "--from-archive", dir, "--name", "g1"); !strings.Contains(out, "304 events applied") {
		t.Errorf("got %s", out)
	}
	eventually(t, "ingest to follow", func() bool {
		_, _, err := w.store.ChangedItems(t.Context(), nil)
		return err == nil && w.store.Namespace() == "g1"
	})
	w.mustRun(exitOK, "features", "verify")
	if out := w.mustRun(exitOK, append([]string{"archive", "show", "--output", "json"}, to...)...); !strings.Contains(out, `"topic": "behavior"`) {
		t.Errorf("got %s", out)
	}
}

func TestArchiveFollowsTheLog(t *testing.T) {
	w := newFeatureWorld(t)
	w.app.config.Archive.URL, w.app.config.Archive.MaxAge = "file://"+t.TempDir(), 50*time.Millisecond
	background(t, func(ctx context.Context) error { return w.app.keepArchive(ctx, false) })
	offline := w.wiring.kafka
	offline.Brokers = nil
	l := archiveLog(w.app.config.Archive.URL, offline)
	for round := 1; round <= 3; round++ {
		w.write(archiveEvents(50, time.Duration(round)*time.Minute)...)
		eventually(t, "the archive to follow", func() bool {
			n := 0
			err := l.Read(t.Context(), consumed(), func(*streams.Record) error { n++; return nil })
			return err == nil && n == 52*round
		})
	}
}

func TestArchiveUsage(t *testing.T) {
	for name, tc := range map[string]struct {
		args []string
		code int
		want string
	}{
		"no-place":  {[]string{"archive", "show"}, exitUsage, "use --to, archive.url"},
		"no-kafka":  {[]string{"archive", "--to", "/tmp/x"}, exitUsage, "archive needs Kafka"},
		"no-driver": {[]string{"archive", "show", "--to", "ftp://x"}, exitFailed, "there is no driver for ftp://"},
		"two-logs":  {[]string{"features", "verify", "--from-archive", "x", "--from-file", "ndjson:x"}, exitUsage, "are two logs"},
		"empty":     {[]string{"features", "rebuild", "--redis", "127.0.0.1:1", "--from-archive", "ftp://x"}, exitFailed, ""},
		"groups":    {[]string{"config", "check", "--set", "archive.group=sartor-features"}, exitFailed, "each must read everything"},
	} {
		t.Run(name, func(t *testing.T) {
			var out strings.Builder
			if code := run(t.Context(), tc.args, strings.NewReader(""), &out, &out); code != tc.code || !strings.Contains(out.String(), tc.want) {
				t.Errorf("got %d: %s", code, out.String())
			}
		})
	}
	l := archiveLog(t.TempDir(), kafka.Options{})
	if err := l.Read(t.Context(), consumed(), nil); err == nil || !strings.Contains(err.Error(), "is it the right place?") {
		t.Errorf("an empty archive: %v", err)
	}
}

// What is trained on is the same, wherever it lies.
func TestTrainFromTheArchive(t *testing.T) {
	w := newFeatureWorld(t)
	dir := t.TempDir()
	w.write(archiveEvents(300, 0)...)
	w.mustRun(exitOK, "archive", "--once", "--to", dir)
	w.write(archiveEvents(100, time.Hour)...)
	args := []string{"train", "--eval-only", "--model", "popularity", "--k", "5", "--keep-seen"}
	cost := regexp.MustCompile(`[\d.]+ s, [\d.]+ processor seconds.*`) // is not the same twice
	want := cost.ReplaceAllString(w.mustRun(exitOK, args...), "")
	if got := cost.ReplaceAllString(w.mustRun(exitOK, append(args, "--from-archive", dir)...), ""); got != want || !strings.Contains(got, "Data: 300 events of 17 users") {
		t.Errorf("from the archive:\n%s\nfrom Kafka:\n%s", got, want)
	}
	offline := w.flags
	w.flags = nil
	if got := w.mustRun(exitOK, append(args, "--from-archive", dir)...); !strings.Contains(got, "Data: 225 events of 17 users") {
		t.Errorf("from the archive alone:\n%s", got)
	}
	w.mustRun(exitOK, "data", "inspect", "--from-archive", dir)
	w.flags = offline
}

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sartorhq/sartor/deploy/devstack"
	"github.com/sartorhq/sartor/features"
	"github.com/sartorhq/sartor/features/redisstore"
	"github.com/sartorhq/sartor/streams"
	"github.com/sartorhq/sartor/streams/kafka"
)

// featureWorld is a stack with an ingest that runs and a producer.
type featureWorld struct {
	t        *testing.T
	app      *app
	wiring   *wiring
	store    *redisstore.Store
	producer *kafka.Producer
	flags    []string
	written  int
}

func newFeatureWorld(t *testing.T) *featureWorld { return newFeatureWorldOf(t, "") }

// newFeatureWorldOf has a schema file of its own.
func newFeatureWorldOf(t *testing.T, schema string) *featureWorld {
	t.Helper()
	a := stackApp(startStack(t, devstack.Options{Ephemeral: true}))
	a.config.Schema.File = schema
	w, err := a.newWiring()
	if err != nil {
		t.Fatal(err)
	}
	if err := w.ensureTopics(t.Context()); err != nil {
		t.Fatal(err)
	}
	fw := &featureWorld{t: t, app: a, wiring: w, store: openStore(t, a), producer: kafka.NewProducer(w.kafka)}
	t.Cleanup(func() { _ = fw.producer.Close() })
	fw.flags = []string{"--set", "kafka.brokers=" + strings.Join(a.config.Kafka.Brokers, ","), "--set", "redis.addrs=" + a.config.Redis.Addrs[0], "--set", "schema.file=" + schema}
	background(t, func(ctx context.Context) error {
		return runIngest(ctx, w, fw.store, func(string, int, int64) {})
	})
	return fw
}

// write publishes events.
func (w *featureWorld) write(events ...streams.Event) {
	w.t.Helper()
	for i := range events {
		w.written++
		events[i].ID = fmt.Sprintf("e%d", w.written)
	}
	if err := w.producer.Write(w.t.Context(), events...); err != nil {
		w.t.Fatal(err)
	}
}

// run runs the command line and returns its exit code and what it printed.
func (w *featureWorld) run(args ...string) (code int, stdout, stderr string) {
	w.t.Helper()
	var out, errs bytes.Buffer
	code = run(w.t.Context(), append(args, w.flags...), strings.NewReader(""), &out, &errs)
	return code, out.String(), errs.String()
}

// mustRun fails the test unless the command ends with the code; it returns what was printed.
func (w *featureWorld) mustRun(code int, args ...string) string {
	w.t.Helper()
	got, out, errs := w.run(args...)
	if got != code {
		w.t.Fatalf("%s ended with %d, want %d\n%s%s", strings.Join(args, " "), got, code, out, errs)
	}
	return out
}

var featuresNoon = time.Now().UTC().Add(-6 * time.Hour).Truncate(time.Hour)

func shopEvent(typ streams.Type, user, item string, after time.Duration) streams.Event {
	e := streams.Event{Type: typ, Time: featuresNoon.Add(after), UserID: user, Items: []streams.Line{{ItemID: item}}}
	if typ == streams.Order || typ == streams.CartAdd {
		e.Items[0].Quantity, e.Items[0].Price = 1, 1000
	}
	return e
}

func TestFeaturesVerifyAndShow(t *testing.T) {
	w := newFeatureWorld(t)
	var events []streams.Event
	for i := range 300 {
		events = append(events, shopEvent([]streams.Type{streams.View, streams.Order, streams.CartAdd}[i%3], fmt.Sprintf("u%d", i%17), fmt.Sprintf("i%d", i%23), time.Duration(i)*time.Second))
	}
	w.write(append(events, streams.Event{Type: streams.ItemUpsert, Time: featuresNoon, Items: []streams.Line{{ItemID: "i1"}}, Attributes: map[string]any{"category": "coats"}})...)
	if out := w.mustRun(exitOK, "features", "verify"); !strings.Contains(out, "301 events folded into 17 users and 23 items: 0 differ") {
		t.Errorf("got %s", out)
	}
	w.mustRun(exitOK, "features", "verify", "--passes", "3")

	out := w.mustRun(exitOK, "features", "show", "user", "u1")
	for _, want := range []string{"user.views_24h", "count of view in 24h", "user.tier", "default", "history, newest first"} {
		if !strings.Contains(out, want) {
			t.Errorf("show lacks %q:\n%s", want, out)
		}
	}
	var shown card
	if err := json.Unmarshal([]byte(w.mustRun(exitOK, "features", "show", "item", "i1", "--output", "json")), &shown); err != nil || shown.ID != "i1" {
		t.Errorf("got %+v, %v", shown, err)
	}
	w.mustRun(exitFailed, "features", "show", "user", "nobody")
	w.mustRun(exitUsage, "features", "show", "shop", "x")

	// One event too many, of a user that exists and of one that does not.
	tampered, err := w.store.Partition(t.Context(), "tampered", 0)
	if err != nil {
		t.Fatal(err)
	}
	again := []redisstore.Folded{}
	for i, user := range []string{"u1", "ghost"} {
		e := shopEvent(streams.View, user, "i1", 0)
		again = append(again, redisstore.Folded{Offset: int64(i), Deltas: w.wiring.schema.Fold(&e)[:1]})
	}
	if err := tampered.Apply(t.Context(), again, 1); err != nil {
		t.Fatal(err)
	}
	var v verdict
	if err := json.Unmarshal([]byte(w.mustRun(exitFailed, "features", "verify", "--output", "json")), &v); err != nil {
		t.Fatal(err)
	}
	if v.Differing != 2 || v.Entities[0].ID != "ghost" || v.Entities[1].ID != "u1" || len(v.Entities[1].Fields) == 0 {
		t.Fatalf("got %+v", v)
	}
	if out := w.mustRun(exitFailed, "features", "verify"); !strings.Contains(out, "user u1\n  ") || !strings.Contains(out, "2 differ") {
		t.Errorf("got %s", out)
	}
}

// A changed schema is planned, built beside what is served, and followed; then verify finds nothing.
func TestFeaturesRebuild(t *testing.T) {
	w := newFeatureWorld(t)
	w.write(shopEvent(streams.View, "u1", "a", 0), shopEvent(streams.Click, "u1", "a", time.Minute), shopEvent(streams.Order, "u2", "b", time.Hour))
	w.mustRun(exitOK, "features", "verify")
	if out := w.mustRun(exitOK, "features", "plan"); !strings.Contains(out, "nothing to do") {
		t.Errorf("got %s", out)
	}

	changed := filepath.Join(t.TempDir(), "schema.yaml")
	text := strings.Replace(features.Default().Source(), "item:\n", "  clicks_7d: {type: int, default: 0, count: {events: [click], window: 7d}, doc: Clicks, example: 1}\n\nitem:\n", 1)
	if err := os.WriteFile(changed, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if out := w.mustRun(exitFailed, "features", "plan", "--schema", changed); !strings.Contains(out, "added  user.clicks_7d  REBUILD  count of click events is not stored so far") {
		t.Errorf("got %s", out)
	}
	// With the schema in use first: ingest follows without a restart.
	if out := w.mustRun(exitOK, "features", "rebuild", "--name", "g1"); !strings.Contains(out, "3 events applied") || !strings.Contains(out, "namespace g1 is active") {
		t.Errorf("got %s", out)
	}
	w.write(shopEvent(streams.View, "u1", "b", 2*time.Hour))
	eventually(t, "ingest to follow", func() bool {
		st, err := w.store.User(t.Context(), "u1")
		return err == nil && w.store.Namespace() == "g1" && st != nil && len(st.Lists["history"]) == 3
	})
	w.mustRun(exitOK, "features", "verify")
	w.mustRun(exitUsage, "features", "rebuild", "--name", "g1")

	w.mustRun(exitOK, "features", "rebuild", "--name", "g2", "--schema", changed)
	if out := w.mustRun(exitOK, "features", "plan", "--schema", changed); !strings.Contains(out, "nothing to do") {
		t.Errorf("got %s", out)
	}
	var shown card
	if err := json.Unmarshal([]byte(w.mustRun(exitOK, "features", "show", "user", "u1", "--schema", changed, "--output", "json")), &shown); err != nil {
		t.Fatal(err)
	}
	for _, f := range shown.Features {
		if f.Name == "clicks_7d" && f.Value != 1.0 {
			t.Errorf("the new feature has no past: %+v", f)
		}
	}
	w.mustRun(exitOK, "features", "verify", "--schema", changed)
}

// What was erased is gone from all namespaces and stays gone when the whole log is folded again.
func TestEraseUser(t *testing.T) {
	w := newFeatureWorld(t)
	visit := shopEvent(streams.View, "", "a", 0)
	visit.AnonymousID = "c-9"
	w.write(visit, shopEvent(streams.Order, "u1", "a", time.Minute), shopEvent(streams.View, "u2", "a", time.Minute),
		streams.Event{Type: streams.UserUpsert, Time: featuresNoon, UserID: "u1", Attributes: map[string]any{"tier": "gold"}},
		streams.Event{Type: streams.UserMerge, Time: featuresNoon.Add(time.Hour), UserID: "u1", AnonymousID: "c-9"})
	w.mustRun(exitOK, "features", "verify")
	w.mustRun(exitOK, "features", "rebuild", "--name", "g1")

	out := w.mustRun(exitOK, "erase", "user", "u1")
	for _, want := range []string{"erased u1, anon:c-9 at ", "g1:{v", "u:anon:c-9", "2 user-delete events written", "the tombstone"} {
		if !strings.Contains(out, want) {
			t.Errorf("the proof lacks %q:\n%s", want, out)
		}
	}
	w.mustRun(exitOK, "features", "verify")
	gone := func(when string) {
		t.Helper()
		for _, subject := range []string{"u1", "anon:c-9"} {
			st, err := w.store.User(t.Context(), subject)
			if err != nil || st == nil || len(st.Counters)+len(st.Lists) > 0 || st.Doc != "" || st.RemovedAt == 0 {
				t.Errorf("%s: %s has %+v, %v", when, subject, st, err)
			}
		}
	}
	gone("after the erasure")
	w.mustRun(exitOK, "features", "rebuild", "--name", "g2")
	eventually(t, "ingest to follow", func() bool { return w.store.Namespace() == "g2" })
	gone("after a rebuild from the whole log")
	w.mustRun(exitOK, "features", "verify")
	if st, err := w.store.User(t.Context(), "u2"); err != nil || st == nil || len(st.Lists["history"]) != 1 {
		t.Errorf("u2 went too: %v, %v", st, err)
	}
}

// A recording can stand in for the log, and a difference is found there, too.
func TestFeaturesVerifyFromFile(t *testing.T) {
	w := newFeatureWorld(t)
	w.write(shopEvent(streams.View, "u1", "a", 0), shopEvent(streams.Order, "u1", "b", time.Minute))
	w.mustRun(exitOK, "features", "verify")
	stamp := func(after time.Duration) string { return featuresNoon.Add(after).Format(time.RFC3339) }
	lines := []string{
		`{"event_id":"e1","type":"view","time":"` + stamp(0) + `","user_id":"u1","item_id":"a"}`,
		`{"event_id":"e2","type":"order","time":"` + stamp(time.Minute) + `","user_id":"u1","items":[{"item_id":"b","quantity":1,"price":1000}]}`,
	}
	path := filepath.Join(t.TempDir(), "events.ndjson")
	for n, code := range map[int]int{2: exitOK, 1: exitFailed} {
		if err := os.WriteFile(path, []byte(strings.Join(lines[:n], "\n")+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		w.mustRun(code, "features", "verify", "--from-file", "ndjson:"+path)
	}
	w.mustRun(exitUsage, "features", "verify", "--from-file", "ndjson")
}

// A rebuild that stopped half way goes on where it stopped, and drops what is not served any more.
func TestFeaturesRebuildGoesOn(t *testing.T) {
	w := newFeatureWorld(t)
	for i := range 30 {
		w.write(shopEvent(streams.View, fmt.Sprintf("u%d", i%7), "a", time.Duration(i)*time.Minute))
	}
	w.mustRun(exitOK, "features", "verify")
	opts := w.wiring.redis
	opts.Namespace = "g1"
	half := redisstore.New(opts, w.wiring.schema)
	defer half.Close()
	if err := half.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	stop := errors.New("stop")
	r := &rebuilder{schema: w.wiring.schema, store: half, log: kafkaLog(w.wiring.kafka), out: io.Discard, batch: 3, open: map[place]*filling{}}
	read := 0
	err := r.log.Read(t.Context(), consumed(), func(rec *streams.Record) error {
		if read++; read > 20 {
			return stop
		}
		f, err := r.at(t.Context(), placeOf(rec))
		if err != nil {
			return err
		}
		f.todo = append(f.todo, redisstore.Folded{Offset: rec.Offset, Deltas: r.schema.Fold(&rec.Event)})
		return f.flush(t.Context())
	})
	if !errors.Is(err, stop) {
		t.Fatal(err)
	}
	a := stackAppOf(w)
	var out bytes.Buffer
	a.stdout, a.stderr = &out, &out
	if err := a.rebuild(t.Context(), rebuildFlags{name: "g1", drop: true}, time.Now()); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"namespace g1 is active", "namespace (the first) is dropped: "} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("lacks %q:\n%s", want, out.String())
		}
	}
	eventually(t, "ingest to follow", func() bool {
		_, _, err := w.store.ChangedItems(t.Context(), nil)
		return err == nil && w.store.Namespace() == "g1"
	})
	w.mustRun(exitOK, "features", "verify")
}

// stackAppOf is another process with the same configuration.
func stackAppOf(w *featureWorld) *app {
	other := *w.app
	return &other
}

func TestFeaturesBudget(t *testing.T) {
	var out bytes.Buffer
	if code := run(t.Context(), []string{"features", "budget", "--users", "1000000"}, strings.NewReader(""), &out, &out); code != exitOK {
		t.Fatalf("got %d: %s", code, out.String())
	}
	for _, want := range []string{"user, usual: 50 events in 30 days", "item, most:", "1,000,000 users"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("lacks %q:\n%s", want, out.String())
		}
	}
}

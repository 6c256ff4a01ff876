package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sartorhq/sartor/deploy/devstack"
	"github.com/sartorhq/sartor/features/redisstore"
	"github.com/sartorhq/sartor/models/train"
	"github.com/sartorhq/sartor/streams"
	"github.com/sartorhq/sartor/streams/kafka"
)

// world is the whole road in this process: broker, Redis, ingest and serving, as the commands wire
// them, with a shop of three kinds of goods whose buyers never look at another kind.
type world struct {
	t       testing.TB
	app     *app
	wiring  *wiring
	parts   servingParts
	serving *serving
	url     string
	client  *http.Client
}

var goodsKinds = []string{"lamp", "shoe", "tent"}

const itemsOfKind = 12

// newWorld starts a world whose log already holds the catalogue and the buyers' history, and whose
// registry holds a model of it. params are the operator's, by rule set.
func newWorld(t testing.TB, params map[string]map[string]any) *world {
	t.Helper()
	stack := startStack(t, devstack.Options{})
	a := stackApp(stack)
	if testing.Verbose() {
		a.logger = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	}
	a.config.Rules = RulesConfig{Dir: filepath.Join(stack.Dir(), "rules"), Poll: 20 * time.Millisecond, Params: params}
	a.config.Models = ModelsConfig{Dir: filepath.Join(stack.Dir(), "models"), Poll: 20 * time.Millisecond}
	a.config.Redis.ReadTimeout, a.config.HTTP.Budget = 5*time.Second, 10*time.Second // the machine may be busy; what is tested is not speed
	if err := os.Mkdir(a.config.Rules.Dir, 0o755); err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, app: a, client: &http.Client{Timeout: deadline, Transport: &http.Transport{}}}
	var err error
	if w.wiring, err = a.newWiring(); err != nil {
		t.Fatal(err)
	}
	w.parts = servingParts{store: redisstore.New(w.wiring.redis, w.wiring.schema), producer: kafka.NewProducer(w.wiring.kafka)}
	w.serving = newServing(w.wiring, w.parts)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w.url = "http://" + ln.Addr().String()
	t.Cleanup(w.client.CloseIdleConnections)
	background(t, func(ctx context.Context) error {
		return errors.Join(w.serving.run(ctx, ln), w.parts.close())
	})
	if err := w.parts.producer.Write(t.Context(), w.history()...); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the store to be open", func() bool { return w.parts.store.Ping(t.Context()) == nil })
	applied := newOffsets()
	background(t, func(ctx context.Context) error {
		if err := w.parts.store.Open(ctx); err != nil {
			return err
		}
		return runIngest(ctx, w.wiring, w.parts.store, applied.note)
	})
	// Before there is a model, which would bring the items, too, though without what is known of them.
	eventually(t, "the catalogue to be seen", func() bool { return w.serving.rec.Status().Items == len(goodsKinds)*itemsOfKind })
	w.train()
	return w
}

func itemOf(kind string, n int) string { return fmt.Sprintf("%s-%02d", kind, n) }

// history is the catalogue, and thirty buyers of each kind who bought all of its goods two weeks ago.
func (w *world) history() []streams.Event {
	var events []streams.Event
	then := time.Now().UTC().Add(-14 * 24 * time.Hour).Truncate(time.Millisecond)
	for k, kind := range goodsKinds {
		for n := range itemsOfKind {
			events = append(events, streams.Event{ID: "item-" + itemOf(kind, n), Type: streams.ItemUpsert, Time: then.Add(-time.Hour),
				Items:      []streams.Line{{ItemID: itemOf(kind, n)}},
				Attributes: map[string]any{"title": itemOf(kind, n), "category": kind, "brand": fmt.Sprintf("%s-%d", kind, n%4), "price": 1000.0, "currency": "EUR"}})
		}
		for buyer := range 30 {
			for i := range itemsOfKind {
				id := fmt.Sprintf("%s-%d-%d", kind, buyer, i)
				events = append(events, streams.Event{ID: id, Type: streams.Order, Time: then.Add(time.Duration(k*1000+buyer*20+i) * time.Second),
					UserID: fmt.Sprintf("%s-buyer-%d", kind, buyer), OrderID: id, Currency: "EUR", Country: "FR",
					Items: []streams.Line{{ItemID: itemOf(kind, (buyer+i)%itemsOfKind), Quantity: 1, Price: 1000}}})
			}
		}
	}
	return events
}

// train publishes a model of what is in the log and waits until it serves.
func (w *world) train() {
	w.t.Helper()
	meta, err := trainModel(w.t.Context(), trainOptions{Read: kafkaEvents(w.wiring.kafka), Schema: w.wiring.schema, Split: splitNone,
		Train: train.Options{Dim: 8, Epochs: 8, Seed: 1}, FixedKappa: true, Registry: w.serving.models})
	if err != nil {
		w.t.Fatal(err)
	}
	eventually(w.t, "the model to serve", func() bool { return w.serving.rec.Status().Versions.Model == meta.Version })
}

// answer is what the tests look at in an answer of POST /v1/recommend.
type answer struct {
	Items []struct {
		ItemID  string   `json:"item_id"`
		Source  string   `json:"source"`
		Reasons []string `json:"reasons"`
	} `json:"items"`
	ServedBy string   `json:"served_by"`
	Degraded []string `json:"degraded"`
	Versions struct{ Model, Rules, Schema string }
	Explain  struct {
		Summary []string
		Rules   struct {
			Fired []struct{ Rule, Action string }
		}
	}
}

func (a *answer) ids() []string {
	ids := make([]string, len(a.Items))
	for i := range a.Items {
		ids[i] = a.Items[i].ItemID
	}
	return ids
}

// ofKind counts the goods of a kind.
func (a *answer) ofKind(kind string) int {
	n := 0
	for _, id := range a.ids() {
		if strings.HasPrefix(id, kind) {
			n++
		}
	}
	return n
}

// hasAll tells whether all these goods are in the list.
func (a *answer) hasAll(ids []string) bool {
	return !slices.ContainsFunc(ids, func(id string) bool { return !slices.Contains(a.ids(), id) })
}

func (a *answer) fired(rule string) bool {
	for _, f := range a.Explain.Rules.Fired {
		if f.Rule == rule {
			return true
		}
	}
	return false
}

// call sends a request and decodes a 2xx answer.
func (w *world) call(method, path string, body, out any) {
	w.t.Helper()
	var sent io.Reader
	if body != nil {
		data, err := json.Marshal(body)
		if err != nil {
			w.t.Fatal(err)
		}
		sent = bytes.NewReader(data)
	}
	req, err := http.NewRequestWithContext(w.t.Context(), method, w.url+path, sent)
	if err != nil {
		w.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := w.client.Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	if resp.StatusCode/100 != 2 {
		w.t.Fatalf("%s %s: HTTP %d: %s", method, path, resp.StatusCode, text)
	}
	switch out := out.(type) {
	case nil:
	case *string:
		*out = string(text)
	default:
		if err := json.Unmarshal(text, out); err != nil {
			w.t.Fatalf("%s %s: %v in %s", method, path, err, text)
		}
	}
}

type object = map[string]any

// ask asks for twenty recommendations for the home page, explained.
func (w *world) ask(user, country string) *answer {
	w.t.Helper()
	body := object{"user_id": user, "scenario": "home", "count": 20, "explain": true}
	if country != "" {
		body["context"] = object{"country": country}
	}
	var a answer
	w.call(http.MethodPost, "/v1/recommend", body, &a)
	return &a
}

// post posts events that happen now.
func (w *world) post(events ...object) {
	w.t.Helper()
	for i, e := range events {
		if e["time"] == nil {
			e["time"] = time.Now().UTC().Format(time.RFC3339Nano)
		}
		if e["event_id"] == nil {
			e["event_id"] = fmt.Sprintf("e-%d-%d", time.Now().UnixNano(), i)
		}
	}
	var got struct{ Accepted, Rejected int }
	w.call(http.MethodPost, "/v1/events", events, &got)
	if got.Accepted != len(events) || got.Rejected != 0 {
		w.t.Fatalf("posted %d events: %d accepted, %d rejected", len(events), got.Accepted, got.Rejected)
	}
}

// rule writes a rule file as an editor does: a new file moved over the old one.
func (w *world) rule(text string) {
	w.t.Helper()
	path := filepath.Join(w.app.config.Rules.Dir, "home.yaml")
	if err := os.WriteFile(path+".new", []byte(text), 0o600); err != nil {
		w.t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		w.t.Fatal(err)
	}
}

// status is what the tests look at in GET /v1/status.
type status struct {
	Rules struct {
		Revision string
		OK       bool
		Problems []struct {
			Code    string
			Path    string
			Line    int
			Message string
		}
	}
}

func (w *world) status() status {
	w.t.Helper()
	var s status
	w.call(http.MethodGet, "/v1/status", nil, &s)
	return s
}

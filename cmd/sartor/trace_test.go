package main

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	kafkago "github.com/segmentio/kafka-go"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/sartorhq/sartor/deploy/devstack"
	"github.com/sartorhq/sartor/features/redisstore"
	"github.com/sartorhq/sartor/recommender"
	"github.com/sartorhq/sartor/recommender/httpapi"
	"github.com/sartorhq/sartor/streams"
	"github.com/sartorhq/sartor/streams/kafka"
)

const callersTrace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

// tracedServing serves on loopback with spans kept in memory.
func tracedServing(t *testing.T, sample float64, log io.Writer, change func(*app)) (url string, spans *tracetest.InMemoryExporter) {
	t.Helper()
	spans = tracetest.NewInMemoryExporter()
	a := &app{config: defaultConfig(), logger: slog.New(slog.NewJSONHandler(log, nil)), metrics: prometheus.NewRegistry()}
	if change != nil {
		change(a)
	}
	w, err := a.newWiring()
	if err != nil {
		t.Fatal(err)
	}
	parts := servingParts{trace: tracingTo(sdktrace.WithSyncer(spans), sample, "test")}
	parts.trace.wireKafka(&w.kafka)
	if len(a.config.Kafka.Brokers) > 0 {
		parts.producer = kafka.NewProducer(w.kafka)
	}
	if len(a.config.Redis.Addrs) > 0 {
		parts.store = redisstore.New(w.redis, w.schema)
	}
	s := newServing(w, parts)
	ln := listenHere(t)
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.run(ctx, ln) }()
	t.Cleanup(func() {
		http.DefaultClient.CloseIdleConnections()
		stop()
		if err := <-done; err != nil {
			t.Errorf("stopped with %v", err)
		}
		if err := parts.close(); err != nil {
			t.Error(err)
		}
	})
	return "http://" + ln.Addr().String(), spans
}

func send(t *testing.T, method, url, body string, headers map[string]string) int {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for k, v := range headers {
		req.Header.Set(k, v)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		t.Error(err)
	}
	if err := resp.Body.Close(); err != nil {
		t.Error(err)
	}
	return resp.StatusCode
}

// TestTraceOfARequest: one request makes one trace, under its caller's, with a span for each part in its
// place, and says nothing of the user.
func TestTraceOfARequest(t *testing.T) {
	url, exporter := tracedServing(t, 0, io.Discard, nil) // 0: only what the caller has decided
	if code := send(t, "POST", url+"/v1/recommend", `{"user_id":"secret-user","scenario":"home"}`, map[string]string{"traceparent": callersTrace}); code != 200 {
		t.Fatalf("status %d", code)
	}
	if code := send(t, "POST", url+"/v1/recommend", `{}`, nil); code != 200 {
		t.Fatalf("status %d", code)
	}
	spans := exporter.GetSpans()
	byName := map[string]tracetest.SpanStub{}
	for _, s := range spans {
		byName[s.Name] = s
		if s.SpanContext.TraceID().String() != "0af7651916cd43dd8448eb211c80319c" {
			t.Errorf("%s is in the trace %s", s.Name, s.SpanContext.TraceID())
		}
		for _, kv := range s.Attributes {
			if strings.Contains(kv.Value.String(), "secret-user") {
				t.Errorf("%s has %s=%s", s.Name, kv.Key, kv.Value.String())
			}
		}
	}
	root := byName["POST /v1/recommend"]
	if root.Parent.SpanID().String() != "b7ad6b7169203331" || root.SpanKind != trace.SpanKindServer {
		t.Errorf("the request's span is under %s", root.Parent.SpanID())
	}
	for _, part := range []string{"user", "plan", "candidates", "rules", "respond"} {
		s, ok := byName[part]
		if !ok || s.Parent.SpanID() != root.SpanContext.SpanID() || s.StartTime.Before(root.StartTime) || s.EndTime.After(root.EndTime) {
			t.Errorf("%s: there %v, from %v to %v, under %s", part, ok, s.StartTime, s.EndTime, s.Parent.SpanID())
		}
	}
	if len(spans) != 6 {
		t.Errorf("%d spans", len(spans))
	}
}

// TestPartsLieInEachOther: a part that lies within another is its child.
func TestPartsLieInEachOther(t *testing.T) {
	exporter := tracetest.NewInMemoryExporter()
	tr := tracingTo(sdktrace.WithSyncer(exporter), 1, "test")
	ctx, end := tr.request(t.Context(), httpapi.Incoming{Method: "POST", Route: "/v1/recommend"})
	at := func(ms int) time.Time { return time.Unix(0, int64(ms)*1e6) }
	span := func(name string, from, to int) recommender.Span {
		return recommender.Span{Name: name, Start: at(from), Took: at(to).Sub(at(from))}
	}
	tr.parts(ctx, []recommender.Span{span("user", 0, 10), span("encode", 12, 14), span("retrieve", 14, 19), span("candidates", 11, 20), span("rules", 20, 30), span("respond", 30, 31)})
	end(500)
	parents, ids := map[string]trace.SpanID{}, map[string]trace.SpanID{}
	for _, s := range exporter.GetSpans() {
		parents[s.Name], ids[s.Name] = s.Parent.SpanID(), s.SpanContext.SpanID()
	}
	for name, parent := range map[string]string{"user": "POST /v1/recommend", "candidates": "POST /v1/recommend", "encode": "candidates", "retrieve": "candidates", "rules": "POST /v1/recommend", "respond": "POST /v1/recommend"} {
		if parents[name] != ids[parent] {
			t.Errorf("%s is not under %s", name, parent)
		}
	}
	if err := tr.close(); err != nil {
		t.Error(err)
	}
}

// TestLogLinesNameTheTrace: whoever reads of a failure finds its trace.
func TestLogLinesNameTheTrace(t *testing.T) {
	var mu sync.Mutex
	var log bytes.Buffer
	url, _ := tracedServing(t, 1, lockedWriter{&mu, &log}, nil)
	event := `{"event_id":"e","type":"view","time":"2025-10-23T11:00:00Z","user_id":"u1","item_id":"i"}`
	if code := send(t, "POST", url+"/v1/events", event, map[string]string{"traceparent": callersTrace}); code != 503 {
		t.Fatalf("status %d without a log", code)
	}
	mu.Lock()
	defer mu.Unlock()
	if !strings.Contains(log.String(), `"trace_id":"0af7651916cd43dd8448eb211c80319c"`) {
		t.Errorf("no trace id in %s", log.String())
	}
}

type lockedWriter struct {
	mu *sync.Mutex
	w  io.Writer
}

func (l lockedWriter) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(b)
}

// TestTraceHeadersForKafka: a message carries the caller's trace, and without a trace nothing.
func TestTraceHeadersForKafka(t *testing.T) {
	tr := tracingTo(sdktrace.WithSyncer(tracetest.NewInMemoryExporter()), 1, "test")
	ctx, end := tr.request(t.Context(), httpapi.Incoming{Method: "POST", Route: "/v1/events", Traceparent: callersTrace, Tracestate: "shop=7"})
	headers := tr.headers(ctx, &streams.Event{})
	end(202)
	if len(headers) != 2 || headers[0].Key != "traceparent" || !strings.HasPrefix(string(headers[0].Value), "00-0af7651916cd43dd8448eb211c80319c-") ||
		strings.Contains(string(headers[0].Value), "b7ad6b7169203331") || headers[1].Key != "tracestate" || string(headers[1].Value) != "shop=7" {
		t.Errorf("headers %q", headers)
	}
	if h := tr.headers(t.Context(), &streams.Event{}); h != nil {
		t.Errorf("without a trace: %q", h)
	}
	var o kafka.Options
	(*tracing)(nil).wireKafka(&o)
	if o.Headers != nil || o.Batches != nil {
		t.Error("no tracing, yet headers or spans")
	}
}

// TestTracesReachACollector sends over OTLP/HTTP to a collector that keeps what comes.
func TestTracesReachACollector(t *testing.T) {
	type arrival struct {
		path, auth string
		body       []byte
	}
	got := make(chan arrival, 10)
	collector := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		got <- arrival{r.URL.Path, r.Header.Get("X-Token"), body}
	}))
	defer collector.Close()
	tr, err := newTracing(t.Context(), TraceConfig{Endpoint: collector.URL, Sample: 1, Headers: "X-Token=abc"}, "v1")
	if err != nil {
		t.Fatal(err)
	}
	_, end := tr.request(t.Context(), httpapi.Incoming{Method: "GET", Route: "/v1/items/{id}/similar"})
	end(200)
	if err := tr.close(); err != nil {
		t.Fatal(err)
	}
	a := <-got
	if a.path != "/v1/traces" || a.auth != "abc" || !bytes.Contains(a.body, []byte("GET /v1/items/{id}/similar")) {
		t.Errorf("%s, token %q, %d bytes", a.path, a.auth, len(a.body))
	}
}

// TestNoTracing: without a collector there is nothing, and a collector that is away stops nobody.
func TestNoTracing(t *testing.T) {
	none, err := newTracing(t.Context(), TraceConfig{}, "v1")
	if none != nil || err != nil {
		t.Fatalf("%v, %v", none, err)
	}
	var rec recommender.Options
	var api httpapi.Options
	none.wire(&rec, &api)
	if rec.Spans != nil || api.Trace != nil || none.close() != nil {
		t.Error("no tracing does something")
	}
	away, err := newTracing(t.Context(), TraceConfig{Endpoint: "http://127.0.0.1:1", Sample: 1}, "v1")
	if err != nil {
		t.Fatal(err)
	}
	if err := away.close(); err != nil {
		t.Errorf("an unused exporter: %v", err)
	}
	for _, bad := range []string{"x", "=y", "a=b,c"} {
		if _, err := parseHeaders(bad); err == nil || strings.Contains(err.Error(), bad) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

// TestTraceGoesOnIntoKafka posts an event under a caller's trace and finds that trace in the message.
func TestTraceGoesOnIntoKafka(t *testing.T) {
	stack := startStack(t, devstack.Options{})
	url, _ := tracedServing(t, 1, io.Discard, func(a *app) { a.config.Kafka.Brokers = stack.Brokers() })
	event := `{"event_id":"e","type":"view","time":"2025-10-23T11:00:00Z","user_id":"u1","item_id":"i"}`
	if code := send(t, "POST", url+"/v1/events", event, map[string]string{"traceparent": callersTrace}); code != http.StatusAccepted {
		t.Fatalf("status %d", code)
	}
	ends := stack.Ends("behavior")
	partition := slices.IndexFunc(ends, func(end int64) bool { return end > 0 })
	if partition < 0 {
		t.Fatalf("no message in %v", ends)
	}
	conn, err := kafkago.DialLeader(t.Context(), "tcp", stack.Brokers()[0], "behavior", partition)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(deadline)); err != nil {
		t.Fatal(err)
	}
	message, err := conn.ReadMessage(1 << 20)
	if err != nil {
		t.Fatal(err)
	}
	if len(message.Headers) != 1 || message.Headers[0].Key != "traceparent" || !strings.HasPrefix(string(message.Headers[0].Value), callersTrace[:36]) {
		t.Errorf("the message has the headers %q", message.Headers)
	}
}

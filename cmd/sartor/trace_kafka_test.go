package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/sartorhq/sartor/deploy/devstack"
	"github.com/sartorhq/sartor/recommender/decision"
	"github.com/sartorhq/sartor/recommender/httpapi"
	"github.com/sartorhq/sartor/streams"
	"github.com/sartorhq/sartor/streams/kafka"
)

// TestTraceReachesWhereItIsApplied: what is posted over HTTP and what is shown in an answer are written to
// Kafka under the request's span, and the span of the batch in which ingest applies them links to it,
// although ingest by itself samples nothing.
func TestTraceReachesWhereItIsApplied(t *testing.T) {
	stack := startStack(t, devstack.Options{})
	url, spans := tracedServing(t, 0, io.Discard, func(a *app) {
		a.config.Kafka.Brokers, a.config.Redis = stack.Brokers(), stackApp(stack).config.Redis
		a.config.Redis.ReadTimeout, a.config.HTTP.Budget = 5*time.Second, 10*time.Second
	})
	w, err := stackApp(stack).newWiring()
	if err != nil {
		t.Fatal(err)
	}
	applying := tracetest.NewInMemoryExporter()
	tracingTo(sdktrace.WithSyncer(applying), 0, "test").wireKafka(&w.kafka)
	background(t, func(ctx context.Context) error { return stackApp(stack).ingestInto(ctx, w) })

	callers := map[string]string{"traceparent": callersTrace}
	if code := send(t, "PUT", url+"/v1/items/lamp", `{"title":"Lamp"}`, nil); code != http.StatusAccepted { // not traced
		t.Fatalf("status %d", code)
	}
	event := `{"event_id":"e","type":"view","time":"2025-10-23T11:00:00Z","user_id":"u1","item_id":"lamp"}`
	if code := send(t, "POST", url+"/v1/events", event, callers); code != http.StatusAccepted {
		t.Fatalf("status %d", code)
	}
	links := func(batch string) []sdktrace.Link {
		for _, s := range applying.GetSpans() {
			if s.Name == batch {
				return s.Links
			}
		}
		return nil
	}
	eventually(t, "the event's batch", func() bool { return links("process behavior") != nil })
	eventually(t, "what was shown to be applied", func() bool {
		if code := send(t, "POST", url+"/v1/recommend", `{"user_id":"u2"}`, callers); code != http.StatusOK {
			t.Fatalf("status %d", code)
		}
		return links("process exposures") != nil // once the item is in the catalogue
	})
	requests := map[trace.SpanID]string{}
	for _, s := range spans.GetSpans() {
		requests[s.SpanContext.SpanID()] = s.Name
	}
	for batch, request := range map[string]string{"process behavior": "POST /v1/events", "process exposures": "POST /v1/recommend"} {
		for _, l := range links(batch) {
			if requests[l.SpanContext.SpanID()] != request || l.SpanContext.TraceID().String() != callersTrace[3:35] {
				t.Errorf("%s links to %q in the trace %s", batch, requests[l.SpanContext.SpanID()], l.SpanContext.TraceID())
			}
		}
	}
	if links("process catalog") != nil || slices.ContainsFunc(applying.GetSpans(), func(s tracetest.SpanStub) bool { return s.Name == "process catalog" }) {
		t.Error("what nobody has sampled has a span")
	}
}

// batchOf is a batch of messages with these traces.
func batchOf(traces ...string) kafka.Batch {
	return kafka.Batch{Group: "g", Topic: "behavior", Partition: 3, Messages: len(traces) + 1, Headers: func(yield func([]kafka.Header) bool) {
		for _, tp := range traces {
			if !yield([]kafka.Header{{Key: "x", Value: []byte("y")}, {Key: "traceparent", Value: []byte(tp)}, {Key: "tracestate", Value: []byte("shop=7")}}) {
				return
			}
		}
	}}
}

// TestSpanOfABatch: it follows the conventions, is a trace of its own, and links to each sampled writer once,
// to no more than sixteen.
func TestSpanOfABatch(t *testing.T) {
	exporter := tracetest.NewInMemoryExporter()
	tr := tracingTo(sdktrace.WithSyncer(exporter), 0, "test")
	around, endRequest := tr.request(t.Context(), httpapi.Incoming{Method: "GET", Route: "/", Traceparent: callersTrace})
	_, end := tr.batch(around, batchOf(callersTrace, callersTrace, "00-0af7651916cd43dd8448eb211c80319c-00000000000000ff-00", "nonsense", ""))
	end(fmt.Errorf("user u1: %w", kafka.ErrRewind))
	got := exporter.GetSpans()[0]
	if got.Name != "process behavior" || got.SpanKind != trace.SpanKindConsumer || got.Parent.IsValid() || got.Status.Code != codes.Error || got.Status.Description != "" {
		t.Errorf("span %+v", got)
	}
	if len(got.Links) != 1 || got.Links[0].SpanContext.SpanID().String() != "b7ad6b7169203331" || got.Links[0].SpanContext.TraceState().String() != "shop=7" {
		t.Errorf("links %+v", got.Links)
	}
	var attributes []string
	for _, kv := range got.Attributes {
		attributes = append(attributes, string(kv.Key)+"="+kv.Value.String())
	}
	want := "messaging.system=kafka messaging.operation.name=process messaging.operation.type=process messaging.destination.name=behavior " +
		"messaging.destination.partition.id=3 messaging.consumer.group.name=g messaging.batch.message_count=6 error.type=rewind"
	if strings.Join(attributes, " ") != want {
		t.Errorf("attributes %q", attributes)
	}

	exporter.Reset()
	var many []string
	for i := range 40 {
		many = append(many, fmt.Sprintf("00-0af7651916cd43dd8448eb211c80319c-%016x-01", i+1))
	}
	_, end = tr.batch(t.Context(), batchOf(many...))
	end(nil)
	if got := exporter.GetSpans(); len(got) != 1 || len(got[0].Links) != mostLinks || got[0].Status.Code != codes.Unset {
		t.Errorf("spans %+v", got)
	}
	exporter.Reset()
	_, end = tr.batch(t.Context(), batchOf("00-0af7651916cd43dd8448eb211c80319c-00000000000000ff-00"))
	end(errors.New("away"))
	if got := exporter.GetSpans(); len(got) != 0 {
		t.Errorf("%d spans of what nobody has sampled", len(got))
	}
	endRequest(200)
	for err, want := range map[error]string{context.Canceled: "canceled", kafka.ErrRewind: "rewind", io.EOF: "_OTHER"} {
		if errorType(err) != want {
			t.Errorf("%v is %s", err, errorType(err))
		}
	}
}

// TestTraceOfAnExposure: its message carries the trace of the request that was answered; the writer's own, if
// it has one, comes first; other events have none of their own.
func TestTraceOfAnExposure(t *testing.T) {
	tr := tracingTo(sdktrace.WithSyncer(tracetest.NewInMemoryExporter()), 0, "test")
	sampled, end := tr.request(t.Context(), httpapi.Incoming{Method: "POST", Route: "/v1/recommend", Traceparent: callersTrace, Tracestate: "shop=7"})
	defer end(200)
	unsampled, endToo := tr.request(t.Context(), httpapi.Incoming{Method: "POST", Route: "/v1/recommend"})
	defer endToo(200)
	place, state := tr.place(sampled)
	if !strings.HasPrefix(place, callersTrace[:36]) || state != "shop=7" {
		t.Errorf("%q with the state %q", place, state)
	}
	for name, ctx := range map[string]context.Context{"unsampled": unsampled, "without-a-trace": t.Context()} {
		if place, state := tr.place(ctx); place != "" || state != "" {
			t.Errorf("%s: %q with the state %q", name, place, state)
		}
	}
	d := decision.Decision{UserID: "u", Items: []decision.Shown{{ItemID: "a"}}, Traceparent: place, Tracestate: state}
	exposure, _ := d.Exposure()
	if h := fmt.Sprintf("%s", tr.headers(t.Context(), &exposure)); h != "[{traceparent "+place+"} {tracestate shop=7}]" {
		t.Errorf("an exposure has the headers %s", h)
	}
	if h := tr.headers(sampled, &streams.Event{Type: streams.Exposure, Attributes: map[string]any{decision.TraceAttribute: many0}}); string(h[0].Value) != place {
		t.Errorf("the writer's trace does not come first: %q", h)
	}
	for _, e := range []streams.Event{
		{Type: streams.View, Attributes: exposure.Attributes}, {Type: streams.Exposure},
		{Type: streams.Exposure, Attributes: map[string]any{decision.TraceAttribute: "nonsense"}}, {Type: streams.Exposure, Attributes: map[string]any{decision.TraceAttribute: 7.0}}} {
		if h := tr.headers(t.Context(), &e); h != nil {
			t.Errorf("%+v has the headers %q", e, h)
		}
	}
	d.Traceparent = ""
	if e, _ := d.Exposure(); e.Attributes[decision.TraceAttribute] != nil || e.Attributes[decision.StateAttribute] != nil {
		t.Error("a trace of nothing")
	}
}

const many0 = "00-0af7651916cd43dd8448eb211c80319c-0000000000000001-01"

// TestIngestTellsTheCollector: the command makes spans when a collector is configured.
func TestIngestTellsTheCollector(t *testing.T) {
	stack := startStack(t, devstack.Options{})
	got := make(chan []byte, 10)
	collector := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		got <- body
	}))
	defer collector.Close()
	a := stackApp(stack)
	a.config.Trace = TraceConfig{Endpoint: collector.URL, Sample: 1}
	stop := background(t, a.ingest)
	w, err := stackApp(stack).newWiring()
	if err != nil {
		t.Fatal(err)
	}
	producer := kafka.NewProducer(w.kafka)
	defer producer.Close()
	view := streams.Event{ID: "e", Type: streams.View, Time: time.Now().UTC(), UserID: "u1", Items: []streams.Line{{ItemID: "i"}}}
	if err := producer.Write(t.Context(), view); err != nil {
		t.Fatal(err)
	}
	body := <-got // the batcher sends within seconds
	stop()
	if !bytes.Contains(body, []byte("process behavior")) || bytes.Contains(body, []byte("u1")) {
		t.Errorf("%d bytes came: %q", len(body), body)
	}
}

package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/sartorhq/sartor/recommender"
	"github.com/sartorhq/sartor/recommender/httpapi"
	"github.com/sartorhq/sartor/streams/kafka"
)

// tracing makes spans of requests and of the parts of answers, and carries the caller's trace context
// (W3C) on into Kafka. Nil does nothing and costs nothing. No attribute names a user or an item.
type tracing struct {
	provider   *sdktrace.TracerProvider
	tracer     trace.Tracer
	propagator propagation.TraceContext
}

// traceFlush bounds the sending of the last spans when the program stops.
const traceFlush = 3 * time.Second

// newTracing returns nil when no collector is configured. It connects to nothing: what cannot be sent is
// dropped and logged.
func newTracing(ctx context.Context, cfg TraceConfig, version string) (*tracing, error) {
	if cfg.Endpoint == "" {
		return nil, nil
	}
	headers, err := parseHeaders(cfg.Headers)
	if err != nil {
		return nil, fmt.Errorf("trace.headers: %w", err)
	}
	endpoint := cfg.Endpoint
	if !strings.HasSuffix(endpoint, "/v1/traces") {
		endpoint = strings.TrimRight(endpoint, "/") + "/v1/traces"
	}
	exporter, err := otlptracehttp.New(ctx, otlptracehttp.WithEndpointURL(endpoint), otlptracehttp.WithHeaders(headers), otlptracehttp.WithTimeout(traceFlush))
	if err != nil {
		return nil, fmt.Errorf("trace.endpoint: %w", err)
	}
	return tracingTo(sdktrace.WithBatcher(exporter), cfg.Sample, version), nil
}

// tracingTo makes spans for a processor.
func tracingTo(to sdktrace.TracerProviderOption, sample float64, version string) *tracing {
	about := resource.NewSchemaless(attribute.String("service.name", "sartor"), attribute.String("service.version", version))
	provider := sdktrace.NewTracerProvider(to, sdktrace.WithResource(about),
		sdktrace.WithSampler(sdktrace.ParentBased(followed{sdktrace.TraceIDRatioBased(sample)})))
	return &tracing{provider: provider, tracer: provider.Tracer("github.com/sartorhq/sartor")}
}

// parseHeaders reads name=value,name=value.
func parseHeaders(text string) (map[string]string, error) {
	out := map[string]string{}
	for part := range strings.SplitSeq(text, ",") {
		if part = strings.TrimSpace(part); part == "" {
			continue
		}
		name, value, ok := strings.Cut(part, "=")
		if name = strings.TrimSpace(name); !ok || name == "" {
			return nil, errors.New("write name=value,name=value") // never the value: it is a secret
		}
		out[name] = strings.TrimSpace(value)
	}
	return out, nil
}

// wire hands the functions of a tracing to whoever makes the parts of a trace. On nil it leaves all
// of them out.
func (t *tracing) wire(rec *recommender.Options, api *httpapi.Options) {
	if t == nil {
		return
	}
	rec.Spans, rec.TraceContext, api.Trace = t.parts, t.place, t.request
	rec.Logger, api.Logger = traced(rec.Logger), traced(api.Logger)
}

// wireKafka makes written messages carry the trace context, and batches of read ones have spans.
func (t *tracing) wireKafka(o *kafka.Options) {
	if t != nil {
		o.Headers, o.Batches = t.headers, t.batch
	}
}

// close sends what waits.
func (t *tracing) close() error {
	if t == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), traceFlush)
	defer cancel()
	if err := t.provider.Shutdown(ctx); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("send the last spans: %w", err)
	}
	return nil // a collector that is away must not make a clean stop fail
}

// request begins the span of a request under its caller's trace.
func (t *tracing) request(ctx context.Context, in httpapi.Incoming) (context.Context, func(status int)) {
	if in.Traceparent != "" {
		ctx = t.propagator.Extract(ctx, propagation.MapCarrier{"traceparent": in.Traceparent, "tracestate": in.Tracestate})
	}
	ctx, span := t.tracer.Start(ctx, in.Method+" "+in.Route, trace.WithSpanKind(trace.SpanKindServer), trace.WithAttributes(
		attribute.String("http.request.method", in.Method), attribute.String("http.route", in.Route)))
	return ctx, func(status int) {
		span.SetAttributes(attribute.Int("http.response.status_code", status))
		if status >= http.StatusInternalServerError {
			span.SetStatus(codes.Error, "")
		}
		span.End()
	}
}

// parts makes spans of the parts of an answer, which are told when it is made. A part that lies within
// another is its child.
func (t *tracing) parts(ctx context.Context, parts []recommender.Span) {
	if !trace.SpanFromContext(ctx).IsRecording() {
		return
	}
	parts = slices.Clone(parts)
	slices.SortStableFunc(parts, func(a, b recommender.Span) int { // the outer ones first
		if c := a.Start.Compare(b.Start); c != 0 {
			return c
		}
		return int(b.Took - a.Took)
	})
	type open struct {
		ctx context.Context
		end time.Time
	}
	around := []open{{ctx, time.Time{}}}
	for _, p := range parts {
		end := p.Start.Add(p.Took)
		for len(around) > 1 && end.After(around[len(around)-1].end) {
			around = around[:len(around)-1]
		}
		inner, span := t.tracer.Start(around[len(around)-1].ctx, p.Name, trace.WithTimestamp(p.Start))
		span.End(trace.WithTimestamp(end))
		around = append(around, open{inner, end})
	}
}

// tracedHandler adds the trace's id to log lines whose context is in one.
type tracedHandler struct{ slog.Handler }

func traced(l *slog.Logger) *slog.Logger {
	if l == nil {
		return nil
	}
	return slog.New(tracedHandler{l.Handler()})
}

// Handle adds the id.
func (h tracedHandler) Handle(ctx context.Context, r slog.Record) error {
	if sc := trace.SpanContextFromContext(ctx); sc.IsValid() {
		r.AddAttrs(slog.String("trace_id", sc.TraceID().String()))
	}
	return h.Handler.Handle(ctx, r)
}

// WithAttrs keeps the wrapper.
func (h tracedHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return tracedHandler{h.Handler.WithAttrs(attrs)}
}

// WithGroup keeps the wrapper.
func (h tracedHandler) WithGroup(name string) slog.Handler {
	return tracedHandler{h.Handler.WithGroup(name)}
}

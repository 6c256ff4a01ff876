package main

import (
	"context"
	"errors"
	"strconv"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/sartorhq/sartor/recommender/decision"
	"github.com/sartorhq/sartor/streams"
	"github.com/sartorhq/sartor/streams/kafka"
)

// mostLinks bounds the links of a batch's span: a thousand events would have as many.
const mostLinks = 16

// headers is the trace context of an event's message: that of the write, else that of the request whose
// answer the event records, which is written with those of others.
func (t *tracing) headers(ctx context.Context, e *streams.Event) []kafka.Header {
	if !trace.SpanContextFromContext(ctx).IsValid() {
		if e.Type != streams.Exposure {
			return nil
		}
		parent, _ := e.Attributes[decision.TraceAttribute].(string)
		state, _ := e.Attributes[decision.StateAttribute].(string)
		if ctx = t.propagator.Extract(ctx, propagation.MapCarrier{"traceparent": parent, "tracestate": state}); !trace.SpanContextFromContext(ctx).IsValid() {
			return nil
		}
	}
	carrier := propagation.MapCarrier{}
	t.propagator.Inject(ctx, carrier)
	var out []kafka.Header
	for _, name := range t.propagator.Fields() {
		if value := carrier[name]; value != "" {
			out = append(out, kafka.Header{Key: name, Value: []byte(value)})
		}
	}
	return out
}

// place is what the record of a decision keeps of the request's context. A request that is not sampled has no
// span to which anybody could link.
func (t *tracing) place(ctx context.Context) (traceparent, tracestate string) {
	if !trace.SpanContextFromContext(ctx).IsSampled() {
		return "", ""
	}
	carrier := propagation.MapCarrier{}
	t.propagator.Inject(ctx, carrier)
	return carrier["traceparent"], carrier["tracestate"]
}

// batch begins the span of a batch of messages, by OpenTelemetry's conventions for messaging: it links to
// the spans in which they were written, because a batch has no one parent.
func (t *tracing) batch(ctx context.Context, b kafka.Batch) (context.Context, func(error)) {
	ctx, span := t.tracer.Start(ctx, "process "+b.Topic, trace.WithNewRoot(), trace.WithSpanKind(trace.SpanKindConsumer),
		trace.WithLinks(t.links(b)...), trace.WithAttributes(
			attribute.String("messaging.system", "kafka"),
			attribute.String("messaging.operation.name", "process"),
			attribute.String("messaging.operation.type", "process"),
			attribute.String("messaging.destination.name", b.Topic),
			attribute.String("messaging.destination.partition.id", strconv.Itoa(b.Partition)),
			attribute.String("messaging.consumer.group.name", b.Group),
			attribute.Int("messaging.batch.message_count", b.Messages)))
	return ctx, func(err error) {
		if err != nil { // its text may name a user
			span.SetAttributes(attribute.String("error.type", errorType(err)))
			span.SetStatus(codes.Error, "")
		}
		span.End()
	}
}

// errorType says in a word why a batch was not applied.
func errorType(err error) string {
	switch {
	case errors.Is(err, kafka.ErrRewind):
		return "rewind"
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return "canceled"
	}
	return "_OTHER"
}

// links finds the sampled spans in which a batch's messages were written, each once, at most mostLinks. To
// what is not sampled a link would lead nowhere.
func (t *tracing) links(b kafka.Batch) []trace.Link {
	var out []trace.Link
	seen := map[trace.SpanID]bool{}
	for headers := range b.Headers {
		carrier := propagation.MapCarrier{}
		for _, h := range headers {
			if h.Key == "traceparent" || h.Key == "tracestate" {
				carrier[h.Key] = string(h.Value)
			}
		}
		sc := trace.SpanContextFromContext(t.propagator.Extract(context.Background(), carrier))
		if !sc.IsSampled() || seen[sc.SpanID()] {
			continue
		}
		seen[sc.SpanID()] = true
		if out = append(out, trace.Link{SpanContext: sc}); len(out) == mostLinks {
			break
		}
	}
	return out
}

// followed samples what links to something sampled, so that a traced request can be followed to where its
// event is applied; the rest as the other sampler says.
type followed struct{ sdktrace.Sampler }

// ShouldSample decides.
func (f followed) ShouldSample(p sdktrace.SamplingParameters) sdktrace.SamplingResult {
	for _, l := range p.Links {
		if l.SpanContext.IsSampled() {
			return sdktrace.SamplingResult{Decision: sdktrace.RecordAndSample,
				Tracestate: trace.SpanContextFromContext(p.ParentContext).TraceState()}
		}
	}
	return f.Sampler.ShouldSample(p)
}

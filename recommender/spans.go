package recommender

import (
	"context"
	"time"
)

// Span is one part of an answer's work, for traces: a stage (user, plan, candidates, rules, respond), or
// encode and retrieve, which are parts of candidates. It names neither user nor item.
type Span struct {
	Name  string
	Start time.Time
	Took  time.Duration
}

// begin returns the time, when somebody listens.
func (w *work) begin() time.Time {
	if w.r.opts.Spans == nil {
		return time.Time{}
	}
	return time.Now()
}

// span notes a part of the work that began at start.
func (w *work) span(name string, start time.Time) {
	if w.r.opts.Spans != nil {
		w.spans = append(w.spans, Span{Name: name, Start: start, Took: time.Since(start)})
	}
}

// finish tells those who listen of the answer.
func (w *work) finish(resp *Response, took time.Duration) {
	w.tellSpans()
	if !w.q.Quiet {
		w.r.opts.Decided(w.decision(resp, took))
	}
}

// tellSpans hands over what was noted. The budget's end must not keep it from being told.
func (w *work) tellSpans() {
	if w.r.opts.Spans != nil {
		w.r.opts.Spans(context.WithoutCancel(w.ctx), w.spans)
	}
}

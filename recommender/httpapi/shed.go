package httpapi

import (
	"net/http"
	"runtime"
	"sync/atomic"
)

// gateway bounds the requests that are answered at once. Those beyond are refused at once, so that the
// accepted ones keep their latency: a queue would only make all of them late.
type gateway struct {
	limit int64
	busy  atomic.Int64
}

// The requests at once, per processor: about 30 ms of work. Writing to the log waits more than it works.
const (
	readsPerCPU  = 64
	writesPerCPU = 256
)

func newGateway(limit, perCPU int) *gateway {
	if limit == 0 {
		limit = perCPU * runtime.GOMAXPROCS(0)
	}
	return &gateway{limit: int64(limit)}
}

// enter lets a request in, which must leave again, or refuses it.
func (g *gateway) enter() error {
	if g.busy.Add(1) <= g.limit || g.limit < 0 {
		return nil
	}
	g.busy.Add(-1)
	return &httpError{status: http.StatusServiceUnavailable, kind: "overloaded", retryAfter: 1,
		detail: "too many requests are being answered: try again, or send them elsewhere"}
}

func (g *gateway) leave() { g.busy.Add(-1) }

// gatewayOf returns the gateway of a route, nil for one that is always let in: health and operation.
func (s *Server) gatewayOf(scope Scope) *gateway {
	switch scope {
	case ScopeRecommend:
		return s.reads
	case ScopeEvents, ScopeItems, ScopeUsers:
		return s.writes
	}
	return nil
}

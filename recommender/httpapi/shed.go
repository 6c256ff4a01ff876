package httpapi

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/valyala/fasthttp"
)

// gateway bounds the requests that are answered at once. Those beyond are refused at once, so that the
// accepted ones keep their latency: a queue would only make all of them late. It lets in what is answered
// in its wait at the pace of the last answers, between least and most: a fixed number would be a long
// queue where answers are slow, or refuse without need where they are fast. Those who wait for something
// else than a processor stand in nobody's way: as many more are let in as are answered in that time.
type gateway struct {
	least, most int64                // most < 0 = no limit
	wait        time.Duration        // 0 = the limit stays
	idle        func() time.Duration // how long a request waits for others at least, at present; nil = not at all
	now         func() time.Time

	busy  atomic.Int64
	limit atomic.Int64
	left  atomic.Int64 // when the last left while as many as least were busy, in nanoseconds; 0 = fewer were
	pace  atomic.Int64 // nanoseconds from one answer to the next while at least least are busy
}

// The requests at once, per processor. Writing to the log waits more than it works.
const (
	readsPerCPU      = 64
	leastReadsPerCPU = 16
	writesPerCPU     = 256
	// readsWait is how long the last to be let in waits for those before it, about.
	readsWait = 8 * time.Millisecond
	// paceWeight is how many answers the pace is an average of, about.
	paceWeight = 64
)

// newReads returns the gateway of recommendations: limit 0 = as many as are answered soon by these
// processors, and as wait meanwhile, for idle.
func newReads(limit, processors int, idle func() time.Duration) *gateway {
	g := newGateway(limit, readsPerCPU*processors)
	if limit != 0 { // who names a number has it
		return g
	}
	g.idle = idle
	return g.following(readsWait, int64(leastReadsPerCPU*processors))
}

// newGateway returns a gateway that lets limit in, 0 = otherwise, negative = all.
func newGateway(limit, otherwise int) *gateway {
	if limit == 0 {
		limit = otherwise
	}
	g := &gateway{least: int64(limit), most: int64(limit), now: time.Now}
	g.limit.Store(g.most)
	return g
}

// following has the gateway follow the pace of the answers, which it takes to be fast at first.
func (g *gateway) following(wait time.Duration, least int64) *gateway {
	g.wait, g.least = wait, min(least, g.most)
	g.pace.Store(int64(wait) / max(g.most, 1))
	return g
}

// full tells that a request would be refused.
func (g *gateway) full() bool { return g.most >= 0 && g.busy.Load() >= g.limit.Load() }

// enter lets a request in, which must leave again, or refuses it.
func (g *gateway) enter() error {
	if g.busy.Add(1) <= g.limit.Load() || g.most < 0 {
		return nil
	}
	g.busy.Add(-1)
	return errOverloaded()
}

// leave ends a request that was let in, and learns from it.
func (g *gateway) leave() {
	busy := g.busy.Add(-1)
	if g.wait == 0 || g.most < 0 {
		return
	}
	if busy+1 < g.least { // who left last says how often requests come, not how fast they are answered
		g.left.Store(0)
		return
	}
	now := g.now().UnixNano()
	before := g.left.Swap(now)
	if before == 0 || now <= before {
		return
	}
	// A pause of the whole process counts as one wait. Two who leave at the same time may overwrite each
	// other's part of the average, which does not matter.
	gap, pace := min(now-before, int64(g.wait)), g.pace.Load()
	pace = max(pace+(gap-pace)/paceWeight, 1)
	g.pace.Store(pace)
	wait := g.wait
	if g.idle != nil {
		wait += g.idle()
	}
	g.limit.Store(min(max(int64(wait)/pace, g.least), g.most))
}

func errOverloaded() *httpError {
	return &httpError{status: http.StatusServiceUnavailable, kind: "overloaded", retryAfter: 1,
		detail: "too many requests are being answered: try again, or send them elsewhere"}
}

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

// door is a route whose requests are refused before they come near its handler.
type door struct {
	method  string
	gateway *gateway
	refused prometheus.Counter
}

// doors are the doors by path. A path with an id in it has none: its requests are refused on their way.
func (s *Server) doorsOf(routes []route) map[string]door {
	out := make(map[string]door)
	for _, rt := range routes {
		if g := s.gatewayOf(rt.scope); g != nil && !strings.Contains(rt.path, "{") {
			out[rt.path] = door{rt.method, g, s.metrics.requests.WithLabelValues(rt.method, rt.path, strconv.Itoa(http.StatusServiceUnavailable))}
		}
	}
	return out
}

// shed puts the doors before a handler. Under overload most requests are refused, and what each costs is
// taken from those that are answered: a refusal is a fixed text and two counters, without a route, a key,
// a log line or a measurement. Broken requests go on to where they are told so and cut off.
func (s *Server) shed(doors map[string]door, next fasthttp.RequestHandler) fasthttp.RequestHandler {
	e := errOverloaded()
	body, err := json.Marshal(s.problem(e, ""))
	if err != nil {
		panic(fmt.Sprintf("httpapi: encode a refusal: %v", err)) // texts and numbers only
	}
	wait := strconv.Itoa(e.retryAfter)
	return func(c *fasthttp.RequestCtx) {
		if s.draining.Load() {
			c.SetConnectionClose()
		}
		d, ok := doors[string(c.Path())]
		if !ok || !d.gateway.full() || string(c.Method()) != d.method || brokenHeader(&c.Request.Header) != "" {
			next(c)
			return
		}
		s.metrics.shed.Inc()
		d.refused.Inc()
		id := string(c.Request.Header.Peek(requestIDHeader))
		if !fitRequestID(id) {
			id = s.opts.NewID()
		}
		h := &c.Response.Header
		h.Set(requestIDHeader, id)
		h.Set(fasthttp.HeaderRetryAfter, wait)
		h.SetContentType(problemType)
		c.Response.SetStatusCode(e.status)
		c.Response.SetBodyRaw(body)
	}
}

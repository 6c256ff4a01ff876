// Package httpapi is the HTTP face of Sartor: Fiber routes, JSON shapes, the OpenAPI document and
// problem+json errors. It decides nothing about recommendations and knows neither Kafka nor Redis.
package httpapi

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/sartorhq/sartor/recommender"
	"github.com/sartorhq/sartor/rules"
	"github.com/sartorhq/sartor/streams"
)

// EventWriter takes events durably: when Write returns nil, all of them are safe. An error that has
// EventErrors (see partialError) says which are not.
type EventWriter interface {
	Write(ctx context.Context, events ...streams.Event) error
}

// RulesStatus is what GET /v1/status tells about the rule files.
type RulesStatus struct {
	// Revision is the version that serves, LoadedAt when it came in.
	Revision string
	LoadedAt time.Time
	// OK is false when the newest files were refused; Problems says why, LastAttempt when.
	OK          bool
	LastAttempt time.Time
	Problems    []rules.Problem
}

// Options are what a Server needs. Only Recommender is required.
type Options struct {
	Recommender *recommender.Recommender
	// Events takes posted events; nil answers 503 to all of them.
	Events EventWriter
	// Rules tells the state of the rule files; nil = not reported.
	Rules func() RulesStatus
	// RuleArchive is what operators change at the admin listener; nil = rules are changed elsewhere.
	// RuleReplicas tells what all replicas serve; nil = nobody reports it.
	RuleArchive  RuleArchive
	RuleReplicas func(context.Context) ([]RuleReplica, error)
	// Version is what GET /version answers, besides Go's own build information.
	Version string
	// Gatherer fills GET /metrics and Registerer takes this package's metrics; nil for none.
	Gatherer   prometheus.Gatherer
	Registerer prometheus.Registerer
	Logger     *slog.Logger // nil = discard
	// Now stamps the events made for PUT and DELETE; nil = time.Now. NewID makes their ids and
	// request ids; nil = 16 random bytes in hex.
	Now   func() time.Time
	NewID func() string

	// ReadTimeout, WriteTimeout and IdleTimeout bound a connection; 0 = 5 s, 10 s, 60 s.
	ReadTimeout, WriteTimeout, IdleTimeout time.Duration
	// EventTimeout bounds the writing of posted events; 0 = 5 s.
	EventTimeout time.Duration
	// Keys are the API keys that requests are judged by; none = everybody may do everything, which is
	// for loopback only. They must pass CheckKeys. SetKeys changes them later.
	Keys []Key
	// People judges the tokens of people at the admin listener, beside the keys; nil = keys only.
	People People
	// Trace begins the span of a request, under its caller's trace context, and returns the context that
	// carries the span and what ends it; nil = no spans, at no cost.
	Trace func(context.Context, Incoming) (context.Context, func(status int))
	// Adapters are the APIs of other systems that are answered, too.
	Adapters []Adapter
	// Admin takes /metrics and /v1/status off this listener: AdminHandler has them.
	Admin bool
	// MaxReads and MaxWrites are how many recommendations, and how many requests to write, are worked at
	// once; more are refused with 503. 0 = 64 and 256 per processor, negative = no limit. Without a number
	// fewer recommendations are let in, down to 16 per processor, when they are answered slowly.
	MaxReads, MaxWrites int
	// Processors is how many the process may use; 0 = as many as GOMAXPROCS says.
	Processors int
	// Concurrency is the most connections served at once; 0 = 16,384. ConnsPerIP is the most of one address;
	// 0 = no limit, since behind a load balancer all come from one.
	Concurrency, ConnsPerIP int
}

// The limits of a request, in bytes.
const (
	maxBody      = 256 << 10
	maxEventBody = 1 << 20
	maxHeader    = 8 << 10
)

func (o Options) withDefaults() Options {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.NewID == nil {
		o.NewID = randomID
	}
	orElse := func(d *time.Duration, def time.Duration) {
		if *d <= 0 {
			*d = def
		}
	}
	orElse(&o.ReadTimeout, 5*time.Second)
	orElse(&o.WriteTimeout, 10*time.Second)
	orElse(&o.IdleTimeout, time.Minute)
	orElse(&o.EventTimeout, 5*time.Second)
	if o.Processors <= 0 {
		o.Processors = runtime.GOMAXPROCS(0)
	}
	if o.Concurrency <= 0 {
		o.Concurrency = 16 << 10
	}
	return o
}

func randomID() string {
	var b [16]byte
	rand.Read(b[:]) // never fails since Go 1.24
	return hex.EncodeToString(b[:])
}

// Server answers HTTP requests.
type Server struct {
	opts     Options
	rec      *recommender.Recommender
	app      *fiber.App
	logger   *slog.Logger
	metrics  *metrics
	document document
	draining atomic.Bool             // nothing more should be sent here
	stopping atomic.Bool             // no more connections are taken
	keys     atomic.Pointer[keyring] // nil = nobody is asked for a key
	keysMu   sync.Mutex              // serialises SetKeys
	reads    *gateway
	writes   *gateway
	// ctx ends when the server has stopped. Fiber's own context ends when stopping begins, which
	// would cut off requests that are still to be answered.
	ctx  context.Context
	stop context.CancelFunc

	mu sync.Mutex // guards ln
	ln net.Listener
}

// New returns a server that waits for Serve.
func New(opts Options) *Server {
	opts = opts.withDefaults()
	s := &Server{opts: opts, rec: opts.Recommender, logger: opts.Logger}
	s.ctx, s.stop = context.WithCancel(context.Background())
	s.metrics = newMetrics(opts.Registerer)
	s.keys.Store(newKeyring(opts.Keys, nil, opts.Now))
	s.reads = newReads(opts.MaxReads, opts.Processors, opts.Recommender.UserTime)
	s.writes = newGateway(opts.MaxWrites, writesPerCPU*opts.Processors)
	s.app = fiber.New(fiber.Config{
		DisableStartupMessage: true,
		// Strings from Fiber's context are otherwise reused after the handler: see DESIGN.md.
		Immutable:     true,
		CaseSensitive: true,
		StrictRouting: true,
		// What is a little too large is read and then refused: fasthttp cuts off a sender in the middle of
		// his sentence, who then often does not hear why.
		BodyLimit: 2 * maxEventBody,
		// The largest header; fasthttp reads a header into one buffer.
		ReadBufferSize: maxHeader,
		ReadTimeout:    opts.ReadTimeout,
		WriteTimeout:   opts.WriteTimeout,
		IdleTimeout:    opts.IdleTimeout,
		Concurrency:    opts.Concurrency,
		ErrorHandler:   s.unrouted,
	})
	s.app.Server().CloseOnShutdown = true
	s.app.Server().MaxConnsPerIP = opts.ConnsPerIP
	s.document = newDocument()
	routes := s.routes()
	for _, rt := range routes {
		s.document.add(rt)
		handler := s.handle(rt)
		s.app.Add(rt.method, fiberPath(rt.path), handler)
		if rt.method == fiber.MethodGet {
			s.app.Add(fiber.MethodHead, fiberPath(rt.path), handler)
		}
	}
	s.document.freeze()
	s.app.Server().Handler = s.shed(s.doorsOf(routes), s.knownMethods(s.app.Server().Handler))
	return s
}

// Serve answers connections until Shutdown is called, perhaps before Serve was, or the listener fails. It
// closes ln.
func (s *Server) Serve(ln net.Listener) error {
	s.mu.Lock()
	s.ln = ln
	s.mu.Unlock()
	if s.stopping.Load() { // Shutdown may have closed it
		if err := ln.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			return fmt.Errorf("close the listener: %w", err)
		}
		return nil
	}
	if err := s.app.Listener(&patient{Listener: ln, logger: s.logger, failed: s.metrics.notTaken}); err != nil {
		return fmt.Errorf("serve HTTP on %s: %w", ln.Addr(), err)
	}
	return nil
}

// Drain makes /readyz answer 503 and goes on answering. Each answer closes its connection, so that a client
// that keeps one opens its next elsewhere, in place of finding this one gone in the middle of a request.
func (s *Server) Drain() { s.draining.Store(true) }

// Shutdown makes /readyz answer 503, takes no more connections, answers the requests that are
// under way and returns. It returns the error of ctx when that takes too long.
func (s *Server) Shutdown(ctx context.Context) error {
	s.draining.Store(true)
	s.stopping.Store(true)
	defer s.stop()
	if err := s.app.ShutdownWithContext(ctx); err != nil {
		return fmt.Errorf("drain HTTP connections: %w", err)
	}
	// fasthttp knows no listener before it accepts: without this, a stop right after the start would be lost.
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ln == nil {
		return nil
	}
	if err := s.ln.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
		return fmt.Errorf("close the listener: %w", err)
	}
	return nil
}

// unrouted answers what never reached a route: an unknown path, a wrong method, broken HTTP.
func (s *Server) unrouted(c *fiber.Ctx, err error) error {
	start := time.Now()
	s.nameRequest(c)
	status := s.writeProblem(c, unmatchedRoute, err)
	s.metrics.unmatched(c.Method(), status, time.Since(start))
	return nil
}

package httpapi

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"runtime/debug"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/danielgtaylor/huma/v2"
	"github.com/gofiber/fiber/v2"
	"github.com/valyala/fasthttp"

	"github.com/sartorhq/sartor/recommender"
)

// route is one operation: what it is, in the document and on the wire. There is no other way to
// register a handler, so a route that the document does not know cannot exist.
type route struct {
	method, path string // path in OpenAPI's form: /v1/items/{id}
	operation    *huma.Operation
	maxBody      int   // bytes; 0 = none is taken
	scope        Scope // that a key needs; "" = open to everybody
	handler      func(*fiber.Ctx) error
}

// fiberPath turns /v1/items/{id} into /v1/items/:id; a colon of the path itself is escaped.
func fiberPath(path string) string {
	return strings.NewReplacer("{", ":", "}", "", ":", `\:`).Replace(path)
}

// handle wraps a route's handler with everything that all routes share.
func (s *Server) handle(rt route) fiber.Handler {
	m := s.metrics.route(rt.method, rt.path)
	return func(c *fiber.Ctx) error {
		start := time.Now()
		m.inFlight.Inc()
		defer m.inFlight.Dec()
		s.nameRequest(c)
		end := s.trace(c, rt)
		status := 0
		if err := s.guarded(c, rt); err != nil {
			status = s.writeProblem(c, rt.path, err)
		} else {
			status = c.Response().StatusCode()
		}
		m.done(status, time.Since(start))
		if end != nil {
			end(status)
		}
		return nil
	}
}

// Incoming is what a trace needs to know of a request; nothing in it names a user.
type Incoming struct {
	Method, Route string
	// Traceparent and Tracestate are the caller's W3C trace context as it came, "" without.
	Traceparent, Tracestate string
}

// spanKey finds the context that carries a request's span.
type spanKey struct{}

// trace begins the span of a request; what it returns, if anything, ends it.
func (s *Server) trace(c *fiber.Ctx, rt route) (end func(status int)) {
	if s.opts.Trace == nil || rt.scope == "" { // probes are not worth a span
		return nil
	}
	ctx, end := s.opts.Trace(s.ctx, Incoming{Method: rt.method, Route: rt.path,
		Traceparent: c.Get("Traceparent"), Tracestate: c.Get("Tracestate")})
	c.Locals(spanKey{}, ctx)
	return end
}

// context is the server's own, with the request's span when there is one. Fiber's does not end when the
// client hangs up, so nothing is lost.
func (s *Server) context(c *fiber.Ctx) context.Context {
	if s.opts.Trace == nil {
		return s.ctx
	}
	if ctx, ok := c.Locals(spanKey{}).(context.Context); ok {
		return ctx
	}
	return s.ctx
}

// guarded runs the handler of an acceptable request. A panic becomes an error: without this it
// would take the process down.
func (s *Server) guarded(c *fiber.Ctx, rt route) (err error) {
	defer func() {
		if p := recover(); p != nil {
			s.metrics.panics.Inc()
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	if err := acceptable(c, rt); err != nil {
		return err
	}
	if err := s.authorize(c, rt.scope); err != nil {
		return err
	}
	if g := s.gatewayOf(rt.scope); g != nil {
		if err := g.enter(); err != nil {
			s.metrics.shed.Inc()
			return err
		}
		defer g.leave()
	}
	return rt.handler(c)
}

// acceptable refuses requests that must not reach a handler.
func acceptable(c *fiber.Ctx, rt route) error {
	if wrong := brokenHeader(&c.Request().Header); wrong != "" {
		e := malformed(wrong)
		e.close = true
		return e
	}
	if enc := c.Request().Header.ContentEncoding(); len(enc) > 0 && !bytes.EqualFold(enc, []byte("identity")) {
		return &httpError{status: http.StatusUnsupportedMediaType, kind: "unsupported-media-type",
			detail: "compressed bodies are not taken: send the body without Content-Encoding"}
	}
	if len(c.Request().Body()) > rt.maxBody {
		e := fromFiber(fiber.ErrRequestEntityTooLarge)
		if rt.maxBody == 0 {
			e.detail = "a request to this path has no body"
		}
		return e
	}
	return nil
}

// brokenHeader says what is wrong with a header that fasthttp lets through, "" for nothing.
func brokenHeader(h *fasthttp.RequestHeader) string {
	if p := string(h.Protocol()); p != "HTTP/1.1" && p != "HTTP/1.0" {
		return "only HTTP/1.0 and HTTP/1.1 are spoken here"
	}
	raw := h.RawHeaders()
	if ambiguousFraming(raw) {
		return "Content-Length and Transfer-Encoding exclude each other"
	}
	for line := range bytes.Lines(raw) {
		name, _, ok := bytes.Cut(line, []byte(":"))
		if line = bytes.TrimRight(line, "\r\n"); len(line) > 0 && (!ok || !isToken(name)) {
			return "a header field has no name, or one with other signs than letters, digits and -"
		}
	}
	return ""
}

// isToken tells whether a header field's name is one (RFC 9110, 5.6.2): two servers that read another name
// differently can be played off against each other.
func isToken(name []byte) bool {
	for _, b := range name {
		if (b < 'a' || b > 'z') && (b < 'A' || b > 'Z') && (b < '0' || b > '9') && bytes.IndexByte([]byte("!#$%&'*+-.^_`|~"), b) < 0 {
			return false
		}
	}
	return len(name) > 0
}

// ambiguousFraming finds a request whose end two servers could see in two places (request
// smuggling). fasthttp answers such a request, so the raw header is looked at.
func ambiguousFraming(raw []byte) bool {
	lengths, encodings := 0, 0
	for line := range bytes.Lines(raw) {
		name, _, ok := bytes.Cut(line, []byte(":"))
		if !ok {
			continue
		}
		switch name = bytes.TrimSpace(name); {
		case bytes.EqualFold(name, []byte("Content-Length")):
			lengths++
		case bytes.EqualFold(name, []byte("Transfer-Encoding")):
			encodings++
		}
	}
	return lengths > 1 || encodings > 1 || lengths > 0 && encodings > 0
}

const requestIDHeader = "X-Request-Id"

// nameRequest gives the answer the id of the request: the client's when it is fit for a log line,
// else a new one.
func (s *Server) nameRequest(c *fiber.Ctx) {
	id := c.Get(requestIDHeader)
	if !fitRequestID(id) {
		id = s.opts.NewID()
	}
	c.Set(requestIDHeader, id)
}

func requestID(c *fiber.Ctx) string {
	return string(c.Response().Header.Peek(requestIDHeader))
}

func fitRequestID(id string) bool {
	if id == "" || len(id) > 64 {
		return false
	}
	for _, b := range []byte(id) {
		if (b < 'a' || b > 'z') && (b < 'A' || b > 'Z') && (b < '0' || b > '9') && b != '-' && b != '_' && b != '.' {
			return false
		}
	}
	return true
}

// pathID returns the id in the path, with percent-encoding undone: an id may contain a slash. The
// string is the caller's to keep.
func pathID(c *fiber.Ctx) (string, error) {
	id, err := url.PathUnescape(c.Params("id"))
	switch {
	case err != nil:
		return "", invalid(fieldError{Field: "id", Message: "is not valid percent-encoding"})
	case id == "" || len(id) > recommender.MaxIDBytes:
		return "", invalid(fieldError{Field: "id", Message: fmt.Sprintf("must be 1 to %d bytes long", recommender.MaxIDBytes)})
	case !utf8.ValidString(id) || strings.ContainsFunc(id, func(r rune) bool { return r < ' ' || r == 0x7f }):
		return "", invalid(fieldError{Field: "id", Message: "must be UTF-8 text without control characters"})
	}
	return strings.Clone(id), nil
}

// reply answers with JSON.
func reply(c *fiber.Ctx, status int, body any) error {
	data, err := json.Marshal(body)
	if err != nil {
		return fmt.Errorf("encode the answer: %w", err)
	}
	return replyRaw(c, status, fiber.MIMEApplicationJSON, data)
}

// replyRaw answers with bytes that nobody changes afterwards.
func replyRaw(c *fiber.Ctx, status int, contentType string, data []byte) error {
	c.Set(fiber.HeaderContentType, contentType)
	c.Status(status).Response().SetBodyRaw(data)
	return nil
}

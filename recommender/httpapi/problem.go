package httpapi

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/gofiber/fiber/v2"
	"github.com/valyala/fasthttp"

	"github.com/sartorhq/sartor/recommender"
	"github.com/sartorhq/sartor/streams/codec"
	"github.com/sartorhq/sartor/streams/spelling"
)

// problemType is the media type of every error (RFC 9457).
const problemType = "application/problem+json"

// problem is the body of every error. It never repeats what the client sent: that may be a user id.
type problem struct {
	Type      string       `json:"type" doc:"Kind of problem, stable" example:"urn:sartor:problem:invalid-request"`
	Title     string       `json:"title" doc:"The kind of problem in words" example:"Invalid request"`
	Status    int          `json:"status" doc:"HTTP status" example:"422"`
	Detail    string       `json:"detail,omitempty" doc:"What happened this time"`
	RequestID string       `json:"request_id,omitempty" doc:"To find the request in the log"`
	Errors    []fieldError `json:"errors,omitempty" doc:"Everything that is wrong, by field"`
	Accepted  *int         `json:"accepted,omitempty" doc:"Events that were accepted all the same"`
	// NotAccepted lists the events to send again.
	NotAccepted []int `json:"not_accepted,omitempty" doc:"Indexes of the events that were not accepted and may be sent again"`
}

// fieldError is one thing wrong with a request.
type fieldError struct {
	Index   *int   `json:"index,omitempty" doc:"Index of the event in the request, when there are several"`
	Field   string `json:"field,omitempty" doc:"Name of the field" example:"count"`
	Message string `json:"message" doc:"What is wrong with it" example:"must be between 1 and 100"`
}

// httpError is an error with its answer. Cause goes to the log, the rest to the client.
type httpError struct {
	status      int
	kind        string // last part of the type URN
	detail      string
	errors      []fieldError
	accepted    *int
	notAccepted []int
	retryAfter  int // seconds, 0 = none
	close       bool
	cause       error
}

// Error returns the detail and the cause, for the log.
func (e *httpError) Error() string {
	if e.cause != nil {
		return fmt.Sprintf("%s: %v", e.detail, e.cause)
	}
	return e.detail
}

// Unwrap returns the cause.
func (e *httpError) Unwrap() error { return e.cause }

func malformed(detail string) *httpError {
	return &httpError{status: http.StatusBadRequest, kind: "malformed", detail: detail}
}

func invalid(errs ...fieldError) *httpError {
	return &httpError{
		status: http.StatusUnprocessableEntity, kind: "invalid-request",
		detail: fmt.Sprintf("%d of the request's fields cannot be used as they are", len(errs)), errors: errs,
	}
}

func unavailable(detail string, cause error) *httpError {
	return &httpError{status: http.StatusServiceUnavailable, kind: "unavailable", detail: detail, retryAfter: 1, cause: cause}
}

// asHTTP turns any error into one with an answer: the one place that maps errors to statuses.
func asHTTP(err error) *httpError {
	var own *httpError
	var bad *recommender.InvalidError
	var event *codec.Error
	var fib *fiber.Error
	switch {
	case errors.As(err, &own):
		return own
	case errors.As(err, &bad):
		return invalid(requestErrors(bad)...)
	case errors.As(err, &event):
		return invalid(eventErrors(nil, event.Problems)...)
	case errors.As(err, &fib):
		return fromFiber(fib)
	}
	return &httpError{status: http.StatusInternalServerError, kind: "internal", detail: "something went wrong on our side", cause: err}
}

func requestErrors(e *recommender.InvalidError) []fieldError {
	out := make([]fieldError, len(e.Problems))
	for i, p := range e.Problems {
		out[i] = fieldError{Field: p.Field, Message: p.Message}
	}
	return out
}

func eventErrors(index *int, problems []codec.Problem) []fieldError {
	out := make([]fieldError, len(problems))
	for i, p := range problems {
		out[i] = fieldError{Index: index, Field: p.Field, Message: p.Message}
	}
	return out
}

// fromFiber names the errors that Fiber and fasthttp find before a handler runs.
func fromFiber(e *fiber.Error) *httpError {
	out := &httpError{status: e.Code}
	switch e.Code {
	case http.StatusNotFound:
		out.kind, out.detail = "not-found", "there is no such path; see /openapi.json"
	case http.StatusMethodNotAllowed:
		out.kind, out.detail = "method-not-allowed", "this path does not take this method; see the Allow header"
	case http.StatusRequestEntityTooLarge:
		out.kind, out.detail, out.close = "too-large", "the body is too large", true
	case http.StatusRequestHeaderFieldsTooLarge:
		out.kind, out.detail, out.close = "headers-too-large", "the headers are too large", true
	case http.StatusRequestTimeout:
		out.kind, out.detail, out.close = "timeout", "the request came in too slowly", true
	default:
		out.kind, out.detail, out.cause, out.close = "malformed", "the request is not valid HTTP", e, true
		if e.Code >= http.StatusInternalServerError {
			out.status = http.StatusBadRequest // a broken connection while reading is the client's
		}
	}
	return out
}

// spoken are the methods of HTTP that Fiber's router knows; those that no route here has are answered by it.
const spoken = " GET HEAD POST PUT DELETE CONNECT OPTIONS TRACE PATCH "

// knownMethods answers requests of methods that nobody knows, to which Fiber has an answer of its own, as plain text.
func (s *Server) knownMethods(next fasthttp.RequestHandler) fasthttp.RequestHandler {
	return func(rc *fasthttp.RequestCtx) {
		if m := string(rc.Method()); strings.Contains(spoken, " "+m+" ") {
			next(rc)
			return
		}
		c := s.app.AcquireCtx(rc)
		defer s.app.ReleaseCtx(c)
		c.Set(fiber.HeaderAllow, "GET, HEAD, POST, PUT, DELETE")
		_ = s.unrouted(c, fiber.ErrMethodNotAllowed) // never fails
	}
}

// elsewhere says where to go instead of a path or a method that is not there.
func (s *Server) elsewhere(c *fiber.Ctx, e *httpError) {
	switch allowed := string(c.Response().Header.Peek(fiber.HeaderAllow)); {
	case e.status == http.StatusMethodNotAllowed && allowed != "":
		e.detail = "this path takes " + allowed
	case e.status == http.StatusNotFound:
		if near := spelling.Nearest(c.Path(), slices.Sorted(maps.Keys(s.document.api.Paths))); near != "" {
			e.detail = "there is no such path; did you mean " + near + "? /openapi.json lists all"
		}
	}
}

// title is the problem kind in words.
func title(kind string) string {
	switch kind {
	case "invalid-request":
		return "Invalid request"
	case "malformed":
		return "Malformed request"
	case "unavailable":
		return "Temporarily unavailable"
	case "not-found":
		return "Not found"
	case "method-not-allowed":
		return "Method not allowed"
	case "too-large":
		return "Body too large"
	case "headers-too-large":
		return "Headers too large"
	case "timeout":
		return "Request timeout"
	case "unauthorized":
		return "Key needed"
	case "forbidden":
		return "Not allowed"
	case "conflict":
		return "Not possible as things are now"
	case "refused":
		return "Refused by its checks"
	case "rate-limited":
		return "Too many requests"
	case "overloaded":
		return "Overloaded"
	case "unsupported-media-type":
		return "Unsupported media type"
	}
	return "Internal error"
}

// problem is the body that tells an error to a client.
func (s *Server) problem(e *httpError, requestID string) problem {
	return problem{
		Type: "urn:sartor:problem:" + e.kind, Title: title(e.kind), Status: e.status, Detail: e.detail,
		RequestID: requestID, Errors: e.errors, Accepted: e.accepted, NotAccepted: e.notAccepted,
	}
}

// writeProblem answers with an error and logs what the operator must know.
func (s *Server) writeProblem(c *fiber.Ctx, route string, err error) int {
	e := asHTTP(err)
	var fib *fiber.Error
	if errors.As(err, &fib) {
		s.elsewhere(c, e)
	}
	id := requestID(c)
	if e.status >= http.StatusInternalServerError && e.kind != "overloaded" { // counted; a line each would add to the load
		s.logger.ErrorContext(s.context(c), "request failed", "route", route, "status", e.status, "request_id", id, "error", e.Error())
	}
	body, encErr := json.Marshal(s.problem(e, id))
	if encErr != nil {
		s.logger.Error("encode a problem", "error", encErr)
	}
	if e.retryAfter > 0 {
		c.Set(fiber.HeaderRetryAfter, strconv.Itoa(e.retryAfter))
	}
	if e.close {
		c.Context().SetConnectionClose()
	}
	c.Set(fiber.HeaderContentType, problemType)
	c.Status(e.status).Context().SetBody(body)
	return e.status
}

package httpapi

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"reflect"
	"time"

	"github.com/sartorhq/sartor/rules"
	"github.com/sartorhq/sartor/rules/rulestore"
)

// RuleArchive is the archive of rule revisions that operators read and change.
type RuleArchive interface {
	// Latest returns the archive as it is now, for reading.
	Latest(ctx context.Context) (*rulestore.Archive, error)
	// Change carries fn out on the newest state, all of it or nothing.
	Change(ctx context.Context, fn func(*rulestore.Archive) error) error
}

// RuleReplica is what one replica serves.
type RuleReplica struct {
	Name     string    `json:"name" doc:"Of the replica"`
	Revision string    `json:"revision"`
	SHA256   string    `json:"sha256"`
	OK       bool      `json:"ok"`
	At       time.Time `json:"at"`
}

const (
	// maxRuleBody bounds a revision that is handed in: rules, lists and tests.
	maxRuleBody = 32 << 20
	// archiveTimeout bounds what one request does to the archive; tests of many rules take their time.
	archiveTimeout = 2 * time.Minute
)

// adminAnswer is what a route of the archive answers when it succeeds.
type adminAnswer struct {
	status int
	body   any
}

// answered makes a handler of a function, with the one place that maps the archive's errors to statuses.
func (s *Server) answered(fn func(r *http.Request) (adminAnswer, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), archiveTimeout)
		defer cancel()
		r = r.WithContext(ctx)
		r.Body = http.MaxBytesReader(w, r.Body, maxRuleBody)
		answer, err := fn(r)
		var refused *refusal
		switch {
		case errors.As(err, &refused):
			w.Header().Set("Content-Type", problemType)
			s.adminJSON(w, http.StatusUnprocessableEntity, refused.body(s))
		case err != nil:
			s.refuse(w, archiveError(err))
		default:
			s.adminJSON(w, answer.status, answer.body)
		}
	}
}

// archiveError gives an error of the archive its status.
func archiveError(err error) error {
	var done *httpError
	var large *http.MaxBytesError
	conflict := func() error {
		return &httpError{status: http.StatusConflict, kind: "conflict", detail: err.Error()}
	}
	switch {
	case errors.As(err, &done):
		return err
	case errors.As(err, &large):
		return &httpError{status: http.StatusRequestEntityTooLarge, kind: "too-large", detail: "a revision is at most 32 MiB"}
	case errors.Is(err, rulestore.ErrUnknownRevision):
		return &httpError{status: http.StatusNotFound, kind: "not-found", detail: err.Error()}
	case errors.Is(err, rulestore.ErrMayNotApprove):
		return &httpError{status: http.StatusForbidden, kind: "forbidden", detail: err.Error()}
	case errors.Is(err, rulestore.ErrNotApproved), errors.Is(err, rulestore.ErrUnchanged), errors.Is(err, rulestore.ErrMoved),
		errors.Is(err, rulestore.ErrState):
		return conflict()
	case errors.Is(err, rulestore.ErrDraft):
		return invalid(fieldError{Message: err.Error()})
	}
	return unavailable("the archive of rules cannot be used at the moment: try again", err)
}

// refusal is a revision that did not pass its checks.
type refusal struct{ report *rulestore.CheckReport }

// Error names the revision.
func (r *refusal) Error() string { return "revision " + r.report.Revision.ID + " was refused" }

// refusalBody is a problem with what is wrong in the rule files.
type refusalBody struct {
	Problem
	Report checkBody `json:"report" doc:"What is wrong in the rule files"`
}

// Problem is the body of every error. It has a name to the outside only because what describes bodies does not
// look into fields without one.
type Problem = problem

func (r *refusal) body(s *Server) refusalBody {
	e := &httpError{status: http.StatusUnprocessableEntity, kind: "refused",
		detail: "the revision did not pass its checks and stays a draft; nothing has changed for anybody"}
	return refusalBody{Problem: s.problem(e, ""), Report: newCheckBody(r.report)}
}

// checkBody is what a check found.
type checkBody struct {
	Revision *rulestore.Revision `json:"revision"`
	Problems []rules.Problem     `json:"problems" nullable:"false" doc:"What is wrong or doubtful in the files"`
	Cases    int                 `json:"cases" doc:"Test cases that ran"`
	Failed   int                 `json:"failed" doc:"Test cases that failed"`
	Tests    string              `json:"tests,omitempty" doc:"What failed, for people"`
}

func newCheckBody(r *rulestore.CheckReport) checkBody {
	out := checkBody{Revision: r.Revision, Problems: r.Problems, Cases: r.Tests.Cases, Failed: r.Tests.Failed}
	if out.Problems == nil {
		out.Problems = []rules.Problem{}
	}
	if r.Tests.Failed > 0 {
		out.Tests = r.Tests.Report
	}
	return out
}

// reported answers with a check's report, or refuses with it.
func reported(report *rulestore.CheckReport, err error) (adminAnswer, error) {
	if errors.Is(err, rulestore.ErrRefused) {
		return adminAnswer{}, &refusal{report}
	}
	if err != nil {
		return adminAnswer{}, err
	}
	return adminAnswer{http.StatusOK, newCheckBody(report)}, nil
}

// readBody reads a JSON object into v; fields that v lacks are refused. An empty body is an empty object.
func readBody(r *http.Request, v any) error {
	dec := json.NewDecoder(r.Body)
	dec.DisallowUnknownFields()
	err := dec.Decode(v)
	var large *http.MaxBytesError
	switch {
	case errors.Is(err, io.EOF):
		return nil
	case errors.As(err, &large):
		return err
	case err != nil:
		return bodyError(err, v)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return invalid(fieldError{Message: "something follows the JSON object"})
	}
	return nil
}

// bodyError says what is wrong with a body that v cannot be read from.
func bodyError(err error, v any) error {
	var at *json.SyntaxError
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF):
		return malformed("the body ends in the middle of its JSON")
	case errors.As(err, &at):
		return syntax(err)
	}
	f := typeError(err)
	if f.Message == "unknown field" {
		f.Message = unknownName("field", f.Field, namesOf(reflect.TypeOf(v)))
	}
	return invalid(f)
}

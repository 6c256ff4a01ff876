package httpapi

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"reflect"
	"strings"
	"time"

	"github.com/sartorhq/sartor/recommender/identity"
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
	Name     string    `json:"name"`
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

// ruleRoutes are the routes of the rule archive; none without one.
func (s *Server) ruleRoutes() []adminRoute {
	if s.opts.RuleArchive == nil {
		return nil
	}
	return []adminRoute{
		{"GET /v1/rules/revisions", identity.Viewer, s.answered(s.listRevisions)},
		{"GET /v1/rules/revisions/{id}", identity.Viewer, s.answered(s.showRevision)},
		{"GET /v1/rules/audit", identity.Viewer, s.answered(s.showAudit)},
		{"GET /v1/rules/replicas", identity.Viewer, s.answered(s.showReplicas)},
		{"POST /v1/rules/revisions", identity.Editor, s.answered(s.submitRevision)},
		{"POST /v1/rules/revisions/{id}/check", identity.Editor, s.answered(s.checkRevision)},
		{"POST /v1/rules/revisions/{id}/approve", identity.Publisher, s.answered(s.approveRevision)},
		{"POST /v1/rules/revisions/{id}/publish", identity.Publisher, s.answered(s.publishRevision)},
		{"POST /v1/rules/revisions/{id}/rollback", identity.Publisher, s.answered(s.rollbackRevision)},
		{"PUT /v1/rules/policy", identity.Admin, s.answered(s.setPolicy)},
	}
}

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
	problem
	Report checkBody `json:"report"`
}

func (r *refusal) body(s *Server) refusalBody {
	e := &httpError{status: http.StatusUnprocessableEntity, kind: "refused",
		detail: "the revision did not pass its checks and stays a draft; nothing has changed for anybody"}
	return refusalBody{problem: s.problem(e, ""), Report: newCheckBody(r.report)}
}

// checkBody is what a check found.
type checkBody struct {
	Revision *rulestore.Revision `json:"revision"`
	Problems []rules.Problem     `json:"problems"`
	Cases    int                 `json:"cases"`
	Failed   int                 `json:"failed"`
	Tests    string              `json:"tests,omitempty"` // what failed, for people
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

// The routes.

type revisionList struct {
	Current   string               `json:"current"`
	Approvals int                  `json:"approvals"` // how many others must agree
	Revisions []rulestore.Revision `json:"revisions"` // the newest first, without their differences
}

func (s *Server) listRevisions(r *http.Request) (adminAnswer, error) {
	a, err := s.opts.RuleArchive.Latest(r.Context())
	if err != nil {
		return adminAnswer{}, err
	}
	out := revisionList{}
	if out.Revisions, err = a.History(); err != nil {
		return adminAnswer{}, err
	}
	for i := range out.Revisions {
		out.Revisions[i].Diff = ""
	}
	if out.Revisions == nil {
		out.Revisions = []rulestore.Revision{}
	}
	if out.Current, err = a.Current(); err != nil {
		return adminAnswer{}, err
	}
	if out.Approvals, err = a.Approvals(); err != nil {
		return adminAnswer{}, err
	}
	return adminAnswer{http.StatusOK, out}, nil
}

type revisionBody struct {
	*rulestore.Revision
	Files rulestore.Tree `json:"files"`
}

func (s *Server) showRevision(r *http.Request) (adminAnswer, error) {
	a, err := s.opts.RuleArchive.Latest(r.Context())
	if err != nil {
		return adminAnswer{}, err
	}
	id := r.PathValue("id")
	if id == "current" {
		if id, err = a.Current(); err != nil {
			return adminAnswer{}, err
		}
	}
	out := revisionBody{}
	if out.Revision, err = a.Revision(id); err != nil {
		return adminAnswer{}, err
	}
	if out.Files, err = a.Files(out.ID); err != nil {
		return adminAnswer{}, err
	}
	return adminAnswer{http.StatusOK, out}, nil
}

func (s *Server) showAudit(r *http.Request) (adminAnswer, error) {
	a, err := s.opts.RuleArchive.Latest(r.Context())
	if err != nil {
		return adminAnswer{}, err
	}
	entries, err := a.Verify(r.Context())
	out := struct {
		Verified bool              `json:"verified"`
		Problem  string            `json:"problem,omitempty"`
		Entries  []rulestore.Entry `json:"entries"`
	}{Verified: err == nil, Entries: entries}
	if err != nil {
		out.Problem = err.Error()
	}
	return adminAnswer{http.StatusOK, out}, nil
}

func (s *Server) showReplicas(r *http.Request) (adminAnswer, error) {
	out := struct {
		Current  string        `json:"current"`
		OnIt     int           `json:"on_current"`
		Replicas []RuleReplica `json:"replicas"`
	}{Replicas: []RuleReplica{}}
	a, err := s.opts.RuleArchive.Latest(r.Context())
	if err != nil {
		return adminAnswer{}, err
	}
	if out.Current, err = a.Current(); err != nil {
		return adminAnswer{}, err
	}
	if s.opts.RuleReplicas != nil {
		if out.Replicas, err = s.opts.RuleReplicas(r.Context()); err != nil {
			return adminAnswer{}, err
		}
	}
	for _, x := range out.Replicas {
		if x.Revision == out.Current {
			out.OnIt++
		}
	}
	return adminAnswer{http.StatusOK, out}, nil
}

func (s *Server) submitRevision(r *http.Request) (adminAnswer, error) {
	var in struct {
		Files   rulestore.Tree `json:"files"`
		Message string         `json:"message"`
		Base    *string        `json:"base"` // the revision that was edited; refused when another is live by now
	}
	if err := readBody(r, &in); err != nil {
		return adminAnswer{}, err
	}
	var errs []fieldError
	if len(in.Files) == 0 {
		errs = append(errs, fieldError{Field: "files", Message: "an object of file texts by name is needed: all files of the set, not only what has changed"})
	}
	if strings.TrimSpace(in.Message) == "" {
		errs = append(errs, fieldError{Field: "message", Message: "what is new? It goes into the history"})
	}
	if len(errs) > 0 {
		return adminAnswer{}, invalid(errs...)
	}
	var made *rulestore.Revision
	err := s.opts.RuleArchive.Change(r.Context(), func(a *rulestore.Archive) error {
		current, err := a.Current()
		if err != nil {
			return err
		}
		if in.Base != nil && *in.Base != current {
			return &httpError{status: http.StatusConflict, kind: "conflict",
				detail: "revision " + current + " is live by now, and these files were made from " + *in.Base + ": take its changes over first"}
		}
		made, err = a.Submit(r.Context(), rulestore.Draft{Files: in.Files, Author: actor(r), Message: in.Message})
		return err
	})
	return adminAnswer{http.StatusCreated, made}, err
}

func (s *Server) checkRevision(r *http.Request) (adminAnswer, error) {
	return s.judged(r, func(a *rulestore.Archive, id string, allowWarnings bool) (*rulestore.CheckReport, error) {
		return a.Check(r.Context(), id, allowWarnings)
	})
}

func (s *Server) publishRevision(r *http.Request) (adminAnswer, error) {
	return s.judged(r, func(a *rulestore.Archive, id string, allowWarnings bool) (*rulestore.CheckReport, error) {
		return a.Publish(r.Context(), id, actor(r), allowWarnings)
	})
}

// judged runs what ends with a report.
func (s *Server) judged(r *http.Request, fn func(a *rulestore.Archive, id string, allowWarnings bool) (*rulestore.CheckReport, error)) (adminAnswer, error) {
	var in struct {
		AllowWarnings bool `json:"allow_warnings"`
	}
	if err := readBody(r, &in); err != nil {
		return adminAnswer{}, err
	}
	var report *rulestore.CheckReport
	err := s.opts.RuleArchive.Change(r.Context(), func(a *rulestore.Archive) (err error) {
		report, err = fn(a, r.PathValue("id"), in.AllowWarnings)
		return err
	})
	return reported(report, err)
}

func (s *Server) rollbackRevision(r *http.Request) (adminAnswer, error) {
	var in struct {
		Message string `json:"message"`
	}
	if err := readBody(r, &in); err != nil {
		return adminAnswer{}, err
	}
	if strings.TrimSpace(in.Message) == "" {
		return adminAnswer{}, invalid(fieldError{Field: "message", Message: "why? It goes into the history"})
	}
	var report *rulestore.CheckReport
	err := s.opts.RuleArchive.Change(r.Context(), func(a *rulestore.Archive) (err error) {
		report, err = a.Rollback(r.Context(), r.PathValue("id"), actor(r), in.Message)
		return err
	})
	return reported(report, err)
}

func (s *Server) approveRevision(r *http.Request) (adminAnswer, error) {
	var in struct {
		Comment string `json:"comment"`
	}
	if err := readBody(r, &in); err != nil {
		return adminAnswer{}, err
	}
	var approved *rulestore.Revision
	err := s.opts.RuleArchive.Change(r.Context(), func(a *rulestore.Archive) (err error) {
		approved, err = a.Approve(r.Context(), r.PathValue("id"), actor(r), in.Comment)
		return err
	})
	return adminAnswer{http.StatusOK, approved}, err
}

func (s *Server) setPolicy(r *http.Request) (adminAnswer, error) {
	var in struct {
		Approvals *int   `json:"approvals"`
		Message   string `json:"message"`
	}
	if err := readBody(r, &in); err != nil {
		return adminAnswer{}, err
	}
	if in.Approvals == nil {
		return adminAnswer{}, invalid(fieldError{Field: "approvals", Message: "how many others than the author must agree?"})
	}
	err := s.opts.RuleArchive.Change(r.Context(), func(a *rulestore.Archive) error {
		return a.SetApprovals(r.Context(), *in.Approvals, actor(r), in.Message)
	})
	return adminAnswer{http.StatusOK, struct {
		Approvals int `json:"approvals"`
	}{*in.Approvals}}, err
}

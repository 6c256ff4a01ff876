package httpapi

import (
	"net/http"
	"strings"

	"github.com/sartorhq/sartor/rules/rulestore"
)

type revisionList struct {
	Current   string               `json:"current" doc:"The revision that is live, empty before the first"`
	Approvals int                  `json:"approvals" doc:"How many others than the author must agree"`
	Revisions []rulestore.Revision `json:"revisions" nullable:"false" doc:"The newest first, without their differences"`
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
	rulestore.Revision
	Files rulestore.Tree `json:"files" doc:"Texts of all files by name"`
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
	revision, err := a.Revision(id)
	if err != nil {
		return adminAnswer{}, err
	}
	out.Revision = *revision
	if out.Files, err = a.Files(out.ID); err != nil {
		return adminAnswer{}, err
	}
	return adminAnswer{http.StatusOK, out}, nil
}

type auditBody struct {
	Verified bool              `json:"verified" doc:"The chain of hashes and the files of all revisions are whole"`
	Problem  string            `json:"problem,omitempty" doc:"Where they are not"`
	Entries  []rulestore.Entry `json:"entries" nullable:"false" doc:"Who did what, the oldest first"`
}

func (s *Server) showAudit(r *http.Request) (adminAnswer, error) {
	a, err := s.opts.RuleArchive.Latest(r.Context())
	if err != nil {
		return adminAnswer{}, err
	}
	entries, err := a.Verify(r.Context())
	out := auditBody{Verified: err == nil, Entries: entries}
	if entries == nil {
		out.Entries = []rulestore.Entry{}
	}
	if err != nil {
		out.Problem = err.Error()
	}
	return adminAnswer{http.StatusOK, out}, nil
}

type replicaList struct {
	Current  string        `json:"current" doc:"The revision that is live"`
	OnIt     int           `json:"on_current" doc:"How many replicas serve it"`
	Replicas []RuleReplica `json:"replicas" nullable:"false"`
}

func (s *Server) showReplicas(r *http.Request) (adminAnswer, error) {
	out := replicaList{Replicas: []RuleReplica{}}
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

type draftBody struct {
	Files   rulestore.Tree `json:"files" doc:"Texts of all files of the set by name, not only of what has changed"`
	Message string         `json:"message" doc:"What is new, for the history"`
	Base    *string        `json:"base,omitempty" doc:"The revision that was edited; refused when another is live by now"`
}

func (s *Server) submitRevision(r *http.Request) (adminAnswer, error) {
	var in draftBody
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

type judgeBody struct {
	AllowWarnings bool `json:"allow_warnings,omitempty" doc:"Pass although the check finds something doubtful"`
}

// judged runs what ends with a report.
func (s *Server) judged(r *http.Request, fn func(a *rulestore.Archive, id string, allowWarnings bool) (*rulestore.CheckReport, error)) (adminAnswer, error) {
	var in judgeBody
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

type rollbackBody struct {
	Message string `json:"message" doc:"Why, for the history"`
}

func (s *Server) rollbackRevision(r *http.Request) (adminAnswer, error) {
	var in rollbackBody
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

type approveBody struct {
	Comment string `json:"comment,omitempty" doc:"For the history"`
}

func (s *Server) approveRevision(r *http.Request) (adminAnswer, error) {
	var in approveBody
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

type policyBody struct {
	Approvals *int   `json:"approvals" nullable:"false" doc:"How many others than the author must agree, 0 to 9"`
	Message   string `json:"message,omitempty" doc:"Why, for the history"`
}

type policyAnswer struct {
	Approvals int `json:"approvals" doc:"As it is from now on"`
}

func (s *Server) setPolicy(r *http.Request) (adminAnswer, error) {
	var in policyBody
	if err := readBody(r, &in); err != nil {
		return adminAnswer{}, err
	}
	if in.Approvals == nil {
		return adminAnswer{}, invalid(fieldError{Field: "approvals", Message: "how many others than the author must agree?"})
	}
	err := s.opts.RuleArchive.Change(r.Context(), func(a *rulestore.Archive) error {
		return a.SetApprovals(r.Context(), *in.Approvals, actor(r), in.Message)
	})
	return adminAnswer{http.StatusOK, policyAnswer{*in.Approvals}}, err
}

package rulestore

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/sartorhq/sartor/rules"
	"github.com/sartorhq/sartor/rules/rulefile"
)

// ErrRefused tells that a revision did not pass its checks; Revision.Checks says which.
var ErrRefused = errors.New("the revision was refused")

// CheckReport is everything that a check found.
type CheckReport struct {
	Revision *Revision
	Problems []rules.Problem
	Tests    TestResult
}

// Check judges a draft: it must decode, have the right types, cost little enough, give no warnings
// unless they are allowed, and pass its own tests. What passes is checked, and may be published. The
// error is ErrRefused when it does not.
func (a *Archive) Check(ctx context.Context, id string, allowWarnings bool) (*CheckReport, error) {
	unlock, err := a.lock(ctx)
	if err != nil {
		return nil, err
	}
	defer unlock()
	return a.check(ctx, id, allowWarnings)
}

func (a *Archive) check(ctx context.Context, id string, allowWarnings bool) (*CheckReport, error) {
	r, err := a.Revision(id)
	if err != nil {
		return nil, err
	}
	files, err := a.Files(r.ID)
	if err != nil {
		return nil, err
	}
	out := &CheckReport{Revision: r}
	if files.hash() != r.Tree {
		return out, fmt.Errorf("the files of revision %s are not those that were handed in", r.ID)
	}
	c := files.content(a.dir)
	c.nameBare()
	set, compiled := rules.Compile(c.parsed, a.schema, rules.Options{Now: a.opts.Now()})
	out.Problems = rulefile.Merge(c.problems, compiled)
	r.Checks = steps(c.problems, out.Problems, allowWarnings)
	sound := set != nil && !rulefile.Failed(out.Problems, false)
	if sound && a.opts.Test != nil {
		tests := Tree{}
		for name, text := range files {
			if IsTestFile(name) {
				tests[name] = text
			}
		}
		if out.Tests, err = a.opts.Test(ctx, c.parsed, tests); err != nil {
			return out, fmt.Errorf("test revision %s: %w", r.ID, err)
		}
		out.Problems = append(out.Problems, out.Tests.Problems...)
	}
	r.Checks = append(r.Checks, a.testStep(sound, &out.Tests))
	if sound && a.opts.Shadow != nil {
		step, err := a.shadow(ctx, c.parsed)
		if err != nil {
			return out, fmt.Errorf("replay recorded requests through revision %s: %w", r.ID, err)
		}
		r.Checks = append(r.Checks, step)
	}
	action := judge(r)
	if err := errors.Join(a.save(r), a.note(r, action, r.Author, "")); err != nil {
		return out, err
	}
	if action == ActionRefused {
		return out, fmt.Errorf("%w: %s", ErrRefused, r.ID)
	}
	return out, nil
}

// judge moves a revision to the state that its checks allow and returns what the audit log says of it.
func judge(r *Revision) string {
	action := ActionChecked
	for _, c := range r.Checks {
		if !c.OK {
			action = ActionRefused
		}
	}
	switch {
	case action == ActionRefused && (r.State == StateChecked || r.State == StateApproved):
		r.State = StateDraft
	case action == ActionChecked && r.State == StateDraft:
		r.State = StateChecked
	}
	return action
}

// shadow compares the revision's rules with the live ones.
func (a *Archive) shadow(ctx context.Context, next []rules.File) (Check, error) {
	id, err := a.Current()
	if err != nil || id == "" {
		return Check{Name: "shadow", OK: err == nil, Detail: "nothing is live to compare with"}, err
	}
	files, err := a.Files(id)
	if err != nil {
		return Check{}, err
	}
	live := files.content(a.dir)
	live.nameBare()
	step, err := a.opts.Shadow(ctx, live.parsed, next)
	step.Name = "shadow"
	return step, err
}

// nameBare makes problems name files as the author knows them.
func (c *content) nameBare() {
	bare := func(path string) string {
		rel, err := filepath.Rel(c.dir, path)
		if err != nil {
			return path
		}
		return rel
	}
	for i := range c.parsed {
		c.parsed[i].Path = bare(c.parsed[i].Path)
	}
	for i := range c.problems {
		c.problems[i].Path = bare(c.problems[i].Path)
	}
}

// steps sorts problems into the steps that they stop.
func steps(read, all []rules.Problem, allowWarnings bool) []Check {
	decode, types, cost, warnings := 0, 0, 0, 0
	for _, p := range read {
		if p.Severity == rules.SeverityError {
			decode++
		}
	}
	for _, p := range all {
		switch {
		case p.Severity == rules.SeverityWarning:
			warnings++
		case p.Code == rules.CodeTooCostly:
			cost++
		default:
			types++
		}
	}
	types = max(0, types-decode)
	step := func(name string, n int) Check {
		if n > 0 {
			return Check{Name: name, Detail: plural(n, "problem")}
		}
		return Check{Name: name, OK: true}
	}
	lint := step("lint", warnings)
	if allowWarnings && warnings > 0 {
		lint.OK, lint.Detail = true, fmt.Sprintf("%d warnings, allowed", warnings)
	}
	return []Check{step("decode", decode), step("types", types), step("cost", cost), lint}
}

func (a *Archive) testStep(ran bool, t *TestResult) Check {
	c := Check{Name: "tests"}
	switch {
	case !ran:
		c.Detail = "not run"
	case a.opts.Test == nil:
		c.OK, c.Detail = true, "not run: nobody does here"
	case rulefile.Failed(t.Problems, false):
		c.Detail = plural(len(t.Problems), "problem") + " in test files"
	case t.Failed > 0:
		c.Detail = fmt.Sprintf("%d of %d cases failed", t.Failed, t.Cases)
	default:
		c.OK, c.Detail = true, plural(t.Cases, "case")+" passed"
	}
	return c
}

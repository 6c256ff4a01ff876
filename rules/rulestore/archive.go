package rulestore

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/sartorhq/sartor/features"
	"github.com/sartorhq/sartor/rules"
	"github.com/sartorhq/sartor/rules/rulefile"
)

// TestResult is the outcome of a revision's own tests.
type TestResult struct {
	Cases, Failed int
	// Report is what failed, for people.
	Report   string
	Problems []rules.Problem
}

// ArchiveOptions tune an Archive. The zero value works.
type ArchiveOptions struct {
	// Test runs a revision's tests against its rules; nil = tests are not run, and the check says so.
	Test func(ctx context.Context, files []rules.File, tests Tree) (TestResult, error)
	// Shadow plays recorded requests through the live rules and a revision's, and judges the difference;
	// nil = no shadow replay. It serves nobody. live is nil when nothing is live.
	Shadow func(ctx context.Context, live, next []rules.File) (Check, error)
	// Now is the clock; nil = time.Now.
	Now func() time.Time
}

// Archive is a folder with every revision of a set of rules, an audit log, and a link, current, to the
// files of the live one: replicas read DIR/current. Only one process changes an archive at a time;
// others wait. Replicas need no lock: a revision's files never change, and the link is replaced in one
// step, so that they see one revision or the next, whole.
type Archive struct {
	dir    string
	schema *features.Schema
	opts   ArchiveOptions
}

// NewArchive returns an archive in dir; the folder is made with the first draft.
func NewArchive(dir string, schema *features.Schema, opts ArchiveOptions) *Archive {
	if opts.Now == nil {
		opts.Now = time.Now
	}
	return &Archive{dir: dir, schema: schema, opts: opts}
}

// Live is the folder that replicas read.
func (a *Archive) Live() string { return filepath.Join(a.dir, currentName) }

// Draft is what somebody hands in.
type Draft struct {
	Files           Tree
	Author, Message string
	// RollbackOf is set by Rollback.
	RollbackOf string
}

// ErrDraft is returned for a draft or a policy that cannot be kept as it is.
var ErrDraft = errors.New("this cannot be handed in")

// ErrState is returned for what a revision's state does not allow.
var ErrState = errors.New("not in this state")

// ErrUnchanged is returned for a draft that says nothing new.
var ErrUnchanged = errors.New("the files are those of the live revision")

// Submit keeps a draft as a new revision. It is neither checked nor live.
func (a *Archive) Submit(ctx context.Context, d Draft) (*Revision, error) {
	if strings.TrimSpace(d.Author) == "" || strings.TrimSpace(d.Message) == "" {
		return nil, fmt.Errorf("%w: it needs an author and a message", ErrDraft)
	}
	for name := range d.Files {
		if !filepath.IsLocal(filepath.FromSlash(name)) {
			return nil, fmt.Errorf("%w: %q is outside of the folder", ErrDraft, name)
		}
	}
	unlock, err := a.lock(ctx)
	if err != nil {
		return nil, err
	}
	defer unlock()
	r := &Revision{State: StateDraft, SHA256: d.Files.content(a.dir).hash(), Tree: d.Files.hash(), Author: d.Author, Message: d.Message,
		CreatedAt: a.opts.Now().UTC().Truncate(time.Second), RollbackOf: d.RollbackOf}
	if r.Base, err = a.Current(); err != nil {
		return nil, err
	}
	before := Tree{}
	if r.Base != "" {
		if before, err = a.Files(r.Base); err != nil {
			return nil, err
		}
		if before.hash() == r.Tree && d.RollbackOf == "" {
			return nil, fmt.Errorf("%w, %s", ErrUnchanged, r.Base)
		}
	}
	r.Diff = difference(before, d.Files)
	all, err := a.History()
	if err != nil {
		return nil, err
	}
	r.Number = 1
	if len(all) > 0 {
		r.Number = all[0].Number + 1
	}
	r.ID = fmt.Sprintf("%06d-%s", r.Number, r.Tree[:8])
	if err := a.write(r, d.Files); err != nil {
		return nil, fmt.Errorf("keep revision %s: %w", r.ID, err)
	}
	return r, a.note(r, ActionDraft, r.Author, r.Message)
}

// write puts a revision's folder in place as one step.
func (a *Archive) write(r *Revision, files Tree) error {
	parent := filepath.Join(a.dir, revisionsName)
	tmp, err := os.MkdirTemp(parent, ".draft-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp) // gone already when all went well
	for name, text := range files {
		path := filepath.Join(tmp, filesName, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			return err
		}
	}
	if err := errors.Join(os.MkdirAll(filepath.Join(tmp, filesName), 0o755), os.Chmod(tmp, 0o755)); err != nil {
		return err
	}
	if err := os.Rename(tmp, a.path(r.ID)); err != nil {
		return err
	}
	return a.save(r)
}

func (a *Archive) note(r *Revision, action, author, message string) error {
	err := a.audit().append(Entry{Time: a.opts.Now().UTC().Truncate(time.Millisecond), Action: action, Revision: r.ID, SHA256: r.SHA256, Tree: r.Tree,
		Author: author, Message: message})
	if err != nil {
		return fmt.Errorf("write the audit log: %w", err)
	}
	return nil
}

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

// Publish checks a revision once more and makes it live: replicas take it over when they next look.
// The error is ErrRefused when it does not pass, and ErrNotApproved when the policy asks for approvals
// that it lacks; then nothing has changed for anybody.
func (a *Archive) Publish(ctx context.Context, id, author string, allowWarnings bool) (*CheckReport, error) {
	unlock, err := a.lock(ctx)
	if err != nil {
		return nil, err
	}
	defer unlock()
	out, err := a.check(ctx, id, allowWarnings)
	if err != nil {
		return out, err
	}
	return out, a.goLive(out.Revision, author)
}

// goLive makes a sound revision live, when the policy allows it.
func (a *Archive) goLive(r *Revision, author string) error {
	if err := a.allowed(r); err != nil {
		return err
	}
	old, err := a.Current()
	if err != nil {
		return err
	}
	// The log comes first: what is live is in it, whenever the process ends.
	if err := a.note(r, ActionPublish, author, r.Message); err != nil {
		return err
	}
	if err := a.swap(r.ID); err != nil {
		return fmt.Errorf("make revision %s live: %w", r.ID, err)
	}
	r.State = StatePublished
	if err := a.save(r); err != nil {
		return err
	}
	if old != "" && old != r.ID {
		was, err := a.Revision(old)
		if err != nil {
			return err
		}
		was.State = StateSuperseded
		return a.save(was)
	}
	return nil
}

// swap points the link at another revision's files in one step.
func (a *Archive) swap(id string) error {
	tmp := filepath.Join(a.dir, ".current.next")
	if err := os.Remove(tmp); err != nil && !os.IsNotExist(err) {
		return err
	}
	if err := os.Symlink(filepath.Join(revisionsName, id, filesName), tmp); err != nil {
		return err
	}
	return os.Rename(tmp, a.Live())
}

// Rollback publishes the content of an older revision again, as a new one. Its warnings are allowed:
// they were when it was published.
func (a *Archive) Rollback(ctx context.Context, id, author, message string) (*CheckReport, error) {
	old, err := a.Revision(id)
	if err != nil {
		return nil, err
	}
	if old.State != StateSuperseded && old.State != StatePublished {
		return nil, fmt.Errorf("%w: revision %s was never live: publish it instead", ErrState, old.ID)
	}
	files, err := a.Files(old.ID)
	if err != nil {
		return nil, err
	}
	r, err := a.Submit(ctx, Draft{Files: files, Author: author, Message: message, RollbackOf: old.ID})
	if err != nil {
		return nil, err
	}
	return a.Publish(ctx, r.ID, author, true)
}

// Verify checks the audit log's chain, that every revision still holds what the log says, and that the
// live one is the last that was published. The error names the first thing that is wrong; entries are
// those before it.
func (a *Archive) Verify(ctx context.Context) ([]Entry, error) {
	unlock, err := a.lock(ctx)
	if err != nil {
		return nil, err
	}
	defer unlock()
	entries, err := a.audit().read()
	if err != nil {
		return entries, err
	}
	live := ""
	for i, e := range entries {
		if e.Action == ActionPublish {
			live = e.Revision
		}
		if e.Action != ActionDraft {
			continue
		}
		files, err := a.Files(e.Revision)
		if err != nil {
			return entries, &AuditError{i + 1, "its revision cannot be read: " + err.Error()}
		}
		if files.hash() != e.Tree || files.content(a.dir).hash() != e.SHA256 {
			return entries, &AuditError{i + 1, "the files of revision " + e.Revision + " were changed"}
		}
	}
	current, err := a.Current()
	if err != nil {
		return entries, err
	}
	if current != live {
		return entries, fmt.Errorf("the live revision is %q, the last published one %q: publish it again", current, live)
	}
	return entries, nil
}

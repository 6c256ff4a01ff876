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

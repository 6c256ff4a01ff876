package rulestore

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// ErrNotApproved tells that the policy asks for more approvals than a revision has.
var ErrNotApproved = errors.New("the revision is not approved")

// ErrMayNotApprove tells that somebody cannot approve a revision: its author, or who did already.
var ErrMayNotApprove = errors.New("may not approve")

// maxApprovals bounds the policy: more eyes than this is a slip of the finger.
const maxApprovals = 9

// Approvals returns how many others than the author must agree before a revision goes live. The policy
// is part of the audit log, so that it cannot be changed without a trace.
func (a *Archive) Approvals() (int, error) {
	entries, err := a.audit().read()
	if err != nil {
		return 0, err
	}
	return approvalsOf(entries), nil
}

func approvalsOf(entries []Entry) int {
	for _, e := range slices.Backward(entries) {
		if e.Action == ActionPolicy && e.Approvals != nil {
			return *e.Approvals
		}
	}
	return 0
}

// SetApprovals sets the policy: n others than the author must agree. 0 needs nobody.
func (a *Archive) SetApprovals(ctx context.Context, n int, author, message string) error {
	if n < 0 || n > maxApprovals {
		return fmt.Errorf("%w: approvals must be from 0 to %d, not %d", ErrDraft, maxApprovals, n)
	}
	if strings.TrimSpace(author) == "" || strings.TrimSpace(message) == "" {
		return fmt.Errorf("%w: a policy needs an author and a message", ErrDraft)
	}
	unlock, err := a.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	e := Entry{Time: a.opts.Now().UTC().Truncate(time.Millisecond), Action: ActionPolicy, Author: author, Message: message, Approvals: &n}
	if err := a.audit().append(e); err != nil {
		return fmt.Errorf("write the audit log: %w", err)
	}
	return nil
}

// Approve records that somebody other than the author agrees to a checked revision. It is approved when
// as many agree as the policy asks for, at least one.
func (a *Archive) Approve(ctx context.Context, id, by, comment string) (*Revision, error) {
	if strings.TrimSpace(by) == "" {
		return nil, fmt.Errorf("%w: an approval needs a name", ErrDraft)
	}
	unlock, err := a.lock(ctx)
	if err != nil {
		return nil, err
	}
	defer unlock()
	r, err := a.Revision(id)
	if err != nil {
		return nil, err
	}
	switch {
	case r.State != StateChecked && r.State != StateApproved:
		return nil, fmt.Errorf("%w: revision %s is %s: only what is checked can be approved", ErrState, r.ID, r.State)
	case r.Author == by:
		return nil, fmt.Errorf("%w: %s wrote revision %s, and four eyes must see it", ErrMayNotApprove, by, r.ID)
	case slices.ContainsFunc(r.Approvals, func(x Approval) bool { return x.By == by }):
		return nil, fmt.Errorf("%w: %s has approved revision %s already", ErrMayNotApprove, by, r.ID)
	}
	need, err := a.Approvals()
	if err != nil {
		return nil, err
	}
	r.Approvals = append(r.Approvals, Approval{By: by, At: a.opts.Now().UTC().Truncate(time.Second), Comment: comment})
	if len(r.Approvals) >= max(need, 1) {
		r.State = StateApproved
	}
	return r, errors.Join(a.note(r, ActionApprove, by, comment), a.save(r))
}

// allowed tells whether the policy lets a revision go live. What was live before may again: a rollback
// must not wait for anybody.
func (a *Archive) allowed(r *Revision) error {
	need, err := a.Approvals()
	if err != nil || need == 0 {
		return err
	}
	entries, err := a.audit().read()
	if err != nil {
		return err
	}
	// The log counts, not the record beside the files, which anybody could write.
	agreed := map[string]bool{}
	for _, e := range entries {
		if e.Action == ActionPublish && e.Tree == r.Tree {
			return nil
		}
		if e.Action == ActionApprove && e.Revision == r.ID && e.Tree == r.Tree && e.Author != r.Author {
			agreed[e.Author] = true
		}
	}
	if len(agreed) < need {
		return fmt.Errorf("%w: revision %s by %s has %d of %d approvals", ErrNotApproved, r.ID, r.Author, len(agreed), need)
	}
	return nil
}

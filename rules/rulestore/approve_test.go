package rulestore

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/sartorhq/sartor/rules"
)

func TestFourEyes(t *testing.T) {
	a := archive(t)
	if err := a.SetApprovals(t.Context(), 1, "boss", "four eyes from today"); err != nil {
		t.Fatal(err)
	}
	one := submit(t, a, Tree{"home.yaml": ruleFile("home", "one")}, "the first")
	if _, err := a.Approve(t.Context(), one.ID, "joe", ""); err == nil || !strings.Contains(err.Error(), "is draft: only what is checked can be approved") {
		t.Errorf("an unchecked draft was approved: %v", err)
	}
	if _, err := a.Publish(t.Context(), one.ID, "jane", false); !errors.Is(err, ErrNotApproved) || !strings.Contains(err.Error(), "by jane has 0 of 1 approvals") {
		t.Fatalf("published without approval: %v", err)
	}
	if id, _ := a.Current(); id != "" || states(t, a) != "1 checked" {
		t.Fatalf("%q is live, %s", id, states(t, a))
	}
	if _, err := a.Approve(t.Context(), one.ID, "jane", ""); !errors.Is(err, ErrMayNotApprove) {
		t.Errorf("the author approved: %v", err)
	}
	r, err := a.Approve(t.Context(), "1", "joe", "fine")
	if err != nil || r.State != StateApproved || len(r.Approvals) != 1 || r.Approvals[0].Comment != "fine" {
		t.Fatalf("approved: %+v %v", r, err)
	}
	if _, err := a.Approve(t.Context(), "1", "joe", ""); !errors.Is(err, ErrMayNotApprove) {
		t.Errorf("one person approved twice: %v", err)
	}
	if _, err := a.Publish(t.Context(), one.ID, "jane", false); err != nil {
		t.Fatal(err)
	}

	// Back to what was live before needs nobody: an emergency must not wait.
	two := submit(t, a, Tree{"home.yaml": ruleFile("home", "two")}, "the second")
	if _, err := a.Check(t.Context(), two.ID, false); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Approve(t.Context(), two.ID, "joe", ""); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Publish(t.Context(), two.ID, "jane", false); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Rollback(t.Context(), one.ID, "jane", "the second sells nothing"); err != nil {
		t.Fatal(err)
	}
	// But a draft that only says that it is a rollback does.
	sly, err := a.Submit(t.Context(), Draft{Files: Tree{"home.yaml": ruleFile("home", "sly")}, Author: "jane", Message: "trust me", RollbackOf: one.ID})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.Publish(t.Context(), sly.ID, "jane", false); !errors.Is(err, ErrNotApproved) {
		t.Errorf("new files went live as a rollback: %v", err)
	}
	want := "policy draft checked approved checked published" + // "checked" comes again with each try to publish
		" draft checked approved checked published draft checked published draft checked"
	if got := actions(t, a); got != want {
		t.Errorf("audit: %s", got)
	}
}

func TestPolicy(t *testing.T) {
	a := archive(t)
	for _, c := range []struct {
		n               int
		author, message string
		want            string
	}{
		{-1, "boss", "m", "from 0 to 9"}, {10, "boss", "m", "from 0 to 9"}, {1, "", "m", "author"}, {1, "boss", " ", "message"},
	} {
		if err := a.SetApprovals(t.Context(), c.n, c.author, c.message); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("policy of %d by %q: %v, want %q", c.n, c.author, err, c.want)
		}
	}
	if n, err := a.Approvals(); n != 0 || err != nil {
		t.Errorf("without a policy: %d %v", n, err)
	}
	for _, n := range []int{2, 0} {
		if err := a.SetApprovals(t.Context(), n, "boss", "m"); err != nil {
			t.Fatal(err)
		}
		if got, err := a.Approvals(); got != n || err != nil {
			t.Errorf("policy %d reads as %d %v", n, got, err)
		}
	}
}

func TestShadowDecides(t *testing.T) {
	a := archive(t)
	var compared []string
	ok := true
	a.opts.Shadow = func(_ context.Context, live, next []rules.File) (Check, error) {
		compared = append(compared, live[0].Rules[0].ID+" "+next[0].Rules[0].ID)
		return Check{OK: ok, Detail: "3 of 10 lists change"}, nil
	}
	one := submit(t, a, Tree{"home.yaml": ruleFile("home", "one")}, "the first")
	report, err := a.Publish(t.Context(), one.ID, "joe", false)
	if err != nil || len(compared) != 0 {
		t.Fatalf("nothing was live: %v, compared %v", err, compared)
	}
	if last := report.Revision.Checks[5]; last != (Check{Name: "shadow", OK: true, Detail: "nothing is live to compare with"}) {
		t.Errorf("checks: %+v", last)
	}
	two := submit(t, a, Tree{"home.yaml": ruleFile("home", "two")}, "the second")
	ok = false
	if _, err := a.Publish(t.Context(), two.ID, "joe", false); !errors.Is(err, ErrRefused) {
		t.Fatalf("refused by its shadow: %v", err)
	}
	if id, _ := a.Current(); id != one.ID || len(compared) != 1 || compared[0] != "one two" {
		t.Errorf("%s is live, compared %v", id, compared)
	}
}

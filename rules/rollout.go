package rules

import (
	"fmt"
	"strings"
)

// rollout switches a rule on for a stable share of whatever "by" names.
type rollout struct {
	salt  string
	limit int // of bucketCount
	by    ref
}

// maxHoldout is the largest share of users, in percent, that a rule may be kept from for the sake of
// measuring it: what is larger is no hold-out but a rollout.
const maxHoldout = 50

// rollout reads for which share of users a rule is on.
func (r *reporter) rollout(t *typer, in *Rule) *rollout {
	if in.Rollout == nil {
		return nil
	}
	if p := in.Rollout.Percent; p < 0 || p > 100 || !finite(p) {
		r.error(in.Rollout.Pos, CodeOutOfBounds, fmt.Sprintf("`percent: %v` is outside 0 to 100", p), "write a share such as `rollout: {percent: 20}`")
	}
	return r.usersOf(t, in, in.Rollout, "rollout", "")
}

// holdout reads for which share of users a rule stays off, to be measured against them.
func (r *reporter) holdout(t *typer, in *Rule) *rollout {
	if in.Holdout == nil {
		return nil
	}
	switch p := in.Holdout.Percent; {
	case in.Hard:
		r.error(in.Holdout.Pos, CodeMisplaced, "a guard has no hold-out: what must not be shown is shown to nobody", "delete `holdout`, or `hard: true`")
		return nil
	case !(p > 0 && p <= maxHoldout):
		r.error(in.Holdout.Pos, CodeOutOfBounds, fmt.Sprintf("`holdout: %v%%` is not above 0%% and at most %d%%", p, maxHoldout), "write a small share such as `holdout: 5%`; to show a rule to few, use `rollout`")
		return nil
	}
	return r.usersOf(t, in, in.Holdout, "holdout", "/holdout")
}

// usersOf compiles a stable share of users. Each use has users of its own.
func (r *reporter) usersOf(t *typer, in *Rule, o *Rollout, what, use string) *rollout {
	by := strings.TrimSpace(o.By)
	if by == "" {
		by = "user.id"
	}
	id, _, _ := strings.Cut(in.ID, "#") // the rows of a table share their users
	out := &rollout{salt: r.file.Name + "/" + id + use, limit: int(o.Percent*bucketCount/100 + 0.5)}
	root, name := splitPath(by)
	f, ok := t.symbols.field(root, name)
	if !ok || root == "item" || kindOf(f.Type) != kindText {
		hint := didYouMean(name, t.symbols.names(root), root+".")
		if hint == "" {
			hint = "use a text of user or context, such as `user.id`"
		}
		r.error(o.Pos, CodeUnknownField, "`by: "+by+"` cannot split a "+what, hint)
		return nil
	}
	out.by = t.layout.place(t.symbols.variable(root, f))
	return out
}

// covers tells whether the user is inside the share. Who has no value is outside any share but 100%.
func (o *rollout) covers(f *frame) bool {
	if o == nil || o.limit >= bucketCount {
		return true
	}
	by, _ := f.value(o.by).(string)
	return by != "" && bucket(o.salt, by) < o.limit
}

// table is the rule's id, for a row that of its table.
func (r *rule) table() string {
	id, _, _ := strings.Cut(r.id, "#")
	return id
}

func appendNew(list []string, s string) []string {
	if contains(list, s) {
		return list
	}
	return append(list, s)
}

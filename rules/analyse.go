package rules

import (
	"fmt"
	"strconv"
	"strings"
)

// analysed is a rule with what its conditions ask.
type analysed struct {
	*rule
	when, match, both *conditions
	signature         string
	dead              bool // nothing meets its conditions
}

// timeless tells whether neither the calendar nor a share of users decides if the rule is on.
func (r *rule) timeless() bool { return r.schedule == nil && r.rollout == nil }

// analyse warns about rules that can do nothing, and about pairs of which one undoes the other. It
// says only what follows from the conditions; where they are too rich to tell, it is silent.
func (r *reporter) analyse(made []*rule) {
	all := analysis(made)
	for i := range all {
		a := &all[i]
		r.rule = a.id
		r.constantParts(a)
		for j := range all {
			if b := &all[j]; i != j {
				r.pair(a, b, j < i)
			}
		}
	}
	r.rule = ""
}

func analysis(made []*rule) []analysed {
	var all []analysed
	for _, m := range made {
		if m != nil {
			a := analysed{rule: m, when: conditionsOf(m.when), match: conditionsOf(m.match), both: conditionsOf(m.when, m.match), signature: m.signature()}
			a.dead = a.both.never() != ""
			all = append(all, a)
		}
	}
	return all
}

// constantParts warns about conditions that no request or item can meet, or that all do.
func (r *reporter) constantParts(a *analysed) {
	for _, part := range []struct {
		name string
		p    *program
	}{{"when", a.rule.when}, {"match", a.rule.match}} {
		if part.p == nil || part.p.root.constant() {
			continue
		}
		if field := conditionsOf(part.p).never(); field != "" && field != constantPart {
			r.warn(a.pos, CodeConstant, fmt.Sprintf("`%s` is never true: nothing meets all it asks of `%s`", part.name, field), "join alternatives with `or`, or delete the rule")
			return
		}
		denied := &conditions{fields: map[string]constraint{}}
		if denied.add(part.p.root, false); denied.never() != "" && denied.never() != constantPart {
			r.warn(a.pos, CodeConstant, fmt.Sprintf("`%s` is always true: whatever `%s` is, it holds", part.name, denied.never()), "join the parts with `and`, or leave the condition out")
			return
		}
	}
	if field := a.both.never(); field != "" && field != constantPart && a.when.never() == "" && a.match.never() == "" {
		r.warn(a.pos, CodeConstant, fmt.Sprintf("`when` and `match` are never true together: they ask different things of `%s`", field), "change one of them")
	}
}

// pair warns about what rule b does to rule a. later tells that a stands behind b in the file.
func (r *reporter) pair(a, b *analysed, later bool) {
	if a.dead || b.dead || !b.timeless() {
		return
	}
	if later && a.id != b.id && a.signature == b.signature {
		r.warn(a.pos, CodeShadowed, "this rule does the same as `"+b.id+"`", "delete one of them")
		return
	}
	outranked := b.priority > a.priority || b.priority == a.priority && later
	table := strings.HasPrefix(a.group, a.file+"/table ") // compareRows has a better message
	if a.group != "" && a.group == b.group && outranked && !table && a.both.implies(b.both) {
		r.warn(a.pos, CodeShadowed, "this rule never fires: `"+b.id+"`, of the same group, takes everything that it matches", "give this rule a higher priority")
	}
	for i := range a.actions {
		for j := range b.actions {
			r.undone(a, b, &a.actions[i], &b.actions[j])
		}
	}
}

// undone warns when what b does leaves nothing of what a does.
func (r *reporter) undone(a, b *analysed, x, y *action) {
	switch {
	case y.name == "exclude" && x.pin != nil:
		items := a.both
		if len(x.pin.items) > 0 {
			items = conditionsOf(a.rule.when, a.rule.match)
			ids := make([]any, len(x.pin.items))
			for i, id := range x.pin.items {
				ids[i] = id
			}
			items.meet("item.id", exactly(kindText, ids...))
		}
		if items.implies(b.both) {
			r.warn(a.pos, CodeShadowed, "this pin never finds an item: `"+r.other(b.rule)+"` excludes all that it pins", "exclude beats pin; narrow one of the two")
		}
	case y.name == "exclude" && x.name == "quota":
		if wanted := conditionsOf(a.rule.when, a.rule.match, x.limit.match); wanted.implies(b.both) {
			r.warn(a.pos, CodeShadowed, "this quota is never met: `"+r.other(b.rule)+"` excludes all that it asks for", "exclude beats quota; narrow one of the two")
		}
	case x.name == "boost" && y.name == "bury" || x.name == "bury" && y.name == "boost":
		if a.both.implies(b.both) && (x.name == "boost" || !b.both.implies(a.both)) { // one warning where both match the same
			r.warn(a.pos, CodeOpposed, fmt.Sprintf("every item that this rule raises or lowers is pulled the other way by `%s`%s", r.other(b.rule), netEffect(x.boost, y.boost)), "keep one of the two, or part their conditions")
		}
	}
}

// netEffect says what two fixed multipliers come to.
func netEffect(a, b *boostSpec) string {
	if a.multiply == nil || b.multiply == nil || !a.multiply.root.constant() || !b.multiply.root.constant() {
		return ""
	}
	product := number(a.multiply.root.value) * number(b.multiply.root.value)
	return ": together they multiply by " + strconv.FormatFloat(product, 'g', 4, 64)
}

// signature is all that a rule does, apart from its name and rank: two rules with one signature are
// the same rule twice.
func (r *rule) signature() string {
	var b strings.Builder
	for _, p := range []*program{r.when, r.match} {
		if p != nil {
			b.WriteString(strings.Join(strings.Fields(p.src), " "))
		}
		b.WriteByte(0)
	}
	fmt.Fprintf(&b, "%t%t%s%v%v", r.hard, r.stop, r.group, r.schedule != nil, r.rollout != nil)
	b.WriteString(r.written)
	if r.schedule != nil || r.rollout != nil {
		b.WriteString(r.id) // never the same
	}
	return b.String()
}

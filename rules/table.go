package rules

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// The hit policies of decision tables.
const (
	hitFirst  = "first"
	hitAll    = "all"
	hitUnique = "unique"
)

// input is a column of a table.
type input struct {
	text string
	kind kind
}

// table compiles each row to a rule. Rows that are in error are left out.
func (c *compiler) table(r *reporter, t *typer, kinds map[string]actionKind, in *Table) []*rule {
	r.rule = in.ID
	if other, dup := c.ids[in.ID]; dup {
		r.error(in.Pos, CodeDuplicate, "the id `"+in.ID+"` is used twice", "it is also in "+other)
	}
	c.ids[in.ID] = r.file.Path
	hit := in.Hit
	if hit == "" {
		hit = hitFirst
	}
	if hit != hitFirst && hit != hitAll && hit != hitUnique {
		r.error(in.HitPos, CodeUnknownName, "`hit: "+in.Hit+"` is unknown", "use first, all or unique")
	}
	if len(in.Inputs) == 0 || len(in.Rows) == 0 {
		r.error(in.Pos, CodeActionField, "the table `"+in.ID+"` needs `inputs` and `rows`", "for instance `inputs: [item.category, user.tier]`")
		return nil
	}
	columns := r.columns(t, in)
	if columns == nil {
		return nil
	}
	rows := make([]*rule, len(in.Rows))
	for i := range in.Rows {
		rows[i] = c.row(r, t, kinds, in, i, columns, hit)
	}
	r.rule = in.ID
	r.compareRows(rows, hit)
	if in.Disabled {
		return nil
	}
	return rows
}

// columns types the inputs; nil when one of them is in error.
func (r *reporter) columns(t *typer, in *Table) []input {
	var out []input
	bad := false
	t.place = placeMatch
	for _, e := range in.Inputs {
		k, faults := t.kindOf(e.Text)
		r.faults(e, faults)
		if k == kindNone || k == kindTextMap || k == kindTextSet {
			bad = true
			if len(faults) == 0 {
				r.error(e.Pos, CodeTypeMismatch, "`"+e.Text+"` is "+k.plain()+" and cannot be a column", "name one value, such as item.category")
			}
		}
		out = append(out, input{text: strings.TrimSpace(e.Text), kind: k})
	}
	if bad {
		return nil
	}
	return out
}

// kindOf types an expression of any kind.
func (t *typer) kindOf(src string) (k kind, faults []fault) {
	defer func() { // the parser is not ours
		if r := recover(); r != nil {
			k, faults = kindNone, []fault{{code: CodeSyntax, message: "the expression cannot be read", hint: "name a field, such as item.category"}}
		}
	}()
	t.faults = nil
	if f := gate(src); f != nil {
		return kindNone, []fault{*f}
	}
	tree, f := parse(src)
	if f != nil {
		return kindNone, []fault{*f}
	}
	if faults := guarded(tree); len(faults) > 0 {
		return kindNone, faults
	}
	return t.node(tree.Node).kind, t.faults
}

// row compiles one row; nil when it is in error or disabled.
func (c *compiler) row(r *reporter, t *typer, kinds map[string]actionKind, in *Table, i int, columns []input, hit string) *rule {
	row := &in.Rows[i]
	out := Rule{ID: in.ID + "#" + strconv.Itoa(i+1), Description: in.Description, Priority: in.Priority,
		Schedule: in.Schedule, Rollout: in.Rollout, Holdout: in.Holdout, Then: row.Then, Pos: row.Pos}
	r.rule = out.ID
	if len(row.Cells) != len(columns) {
		r.error(row.Pos, CodeActionField, fmt.Sprintf("the row has %d cells, the table %d inputs", len(row.Cells), len(columns)), "write `\"*\"` for a cell that does not matter")
		return nil
	}
	if hit == hitFirst {
		out.Group = "table " + in.ID
	}
	when, match := parts{in.When}, parts{in.Match}
	t.place = placeMatch
	for k := range row.Cells {
		e, ok := r.cell(&row.Cells[k], columns[k])
		if !ok {
			return nil
		}
		if e.Empty() {
			continue
		}
		before := len(r.problems)
		p, faults := t.compile(e.Text, kindBool)
		r.faults(e, faults)
		if p == nil {
			return nil
		}
		r.problems = r.problems[:before] // warnings come again with the whole condition
		if p.deps&(depItem|depScore) == 0 {
			when = append(when, e)
		} else {
			match = append(match, e)
		}
	}
	out.When, out.Match = when.joined(row.Pos), match.joined(row.Pos)
	return c.rule(r, t, kinds, &out)
}

// parts are conditions that must all hold.
type parts []Expr

// joined is one condition of all parts; one that stands alone keeps its exact place.
func (p parts) joined(at Pos) Expr {
	p = slices.DeleteFunc(p, Expr.Empty)
	if len(p) == 1 {
		return p[0]
	}
	texts := make([]string, len(p))
	for i, e := range p {
		texts[i] = "(" + e.Text + ")"
	}
	return Expr{Text: strings.Join(texts, " and "), Pos: at}
}

// cell makes a condition of a cell: empty for one that lets everything through.
func (r *reporter) cell(c *Cell, in input) (Expr, bool) {
	if len(c.List) > 0 {
		texts := make([]string, len(c.List))
		for i, e := range c.List {
			literal, ok := r.literal(e, in)
			if !ok {
				return Expr{}, false
			}
			texts[i] = literal
		}
		if in.kind == kindTextList {
			for i := range texts {
				texts[i] += " in " + in.text
			}
			return Expr{Text: strings.Join(texts, " or "), Pos: c.Pos}, true
		}
		return Expr{Text: "(" + in.text + ") in [" + strings.Join(texts, ", ") + "]", Pos: c.Pos}, true
	}
	text := strings.TrimSpace(c.Value.Text)
	if text == "*" {
		return Expr{}, true
	}
	if text == "" {
		r.error(c.Pos, CodeEmpty, "the cell is empty", "write `\"*\"` for anything, or `'\"\"'` for no text")
		return Expr{}, false
	}
	for _, op := range []string{"==", "!=", "<=", ">=", "<", ">"} {
		if rest, ok := strings.CutPrefix(text, op); ok {
			rest = strings.TrimSpace(rest)
			if in.kind == kindText && !quoted(rest) && !strings.HasPrefix(rest, "params.") {
				rest = strconv.Quote(rest)
			}
			return Expr{Text: "(" + in.text + ") " + op + " " + rest, Pos: c.Value.Pos}, true
		}
	}
	literal, ok := r.literal(c.Value, in)
	switch {
	case !ok:
		return Expr{}, false
	case in.kind == kindTextList:
		return Expr{Text: literal + " in " + in.text, Pos: c.Value.Pos}, true
	case in.kind == kindBool:
		return Expr{Text: map[string]string{"true": in.text, "false": "not (" + in.text + ")"}[literal], Pos: c.Value.Pos}, true
	}
	return Expr{Text: "(" + in.text + ") == " + literal, Pos: c.Value.Pos}, true
}

func quoted(s string) bool {
	return len(s) >= 2 && (s[0] == '"' || s[0] == '\'') && s[len(s)-1] == s[0]
}

// literal writes a cell's value the way its column's kind asks for.
func (r *reporter) literal(e Expr, in input) (string, bool) {
	text := strings.TrimSpace(e.Text)
	if strings.HasPrefix(text, "params.") {
		return text, true
	}
	switch in.kind {
	case kindText, kindTextList:
		if quoted(text) {
			return text, true
		}
		return strconv.Quote(text), true
	case kindBool:
		if text == "true" || text == "false" {
			return text, true
		}
	case kindInt, kindNumber:
		if _, ok := parseNumber(text); ok {
			return text, true
		}
	}
	r.error(e.Pos, CodeTypeMismatch, "the column `"+in.text+"` is "+in.kind.plain()+"; `"+text+"` is not", cellHint(in.kind))
	return "", false
}

func cellHint(k kind) string {
	switch k {
	case kindBool:
		return "write true, false or `\"*\"`"
	case kindTime, kindDuration:
		return "write a comparison such as `\"< days(14)\"`"
	}
	return "write a number, a comparison such as `\">= 100\"`, or `\"*\"`"
}

// compareRows finds rows that can never count, and pairs that a unique table must not have.
func (r *reporter) compareRows(rows []*rule, hit string) {
	read := make([]*conditions, len(rows))
	for i, row := range rows {
		if row != nil {
			read[i] = conditionsOf(row.when, row.match)
		}
	}
	for j, later := range read {
		for i := 0; later != nil && i < j; i++ {
			earlier := read[i]
			switch {
			case earlier == nil:
			case hit == hitFirst && later.implies(earlier):
				r.rule = rows[j].id
				r.warn(rows[j].pos, CodeShadowed, fmt.Sprintf("this row never counts: row %d takes everything that it matches", i+1), "put the special row before the general one")
				i = j
			case hit == hitUnique && !later.excludes(earlier):
				r.rule = rows[j].id
				r.error(rows[j].pos, CodeShadowed, fmt.Sprintf("rows %d and %d can match at once, and the table is `hit: unique`", i+1, j+1), "narrow one of them, or use `hit: first`")
			}
		}
	}
}

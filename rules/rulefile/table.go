package rulefile

import (
	"fmt"

	"github.com/sartorhq/sartor/rules"
	"go.yaml.in/yaml/v3"
)

func (r *reader) tables(n *yaml.Node) []rules.Table {
	var out []rules.Table
	total := 0
	for _, c := range r.Sequence("tables", n, "start each table with `- id: its-name`") {
		t := r.table(c)
		if total += len(t.Rows); total > MaxRules {
			r.At(c, CodeLimits, fmt.Sprintf("the tables of a rule set have at most %d rows", MaxRules), "split it into several rule sets")
			break
		}
		out = append(out, t)
	}
	return out
}

func (r *reader) table(n *yaml.Node) rules.Table {
	t := rules.Table{Pos: PosOf(n)}
	defer func() { r.rule = "" }()
	r.rule = idOf(n)
	seen := map[string]bool{}
	for _, e := range r.Entries(n, "a table", tableKeys) {
		seen[e.Key] = true
		r.tableKey(&t, e)
	}
	if n.Kind != yaml.MappingNode {
		return t
	}
	examples := map[string]string{"id": "id: my-table", "inputs": "inputs: [item.category]", "rows": "rows:"}
	for _, key := range []string{"id", "inputs", "rows"} {
		if !seen[key] {
			r.Missing(n, n, "a table", key, examples[key])
		}
	}
	return t
}

func (r *reader) tableKey(t *rules.Table, e Entry) {
	switch e.Key {
	case "id":
		t.ID = r.name(e)
		r.uniqueID(t.ID, e.Value)
	case "description":
		t.Description = r.Text(e.Key, e.Value)
	case "priority":
		t.Priority = r.Int(e.Key, e.Value, -1000, 1000)
	case "disabled":
		t.Disabled = r.Bool(e.Key, e.Value)
	case "when":
		t.When = r.Condition(e.Key, e.KeyNode, e.Value)
	case "match":
		t.Match = r.Condition(e.Key, e.KeyNode, e.Value)
	case "schedule":
		t.Schedule = r.schedule(e)
	case "rollout":
		t.Rollout = r.share(e)
	case "holdout":
		t.Holdout = r.share(e)
	case "hit":
		t.Hit, t.HitPos = r.Text(e.Key, e.Value), PosOf(e.Value)
		r.oneOf(e, []string{"first", "all", "unique"})
	case "inputs":
		for _, c := range r.Sequence(e.Key, e.Value, "write `inputs: [item.category, user.tier]`") {
			t.Inputs = append(t.Inputs, r.scalar(c, "an input", "name a field, such as item.category"))
		}
	case "rows":
		for _, c := range r.Sequence(e.Key, e.Value, rowHint) {
			t.Rows = append(t.Rows, r.row(c))
		}
	}
}

const rowHint = "write rows such as `- {if: [coats, gold], then: {boost: {multiply: 1.4}}}`"

func (r *reader) row(n *yaml.Node) rules.Row {
	row := rules.Row{Pos: PosOf(n)}
	seen := map[string]bool{}
	for _, e := range r.Entries(n, "a row", rowKeys) {
		seen[e.Key] = true
		if e.Key == "then" {
			row.Then = r.rowActions(e)
			continue
		}
		for _, c := range r.Sequence(e.Key, e.Value, rowHint) {
			row.Cells = append(row.Cells, r.cell(c))
		}
	}
	for _, key := range rowKeys {
		if !seen[key] && n.Kind == yaml.MappingNode {
			r.Missing(n, n, "a row", key, map[string]string{"if": "if: [coats, gold]", "then": "then: {boost: {multiply: 1.4}}"}[key])
		}
	}
	return row
}

func (r *reader) cell(n *yaml.Node) rules.Cell {
	c := rules.Cell{Pos: PosOf(n)}
	if n.Kind != yaml.SequenceNode {
		c.Value = r.scalar(n, "a cell", "write a value, `[one, of, several]`, a comparison such as `\">= 100\"`, or `\"*\"`")
		return c
	}
	if len(n.Content) == 0 && !r.Muted(n) {
		r.At(n, CodeShape, "a cell that lists no values never holds", "write `\"*\"` for anything")
	}
	for _, v := range n.Content {
		c.List = append(c.List, r.scalar(v, "a cell's value", "list single values"))
	}
	return c
}

// scalar reads a single value as it is written.
func (r *reader) scalar(n *yaml.Node, what, hint string) rules.Expr {
	if r.Muted(n) {
		return rules.Expr{}
	}
	if n.Kind != yaml.ScalarNode {
		r.At(n, CodeShape, fmt.Sprintf("%s is one value, not %s", what, shapeOf(n)), hint)
		return rules.Expr{}
	}
	return r.Expr(n)
}

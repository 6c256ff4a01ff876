package rules

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

func sprintf(format string, args ...any) string { return fmt.Sprintf(format, args...) }

func containsAny(s, chars string) bool { return strings.ContainsAny(s, chars) }

// actionReader reads the fields of one action and reports what is wrong with them.
type actionReader struct {
	*reporter
	typer *typer
	rule  *Rule
	in    *Action
	zone  *time.Location
}

func (r *actionReader) find(name string) *ActionField {
	for i := range r.in.Fields {
		if r.in.Fields[i].Name == name {
			return &r.in.Fields[i]
		}
	}
	return nil
}

func (r *actionReader) has(name string) bool { return r.find(name) != nil }

// known reports fields that the action does not have.
func (r *actionReader) known(fields []string) {
	for _, f := range r.in.Fields {
		ok := false
		for _, name := range fields {
			ok = ok || name == f.Name
		}
		if !ok {
			hint := didYouMean(f.Name, fields, "")
			if hint == "" {
				hint = "`" + r.in.Name + "` has " + strings.Join(fields, ", ")
			}
			r.error(f.Pos, CodeUnknownKey, "`"+r.in.Name+"` has no field `"+f.Name+"`", hint)
		}
	}
}

// errorAt reports at a field's value, or at the action when the field is missing.
func (r *actionReader) errorAt(name, code, message, hint string) {
	pos := r.in.Pos
	if f := r.find(name); f != nil {
		pos = f.Pos
		if f.Value.Pos.Line > 0 {
			pos = f.Value.Pos
		}
	}
	r.error(pos, code, message, hint)
}

func (r *actionReader) missing(name string) {
	r.error(r.in.Pos, CodeActionField, "`"+r.in.Name+"` needs `"+name+"`", "for instance `"+r.in.Name+": {"+name+": "+fieldExamples[name]+"}`")
}

// fieldExamples show the fields that an action cannot do without.
var fieldExamples = map[string]string{"by": "item.brand", "max": "2", "min": "1", "position": "1", "match": "item.margin > 0.4", "source": "hot", "strategy": "hot", "name": "als",
	"multiply": "1.2", "add": "0.1", "order_by": "item.sales_7d desc"}

func (r *actionReader) expr(name string) (Expr, bool) {
	f := r.find(name)
	if f == nil || f.Value.Empty() {
		return Expr{}, false
	}
	return f.Value, true
}

func (r *actionReader) text(name string) (string, bool) {
	e, ok := r.expr(name)
	return strings.TrimSpace(e.Text), ok
}

// texts reads a list, or one value as a list of one.
func (r *actionReader) texts(name string) []string {
	f := r.find(name)
	if f == nil {
		return nil
	}
	if !f.Value.Empty() {
		return []string{strings.TrimSpace(f.Value.Text)}
	}
	out := make([]string, 0, len(f.List))
	for _, e := range f.List {
		out = append(out, strings.TrimSpace(e.Text))
	}
	return out
}

// param looks up "params.NAME" as a whole value.
func (r *actionReader) param(text string) (any, bool) {
	name, ok := strings.CutPrefix(strings.TrimSpace(text), "params.")
	if !ok {
		return nil, false
	}
	p := r.typer.params[name]
	if p == nil {
		return nil, false
	}
	p.used = true
	return p.value, p.value != nil
}

// int reads a whole number or parameter; def below zero means that the field is required.
func (r *actionReader) int(name string, def, lo, hi int) int {
	text, ok := r.text(name)
	if !ok {
		if def < 0 {
			r.missing(name)
			return lo
		}
		return def
	}
	v, err := strconv.Atoi(text)
	if p, ok := r.param(text); ok {
		if v, ok = p.(int); ok {
			err = nil
		}
	}
	switch {
	case err != nil:
		r.errorAt(name, CodeActionField, "`"+name+": "+text+"` is not a whole number", fmt.Sprintf("write digits, such as `%s: %d`", name, max(lo, min(3, hi))))
		return lo
	case v < lo || v > hi:
		r.errorAt(name, CodeOutOfBounds, fmt.Sprintf("`%s: %d` is outside %d to %d", name, v, lo, hi), fmt.Sprintf("write a number from %d to %d", lo, hi))
		return lo
	}
	return v
}

func (r *actionReader) bool(name string) bool {
	text, ok := r.text(name)
	if ok && text != "true" && text != "false" {
		r.errorAt(name, CodeActionField, "`"+name+": "+text+"` is neither true nor false", "write `"+name+": true` or `"+name+": false`")
	}
	return text == "true"
}

func (r *actionReader) span(e Expr) (time.Duration, bool) {
	if v, ok := r.param(e.Text); ok {
		d, ok := v.(time.Duration)
		return d, ok
	}
	return parseSpan(e.Text)
}

// compile makes a program of a field's text and reports its faults in place.
func (r *actionReader) compile(e Expr, want kind) *program {
	p, faults := r.typer.compile(e.Text, want)
	r.faults(e, faults)
	return p
}

func (r *actionReader) expression(name string, want kind, required bool) *program {
	e, ok := r.expr(name)
	if !ok {
		if required || r.has(name) {
			r.missing(name)
		}
		return nil
	}
	return r.compile(e, want)
}

// order reads "item.sales_7d desc"; without a direction the largest comes first.
func (r *actionReader) order(e Expr) (*program, bool) {
	text, ascend := e.Text, false
	if fields := strings.Fields(text); len(fields) > 1 {
		switch last := fields[len(fields)-1]; last {
		case "asc", "desc":
			ascend = last == "asc"
			text = strings.TrimRight(text[:strings.LastIndex(text, last)], " \t\n")
		}
	}
	e.Text = text
	return r.compile(e, kindNone), ascend
}

// itemField reads the name of an item field that values are counted by.
func (r *actionReader) itemField(name string, required bool) *node {
	e, ok := r.expr(name)
	if !ok {
		if required {
			r.missing(name)
		}
		return nil
	}
	return r.fieldNode(e)
}

// fieldNode finds the item field that a text names.
func (r *actionReader) fieldNode(e Expr) *node {
	field := strings.TrimPrefix(strings.TrimSpace(e.Text), "item.")
	f, ok := r.typer.symbols.field("item", field)
	if !ok {
		r.error(e.Pos, CodeUnknownField, "unknown field `item."+field+"`", didYouMean(field, r.typer.symbols.names("item"), "item."))
		return nil
	}
	v := r.typer.symbols.variable("item", f)
	if v.kind != kindText && v.kind != kindTextList && !v.kind.numeric() {
		r.error(e.Pos, CodeTypeMismatch, "`item."+field+"` is "+v.kind.plain()+"; `by` needs text, a number or a list", "for instance `by: item.brand`")
		return nil
	}
	return &node{op: "var", kind: v.kind, name: v.name, text: v.name, ref: r.typer.layout.place(v)}
}

// share reads "30%" or "0.3" as a part of one.
func (r *actionReader) share(name string) float64 {
	text, ok := r.text(name)
	if !ok {
		return 0
	}
	number, percent := strings.CutSuffix(text, "%")
	v, ok := parseNumber(number)
	if percent || v > 1 {
		v /= 100
	}
	if !ok || v < 0 || v > 1 {
		r.errorAt(name, CodeOutOfBounds, "`"+name+": "+text+"` is not a share", "write 30%")
		return 0
	}
	return v
}

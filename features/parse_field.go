package features

import (
	"math"
	"regexp"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

var fieldName = regexp.MustCompile(`^[a-z][a-z0-9_]{0,63}$`)

// valueTypes lists the types a field may have.
func valueTypes() []string {
	return []string{string(Text), string(Int), string(Number), string(Money), string(Bool), string(Time), string(TextList), string(TextMap)}
}

// plainKeys are the keys of a field beside its aggregate; aggregates are the others.
var (
	plainKeys  = []string{"type", "default", "max", "doc", "example", "values", "attribute", "rest"}
	aggregates = []string{"count", "sum", "avg", "ratio", "first", "last", "list", "top", "age_below", "trend", "margin",
		"min", "max", "distinct", "rate", "decay", "age", "session", "together", "tally"}
)

// fields reads the fields of one section.
func (p *parser) fields(n *yaml.Node, section string) []*field {
	var out []*field
	for _, at := range p.pairs(n, section) {
		path := join(section, at.key)
		switch {
		case !fieldName.MatchString(at.key):
			p.fail(at.node, path, "a name starts with a letter and holds a-z, 0-9 and _")
		case at.key == "id":
			p.fail(at.node, path, "every user and item has an id; do not declare it")
		default:
			if f := p.field(at, path, section); f != nil {
				if p.lines == nil {
					p.lines = map[*field]int{}
				}
				p.lines[f] = at.node.Line
				out = append(out, f)
			}
		}
	}
	return out
}

// field reads one field; nil after a problem that makes the rest meaningless.
func (p *parser) field(at pair, path, section string) *field {
	f := &field{Kind: kindAttribute}
	f.Name = at.key
	var def, example *yaml.Node
	before := len(p.problems)
	for _, k := range p.pairs(at.value, path) {
		sub := join(path, k.key)
		switch k.key {
		case "type":
			f.Type = ValueType(p.text(k.value, sub))
			if !slices.Contains(valueTypes(), string(f.Type)) {
				p.fail(k.value, sub, "unknown type %q; use one of %s", f.Type, strings.Join(valueTypes(), ", "))
			}
		case "default":
			def = k.value
		case "max":
			if k.value.Kind == yaml.MappingNode { // the aggregate, not the length
				p.aggregate(f, k, path, section)
				continue
			}
			f.Max = p.integer(k.value, sub, 1, 1000)
		case "doc":
			f.Doc = p.text(k.value, sub)
		case "example":
			example = k.value
			f.Example = p.text(k.value, sub)
		case "values":
			f.Values = p.texts(k.value, sub)
		case "attribute":
			f.Attribute = p.text(k.value, sub)
		case "rest":
			f.Rest = p.flag(k.value, sub)
		default:
			p.aggregate(f, k, path, section)
		}
	}
	if len(p.problems) > before || f.Type == "" {
		if f.Type == "" && len(p.problems) == before {
			p.fail(at.node, path, "type is missing; use one of %s", strings.Join(valueTypes(), ", "))
		}
		return nil
	}
	if f.Kind == kindAttribute && f.Attribute == "" {
		f.Attribute = f.Name
	}
	p.required(f, at, path, def, example)
	p.shape(f, at.node, path)
	return f
}

// required checks doc, example and default, and decodes the default.
func (p *parser) required(f *field, at pair, path string, def, example *yaml.Node) {
	if f.Doc == "" {
		p.fail(at.node, path, "doc is missing: say in one sentence what the value means")
	}
	if example == nil {
		p.fail(at.node, path, "example is missing")
	}
	if def == nil {
		p.fail(at.node, path, "default is missing: rules and models see it when the value is unknown")
		return
	}
	f.Default = p.defaultOf(def, join(path, "default"), f)
}

// shape checks what type, max, values and the kind demand of each other.
func (p *parser) shape(f *field, at *yaml.Node, path string) {
	isList := f.Type == TextList || f.Type == TextMap
	switch {
	case isList && f.Max == 0:
		p.fail(at, path, "max is missing: rules are priced by the longest list")
	case !isList && f.Max != 0:
		p.fail(at, path, "max is for lists and maps only")
	}
	if len(f.Values) > 0 {
		if f.Type != Text {
			p.fail(at, path, "values is for the type text only")
		} else if s, ok := f.Default.(string); ok && s != "" && !slices.Contains(f.Values, s) {
			p.fail(at, path, "the default %q is not among the values", s)
		}
	}
	if f.Rest && f.Type != TextMap {
		p.fail(at, path, "rest is for the type map only")
	}
	if want := kindTypes(f); len(want) > 0 && !slices.Contains(want, f.Type) {
		p.fail(at, path, "a %s has the type %s, not %s", f.Kind, orTypes(want), f.Type)
	}
}

// kindTypes returns the types that an aggregate can produce.
func kindTypes(f *field) []ValueType {
	switch f.Kind {
	case kindCount:
		return []ValueType{Int}
	case kindSum:
		if f.Measure == measureAmount {
			return []ValueType{Money}
		}
		return []ValueType{Int}
	case kindMin, kindMax:
		switch f.Measure {
		case measureAmount:
			return []ValueType{Money}
		case measureRating:
			return []ValueType{Number}
		}
		return []ValueType{Int}
	case kindDistinct:
		return []ValueType{Int}
	case kindDecay:
		if f.Measure == measureAmount {
			return []ValueType{Money}
		}
		return []ValueType{Number}
	case kindSession:
		if f.Of == sessionMinutes {
			return []ValueType{Number}
		}
		return []ValueType{Int}
	case kindTogether:
		return []ValueType{TextList}
	case kindAvg, kindTrend, kindMargin, kindRate, kindAge:
		return []ValueType{Number}
	case kindRatio:
		return []ValueType{Number, Money}
	case kindFirst, kindLast:
		return []ValueType{Time}
	case kindList, kindTop:
		return []ValueType{TextList}
	case kindTally:
		return []ValueType{TextMap}
	case kindAgeBelow:
		return []ValueType{Bool}
	}
	return nil
}

func orTypes(types []ValueType) string {
	out := make([]string, len(types))
	for i, t := range types {
		out[i] = string(t)
	}
	return strings.Join(out, " or ")
}

// defaultOf decodes a default from the raw text by the field's type, never by YAML's guess.
func (p *parser) defaultOf(n *yaml.Node, path string, f *field) any {
	switch f.Type {
	case Int:
		return p.integer(n, path, math.MinInt32, math.MaxInt32)
	case Number, Money:
		return p.number(n, path, -1e15, 1e15)
	case Bool:
		return p.flag(n, path)
	case Time:
		s := p.text(n, path)
		if s == "" {
			return time.Time{}
		}
		t, err := time.Parse(time.RFC3339, s)
		if err != nil {
			p.fail(n, path, "must be empty or a time such as 2026-10-23T19:00:00Z")
		}
		return t.UTC()
	case TextList:
		return p.texts(n, path)
	case TextMap:
		out := map[string]string{}
		for _, at := range p.pairs(n, path) {
			out[at.key] = p.text(at.value, join(path, at.key))
		}
		return out
	}
	return p.text(n, path)
}

// aggregate reads the one key of a field that says how its value follows from events.
func (p *parser) aggregate(f *field, at pair, path, section string) {
	sub := join(path, at.key)
	if !slices.Contains(aggregates, at.key) {
		p.unknown(at, path, append(slices.Clone(plainKeys), aggregates...)...)
		return
	}
	if section == "context" {
		p.fail(at.node, sub, "context fields come with the request and cannot be aggregated")
		return
	}
	if f.Kind != kindAttribute {
		p.fail(at.node, sub, "a field has one aggregate; %s is already given", f.Kind)
		return
	}
	f.Kind = kind(at.key)
	opts := p.options(at, sub)
	if opts == nil {
		return
	}
	p.aggregateOptions(f, opts, at.node, sub)
}

package rules

import (
	"fmt"
	"sort"
	"strconv"
	"strings"
	"time"
)

// param is a parameter with the value it has in this compilation.
type param struct {
	kind  kind
	value any // nil after an error
	used  bool
	pos   Pos
}

// list is a named list as a set.
type list struct {
	set    map[string]struct{}
	values []string
	live   bool // the values change without the file
	used   bool
	pos    Pos
}

func keysOf[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	return keys
}

var paramKinds = map[string]kind{"number": kindNumber, "int": kindInt, "text": kindText, "bool": kindBool, "duration": kindDuration}

// params decodes a file's parameters, lays overrides over them and checks the bounds of both.
func (r *reporter) params(overrides map[string]any) map[string]*param {
	out := make(map[string]*param, len(r.file.Params))
	for _, p := range r.file.Params {
		if _, dup := out[p.Name]; dup {
			r.error(p.Pos, CodeDuplicate, "the parameter `"+p.Name+"` is declared twice", "remove one, or rename it")
			continue
		}
		out[p.Name] = r.param(p, overrides)
	}
	for _, name := range keysOf(overrides) {
		if out[name] == nil {
			hint := didYouMean(name, keysOf(out), "")
			r.error(r.file.Pos, CodeUnknownKey, "an override names the unknown parameter `"+name+"`", hint)
		}
	}
	return out
}

func (r *reporter) param(p Param, overrides map[string]any) *param {
	out := &param{kind: paramKinds[p.Type], pos: p.Pos}
	if out.kind == kindNone {
		r.error(p.Pos, CodeUnknownKey, "the parameter `"+p.Name+"` has the unknown type `"+p.Type+"`", "use number, int, text, bool or duration")
		return out
	}
	value, err := decodeParam(out.kind, p.Default)
	if err != nil {
		r.error(p.Pos, CodeOutOfBounds, "the default of `"+p.Name+"`, `"+p.Default+"`, is not "+out.kind.plain(), err.Error())
		return out
	}
	if !r.withinBounds(p, out.kind, value, "the default of") {
		return out
	}
	if o, ok := overrides[p.Name]; ok {
		v, ok := overrideValue(out.kind, o)
		if !ok {
			r.error(p.Pos, CodeTypeMismatch, fmt.Sprintf("the override of `%s`, %v, is not %s", p.Name, o, out.kind.plain()), "")
			return out
		}
		if !r.withinBounds(p, out.kind, v, "the override of") {
			return out
		}
		value = v
	}
	out.value = value
	return out
}

func (r *reporter) withinBounds(p Param, k kind, value any, what string) bool {
	for _, bound := range []struct {
		name, text string
		sign       float64
	}{{"min", p.Min, 1}, {"max", p.Max, -1}} {
		if bound.text == "" {
			continue
		}
		limit, err := decodeParam(k, bound.text)
		if err != nil || k == kindText || k == kindBool {
			r.error(p.Pos, CodeOutOfBounds, "the "+bound.name+" of `"+p.Name+"`, `"+bound.text+"`, is not "+k.plain(), "")
			return false
		}
		if (measure(value)-measure(limit))*bound.sign < 0 {
			r.error(p.Pos, CodeOutOfBounds, fmt.Sprintf("%s `%s` is %v, outside its %s of %s", what, p.Name, value, bound.name, bound.text),
				"change the value or the bound")
			return false
		}
	}
	return true
}

func measure(v any) float64 {
	if d, ok := v.(time.Duration); ok {
		return float64(d)
	}
	return number(v)
}

func decodeParam(k kind, text string) (any, error) {
	switch k {
	case kindText:
		return text, nil
	case kindBool:
		if v, err := strconv.ParseBool(text); err == nil {
			return v, nil
		}
		return nil, fmt.Errorf("write true or false")
	case kindInt:
		if v, err := strconv.Atoi(text); err == nil {
			return v, nil
		}
		return nil, fmt.Errorf("write a whole number such as 10")
	case kindDuration:
		if v, ok := parseSpan(text); ok {
			return v, nil
		}
		return nil, fmt.Errorf("write a time span such as 7d, 12h or 30m")
	}
	if v, ok := parseNumber(text); ok {
		return v, nil
	}
	return nil, fmt.Errorf("write a number such as 1.5")
}

// overrideValue converts an override to the Go type of the parameter.
func overrideValue(k kind, v any) (any, bool) {
	switch x := v.(type) {
	case bool:
		return v, k == kindBool
	case string:
		if k == kindText {
			return v, true
		}
		d, err := decodeParam(k, x)
		return d, err == nil
	case time.Duration:
		return v, k == kindDuration
	case int:
		if k == kindNumber {
			return float64(x), true
		}
		return v, k == kindInt
	case float64:
		if k == kindInt && x == float64(int(x)) {
			return int(x), true
		}
		return v, k == kindNumber && finite(x)
	}
	return nil, false
}

// parseNumber reads a finite decimal number.
func parseNumber(text string) (float64, bool) {
	v, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
	return v, err == nil && finite(v) && !strings.ContainsAny(text, "xXpP_")
}

// ParseSpan reads a time span as rule files write it: 7d, 12h, 30m or 45s.
func ParseSpan(text string) (time.Duration, bool) { return parseSpan(text) }

// parseSpan reads 7d, 12h, 30m or 45s.
func parseSpan(text string) (time.Duration, bool) {
	text = strings.TrimSpace(text)
	if text == "" {
		return 0, false
	}
	unit, ok := map[byte]time.Duration{'d': 24 * time.Hour, 'h': time.Hour, 'm': time.Minute, 's': time.Second}[text[len(text)-1]]
	v, isNumber := parseNumber(text[:len(text)-1])
	return span(v, unit), ok && isNumber && v >= 0
}

func finite(v float64) bool { return v-v == 0 }

// lists makes sets of a file's lists.
func (r *reporter) lists() map[string]*list {
	out := make(map[string]*list, len(r.file.Lists))
	for _, l := range r.file.Lists {
		if _, dup := out[l.Name]; dup {
			r.error(l.Pos, CodeDuplicate, "the list `"+l.Name+"` is declared twice", "remove one, or rename it")
			continue
		}
		made := &list{set: make(map[string]struct{}, len(l.Values)), values: l.Values, live: l.Source != "", pos: l.Pos}
		for _, v := range l.Values {
			made.set[v] = struct{}{}
		}
		out[l.Name] = made
	}
	return out
}

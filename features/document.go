package features

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sartorhq/sartor/streams"
	"github.com/sartorhq/sartor/streams/spelling"
)

// encodeDocument returns the canonical JSON of an upsert's attributes: keys sorted, no white space.
// Values that JSON cannot express (the codec never lets them in) are left out.
func encodeDocument(attrs map[string]any) string {
	if text, err := encodeJSON(attrs); err == nil && attrs != nil {
		return text
	}
	kept := make(map[string]any, len(attrs))
	for k, v := range attrs {
		if _, err := encodeJSON(v); err == nil {
			kept[k] = v
		}
	}
	text, err := encodeJSON(kept)
	if err != nil {
		return "{}"
	}
	return text
}

func encodeJSON(v any) (string, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return "", fmt.Errorf("encode a document: %w", err)
	}
	return strings.TrimSuffix(b.String(), "\n"), nil
}

// decodeDocument reads a stored document; nil when there is none or it is not an object.
func decodeDocument(text string) map[string]any {
	if text == "" {
		return nil
	}
	var out map[string]any
	if json.Unmarshal([]byte(text), &out) != nil {
		return nil
	}
	return out
}

// CheckDocument returns what is wrong with the document of a user or item upsert: values of the
// wrong type or outside an enumeration. Such values count as unknown when the document is stored
// all the same. Keys that the schema does not name are allowed.
func (s *Schema) CheckDocument(k EntityKind, attrs map[string]any) []Problem {
	fields := s.user
	if k == ItemEntity {
		fields = s.item
	}
	var out []Problem
	for _, f := range fields {
		v := attrs[f.Attribute]
		if f.Attribute == "" || v == nil {
			continue
		}
		if _, err := f.decode(v, 0); err != nil {
			out = append(out, Problem{Field: f.Attribute, Message: err.Error()})
		}
	}
	return out
}

// Context types the context of a request: every context field with its type, defaults filled in,
// and what is wrong with raw. Wrong and unknown values are left out.
func (s *Schema) Context(raw map[string]any) (map[string]any, []Problem) {
	out := make(map[string]any, len(s.context))
	var problems []Problem
	names := make([]string, 0, len(s.context))
	for _, f := range s.context {
		names = append(names, f.Attribute)
		out[f.Name] = f.Default
		v := raw[f.Attribute]
		if v == nil {
			continue
		}
		value, err := f.decode(v, streams.Exponent(s.currency))
		if err != nil {
			problems = append(problems, Problem{Field: "context." + f.Name, Message: err.Error()})
			continue
		}
		out[f.Name] = value
	}
	for _, k := range slices.Sorted(maps.Keys(raw)) {
		if slices.Contains(names, k) {
			continue
		}
		msg := "unknown context field; free values go under context.attrs"
		if near := spelling.Nearest(k, names); near != "" {
			msg = fmt.Sprintf("unknown context field; did you mean %q? Free values go under context.attrs", near)
		}
		problems = append(problems, Problem{Field: "context." + k, Message: msg})
	}
	return out, problems
}

// documentValue returns the field's value in a document; ok is false when it is unknown or wrong.
// exp is the exponent of the document's currency.
func (f *field) documentValue(doc map[string]any, siblings []*field, exp int) (value any, ok bool) {
	if f.Rest {
		m := f.restOf(doc, siblings)
		return m, len(m) > 0
	}
	v := doc[f.Attribute]
	if v == nil {
		return nil, false
	}
	value, err := f.decode(v, exp)
	return value, err == nil
}

// restOf returns all keys of the document that no other field reads, and those in the object of
// the field's own name, as text.
func (f *field) restOf(doc map[string]any, siblings []*field) map[string]string {
	all := map[string]string{}
	for k, v := range doc {
		if slices.ContainsFunc(siblings, func(g *field) bool { return g.Attribute == k }) {
			continue
		}
		if s, err := scalarText(v); err == nil {
			all[k] = s
		}
	}
	if own, ok := doc[f.Attribute].(map[string]any); ok {
		for k, v := range own {
			if s, err := scalarText(v); err == nil {
				all[k] = s
			}
		}
	}
	return bound(all, f.Max)
}

// bound keeps the first n entries by key.
func bound(m map[string]string, n int) map[string]string {
	if len(m) <= n {
		return m
	}
	for _, k := range slices.Sorted(maps.Keys(m))[n:] {
		delete(m, k)
	}
	return m
}

// decode converts a JSON value to the Go type of the field. Money comes in minor units and leaves
// in major units. Too long lists and maps are cut.
func (f *field) decode(v any, exp int) (any, error) {
	switch f.Type {
	case Text:
		s, err := scalarText(v)
		if err == nil && len(f.Values) > 0 && !slices.Contains(f.Values, s) {
			return nil, fmt.Errorf("%q is not one of %s", s, strings.Join(f.Values, ", "))
		}
		return s, err
	case Int:
		n, err := wholeNumber(v, "")
		return int(n), err
	case Money:
		n, err := wholeNumber(v, " of minor units (1999 for 19.99)")
		return major(n, exp), err
	case Number:
		if n, ok := v.(float64); ok && !math.IsNaN(n) && !math.IsInf(n, 0) {
			return n, nil
		}
		return nil, fmt.Errorf("must be a number, not %s", jsonKind(v))
	case Bool:
		if b, ok := v.(bool); ok {
			return b, nil
		}
		return nil, fmt.Errorf("must be true or false, not %s", jsonKind(v))
	case Time:
		return moment(v)
	case TextList:
		return f.textList(v)
	}
	return f.textMap(v)
}

func (f *field) textList(v any) (any, error) {
	in, ok := v.([]any)
	if !ok {
		return nil, fmt.Errorf("must be a list of texts, not %s", jsonKind(v))
	}
	out := make([]string, 0, min(len(in), f.Max))
	for _, x := range in {
		s, err := scalarText(x)
		if err != nil {
			return nil, fmt.Errorf("must hold texts only: %w", err)
		}
		if len(out) < f.Max {
			out = append(out, s)
		}
	}
	return out, nil
}

func (f *field) textMap(v any) (any, error) {
	in, ok := v.(map[string]any)
	if !ok {
		return nil, fmt.Errorf("must be an object, not %s", jsonKind(v))
	}
	out := make(map[string]string, len(in))
	for _, k := range slices.Sorted(maps.Keys(in)) {
		s, err := scalarText(in[k])
		if err != nil {
			return nil, fmt.Errorf("%q: %w", k, err)
		}
		out[k] = s
	}
	return bound(out, f.Max), nil
}

// scalarText returns texts as they are, and numbers and truth values as JSON writes them.
func scalarText(v any) (string, error) {
	switch x := v.(type) {
	case string:
		return x, nil
	case bool:
		return strconv.FormatBool(x), nil
	case float64:
		return formatNumber(x), nil
	}
	return "", fmt.Errorf("must be a text, not %s", jsonKind(v))
}

// wholeNumber accepts the integers that float64 holds exactly; of names what is counted.
func wholeNumber(v any, of string) (int64, error) {
	if n, ok := v.(float64); ok && n == math.Trunc(n) && math.Abs(n) <= 1<<53 {
		return int64(n), nil
	}
	if n, ok := v.(float64); ok {
		return 0, fmt.Errorf("must be a whole number%s, not %v", of, n)
	}
	return 0, fmt.Errorf("must be a whole number%s, not %s", of, jsonKind(v))
}

// moment reads RFC 3339 or a date.
func moment(v any) (any, error) {
	s, ok := v.(string)
	if !ok {
		return nil, fmt.Errorf("must be a time as text, not %s", jsonKind(v))
	}
	for _, layout := range []string{time.RFC3339, time.DateOnly} {
		if t, err := time.Parse(layout, s); err == nil {
			return t.UTC(), nil
		}
	}
	return nil, fmt.Errorf("%q is not a time such as 2026-10-23T19:00:00Z or a date", s)
}

func jsonKind(v any) string {
	switch v.(type) {
	case nil:
		return "null"
	case string:
		return "a text"
	case float64:
		return "a number"
	case bool:
		return "a truth value"
	case []any:
		return "a list"
	case map[string]any:
		return "an object"
	}
	return fmt.Sprintf("%T", v)
}

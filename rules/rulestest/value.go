package rulestest

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/sartorhq/sartor/features"
	"github.com/sartorhq/sartor/rules"
	"github.com/sartorhq/sartor/rules/rulefile"
	"go.yaml.in/yaml/v3"
)

// value reads a field's raw text by the type that the schema gives it.
func (p *parser) value(e rulefile.Entry, fields []features.Field) (any, bool) {
	if p.Muted(e.Value) {
		return nil, false
	}
	i := slices.IndexFunc(fields, func(f features.Field) bool { return f.Name == e.Key })
	if i < 0 {
		return nil, false
	}
	f, before := fields[i], p.Count()
	var v any
	switch f.Type {
	case features.Text:
		v = p.Text(e.Key, e.Value)
	case features.Int:
		v = p.Int(e.Key, e.Value, math.MinInt32, math.MaxInt32)
	case features.Number, features.Money:
		v = p.Number(e.Key, e.Value, -1e12, 1e12)
	case features.Bool:
		v = p.Bool(e.Key, e.Value)
	case features.Time:
		v = p.moment(e)
	case features.TextList:
		list := p.Texts(e.Key, e.Value)
		if len(list) > f.Max && f.Max > 0 {
			p.At(e.Value, rulefile.CodeShape, fmt.Sprintf("`%s` keeps at most %d entries", e.Key, f.Max), "")
		}
		v = append([]string{}, list...)
	case features.TextMap:
		m := map[string]string{}
		for _, entry := range p.Entries(e.Value, "`"+e.Key+"`", nil) {
			m[entry.Key] = p.Text(entry.Key, entry.Value)
		}
		v = m
	}
	if text, ok := v.(string); ok && len(f.Values) > 0 && !slices.Contains(f.Values, text) {
		p.At(e.Value, rules.CodeTypeMismatch, fmt.Sprintf("`%s` cannot be `%s`", e.Key, text), "it is one of "+strings.Join(f.Values, ", "))
	}
	return v, p.Count() == before
}

// moment reads a date, or a date and time with its offset.
func (p *parser) moment(e rulefile.Entry) time.Time {
	text := p.Text(e.Key, e.Value)
	for _, layout := range []string{time.RFC3339, time.DateOnly} {
		if t, err := time.Parse(layout, text); err == nil {
			return t.Round(time.Millisecond)
		}
	}
	if !p.Muted(e.Value) && e.Value.Kind == yaml.ScalarNode {
		p.At(e.Value, rulefile.CodeShape, fmt.Sprintf("`%s` is a moment, not `%s`", e.Key, text), "write it as 2026-10-23T19:00:00+02:00 or 2026-10-23")
	}
	return time.Time{}
}

package rulestest

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sartorhq/sartor/features"
	"github.com/sartorhq/sartor/rules"
	"github.com/sartorhq/sartor/rules/rulefile"
	"github.com/sartorhq/sartor/streams"
	"go.yaml.in/yaml/v3"
)

var deedKeys = []string{"did", "item", "ago", "times"}

// maxTimes bounds how often one line says that something happened.
const maxTimes = 1000

// history reads what the user did, and what was shown to him, before the case's moment:
// `{did: view, item: a, ago: 2d, times: 3}`.
func (p *parser) history(e rulefile.Entry, c *Case) {
	for _, n := range p.Sequence("history", e.Value, "start each line with `- {did: view, item: a, ago: 2d}`") {
		d := features.Entry{}
		ago, times := time.Duration(0), 1
		before := p.Count()
		seen := map[string]bool{}
		for _, f := range p.Entries(n, "what happened", deedKeys) {
			seen[f.Key] = true
			switch f.Key {
			case "did":
				d.Type = p.deed(f)
			case "item":
				d.ItemID = p.Text(f.Key, f.Value)
				p.checkItem(f.Value, d.ItemID)
			case "ago":
				ago = p.span(f)
			case "times":
				times = p.Int(f.Key, f.Value, 1, maxTimes)
			}
		}
		for _, need := range []string{"did: view", "item: a", "ago: 2d"} {
			if key, _, _ := strings.Cut(need, ":"); n.Kind == yaml.MappingNode && !seen[key] {
				p.Missing(n, n, "what happened", key, need)
			}
		}
		if p.Count() > before {
			continue
		}
		d.Time = c.now.Add(-ago).UnixMilli()
		list := &c.user.History
		if d.Type == streams.Exposure {
			list = &c.shown
		}
		for range times {
			*list = append(*list, d)
		}
	}
	for _, list := range [][]features.Entry{c.user.History, c.shown} { // newest first, as stored
		slices.SortStableFunc(list, func(a, b features.Entry) int { return int(min(max(b.Time-a.Time, -1), 1)) })
	}
}

// deed reads a kind of event, as did() and times() know it.
func (p *parser) deed(e rulefile.Entry) streams.Type {
	text, known := p.Text(e.Key, e.Value), rules.Deeds()
	if slices.Contains(known, text) || p.Muted(e.Value) {
		return streams.Type(text)
	}
	p.At(e.Value, rules.CodeUnknownName, fmt.Sprintf("there is no event `%s`", text), rules.DeedHint(text))
	return ""
}

// span reads 7d, 12h, 30m or 45s.
func (p *parser) span(e rulefile.Entry) time.Duration {
	d, ok := rules.ParseSpan(p.Text(e.Key, e.Value))
	if !ok && !p.Muted(e.Value) {
		p.At(e.Value, rulefile.CodeShape, fmt.Sprintf("`%s` is a time span", e.Key), "write it as 2d, 12h or 30m")
	}
	return d
}

// vector reads a list of numbers.
func (p *parser) vector(e rulefile.Entry) []float32 {
	var out []float32
	for _, n := range p.Sequence(e.Key, e.Value, "write it as `[1, 0]`") {
		out = append(out, float32(p.Number(e.Key, n, -1e6, 1e6)))
	}
	return out
}

package features

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/sartorhq/sartor/streams"
)

// condition narrows the events of an aggregate: what the key names must be one of the values.
type condition struct {
	Key    string   `json:"key"` // country, scenario, currency, or attributes.NAME
	Values []string `json:"values"`
}

// filter is a conjunction of conditions, sorted by key; empty takes every event.
type filter []condition

// attributePrefix starts the keys that name an attribute of the event.
const attributePrefix = "attributes."

var attributeKey = regexp.MustCompile(`^attributes\.[A-Za-z0-9_-]{1,64}$`)

// Bounds of a filter, so that no file makes the fold slow.
const (
	maxConditions = 4
	maxValues     = 50
)

// suffix is what the names of a filtered aggregate's counters end with: a hash of the filter, so that
// two fields with the same filter share their counters and a changed filter starts new ones.
func (f filter) suffix() string {
	if len(f) == 0 {
		return ""
	}
	data, err := json.Marshal(f)
	if err != nil {
		return "?" // texts always encode
	}
	h := sha256.Sum256(data)
	return "?" + hex.EncodeToString(h[:5])
}

// takes tells whether the event meets all conditions.
func (f filter) takes(e *streams.Event) bool {
	for i := range f {
		if !slices.Contains(f[i].Values, f[i].of(e)) {
			return false
		}
	}
	return true
}

// of returns what the condition looks at; "" when the event does not say.
func (c *condition) of(e *streams.Event) string {
	switch c.Key {
	case "country":
		return countryKey(e.Country)
	case "scenario":
		return e.Scenario
	case "currency":
		return e.Currency
	}
	s, err := scalarText(e.Attributes[strings.TrimPrefix(c.Key, attributePrefix)])
	if err != nil {
		return ""
	}
	return s
}

// words describes the filter.
func (f filter) words() string {
	parts := make([]string, len(f))
	for i, c := range f {
		parts[i] = c.Key + " is " + strings.Join(c.Values, " or ")
	}
	return strings.Join(parts, ", ")
}

// filter reads the option where.
func (p *parser) filter(n *yaml.Node, path string) filter {
	var out filter
	for _, at := range p.pairs(n, path) {
		sub := join(path, at.key)
		if at.key != "country" && at.key != "scenario" && at.key != "currency" && !attributeKey.MatchString(at.key) {
			p.fail(at.node, sub, "unknown condition; use country, scenario, currency or attributes.NAME")
			continue
		}
		c := condition{Key: at.key}
		if at.value.Kind == yaml.SequenceNode {
			c.Values = p.texts(at.value, sub)
		} else {
			c.Values = []string{p.text(at.value, sub)}
		}
		for i, v := range c.Values {
			if at.key == "country" {
				c.Values[i] = countryKey(v)
			}
			if c.Values[i] == "" {
				p.fail(at.value, sub, "a value is empty: an event that does not say never counts")
			}
		}
		if len(c.Values) == 0 || len(c.Values) > maxValues {
			p.fail(at.value, sub, "need 1 to %d values", maxValues)
		}
		slices.Sort(c.Values)
		c.Values = slices.Compact(c.Values)
		out = append(out, c)
	}
	if len(out) == 0 || len(out) > maxConditions {
		p.fail(n, path, "need 1 to %d conditions", maxConditions)
	}
	slices.SortFunc(out, func(a, b condition) int { return strings.Compare(a.Key, b.Key) })
	return out
}

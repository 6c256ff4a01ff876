package rulefile

import (
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"

	"github.com/sartorhq/sartor/rules"
	"github.com/sartorhq/sartor/streams/spelling"
	"go.yaml.in/yaml/v3"
)

// Entry is one key of a mapping and its value.
type Entry struct {
	Key     string
	KeyNode *yaml.Node
	Value   *yaml.Node
}

// Entries returns the entries of the mapping n in the author's order, each key once. Keys outside of
// known are reported with the nearest known one and left out; nil allows any key. what names n in
// messages: "a rule".
func (d *Document) Entries(n *yaml.Node, what string, known []string) []Entry {
	if d.Muted(n) || isNull(n) {
		return nil
	}
	if n.Kind != yaml.MappingNode {
		d.At(n, CodeShape, fmt.Sprintf("%s is written as `key: value` lines, not as %s", what, shapeOf(n)), mappingHint(known))
		return nil
	}
	seen, out := map[string]bool{}, make([]Entry, 0, len(n.Content)/2)
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := n.Content[i], n.Content[i+1]
		switch {
		case k.Kind != yaml.ScalarNode:
			d.At(k, CodeShape, "a key must be one word", "")
		case seen[k.Value]: // reported by ReadDocument
		case known != nil && !contains(known, k.Value):
			d.unknownKey(n, k, v, what, known)
		default:
			out = append(out, Entry{k.Value, k, v})
		}
		seen[k.Value] = true
	}
	return out
}

func contains(list []string, s string) bool {
	for _, x := range list {
		if x == s {
			return true
		}
	}
	return false
}

func mappingHint(known []string) string {
	if len(known) == 0 {
		return ""
	}
	return "its keys are " + strings.Join(known, ", ")
}

func (d *Document) unknownKey(parent, k, v *yaml.Node, what string, known []string) {
	if d.muted[k.Line] {
		return
	}
	if k.Value == "<<" {
		d.At(k, CodeRefusedYAML, "`<<` merges another part of the file, which rule files do not do", "write the keys out")
		return
	}
	message := fmt.Sprintf("%s has no key `%s`", what, clip(k.Value))
	hint := mappingHint(known)
	near := spelling.Nearest(k.Value, known)
	if other := keySynonyms[strings.ToLower(k.Value)]; other != "" && contains(known, other) {
		near = other
	}
	switch {
	case near != "":
		message += fmt.Sprintf("; did you mean `%s`?", near)
		hint = fmt.Sprintf("write `%s:`", near)
		d.meant[parent] = append(d.meant[parent], near)
	case strings.HasPrefix(k.Value, "-"):
		hint = "put a space after the `-` that starts an entry"
	case parent.Style&yaml.FlowStyle != 0 && isNull(v):
		hint = "inside `{ }` and `[ ]` a comma ends a value: put the whole condition in quotes"
	case contains(ruleKeys, k.Value) && what == "a rule set":
		hint = "it belongs to a rule: indent it under one of `rules:`"
	}
	d.At(k, CodeUnknownKey, message, hint)
}

// keySynonyms are the words that people try first for the keys of a rule.
var keySynonyms = map[string]string{"if": "match", "where": "match", "filter": "match", "condition": "match", "unless": "match", "do": "then", "action": "then", "actions": "then",
	"name": "id", "title": "description", "comment": "description", "note": "description", "enabled": "disabled", "active": "disabled", "prio": "priority", "weight": "priority", "order": "priority",
	"dates": "schedule", "valid": "schedule", "start": "from", "begin": "from", "end": "until", "to": "until", "percentage": "percent", "share": "percent", "control": "holdout"}

// clip shortens what an author wrote for use inside a message.
func clip(s string) string {
	if r := []rune(s); len(r) > 60 {
		return string(r[:57]) + "..."
	}
	return s
}

// Muted tells whether the line of n was mended to read on, so that its value must not be judged.
func (d *Document) Muted(n *yaml.Node) bool { return d.muted[n.Line] }

func isNull(n *yaml.Node) bool {
	return n.Kind == yaml.ScalarNode && n.Value == "" && n.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle) == 0
}

func shapeOf(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "`key: value` lines"
	case yaml.SequenceNode:
		return "a list"
	default:
		return "a single value"
	}
}

// Text returns the raw text of a single value; "" with a problem when n is something else.
func (d *Document) Text(key string, n *yaml.Node) string {
	if d.Muted(n) {
		return ""
	}
	if n.Kind != yaml.ScalarNode {
		d.At(n, CodeShape, fmt.Sprintf("`%s` takes one value, not %s", key, shapeOf(n)), "a text with brackets or `: ` needs quotes")
		return ""
	}
	return n.Value
}

// Texts returns a list of raw texts; a single value counts as a list of one.
func (d *Document) Texts(key string, n *yaml.Node) []string {
	if d.Muted(n) || isNull(n) {
		return nil
	}
	if n.Kind == yaml.ScalarNode {
		return []string{n.Value}
	}
	if n.Kind != yaml.SequenceNode {
		d.At(n, CodeShape, fmt.Sprintf("`%s` takes a list, not %s", key, shapeOf(n)), fmt.Sprintf("write `%s: [first, second]`", key))
		return nil
	}
	out := make([]string, 0, len(n.Content))
	for _, c := range n.Content {
		if t := d.Text(key, c); t != "" || c.Kind == yaml.ScalarNode && !isNull(c) {
			out = append(out, t)
		}
	}
	return out
}

// Bool reads true or false and nothing else.
func (d *Document) Bool(key string, n *yaml.Node) bool {
	switch text := d.Text(key, n); {
	case text == "true":
		return true
	case text == "false" || d.Muted(n) || n.Kind != yaml.ScalarNode:
		return false
	default:
		d.At(n, CodeShape, fmt.Sprintf("`%s` is true or false, not `%s`", key, clip(text)), fmt.Sprintf("write `%s: true` or `%s: false`", key, key))
		return false
	}
}

var (
	intPattern    = regexp.MustCompile(`^[-+]?(0|[1-9][0-9]*)$`)
	numberPattern = regexp.MustCompile(`^[-+]?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?$`)
)

// Int reads a whole number in [low, high].
func (d *Document) Int(key string, n *yaml.Node, low, high int) int {
	text := d.Text(key, n)
	if d.Muted(n) || n.Kind != yaml.ScalarNode {
		return 0
	}
	v, err := strconv.Atoi(text)
	switch {
	case !intPattern.MatchString(text) || err != nil:
		d.At(n, CodeShape, fmt.Sprintf("`%s` is a whole number, not `%s`", key, clip(text)), fmt.Sprintf("write a number such as `%s: %d`", key, min(high, max(low, 10))))
		return 0
	case v < low || v > high:
		d.At(n, CodeShape, fmt.Sprintf("`%s` is %d, which is not between %d and %d", key, v, low, high), "")
		return 0
	}
	return v
}

// Number reads a decimal number in [low, high].
func (d *Document) Number(key string, n *yaml.Node, low, high float64) float64 {
	text := d.Text(key, n)
	if d.Muted(n) || n.Kind != yaml.ScalarNode {
		return 0
	}
	v, err := strconv.ParseFloat(text, 64)
	switch {
	case !numberPattern.MatchString(text) || err != nil || math.IsInf(v, 0):
		d.At(n, CodeShape, fmt.Sprintf("`%s` is a number, not `%s`", key, clip(text)), "write digits and a decimal point, such as 2.5")
		return 0
	case v < low || v > high:
		d.At(n, CodeShape, fmt.Sprintf("`%s` is %v, which is not between %v and %v", key, v, low, high), "")
		return 0
	}
	return v
}

// Sequence returns the entries of a list.
func (d *Document) Sequence(key string, n *yaml.Node, hint string) []*yaml.Node {
	if d.Muted(n) || isNull(n) {
		return nil
	}
	if n.Kind != yaml.SequenceNode {
		d.At(n, CodeShape, fmt.Sprintf("`%s` is a list, not %s", key, shapeOf(n)), hint)
		return nil
	}
	return n.Content
}

// PosOf returns the place of a node.
func PosOf(n *yaml.Node) rules.Pos { return rules.Pos{Line: n.Line, Column: n.Column} }

package features

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/sartorhq/sartor/streams"
	"github.com/sartorhq/sartor/streams/spelling"
)

// maxSchemaBytes bounds a schema file before the YAML parser sees it.
const maxSchemaBytes = 1 << 20

// apiVersion is the only format of schema files there is.
const apiVersion = "features/v1"

// Parse reads a schema file. name is used in messages only. All problems are reported at once, as
// a *SchemaError.
func Parse(name string, data []byte) (*Schema, error) {
	p := &parser{}
	s := &Schema{source: string(data), history: history{Max: 100}}
	if root := p.document(data); root != nil {
		p.schema(s, root)
	}
	if len(p.problems) == 0 {
		p.check(s)
	}
	if len(p.problems) > 0 {
		slices.SortStableFunc(p.problems, func(a, b Problem) int { return a.Line - b.Line })
		return nil, &SchemaError{Name: name, Problems: p.problems}
	}
	s.compile()
	var err error
	if s.version, err = s.hash(); err != nil {
		return nil, err
	}
	return s, nil
}

// parser collects problems while it walks the nodes of a file.
type parser struct {
	problems []Problem
	lines    map[*field]int
}

func (p *parser) fail(n *yaml.Node, path, format string, args ...any) {
	p.problems = append(p.problems, Problem{Line: n.Line, Field: path, Message: fmt.Sprintf(format, args...)})
}

// document returns the root mapping, or nil after a problem.
func (p *parser) document(data []byte) *yaml.Node {
	top := &yaml.Node{Line: 1}
	if len(data) > maxSchemaBytes {
		p.fail(top, "", "the file has %d bytes, at most %d are allowed", len(data), maxSchemaBytes)
		return nil
	}
	dec := yaml.NewDecoder(bytes.NewReader(data))
	var doc yaml.Node
	if err := dec.Decode(&doc); err != nil {
		if errors.Is(err, io.EOF) {
			p.fail(top, "", "the file is empty; start from the default schema")
			return nil
		}
		p.problems = append(p.problems, yamlProblem(err))
		return nil
	}
	var second yaml.Node
	if err := dec.Decode(&second); !errors.Is(err, io.EOF) {
		p.fail(top, "", "the file must hold exactly one YAML document")
		return nil
	}
	if len(doc.Content) != 1 || doc.Content[0].Kind != yaml.MappingNode {
		p.fail(top, "", "the file must be a mapping with the keys apiVersion, currency, history, shown, user, item, context")
		return nil
	}
	return doc.Content[0]
}

var yamlLine = regexp.MustCompile(`line (\d+): `)

// yamlProblem moves the line number of a YAML message into its place.
func yamlProblem(err error) Problem {
	msg := strings.TrimPrefix(err.Error(), "yaml: ")
	out := Problem{Line: 1, Message: msg}
	if m := yamlLine.FindStringSubmatchIndex(msg); m != nil {
		if n, convErr := strconv.Atoi(msg[m[2]:m[3]]); convErr == nil {
			out.Line, out.Message = n, msg[:m[0]]+msg[m[1]:]
		}
	}
	return out
}

// pair is one key of a mapping with its value.
type pair struct {
	key   string
	node  *yaml.Node // of the key
	value *yaml.Node
}

// pairs returns the entries of a mapping in file order; it refuses anchors, aliases, keys that are
// not plain text and keys that occur twice.
func (p *parser) pairs(n *yaml.Node, path string) []pair {
	if n.Kind != yaml.MappingNode {
		p.fail(n, path, "must be a mapping")
		return nil
	}
	seen := map[string]int{}
	var out []pair
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := n.Content[i], n.Content[i+1]
		switch {
		case k.Kind != yaml.ScalarNode:
			p.fail(k, path, "a key must be plain text")
		case k.Anchor != "" || v.Anchor != "" || v.Kind == yaml.AliasNode || k.Value == "<<":
			p.fail(k, join(path, k.Value), "anchors, aliases and merge keys are not allowed")
		case seen[k.Value] > 0:
			p.fail(k, join(path, k.Value), "is written twice; the first is on line %d", seen[k.Value])
		default:
			seen[k.Value] = k.Line
			out = append(out, pair{k.Value, k, v})
		}
	}
	return out
}

// unknown reports a key that the language does not have.
func (p *parser) unknown(at pair, path string, known ...string) {
	hint := "."
	if near := spelling.Nearest(at.key, known); near != "" {
		hint = fmt.Sprintf("; did you mean %q?", near)
	}
	p.fail(at.node, join(path, at.key), "unknown key%s Allowed here: %s", hint, strings.Join(known, ", "))
}

var currencyCode = regexp.MustCompile(`^[A-Z]{3}$`)

func (p *parser) schema(s *Schema, root *yaml.Node) {
	version := ""
	for _, at := range p.pairs(root, "") {
		switch at.key {
		case "apiVersion":
			version = p.text(at.value, at.key)
		case "currency":
			s.currency = p.text(at.value, at.key)
			if s.currency != "" && !currencyCode.MatchString(s.currency) {
				p.fail(at.value, at.key, "must be an ISO 4217 code such as EUR, or empty")
			}
		case "history":
			p.historyOf(s, at.value)
		case "shown":
			p.shownOf(s, at.value)
		case "user":
			s.user = p.fields(at.value, "user")
		case "item":
			s.item = p.fields(at.value, "item")
		case "context":
			s.context = p.fields(at.value, "context")
		default:
			p.unknown(at, "", "apiVersion", "currency", "history", "shown", "user", "item", "context")
		}
	}
	if version != apiVersion {
		p.fail(root, "apiVersion", "must be %q", apiVersion)
	}
}

func (p *parser) historyOf(s *Schema, n *yaml.Node) {
	for _, at := range p.pairs(n, "history") {
		switch at.key {
		case "max":
			s.history.Max = p.integer(at.value, "history.max", 1, 1000)
		case "events":
			s.history.Events = p.events(at.value, "history.events")
		default:
			p.unknown(at, "history", "max", "events")
		}
	}
}

// shownOf reads the list of what users were shown: both keys are needed, since neither has a length
// that would suit every shop.
func (p *parser) shownOf(s *Schema, n *yaml.Node) {
	before := len(p.problems)
	for _, at := range p.pairs(n, shownList) {
		switch at.key {
		case "max":
			s.shown.Max = p.integer(at.value, "shown.max", 1, 1000)
		case "window":
			if s.shown.Window = p.duration(at.value, "shown.window"); s.shown.Window > maxDaily {
				p.fail(at.value, "shown.window", "must be at most 90d")
			}
		default:
			p.unknown(at, shownList, "max", "window")
		}
	}
	if len(p.problems) == before && (s.shown.Max == 0 || s.shown.Window == 0) {
		p.fail(n, shownList, "needs max and window, for example {max: 200, window: 14d}")
	}
}

// text returns a scalar's text as written.
func (p *parser) text(n *yaml.Node, path string) string {
	if n.Kind != yaml.ScalarNode {
		p.fail(n, path, "must be a single value")
		return ""
	}
	if n.Tag == "!!null" {
		return ""
	}
	return n.Value
}

func (p *parser) integer(n *yaml.Node, path string, lo, hi int) int {
	v, err := strconv.Atoi(p.text(n, path))
	if err != nil || v < lo || v > hi {
		p.fail(n, path, "must be a whole number from %d to %d", lo, hi)
		return lo
	}
	return v
}

func (p *parser) number(n *yaml.Node, path string, lo, hi float64) float64 {
	v, err := strconv.ParseFloat(p.text(n, path), 64)
	if err != nil || !(v >= lo && v <= hi) {
		p.fail(n, path, "must be a number from %g to %g", lo, hi)
		return lo
	}
	return v
}

func (p *parser) flag(n *yaml.Node, path string) bool {
	v := p.text(n, path)
	if v != "true" && v != "false" {
		p.fail(n, path, "must be true or false")
	}
	return v == "true"
}

// texts returns a sequence of scalars.
func (p *parser) texts(n *yaml.Node, path string) []string {
	if n.Kind != yaml.SequenceNode {
		p.fail(n, path, "must be a list: [a, b]")
		return nil
	}
	out := make([]string, 0, len(n.Content))
	for _, v := range n.Content {
		out = append(out, p.text(v, path))
	}
	return out
}

// events returns a list of event types that change features.
func (p *parser) events(n *yaml.Node, path string) []streams.Type {
	var out []streams.Type
	for i, name := range p.texts(n, path) {
		t := streams.Type(name)
		switch {
		case !counted(t):
			p.fail(n.Content[i], path, "%q is not an event that is counted; use %s", name, joinTypes(countedTypes()))
		case slices.Contains(out, t):
			p.fail(n.Content[i], path, "%q is listed twice", name)
		default:
			out = append(out, t)
		}
	}
	return out
}

// duration reads 30m, 48h or 14d.
func (p *parser) duration(n *yaml.Node, path string) time.Duration {
	s := p.text(n, path)
	if len(s) >= 2 {
		unit := map[byte]time.Duration{'m': time.Minute, 'h': time.Hour, 'd': day}[s[len(s)-1]]
		if v, err := strconv.Atoi(s[:len(s)-1]); err == nil && unit > 0 && v > 0 && v <= 36500 {
			return time.Duration(v) * unit
		}
	}
	p.fail(n, path, "must be a duration such as 24h or 7d")
	return 0
}

// window reads the span of an aggregate: whole hours up to 48h, whole days up to 90d.
func (p *parser) window(n *yaml.Node, path string) time.Duration {
	w := p.duration(n, path)
	switch {
	case w == 0:
	case w <= maxHourly && w%time.Hour != 0, w > maxHourly && w%day != 0, w > maxDaily:
		p.fail(n, path, "must be whole hours up to 48h or whole days up to 90d")
		return 0
	}
	return w
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

func joinTypes(types []streams.Type) string {
	out := make([]string, len(types))
	for i, t := range types {
		out[i] = string(t)
	}
	return strings.Join(out, ", ")
}

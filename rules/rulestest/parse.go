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
	"github.com/sartorhq/sartor/streams/spelling"
	"go.yaml.in/yaml/v3"
)

var (
	fileKeys    = []string{"apiVersion", "kind", "ruleset", "description", "now", "items", "sources", "lists", "cases"}
	caseKeys    = []string{"name", "description", "now", "user", "history", "context", "request", "params", "candidates", "sources", "expect"}
	sourceNames = []string{"hot", "trending", "new", "popular", "similar", "co-bought"}
	requestKeys = []string{"scenario", "placement", "channel", "query", "source_item", "count"}
	expectKeys  = []string{"order", "top", "contains", "not_contains", "fired", "not_fired", "removed", "score", "badges", "strategy"}
)

// defaultCount is the length of the list when a case asks for none.
const defaultCount = 10

// Parse reads a test file, typed and checked against the schema. The file must not be run when one
// of the problems is an error.
func Parse(path string, data []byte, schema *features.Schema) (*File, []rules.Problem) {
	d := rulefile.ReadDocument(path, data)
	p := &parser{Document: d, schema: schema, file: &File{Path: path, items: map[string]*item{}, sources: sources{}, lines: d.Lines}}
	if d.Root != nil {
		p.top(d.Root)
	}
	return p.file, d.Problems()
}

type parser struct {
	*rulefile.Document
	schema *features.Schema
	file   *File
}

// top reads the file in the order in which its parts need each other, not in the author's.
func (p *parser) top(root *yaml.Node) {
	found := map[string]rulefile.Entry{}
	for _, e := range p.Entries(root, "a rule test", fileKeys) {
		found[e.Key] = e
		switch e.Key {
		case "apiVersion":
			p.CheckConstant(e, "rules/v1", "this is the only version of the format")
		case "kind":
			p.CheckConstant(e, "RuleTest", "rule files have `kind: RuleSet`")
		case "ruleset":
			p.file.RuleSet = p.Text(e.Key, e.Value)
		case "now":
			p.file.Now = p.moment(e)
		}
	}
	if root.Kind != yaml.MappingNode {
		return
	}
	for _, need := range []string{"apiVersion: rules/v1", "kind: RuleTest", "ruleset: home", "now: 2026-10-23T19:00:00+02:00", "cases:"} {
		if key, _, _ := strings.Cut(need, ":"); found[key].Key == "" {
			p.Missing(root, root, "a rule test", key, need)
		}
	}
	if e, ok := found["items"]; ok {
		p.items(e)
	}
	if e, ok := found["sources"]; ok {
		p.file.sources = p.sources(e)
	}
	if e, ok := found["lists"]; ok {
		p.file.lists = map[string][]string{}
		for _, l := range p.Entries(e.Value, "`lists`", nil) {
			p.file.lists[l.Key] = p.Texts(l.Key, l.Value)
		}
	}
	if e, ok := found["cases"]; ok {
		names := map[string]bool{}
		for _, n := range p.Sequence("cases", e.Value, "start each case with `- name: what it shows`") {
			c := p.caseOf(n)
			if names[c.Name] && c.Name != "" {
				p.At(n, rulefile.CodeDuplicateID, fmt.Sprintf("two cases are called `%s`", c.Name), "give one of them another name")
			}
			names[c.Name] = true
			p.file.Cases = append(p.file.Cases, c)
		}
	}
}

func (p *parser) items(e rulefile.Entry) {
	for _, entry := range p.Entries(e.Value, "`items`", nil) {
		it := &item{Item: p.schema.Item(entry.Key, nil, p.file.Now)}
		fields := p.schema.ItemFields()
		known := append([]string{"score", "sales_by_country", "vector"}, names(fields)...)
		for _, f := range p.Entries(entry.Value, "item `"+entry.Key+"`", known) {
			switch f.Key {
			case "score":
				it.score, it.scored = p.Number(f.Key, f.Value, 0, 1), true
			case "vector":
				it.vector = p.vector(f)
			case "sales_by_country":
				for _, c := range p.Entries(f.Value, "`sales_by_country`", nil) {
					it.SalesByCountry[c.Key] = int64(p.Int(c.Key, c.Value, 0, math.MaxInt32))
				}
			default:
				if v, ok := p.value(f, fields); ok {
					it.Env[f.Key], it.Known[f.Key] = v, true
				}
			}
		}
		p.file.items[entry.Key] = it
	}
}

func names(fields []features.Field) []string {
	out := make([]string, len(fields))
	for i, f := range fields {
		out[i] = f.Name
	}
	return out
}

// sources reads "hot: [a, b]" or "hot: {DE: [a], FR: [b]}".
func (p *parser) sources(e rulefile.Entry) sources {
	out := sources{}
	for _, s := range p.Entries(e.Value, "`sources`", nil) {
		if !slices.Contains(sourceNames, s.Key) {
			hint := "sources are " + strings.Join(sourceNames, ", ") + "; a `list:NAME` answers with the items of the rule file's list"
			if near := spelling.Nearest(s.Key, sourceNames); near != "" {
				hint = "did you mean `" + near + "`? " + hint
			}
			p.At(s.KeyNode, rules.CodeUnknownName, fmt.Sprintf("there is no source `%s`", s.Key), hint)
			continue
		}
		by := map[string][]string{}
		if s.Value.Kind == yaml.MappingNode {
			for _, v := range p.Entries(s.Value, "`"+s.Key+"`", nil) {
				by[v.Key] = p.itemIDs(v)
			}
		} else {
			by[""] = p.itemIDs(s)
		}
		out[rules.Source(s.Key)] = by
	}
	return out
}

// itemIDs reads a list of items that the file describes.
func (p *parser) itemIDs(e rulefile.Entry) []string {
	ids := p.Texts(e.Key, e.Value)
	for i, id := range ids {
		at := e.Value
		if at.Kind == yaml.SequenceNode && i < len(at.Content) {
			at = at.Content[i]
		}
		p.checkItem(at, id)
	}
	return ids
}

func (p *parser) checkItem(at *yaml.Node, id string) {
	if p.file.items[id] != nil {
		return
	}
	known := make([]string, 0, len(p.file.items))
	for k := range p.file.items {
		known = append(known, k)
	}
	slices.Sort(known)
	hint := "describe it under `items:`; `" + id + ": {}` is enough"
	if near := spelling.Nearest(id, known); near != "" {
		hint = "did you mean `" + near + "`? Otherwise " + hint
	}
	p.At(at, rules.CodeUnknownName, fmt.Sprintf("there is no item `%s`", id), hint)
}

func (p *parser) caseOf(n *yaml.Node) Case {
	c := Case{Line: n.Line, now: p.file.Now, request: rules.Request{Count: defaultCount}, context: p.contextDefaults(), sources: p.file.sources}
	seen := map[string]bool{}
	var userEntry, historyEntry rulefile.Entry
	for _, e := range p.Entries(n, "a case", caseKeys) {
		seen[e.Key] = true
		switch e.Key {
		case "name":
			c.Name = p.Text(e.Key, e.Value)
		case "now":
			c.now = p.moment(e)
		case "user":
			userEntry = e
		case "history":
			historyEntry = e
		case "context":
			p.context(e, c.context)
		case "request":
			p.request(e, &c.request)
			if it := p.file.items[c.request.SourceItem]; it != nil {
				c.source = it.Item
			}
		case "params":
			c.params = p.params(e)
		case "candidates":
			c.candidates = p.itemIDs(e)
		case "sources":
			c.sources = p.sources(e)
			for name, by := range p.file.sources {
				if _, own := c.sources[name]; !own {
					c.sources[name] = by
				}
			}
		case "expect":
			p.expect(e, &c.expect)
		}
	}
	c.user, c.taste = p.user(userEntry, c.now)
	if historyEntry.Value != nil {
		p.history(historyEntry, &c)
	}
	if n.Kind != yaml.MappingNode {
		return c
	}
	for _, need := range []string{"name: sold-out items never", "expect: {order: [a, b]}"} {
		if key, _, _ := strings.Cut(need, ":"); !seen[key] {
			p.Missing(n, n, "a case", key, need)
		}
	}
	return c
}

func (p *parser) user(e rulefile.Entry, now time.Time) (u *features.User, taste []float32) {
	u = p.schema.User("test-user", nil, nil, now)
	if e.Value == nil {
		return u, nil
	}
	fields := p.schema.UserFields()
	for _, f := range p.Entries(e.Value, "a user", append([]string{"id", "vector"}, names(fields)...)) {
		switch f.Key {
		case "id":
			u.ID = p.Text(f.Key, f.Value)
			u.Env["id"] = u.ID
			continue
		case "vector":
			taste = p.vector(f)
			continue
		}
		if v, ok := p.value(f, fields); ok {
			u.Env[f.Key], u.Known[f.Key], u.Seen = v, true, true
		}
	}
	return u, taste
}

func (p *parser) contextDefaults() map[string]any {
	out, _ := p.schema.Context(nil)
	return out
}

func (p *parser) context(e rulefile.Entry, into map[string]any) {
	fields := p.schema.ContextFields()
	for _, f := range p.Entries(e.Value, "`context`", names(fields)) {
		if v, ok := p.value(f, fields); ok {
			into[f.Key] = v
		}
	}
}

func (p *parser) request(e rulefile.Entry, into *rules.Request) {
	for _, f := range p.Entries(e.Value, "`request`", requestKeys) {
		switch f.Key {
		case "scenario":
			into.Scenario = p.Text(f.Key, f.Value)
		case "placement":
			into.Placement = p.Text(f.Key, f.Value)
		case "channel":
			into.Channel = p.Text(f.Key, f.Value)
		case "query":
			into.Query = p.Text(f.Key, f.Value)
		case "source_item":
			into.SourceItem = p.Text(f.Key, f.Value)
		case "count":
			into.Count = p.Int(f.Key, f.Value, 1, 1000)
		}
	}
}

// params reads overrides; the compiler checks their names and bounds.
func (p *parser) params(e rulefile.Entry) map[string]any {
	out := map[string]any{}
	for _, f := range p.Entries(e.Value, "`params`", nil) {
		text := p.Text(f.Key, f.Value)
		switch {
		case text == "true" || text == "false":
			out[f.Key] = text == "true"
		case f.Value.ShortTag() == "!!int" || f.Value.ShortTag() == "!!float":
			out[f.Key] = p.Number(f.Key, f.Value, -math.MaxFloat64, math.MaxFloat64)
		default:
			out[f.Key] = text
		}
	}
	return out
}

func (p *parser) expect(e rulefile.Entry, x *expectation) {
	for _, f := range p.Entries(e.Value, "`expect`", expectKeys) {
		switch f.Key {
		case "order":
			ids := p.itemIDs(f)
			x.order = &ids
		case "top":
			x.top = p.itemIDs(f)
		case "contains":
			x.contains = p.itemIDs(f)
		case "not_contains":
			x.notContains = p.itemIDs(f)
		case "fired":
			x.fired = p.Texts(f.Key, f.Value)
		case "not_fired":
			x.notFired = p.Texts(f.Key, f.Value)
		case "strategy":
			text := p.Text(f.Key, f.Value)
			x.strategy = &text
		default:
			p.expectByItem(f, x)
		}
	}
}

func (p *parser) expectByItem(e rulefile.Entry, x *expectation) {
	for _, f := range p.Entries(e.Value, "`"+e.Key+"`", nil) {
		p.checkItem(f.KeyNode, f.Key)
		switch e.Key {
		case "removed":
			x.removed = append(x.removed, pair[string]{f.Key, p.Text(f.Key, f.Value)})
		case "score":
			x.score = append(x.score, pair[float64]{f.Key, p.Number(f.Key, f.Value, -1e9, 1e9)})
		case "badges":
			x.badges = append(x.badges, pair[[]string]{f.Key, p.Texts(f.Key, f.Value)})
		}
	}
}

// Keys returns the keys of one part of a test file: "file", "case", "deed", "sources", "request" or "expect";
// nil for any other part. It is what editors are told.
func Keys(part string) []string {
	parts := map[string][]string{"file": fileKeys, "case": caseKeys, "deed": deedKeys, "sources": sourceNames, "request": requestKeys, "expect": expectKeys}
	return slices.Clone(parts[part])
}

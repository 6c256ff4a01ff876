// Package schema makes the JSON Schemas (draft 2020-12) of rule files and of their tests, so that
// editors complete keys and feature names and mark mistakes while somebody types. It knows shapes
// only; 'sartor rules check' knows the rest.
package schema

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/sartorhq/sartor/features"
	"github.com/sartorhq/sartor/rules"
	"github.com/sartorhq/sartor/rules/rulefile"
	"github.com/sartorhq/sartor/rules/rulestest"
)

// draft is the dialect that editors know best.
const draft = "https://json-schema.org/draft/2020-12/schema"

// node is a part of a schema; encoding/json sorts its keys, so that one schema is one text.
type node = map[string]any

// Kinds lists the kinds of file that have a schema.
func Kinds() []string { return []string{"rules", "tests"} }

// Build returns the schema of one of Kinds as JSON, with the names of the feature schema.
func Build(kind string, s *features.Schema) ([]byte, error) {
	var root node
	switch kind {
	case "rules":
		root = ruleFile(s)
	case "tests":
		root = testFile(s)
	default:
		return nil, fmt.Errorf("there is no schema of %q: it can be %s", kind, strings.Join(Kinds(), " or "))
	}
	root["$schema"] = draft
	data, err := json.MarshalIndent(root, "", "  ")
	if err != nil {
		return nil, err
	}
	return append(data, '\n'), nil
}

// Modeline is the first line of a YAML file that tells editors where its schema is.
func Modeline(path string) string { return "# yaml-language-server: $schema=" + path }

func ref(name string) node { return node{"$ref": "#/$defs/" + name} }

// object allows the keys that the reader knows, with what values says about them.
func object(keys []string, values node, required ...string) node {
	properties := node{}
	for _, k := range keys {
		v, ok := values[k]
		if !ok {
			v = node{}
		}
		properties[k] = v
	}
	out := node{"type": "object", "properties": properties, "additionalProperties": false}
	if len(required) > 0 {
		out["required"] = required
	}
	return out
}

func list(of node) node    { return node{"type": "array", "items": of} }
func mapping(of node) node { return node{"type": "object", "additionalProperties": of} }
func says(text string, n node) node {
	n["description"] = text
	return n
}

func oneOf(values ...any) node { return node{"enum": values} }

// text is any single value: rule files take what is written, whatever YAML makes of it.
func text() node { return node{"type": []string{"string", "number", "boolean"}} }

// suggest offers values and takes others, too.
func suggest(values []string) node {
	return node{"anyOf": []node{{"enum": values}, {"type": []string{"string", "number", "boolean"}}}}
}

func texted(in []string) []any {
	out := make([]any, len(in))
	for i, s := range in {
		out[i] = s
	}
	return out
}

func texts() node { return node{"anyOf": []node{list(text()), text()}} }

func ruleFile(s *features.Schema) node {
	root := object(rulefile.Keys("file"), node{
		"apiVersion": node{"const": "rules/v1"}, "kind": node{"const": "RuleSet"},
		"name":        says("Short and unique, lower case", node{"type": "string", "pattern": "^[a-z0-9][a-z0-9_-]*$"}),
		"description": says("What the rule set is for", text()), "owner": says("Whom to ask", text()), "tags": texts(),
		"scope":    object(rulefile.Keys("scope"), node{"scenarios": texts(), "placements": texts()}),
		"timezone": says("Zone of every date and hour in the file, such as Europe/Berlin", node{"type": "string"}),
		"params":   mapping(ref("param")), "lists": mapping(ref("list")), "rules": list(ref("rule")), "tables": list(ref("table")),
	}, "apiVersion", "kind", "name")
	root["title"] = "Sartor rule set"
	defs := node{
		"param": object(rulefile.Keys("param"), node{"type": oneOf("number", "int", "text", "bool", "duration"), "description": text(),
			"default": text(), "min": text(), "max": text()}, "type", "default"),
		"list":  object(rulefile.Keys("list"), node{"values": node{"type": []string{"array", "null"}, "items": text()}, "file": node{"type": "string"}, "source": node{"type": "string", "pattern": "^redis:"}, "description": text()}),
		"rule":  ruleNode(rulefile.Keys("rule"), "id", "then"),
		"table": ruleNode(rulefile.Keys("table"), "id", "inputs", "rows"),
		"row":   object(rulefile.Keys("row"), node{"if": list(node{"anyOf": []node{text(), list(text())}}), "then": node{"anyOf": []node{ref("actions"), list(ref("action"))}}}, "if", "then"),
		"schedule": object(rulefile.Keys("schedule"), node{"from": text(), "until": text(), "hours": node{"type": "string"},
			"days": node{"anyOf": []node{list(ref("day")), text()}}}),
		"day":       oneOf("mon", "tue", "wed", "thu", "fri", "sat", "sun"),
		"share":     node{"anyOf": []node{text(), object(rulefile.Keys("rollout"), node{"percent": text(), "by": suggest(names("user.", s.UserFields()))}, "percent")}},
		"condition": condition(s),
		"formula":   says("A number, params.NAME or a formula", text()),
		"field":     suggest(names("item.", s.ItemFields())),
		"anyField":  suggest(append(append(names("item.", s.ItemFields()), names("user.", s.UserFields())...), names("context.", s.ContextFields())...)),
		"source":    suggest([]string{"hot", "trending", "new", "popular", "similar", "co-bought", "segment"}),
	}
	actions := node{}
	for _, name := range rulefile.Actions() {
		actions[name] = actionNode(name)
	}
	defs["action"] = node{"type": "object", "properties": actions, "additionalProperties": false, "minProperties": 1, "maxProperties": 1}
	defs["actions"] = node{"type": "object", "properties": actions, "additionalProperties": false}
	root["$defs"] = defs
	return root
}

// ruleNode describes rules and tables, which share most keys.
func ruleNode(keys []string, required ...string) node {
	return object(keys, node{
		"id":          says("Unique in the rule set, lower case", node{"type": "string", "pattern": "^[a-z0-9][a-z0-9_-]*$"}),
		"description": text(), "priority": says("Larger first; used where only one rule can have its way", node{"type": "integer", "minimum": -1000, "maximum": 1000}),
		"hard": says("A guard: nothing brings these items back", node{"type": "boolean"}), "group": text(), "stop": node{"type": "boolean"}, "disabled": node{"type": "boolean"},
		"when": ref("condition"), "match": ref("condition"), "schedule": ref("schedule"), "rollout": ref("share"),
		"holdout": says("Keep the rule from a small share of the users, such as 5%, to measure what it is worth", node{"anyOf": []node{ref("share")}}),
		"then":    node{"anyOf": []node{list(ref("action")), ref("action")}},
		"hit":     oneOf("first", "all", "unique"), "inputs": list(ref("anyField")), "rows": list(ref("row")),
	}, required...)
}

// condition is text for the schema; the names that it may use are shown beside it.
func condition(s *features.Schema) node {
	var b strings.Builder
	for _, part := range []struct {
		prefix string
		fields []features.Field
	}{{"user.", s.UserFields()}, {"item.", s.ItemFields()}, {"context.", s.ContextFields()}} {
		fmt.Fprintf(&b, "\n%s", strings.Join(names(part.prefix, part.fields), " "))
	}
	return says("A yes/no expression over:"+b.String(), text())
}

func names(prefix string, fields []features.Field) []string {
	out := make([]string, 0, len(fields))
	for _, f := range fields {
		out = append(out, prefix+f.Name)
	}
	return out
}

// actionNode describes the fields of one action.
func actionNode(name string) node {
	values := node{
		"multiply": ref("formula"), "add": ref("formula"), "order_by": ref("formula"), "match": ref("condition"), "to": oneOf("bottom"),
		"by": ref("field"), "source": ref("source"), "relax": node{"type": "boolean"}, "items": texts(),
		"strategy": node{"anyOf": []node{ref("source"), list(ref("source"))}}, "decay": node{"type": "object"},
	}
	for _, number := range []string{"position", "max", "min", "within", "strength", "count", "window", "score", "keep_model", "text", "key", "reason", "name", "version"} {
		values[number] = text()
	}
	if name == "inject" || name == "replace" || name == "fill" {
		values["by"] = suggest([]string{"context.country"})
	}
	if name == "diversify" {
		values["by"] = node{"anyOf": []node{ref("field"), list(ref("field"))}}
	}
	out := object(rulefile.Keys("action "+name), values)
	out["type"] = []string{"object", "null"}
	return out
}

func testFile(s *features.Schema) node {
	ids := texts()
	root := object(rulestest.Keys("file"), node{
		"apiVersion": node{"const": "rules/v1"}, "kind": node{"const": "RuleTest"}, "ruleset": node{"type": "string"}, "description": text(),
		"now":   says("A moment with its zone, such as 2026-10-23T19:00:00+02:00", node{"type": "string"}),
		"items": mapping(ref("item")), "sources": ref("sources"), "lists": mapping(texts()), "cases": list(ref("case")),
	}, "apiVersion", "kind", "ruleset", "now", "cases")
	root["title"] = "Sartor rule tests"
	sources := node{}
	for _, name := range rulestest.Keys("sources") {
		sources[name] = node{"anyOf": []node{ids, mapping(ids)}}
	}
	item := described(s.ItemFields())
	item["properties"].(node)["score"] = node{"type": "number", "minimum": 0, "maximum": 1}
	item["properties"].(node)["sales_by_country"] = mapping(node{"type": "integer"})
	item["properties"].(node)["vector"] = list(node{"type": "number"})
	user := described(s.UserFields())
	user["properties"].(node)["id"], user["properties"].(node)["vector"] = text(), list(node{"type": "number"})
	root["$defs"] = node{
		"item": item, "user": user, "context": described(s.ContextFields()),
		"sources": node{"type": "object", "properties": sources, "additionalProperties": false},
		"case": object(rulestest.Keys("case"), node{"name": text(), "description": text(), "now": node{"type": "string"}, "user": ref("user"), "history": list(ref("deed")), "context": ref("context"),
			"request": object(rulestest.Keys("request"), node{"count": node{"type": "integer", "minimum": 1}}),
			"params":  mapping(text()), "candidates": ids, "sources": ref("sources"), "expect": ref("expect")}, "name", "expect"),
		"deed": object(rulestest.Keys("deed"), node{"did": oneOf(texted(rules.Deeds())...), "item": text(), "ago": says("A time span such as 2d, 12h or 30m", node{"type": "string"}),
			"times": node{"type": "integer", "minimum": 1}}, "did", "item", "ago"),
		"expect": object(rulestest.Keys("expect"), node{"order": ids, "top": ids, "contains": ids, "not_contains": ids, "fired": ids, "not_fired": ids,
			"removed": mapping(text()), "score": mapping(node{"type": "number"}), "badges": mapping(ids), "strategy": text()}),
	}
	return root
}

// described makes an object of the fields of the feature schema, with their types and meanings.
func described(fields []features.Field) node {
	properties := node{}
	for _, f := range fields {
		n := node{}
		switch f.Type {
		case features.Int:
			n["type"] = "integer"
		case features.Number, features.Money:
			n["type"] = "number"
		case features.Bool:
			n["type"] = "boolean"
		case features.TextList:
			n = texts()
		case features.TextMap:
			n = mapping(text())
		default:
			n = text()
		}
		if len(f.Values) > 0 {
			n["enum"] = f.Values
		}
		properties[f.Name] = says(f.Doc, n)
	}
	return node{"type": []string{"object", "null"}, "properties": properties, "additionalProperties": false}
}

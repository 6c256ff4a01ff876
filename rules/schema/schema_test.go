package schema

import (
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/sartorhq/sartor/features"
	"github.com/sartorhq/sartor/rules/rulefile"
)

// validator judges a decoded YAML value by the part of JSON Schema that Build uses; an unknown keyword
// is an error, so that nothing is passed over.
type validator struct{ root map[string]any }

func (v validator) check(at string, s map[string]any, value any) error {
	for keyword, arg := range s {
		if err := v.keyword(at, keyword, arg, s, value); err != nil {
			return err
		}
	}
	return nil
}

func (v validator) keyword(at, keyword string, arg any, s map[string]any, value any) error {
	object, _ := value.(map[string]any)
	switch keyword {
	case "$schema", "$defs", "title", "description", "properties":
	case "$ref":
		name := strings.TrimPrefix(arg.(string), "#/$defs/")
		def, ok := v.root["$defs"].(map[string]any)[name].(map[string]any)
		if !ok {
			return fmt.Errorf("%s: no definition %s", at, name)
		}
		return v.check(at, def, value)
	case "type":
		types, ok := arg.([]any)
		if !ok {
			types = []any{arg}
		}
		if !slices.ContainsFunc(types, func(t any) bool { return isType(t.(string), value) }) {
			return fmt.Errorf("%s: %v is not %v", at, value, types)
		}
	case "const":
		if value != arg {
			return fmt.Errorf("%s: %v is not %v", at, value, arg)
		}
	case "enum":
		if !slices.Contains(arg.([]any), value) {
			return fmt.Errorf("%s: %v is not one of %v", at, value, arg)
		}
	case "pattern":
		if text, ok := value.(string); ok && !regexp.MustCompile(arg.(string)).MatchString(text) {
			return fmt.Errorf("%s: %q does not look like %v", at, text, arg)
		}
	case "minimum", "maximum":
		if n, ok := number(value); ok && (keyword == "minimum" && n < arg.(float64) || keyword == "maximum" && n > arg.(float64)) {
			return fmt.Errorf("%s: %v is out of bounds", at, n)
		}
	case "minProperties", "maxProperties":
		if n := float64(len(object)); keyword == "minProperties" && n < arg.(float64) || keyword == "maxProperties" && n > arg.(float64) {
			return fmt.Errorf("%s: %v keys", at, n)
		}
	case "required":
		for _, k := range arg.([]any) {
			if _, ok := object[k.(string)]; !ok {
				return fmt.Errorf("%s: no %v", at, k)
			}
		}
	case "items":
		list, _ := value.([]any)
		for i, e := range list {
			if err := v.check(fmt.Sprintf("%s[%d]", at, i), arg.(map[string]any), e); err != nil {
				return err
			}
		}
	case "additionalProperties":
		return v.entries(at, arg, s, object)
	case "anyOf":
		var all []string
		for _, one := range arg.([]any) {
			err := v.check(at, one.(map[string]any), value)
			if err == nil {
				return nil
			}
			all = append(all, err.Error())
		}
		return fmt.Errorf("%s", strings.Join(all, " and "))
	default:
		return fmt.Errorf("%s: the keyword %s is not checked", at, keyword)
	}
	return nil
}

func (v validator) entries(at string, others any, s, object map[string]any) error {
	properties, _ := s["properties"].(map[string]any)
	for k, e := range object {
		sub, known := properties[k].(map[string]any)
		if !known {
			if others == false {
				return fmt.Errorf("%s: unknown key %s", at, k)
			}
			sub = others.(map[string]any)
		}
		if err := v.check(at+"."+k, sub, e); err != nil {
			return err
		}
	}
	return nil
}

func number(v any) (float64, bool) {
	switch n := v.(type) {
	case int:
		return float64(n), true
	case float64:
		return n, true
	}
	return 0, false
}

func isType(t string, v any) bool {
	switch x := v.(type) {
	case nil:
		return t == "null"
	case string, time.Time:
		return t == "string"
	case bool:
		return t == "boolean"
	case int:
		return t == "number" || t == "integer"
	case float64:
		return t == "number" || t == "integer" && x == float64(int(x))
	case []any:
		return t == "array"
	case map[string]any:
		return t == "object"
	}
	return false
}

func validate(t *testing.T, kind, text string) error {
	t.Helper()
	data, err := Build(kind, features.Default())
	if err != nil {
		t.Fatal(err)
	}
	var root map[string]any
	if err := json.Unmarshal(data, &root); err != nil {
		t.Fatal(err)
	}
	var value any
	if err := yaml.Unmarshal([]byte(text), &value); err != nil {
		t.Fatal(err)
	}
	return validator{root}.check("file", root, value)
}

// corpus is the rule files and tests that ship, and the examples of the manual.
func corpus(t *testing.T) map[string][]string {
	t.Helper()
	out := map[string][]string{}
	for path, kind := range map[string]string{"../../deploy/rules/home.yaml": "rules", "../../deploy/rules/home.test.yaml": "tests", "../rulefile/testdata/autumn.yaml": "rules"} {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		out[kind] = append(out[kind], string(data))
	}
	manual, err := os.ReadFile("../LANGUAGE.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile("(?s)```(yaml|yaml test)\n(.*?)\n```").FindAllStringSubmatch(string(manual), -1) {
		kind, text := "rules", m[2]
		if m[1] == "yaml test" {
			kind = "tests"
		}
		if !strings.HasPrefix(text, "apiVersion") {
			head := "apiVersion: rules/v1\nkind: RuleSet\nname: a\nrules:\n"
			if kind == "tests" {
				head = "apiVersion: rules/v1\nkind: RuleTest\nruleset: a\nnow: 2026-10-23T19:00:00+02:00\n"
			} else if strings.HasPrefix(text, "tables:") || strings.HasPrefix(text, "rules:") {
				head = strings.TrimSuffix(head, "rules:\n")
			}
			text = head + text
		}
		out[kind] = append(out[kind], text)
	}
	return out
}

func TestWhatShipsIsValid(t *testing.T) {
	all := corpus(t)
	if len(all["rules"]) < 20 || len(all["tests"]) < 20 {
		t.Fatalf("only %d rule files and %d tests", len(all["rules"]), len(all["tests"]))
	}
	for kind, texts := range all {
		for _, text := range texts {
			if err := validate(t, kind, text); err != nil {
				t.Errorf("%v in\n%s", err, text)
			}
		}
	}
}

func TestMistakesAreMarked(t *testing.T) {
	const set = "apiVersion: rules/v1\nkind: RuleSet\nname: a\nrules:\n  - id: r\n    match: item.stock < 1\n    then: [exclude: {}]\n"
	const tests = "apiVersion: rules/v1\nkind: RuleTest\nruleset: a\nnow: 2026-10-23T19:00:00+02:00\nitems: {a: {stock: 1}}\ncases:\n  - name: n\n    candidates: [a]\n    expect: {order: [a]}\n"
	for _, tc := range []struct{ kind, text, old, new, want string }{
		{"rules", set, "", "", ""},
		{"rules", set, "match:", "mtach:", "file.rules[0]: unknown key mtach"},
		{"rules", set, "exclude", "hide", "unknown key hide"},
		{"rules", set, "exclude: {}", "exclude: {}, boost: {}", ""}, // two entries
		{"rules", set, "[exclude: {}]", "[{exclude: {}, boost: {}}]", "2 keys"},
		{"rules", set, "exclude: {}", "boost: {multpily: 2}", "unknown key multpily"},
		{"rules", set, "id: r", "id: R 1", "does not look like"},
		{"rules", set, "id: r", "id: r\n    priority: 5000", "out of bounds"},
		{"rules", set, "id: r", "id: r\n    hard: maybe", "is not [boolean]"},
		{"rules", set, "name: a\n", "", "no name"},
		{"rules", set, "RuleSet", "Rules", "is not RuleSet"},
		{"tests", tests, "", "", ""},
		{"tests", tests, "stock: 1", "stok: 1", "unknown key stok"},
		{"tests", tests, "stock: 1", "stock: many", "is not [integer]"},
		{"tests", tests, "order", "odrer", "unknown key odrer"},
	} {
		err := validate(t, tc.kind, strings.Replace(tc.text, tc.old, tc.new, 1))
		if tc.want == "" && err != nil || tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)) {
			t.Errorf("%s -> %s: %v, want %q", tc.old, tc.new, err, tc.want)
		}
	}
	if _, err := Build("models", features.Default()); err == nil {
		t.Error("a schema of models")
	}
}

// TestEveryWordIsThere would notice a part of the format that the schema forgets.
func TestEveryWordIsThere(t *testing.T) {
	data, err := Build("rules", features.Default())
	if err != nil {
		t.Fatal(err)
	}
	for _, word := range rulefile.Words() {
		if !strings.Contains(string(data), `"`+word+`": `) {
			t.Errorf("the schema never mentions %q", word)
		}
	}
	for _, field := range []string{"item.sales_7d", "user.spend_90d", "context.country"} {
		if !strings.Contains(string(data), field) {
			t.Errorf("the schema never mentions %s", field)
		}
	}
}

// TestModeline keeps the line that editors read a comment like others.
func TestModeline(t *testing.T) {
	text := Modeline("rules.schema.json") + "\napiVersion: rules/v1\nkind: RuleSet\nname: a\nrules:\n  - id: r\n    then: [exclude: {}]\n"
	if _, problems := rulefile.Parse("a.yaml", []byte(text)); len(problems) > 0 {
		t.Errorf("%+v", problems)
	}
	if out, err := rulefile.Format([]byte(text)); err != nil || string(out) != text {
		t.Errorf("%v\n%s", err, out)
	}
}

package features

import (
	"flag"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
)

var write = flag.Bool("write", false, "write the field tables of SCHEMA.md")

const fieldsMark = "-args -write -->\n"

// TestSchemaDocument keeps the tables of SCHEMA.md equal to the default schema.
func TestSchemaDocument(t *testing.T) {
	data, err := os.ReadFile("SCHEMA.md")
	if err != nil {
		t.Fatal(err)
	}
	head, have, ok := strings.Cut(string(data), fieldsMark)
	if !ok {
		t.Fatal("SCHEMA.md has lost its mark")
	}
	want := tables(Default())
	if *write {
		if err := os.WriteFile("SCHEMA.md", []byte(head+fieldsMark+want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if have != want {
		t.Errorf("SCHEMA.md differs from schema.yaml; write it with -args -write\ngot\n%s\nwant\n%s", have, want)
	}
	for _, k := range append(append([]string{}, plainKeys...), aggregates...) {
		if !strings.Contains(head, "`"+k+"`") {
			t.Errorf("SCHEMA.md does not explain %s", k)
		}
		for _, o := range optionKeys(kind(k)) {
			if !strings.Contains(head, o) {
				t.Errorf("SCHEMA.md does not explain the option %s of %s", o, k)
			}
		}
	}
}

func tables(s *Schema) string {
	var b strings.Builder
	for _, section := range []struct {
		name   string
		fields []Field
	}{{"user", s.UserFields()}, {"item", s.ItemFields()}, {"context", s.ContextFields()}} {
		fmt.Fprintf(&b, "\n### %s\n\n| field | type | default | meaning | example |\n| --- | --- | --- | --- | --- |\n", section.name)
		for _, f := range section.fields {
			typ := string(f.Type)
			if f.Max > 0 {
				typ += fmt.Sprintf(" (max %d)", f.Max)
			}
			fmt.Fprintf(&b, "| `%s.%s` | %s | %s | %s | `%s` |\n", section.name, f.Name, typ, defaultText(f.Default), f.Doc, f.Example)
		}
	}
	return b.String()
}

// defaultText writes a default; empty ones as nothing.
func defaultText(v any) string {
	switch x := v.(type) {
	case int, float64, bool:
		return fmt.Sprint(x)
	case string:
		return x
	case []string:
		return strings.Join(x, ", ")
	}
	return ""
}

func TestContext(t *testing.T) {
	s := Default()
	env, problems := s.Context(map[string]any{"country": "DE", "is_bot": "yes", "devise": "tv", "attrs": map[string]any{"a": 1.0, "b": "c"}, "zzzzzz": 1.0, "language": nil})
	if env["country"] != "DE" || env["is_bot"] != false || env["language"] != "" || !reflect.DeepEqual(env["attrs"], map[string]string{"a": "1", "b": "c"}) || len(env) != 7 {
		t.Errorf("got %v", env)
	}
	var got []string
	for _, p := range problems {
		got = append(got, p.String())
	}
	want := []string{
		"context.is_bot: must be true or false, not a text",
		`context.devise: unknown context field; did you mean "device"? Free values go under context.attrs`,
		"context.zzzzzz: unknown context field; free values go under context.attrs",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if env, problems := s.Context(nil); len(env) != 7 || problems != nil {
		t.Errorf("got %v, %v", env, problems)
	}
}

func TestCheckDocument(t *testing.T) {
	s, err := parseWith(t, `tier:     {type: text, default: ""`, `tier:     {type: text, values: [gold, silver], default: ""`)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, p := range s.CheckDocument(ItemEntity, map[string]any{"price": 19.99, "stock": "3", "tags": "sale", "created_at": "soon",
		"title": []any{}, "category_path": []any{map[string]any{}}, "attrs": 3.0, "anything": 1.0, "rating": "good", "cost": nil}) {
		got = append(got, p.String())
	}
	for _, p := range s.CheckDocument(UserEntity, map[string]any{"tier": "tin", "first_seen_at": 3.0, "attrs": map[string]any{"x": []any{}}}) {
		got = append(got, p.String())
	}
	want := []string{
		"title: must be a text, not a list",
		"category_path: must hold texts only: must be a text, not an object",
		"price: must be a whole number of minor units (1999 for 19.99), not 19.99",
		"stock: must be a whole number, not a text",
		"tags: must be a list of texts, not a text",
		`created_at: "soon" is not a time such as 2026-10-23T19:00:00Z or a date`,
		"attrs: must be an object, not a number",
		"rating: must be a number, not a text",
		`tier: "tin" is not one of gold, silver`,
		`attrs: "x": must be a text, not a list`,
		"first_seen_at: must be a time as text, not a number",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func FuzzDocument(f *testing.F) {
	f.Add(`{"price":1999,"tags":["a"],"attrs":{"x":1},"created_at":"2026-01-01T00:00:00Z","currency":"JPY"}`)
	f.Add(`{"stock":1e300,"rating":null}`)
	f.Add(`[1]`)
	s := Default()
	f.Fuzz(func(t *testing.T, doc string) {
		it := s.Item("a", &State{Doc: doc, DocTime: 1}, noon)
		for _, fd := range s.ItemFields() {
			if reflect.TypeOf(it.Env[fd.Name]) != goType(fd.Type) {
				t.Fatalf("%s is a %T", fd.Name, it.Env[fd.Name])
			}
		}
		s.User("u", &State{Doc: doc}, nil, noon)
	})
}

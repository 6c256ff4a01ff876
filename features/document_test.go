package features

import (
	"flag"
	"fmt"
	"os"
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

package rulestest

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"github.com/sartorhq/sartor/features"
	"github.com/sartorhq/sartor/rules"
	"github.com/sartorhq/sartor/rules/rulefile"
)

const (
	snippetHead = "apiVersion: rules/v1\nkind: RuleSet\nname: snippet\ndescription: An example\nowner: you@example.com\nrules:\n"
	testHead    = "apiVersion: rules/v1\nkind: RuleTest\nnow: 2026-10-23T19:00:00+02:00\nruleset: "
)

// block is one fenced block of the manual.
type block struct {
	info, text string
	line       int
}

func blocksOf(t *testing.T, path string) []block {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var out []block
	var open *block
	for i, line := range strings.Split(string(data), "\n") {
		switch {
		case open == nil && strings.HasPrefix(line, "```"):
			open = &block{info: strings.TrimPrefix(line, "```"), line: i + 1}
		case open != nil && line == "```":
			out = append(out, *open)
			open = nil
		case open != nil:
			open.text += line + "\n"
		}
	}
	if open != nil {
		t.Fatalf("the block of line %d is not closed", open.line)
	}
	return out
}

// complete makes a whole rule file of a block that shows only rules.
func complete(text string) (path, whole string) {
	if strings.HasPrefix(text, "apiVersion") {
		_, after, _ := strings.Cut(text, "\nname: ")
		name, _, _ := strings.Cut(after, "\n")
		return name + ".yaml", text
	}
	var b strings.Builder
	for line := range strings.Lines(text) {
		if strings.TrimSpace(line) != "" {
			b.WriteString("  ")
		}
		b.WriteString(line)
	}
	return "snippet.yaml", snippetHead + b.String()
}

func check(path, text string) (rules.File, []rules.Problem) {
	f, read := rulefile.Parse(path, []byte(text))
	_, compiled := rules.Compile([]rules.File{f}, features.Default(), rules.Options{})
	return f, rulefile.Merge(read, compiled)
}

func render(t *testing.T, problems []rules.Problem) string {
	t.Helper()
	var b bytes.Buffer
	if err := rulefile.Render(&b, problems, "text"); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// TestLanguageManual executes every block of LANGUAGE.md: rules must be free of errors and warnings
// and canonical, tests must pass against the rules above them, wrong rules must give the text below.
func TestLanguageManual(t *testing.T) {
	var last rules.File
	var wrong string // what the wrong block above gives
	recipes, tests := 0, 0
	for _, b := range blocksOf(t, "../LANGUAGE.md") {
		switch b.info {
		case "console":
		case "yaml":
			path, text := complete(b.text)
			f, problems := check(path, text)
			if len(problems) > 0 {
				t.Errorf("line %d:\n%s", b.line, render(t, problems))
			}
			if formatted, err := rulefile.Format([]byte(text)); err != nil || string(formatted) != text {
				t.Errorf("line %d is not canonical (%v):\n%s", b.line, err, formatted)
			}
			last = f
			recipes++
		case "yaml wrong":
			path, text := complete(b.text)
			_, problems := check(path, text)
			wrong = render(t, problems)
		case "text":
			if b.text != wrong {
				t.Errorf("line %d says\n%s\nbut it is\n%s", b.line, b.text, wrong)
			}
			wrong = ""
		case "yaml test":
			tests += runBlock(t, b, last)
		default:
			t.Errorf("line %d: a block of kind %q is not executed", b.line, b.info)
		}
		if wrong != "" && b.info != "yaml wrong" {
			t.Errorf("line %d: a wrong example must be followed by what is said about it", b.line)
		}
	}
	if recipes < 40 || tests < 50 {
		t.Errorf("only %d rule blocks and %d test cases were found: has the manual changed its form?", recipes, tests)
	}
}

func runBlock(t *testing.T, b block, set rules.File) int {
	t.Helper()
	text := b.text
	if !strings.HasPrefix(text, "apiVersion") {
		text = testHead + set.Name + "\n" + text
	}
	f, problems := Parse("manual.test.yaml", []byte(text), features.Default())
	if len(problems) == 0 && f.RuleSet != set.Name {
		t.Errorf("line %d tests %q, but the rules above are %q", b.line, f.RuleSet, set.Name)
	}
	if len(problems) == 0 {
		var results []Result
		results, problems = Run(f, set, features.Default())
		var out bytes.Buffer
		if passed, err := Report(&out, results, false); !passed || err != nil {
			t.Errorf("line %d: %v\n%s", b.line, err, out.String())
		}
	}
	if len(problems) > 0 {
		t.Errorf("line %d:\n%s", b.line, render(t, problems))
	}
	return len(f.Cases)
}

// TestLanguageNamesEverything keeps the manual complete: every action and its fields, every key.
func TestLanguageNamesEverything(t *testing.T) {
	data, err := os.ReadFile("../LANGUAGE.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, action := range rulefile.Actions() {
		if !strings.Contains(string(data), "\n| `"+action+"` |") {
			t.Errorf("the table of actions lacks `%s`", action)
		}
	}
	for _, word := range rulefile.Words() {
		if !strings.Contains(string(data), word) {
			t.Errorf("the manual never mentions `%s`", word)
		}
	}
}

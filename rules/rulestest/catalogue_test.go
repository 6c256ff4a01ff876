package rulestest

import (
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/sartorhq/sartor/rules"
)

var writeDocs = flag.Bool("write", false, "write the documents that are made by tests")

const errorsHead = `# What the checker says

Every problem of a rule file has a code, a place, what is wrong and what to write instead. An error keeps a file from
going live; a warning fails ` + "`sartor rules check`" + ` unless --allow-warnings is given. ` + "`sartor rules code R001`" + ` prints a
section of this page. The examples are run by a test, and the texts under them are what the checker says
(go test ./rules/rulestest -run Catalogue -args -write makes this page).

`

// TestCatalogue keeps ERRORS.md: every code, with an example that gives it and the words that it gives.
func TestCatalogue(t *testing.T) {
	var b strings.Builder
	b.WriteString(errorsHead)
	var codes []string
	for _, c := range rules.Catalogue() {
		codes = append(codes, c.Code)
		fmt.Fprintf(&b, "## %s: %s\n\n%s\n", c.Code, c.Title, c.Meaning)
		if c.Example != "" {
			fmt.Fprintf(&b, "\n```yaml\n%s```\n\n```text\n%s```\n", c.Example, saidOf(t, c))
		}
		b.WriteByte('\n')
	}
	got := strings.TrimRight(b.String(), "\n") + "\n"
	if !slices.IsSorted(codes) || len(slices.Compact(slices.Clone(codes))) != len(codes) {
		t.Errorf("the codes are not in order, each once: %v", codes)
	}
	const path = "../ERRORS.md"
	if *writeDocs {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	have, err := os.ReadFile(path)
	if err != nil || string(have) != got {
		t.Errorf("ERRORS.md is not what the checker says (%v): run go test ./rules/rulestest -run Catalogue -args -write", err)
	}
}

// saidOf is what the checker says about an example; all of it must be of the code.
func saidOf(t *testing.T, c rules.CodeInfo) string {
	t.Helper()
	path, text := complete(c.Example)
	f, problems := check(path, text)
	if c.Code == CodeUntested {
		problems = append(problems, Untested(f, nil)...)
	}
	if len(problems) == 0 || slices.ContainsFunc(problems, func(p rules.Problem) bool { return p.Code != c.Code }) {
		t.Errorf("the example of %s gives\n%s", c.Code, render(t, problems))
	}
	for _, p := range problems {
		if p.Hint == "" {
			t.Errorf("%s has no hint: %s", c.Code, p.Message)
		}
	}
	return render(t, problems)
}

// TestCatalogueIsComplete finds every code in the sources.
func TestCatalogueIsComplete(t *testing.T) {
	known := map[string]bool{}
	for _, c := range rules.Catalogue() {
		known[c.Code] = true
	}
	code := regexp.MustCompile(`"(R0[0-9][0-9])"`)
	err := filepath.WalkDir("../..", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || !strings.Contains(path, "rule") {
			return err
		}
		data, err := os.ReadFile(path)
		for _, m := range code.FindAllStringSubmatch(string(data), -1) {
			if !known[m[1]] {
				t.Errorf("%s: %s is not in the catalogue", path, m[1])
			}
		}
		return err
	})
	if err != nil || len(known) < 30 {
		t.Errorf("%d codes, %v", len(known), err)
	}
}

package main

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const modulePath = "github.com/sartorhq/sartor"

// packageTable is the table of DESIGN.md section 3: the packages that may exist and what each may
// import of ours. It knows packages that do not exist yet; one that it does not know fails the test.
// A stage imports the nouns that it consumes and nothing of who consumes its own.
var packageTable = map[string][]string{
	"streams":          {},
	"streams/codec":    {"streams", "streams/spelling"},
	"streams/kafka":    {"streams", "streams/codec"},
	"streams/file":     {"streams", "streams/codec", "streams/foreign"},
	"streams/foreign":  {"streams", "streams/codec"},
	"streams/synth":    {"streams"},
	"streams/archive":  {"streams"},
	"streams/spelling": {},

	"features":            {"streams", "streams/spelling"},
	"features/redisstore": {"features"},

	"models/kernel":   {},
	"models":          {"features", "models/kernel"},
	"models/index":    {"models/kernel"},
	"models/eval":     {},
	"models/train":    {"streams", "features", "models", "models/kernel"},
	"models/tune":     {"models", "models/train", "models/eval"},
	"models/compress": {"models", "models/train", "models/eval"},
	"models/registry": {"models"},
	"models/foreign":  {"models"},

	"rules":           {"features", "streams/spelling"},
	"rules/rulefile":  {"rules", "streams/spelling"},
	"rules/rulestest": {"streams", "streams/spelling", "rules", "rules/rulefile", "features"},
	"rules/rulestore": {"rules", "rules/rulefile", "features"},
	"rules/ruleredis": {"rules/rulestore"},
	"rules/schema":    {"rules", "rules/rulefile", "rules/rulestest", "features"},
	"rules/suggest":   {"streams"},
	"rules/value":     {"streams"},

	"recommender/experiment": {},
	"recommender/decision":   {"streams", "rules", "recommender/experiment"},
	"recommender":            {"streams/spelling", "features", "models", "models/index", "rules", "recommender/experiment", "recommender/decision"},
	"recommender/console":    {},
	"recommender/identity":   {}, // who a person is, by the company's OpenID Connect provider
	"recommender/httpapi": {"streams", "streams/codec", "streams/foreign", "streams/spelling", "features", "models", "rules", "rules/rulestore",
		"recommender", "recommender/decision", "recommender/experiment", "recommender/console", "recommender/identity"},

	"deploy/devstack": {"streams", "streams/codec", "streams/synth"},
	"deploy/rules":    {}, // the starter rules as an embed.FS, which has to live beside the files
	"cmd/sartor":      {"*"},
}

// fence keeps a third-party module behind the packages that may know it.
type fence struct {
	module string
	only   []string // packages whose code may import it
	tests  bool     // test files of every package may, too
	why    string
}

var fences = []fence{
	{"github.com/segmentio/kafka-go", []string{"streams/kafka"}, true, "another Kafka client must be a one-package change"},
	{"github.com/redis/go-redis", []string{"features/redisstore", "rules/ruleredis"}, true, "another store must be a change of these packages alone"},
	{"github.com/expr-lang/expr", []string{"rules"}, false, "the sandbox is enforced where expressions are compiled"},
	{"github.com/gofiber/fiber", []string{"recommender/httpapi"}, false, "Fiber v3 must be a one-package change"},
	{"github.com/valyala/fasthttp", []string{"recommender/httpapi"}, false, "its strings are reused after a handler returns"},
	{"github.com/coreos/go-oidc", []string{"recommender/identity"}, false, "tokens are judged in one place"},
	{"go.opentelemetry.io", []string{"cmd/sartor"}, false, "packages tell their parts to a function; only the command knows how traces travel"},
	{"github.com/danielgtaylor/huma", []string{"recommender/httpapi"}, false, "HTTP shapes stay beside the handlers"},
	{"go.yaml.in/yaml", []string{"rules/rulefile", "rules/rulestest", "features", "streams/file", "cmd/sartor"}, true, "the pure packages read decoded values"},
	{"github.com/twmb/franz-go", []string{"deploy/devstack"}, true, "the embedded broker is not for production"},
	{"github.com/alicebob/miniredis", []string{"deploy/devstack"}, true, "the embedded Redis is not for production"},
	{"github.com/spf13/cobra", []string{"cmd/sartor"}, false, "the command line is the program's edge"},
	{"github.com/knadh/koanf", []string{"cmd/sartor"}, false, "only the command knows the configuration file"},
}

// standardOnly lists packages without third-party imports outside their tests. The Go project's own
// x/sys counts as standard: it is the door to the processor and the kernel.
var standardOnly = []string{"streams", "streams/spelling", "models/eval", "models/index", "recommender/experiment", "recommender/console", "deploy/rules"}

// goFile is one source file: the package it is in, its name and what it imports.
type goFile struct {
	pkg, path string
	imports   []string
}

func TestImportsFollowTheTable(t *testing.T) {
	files := sourceFiles(t)
	if len(files) < 10 {
		t.Fatalf("found only %d Go files: is the walk looking in the right folder?", len(files))
	}
	for _, problem := range importProblems(files) {
		t.Error(problem)
	}
}

// importProblems judges files by the table and the fences.
func importProblems(files []goFile) []string {
	var problems []string
	report := func(f goFile, text ...string) { problems = append(problems, f.path+": "+strings.Join(text, "")) }
	for _, f := range files {
		allowed, known := packageTable[f.pkg]
		if !known {
			report(f, "package ", f.pkg, " is not in the table of DESIGN.md section 3: is it needed, and which level is it on?")
			continue
		}
		test := strings.HasSuffix(f.path, "_test.go")
		for _, imp := range f.imports {
			ours, isOurs := strings.CutPrefix(imp, modulePath+"/")
			switch {
			case isOurs && (test || ours == f.pkg || slices.Contains(allowed, ours) || slices.Contains(allowed, "*")):
				if ours == "cmd/sartor" {
					report(f, "nothing imports the command")
				}
			case isOurs:
				report(f, f.pkg, " must not import ", ours, "; it may import: ", strings.Join(allowed, ", "))
			case test || !strings.Contains(firstElement(imp), "."):
			case slices.Contains(standardOnly, f.pkg) && !strings.HasPrefix(imp, "golang.org/x/sys/"):
				report(f, f.pkg, " uses the standard library only, not ", imp)
			}
			if why, ok := fenced(f.pkg, imp, test); ok {
				report(f, imp, " is fenced off: ", why)
			}
		}
	}
	return problems
}

func fenced(pkg, imp string, test bool) (why string, ok bool) {
	for _, fc := range fences {
		if (imp == fc.module || strings.HasPrefix(imp, fc.module+"/")) && !slices.Contains(fc.only, pkg) && !(test && fc.tests) {
			return fc.why, true
		}
	}
	return "", false
}

func firstElement(imp string) string {
	first, _, _ := strings.Cut(imp, "/")
	return first
}

// TestTheTableCatches shows that the test above would notice: it is worth nothing otherwise.
func TestTheTableCatches(t *testing.T) {
	for name, tc := range map[string]struct {
		file goFile
		want string
	}{
		"sideways":       {goFile{"rules", "rules/a.go", []string{modulePath + "/models"}}, "rules must not import models"},
		"upward":         {goFile{"streams", "streams/a.go", []string{modulePath + "/features"}}, "streams must not import features"},
		"unlisted":       {goFile{"utils", "utils/a.go", nil}, "not in the table"},
		"fence":          {goFile{"recommender", "recommender/a.go", []string{"github.com/gofiber/fiber/v2"}}, "fenced off"},
		"fence-in-test":  {goFile{"features", "features/a_test.go", []string{"github.com/expr-lang/expr/vm"}}, "fenced off"},
		"standard-only":  {goFile{"streams", "streams/a.go", []string{"github.com/google/uuid"}}, "standard library only"},
		"allowed":        {goFile{"recommender", "recommender/a.go", []string{modulePath + "/rules", "context"}}, ""},
		"kfake-in-tests": {goFile{"streams/kafka", "streams/kafka/a_test.go", []string{"github.com/twmb/franz-go/pkg/kfake"}}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			got := strings.Join(importProblems([]goFile{tc.file}), "\n")
			if (tc.want == "") != (got == "") || !strings.Contains(got, tc.want) {
				t.Errorf("problems = %q, want one with %q", got, tc.want)
			}
		})
	}
}

func TestTheTableHasNoCycle(t *testing.T) {
	const visiting, done = 1, 2
	state := map[string]int{}
	var visit func(pkg string, trail []string)
	visit = func(pkg string, trail []string) {
		if state[pkg] == visiting {
			t.Fatalf("cycle: %s", strings.Join(append(trail, pkg), " -> "))
		}
		if state[pkg] == done || pkg == "*" {
			return
		}
		if _, ok := packageTable[pkg]; !ok {
			t.Errorf("%s is allowed somewhere and has no line of its own", pkg)
		}
		state[pkg] = visiting
		for _, dep := range packageTable[pkg] {
			visit(dep, append(trail, pkg))
		}
		state[pkg] = done
	}
	for pkg := range packageTable {
		visit(pkg, nil)
	}
}

// sourceFiles parses the imports of every Go file of the module. It reads files rather than asking
// the go command, so that the test cache notices a change.
func sourceFiles(t *testing.T) []goFile {
	t.Helper()
	root := moduleRoot(t)
	var files []goFile
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if path != root && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata" || d.Name() == "node_modules" || isModule(path)) {
				return filepath.SkipDir
			}
			return nil
		}
		if filepath.Ext(path) != ".go" {
			return nil
		}
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		gf := goFile{pkg: filepath.ToSlash(filepath.Dir(rel)), path: filepath.ToSlash(rel)}
		for _, imp := range f.Imports {
			name, err := strconv.Unquote(imp.Path.Value)
			if err != nil {
				return err
			}
			gf.imports = append(gf.imports, name)
		}
		files = append(files, gf)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// moduleRoot walks up from the test's folder to go.mod.
func moduleRoot(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs(".")
	if err != nil {
		t.Fatal(err)
	}
	for !isModule(dir) {
		if dir == filepath.Dir(dir) {
			t.Fatal("no go.mod above the test's folder")
		}
		dir = filepath.Dir(dir)
	}
	return dir
}

func isModule(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, "go.mod"))
	return err == nil
}

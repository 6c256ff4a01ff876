package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/sartorhq/sartor/features"
	"github.com/sartorhq/sartor/rules"
	"github.com/sartorhq/sartor/rules/rulefile"
	"github.com/sartorhq/sartor/rules/rulestest"
	"github.com/sartorhq/sartor/rules/rulestore"
	"github.com/sartorhq/sartor/streams/spelling"
)

// ruleGroup is rule files that go live together: a folder, or the files named on the command line.
type ruleGroup struct {
	rules, tests []string
	folder       bool
}

func isRuleTest(path string) bool {
	return strings.HasSuffix(path, ".test.yaml") || strings.HasSuffix(path, ".test.yml")
}

// ruleFiles loads the schema and finds the files that paths mean.
func (a *app) ruleFiles(paths []string) (*features.Schema, []ruleGroup, error) {
	schema, err := loadSchema(a.config.Schema)
	if err != nil {
		return nil, nil, err
	}
	groups, err := ruleGroups(paths)
	return schema, groups, err
}

// ruleGroups finds the files that paths mean. A path that does not exist is the command line's fault.
func ruleGroups(paths []string) ([]ruleGroup, error) {
	var groups []ruleGroup
	var named ruleGroup
	for _, path := range paths {
		info, err := os.Stat(path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil, usagef("%s does not exist%s", path, besidesHint(path))
		case err != nil:
			return nil, err
		case info.IsDir():
			g, err := folderGroup(path)
			if err != nil {
				return nil, err
			}
			groups = append(groups, g)
		case isRuleTest(path):
			named.tests = append(named.tests, path)
		default:
			named.rules = append(named.rules, path)
		}
	}
	if len(named.rules)+len(named.tests) > 0 {
		groups = append(groups, named)
	}
	return groups, nil
}

// besidesHint names the file of a folder that somebody may have meant.
func besidesHint(path string) string {
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		return ""
	}
	var names []string
	for _, e := range entries {
		if e.IsDir() || rulestore.IsRuleFile(e.Name()) || isRuleTest(e.Name()) {
			names = append(names, e.Name())
		}
	}
	if near := spelling.Nearest(filepath.Base(path), names); near != "" {
		return fmt.Sprintf("; did you mean %s?", filepath.Join(filepath.Dir(path), near))
	}
	return ""
}

func folderGroup(path string) (ruleGroup, error) {
	g := ruleGroup{folder: true}
	entries, err := os.ReadDir(path)
	if err != nil {
		return g, err
	}
	for _, e := range entries {
		full := filepath.Join(path, e.Name())
		if info, err := os.Stat(full); err != nil || !info.Mode().IsRegular() {
			continue
		}
		switch {
		case rulestore.IsRuleFile(e.Name()):
			g.rules = append(g.rules, full)
		case isRuleTest(e.Name()) && !strings.HasPrefix(e.Name(), "."):
			g.tests = append(g.tests, full)
		}
	}
	if len(g.rules) == 0 {
		return g, usagef("no rule files (*.yaml) in %s", path)
	}
	return g, nil
}

// check returns the problems of the group's files at the moment now, and how many rules they hold.
func (g ruleGroup) check(schema *features.Schema, now time.Time) ([]rules.Problem, int) {
	files, read := readRules(g.rules)
	_, compiled := rules.Compile(files, schema, rules.Options{Now: now})
	for _, path := range g.tests {
		data, problem := readRuleFile(path)
		if problem != nil {
			read = append(read, *problem)
			continue
		}
		_, problems := rulestest.Parse(path, data, schema)
		read = append(read, problems...)
	}
	count := 0
	for _, f := range files {
		count += len(f.Rules)
	}
	return rulefile.Merge(read, compiled), count
}

func readRules(paths []string) (files []rules.File, problems []rules.Problem) {
	for _, path := range paths {
		data, problem := readRuleFile(path)
		if problem != nil {
			problems = append(problems, *problem)
			continue
		}
		f, found := rulefile.Parse(path, data)
		files, problems = append(files, f), append(problems, found...)
	}
	return files, problems
}

func readRuleFile(path string) ([]byte, *rules.Problem) {
	data, err := os.ReadFile(path)
	if err == nil {
		return data, nil
	}
	return nil, &rules.Problem{Code: rulefile.CodeLimits, Severity: rules.SeverityError, Path: path, Line: 1, Column: 1,
		Message: fmt.Sprintf("cannot read the file: %v", err)}
}

// testFiles returns the group's tests with the rule file that each of them names. Rule files named
// on the command line bring the tests beside them; test files find their rules beside them.
func (g ruleGroup) testFiles(schema *features.Schema) ([]testFile, error) {
	tests, only := g.tests, map[string]bool{}
	if !g.folder {
		for _, path := range g.rules {
			only[path] = true
			beside, err := filepath.Glob(filepath.Join(escapeGlob(filepath.Dir(path)), "*.test.y*ml"))
			if err != nil {
				return nil, err
			}
			for _, t := range beside {
				if f := loadTest(t, schema); only[f.rules.Path] {
					tests = append(tests, t)
				}
			}
		}
	}
	out := make([]testFile, 0, len(tests))
	for _, path := range tests {
		out = append(out, loadTest(path, schema))
	}
	return out, nil
}

func escapeGlob(dir string) string {
	return strings.NewReplacer(`*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(dir)
}

// loadTest reads a test file and finds the rule set that it names among the files beside it.
func loadTest(path string, schema *features.Schema) testFile {
	data, problem := readRuleFile(path)
	if problem != nil {
		return testFile{problems: []rules.Problem{*problem}}
	}
	t, problems := rulestest.Parse(path, data, schema)
	out := testFile{test: t, problems: problems}
	g, err := folderGroup(filepath.Dir(path))
	if err != nil && len(g.rules) > 0 {
		return out
	}
	var names []string
	for _, rulePath := range g.rules {
		data, problem := readRuleFile(rulePath)
		if problem != nil {
			continue
		}
		f, found := rulefile.Parse(rulePath, data)
		if f.Name == t.RuleSet && f.Name != "" {
			out.rules = f
			out.problems = append(out.problems, found...)
			return out
		}
		names = append(names, f.Name)
	}
	if t.RuleSet == "" { // reported by Parse
		return out
	}
	p := rules.Problem{Code: rules.CodeUnknownName, Severity: rules.SeverityError, Path: path, Line: 1, Column: 1,
		Message: fmt.Sprintf("no file beside this one holds the rule set `%s`", t.RuleSet), Hint: "the rule sets here are " + strings.Join(names, ", ")}
	if near := spelling.Nearest(t.RuleSet, names); near != "" {
		p.Hint = "did you mean `" + near + "`?"
	}
	out.problems = append(out.problems, p)
	return out
}

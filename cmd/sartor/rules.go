package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sartorhq/sartor/features"
	"github.com/sartorhq/sartor/rules"
	"github.com/sartorhq/sartor/rules/rulefile"
	"github.com/sartorhq/sartor/rules/rulestest"
)

func newRulesCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "rules",
		Short: "Check, test, explain and publish rule files",
		Long: `Rules are YAML files that say what may, must and must not be recommended. The language is
explained in rules/LANGUAGE.md, with a recipe for most things that shops want.

  sartor rules check      finds every mistake, with its line, column and what to write instead
  sartor rules lint       finds what is right and yet doubtful
  sartor rules code       explains the code of a problem
  sartor rules test       runs the *.test.yaml files beside the rules
  sartor rules coverage   shows what these tests do not reach
  sartor rules fmt        writes files in their canonical form, comments kept
  sartor rules explain    says in sentences why a list is what it is
  sartor rules simulate   answers recorded requests with a rule set
  sartor rules diff       shows what a change does to recorded requests
  sartor rules publish    checks a folder and makes it live; history, rollback and audit go with it
  sartor rules schema     prints the JSON Schema of rule files, for editors
  sartor rules suggest    proposes rules from what happened, with the numbers behind them
  sartor rules value      measures what rules with a hold-out are worth

A PATH is a rule file or a folder of them. Names that end in .test.yaml are tests.`,
	}
	cmd.AddCommand(newRulesCheckCommand(a), newRulesLintCommand(a), newRulesCodeCommand(a), newRulesTestCommand(a), newRulesCoverageCommand(a), newRulesFmtCommand(a),
		newRulesExplainCommand(a), newRulesSimulateCommand(a), newRulesDiffCommand(a),
		newRulesPublishCommand(a), newRulesApproveCommand(a), newRulesPolicyCommand(a), newRulesRollbackCommand(a), newRulesHistoryCommand(a), newRulesAuditCommand(a),
		newRulesSchemaCommand(a), newRulesSuggestCommand(a), newRulesValueCommand(a))
	return cmd
}

func newRulesCheckCommand(a *app) *cobra.Command {
	var format string
	var allowWarnings bool
	cmd := &cobra.Command{
		Use:   "check PATH...",
		Short: "Find every mistake in rule files",
		Long: `Reads rule files as the service would, compiles them against the feature schema and reports every
problem at once: file, line, column, what is wrong, what to write instead. Exit code 0 means that
the service would take the files over. Warnings fail the check unless --allow-warnings is given.`,
		Example: `  sartor rules check deploy/rules
  sartor rules check --allow-warnings home.yaml category.yaml
  sartor rules check --format sarif deploy/rules > rules.sarif`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			if err := oneOf("--format", format, rulefile.Formats()...); err != nil {
				return err
			}
			return a.checkRules(args, format, allowWarnings)
		},
	}
	cmd.Flags().StringVar(&format, "format", "text", "how to report: text, json or sarif")
	cmd.Flags().BoolVar(&allowWarnings, "allow-warnings", false, "report warnings and pass nevertheless")
	a.bind(cmd.Flags(), "schema", "schema.file", "feature schema `file`; empty = the built-in schema")
	return cmd
}

func (a *app) checkRules(paths []string, format string, allowWarnings bool) error {
	schema, groups, err := a.ruleFiles(paths)
	if err != nil {
		return err
	}
	var problems []rules.Problem
	files, count := 0, 0
	for _, g := range groups {
		found, n := g.check(schema, time.Now())
		problems = append(problems, found...)
		files += len(g.rules) + len(g.tests)
		count += n
	}
	if err := rulefile.Render(a.stdout, problems, format); err != nil {
		return err
	}
	errors := countSeverity(problems, rules.SeverityError)
	warnings := len(problems) - errors
	if format == "text" {
		summary := fmt.Sprintf("%s, %s: %s, %s\n", plural(files, "file"), plural(count, "rule"), plural(errors, "error"), plural(warnings, "warning"))
		if len(problems) > 0 {
			summary = "\n" + summary
		}
		fmt.Fprint(a.stdout, summary)
	}
	if rulefile.Failed(problems, !allowWarnings) {
		return errReported
	}
	return nil
}

func countSeverity(problems []rules.Problem, s rules.Severity) int {
	n := 0
	for _, p := range problems {
		if p.Severity == s {
			n++
		}
	}
	return n
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

func newRulesTestCommand(a *app) *cobra.Command {
	var verbose bool
	cmd := &cobra.Command{
		Use:   "test PATH...",
		Short: "Run the tests beside rule files",
		Long: `Runs test files (*.test.yaml) against the rule files of their folder: each case names a user, some
items and candidates, and what must come out. For a rule file, its tests beside it are run.`,
		Example: `  sartor rules test deploy/rules
  sartor rules test -v home.yaml`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error { return a.testRules(args, verbose) },
	}
	cmd.Flags().BoolVarP(&verbose, "verbose", "v", false, "name the cases that pass, too")
	a.bind(cmd.Flags(), "schema", "schema.file", "feature schema `file`; empty = the built-in schema")
	return cmd
}

func (a *app) testRules(paths []string, verbose bool) error {
	schema, groups, err := a.ruleFiles(paths)
	if err != nil {
		return err
	}
	var results []rulestest.Result
	var problems []rules.Problem
	tests := 0
	for _, g := range groups {
		run, err := g.testFiles(schema)
		if err != nil {
			return err
		}
		tests += len(run)
		for _, t := range run {
			got, found := t.run(schema)
			results, problems = append(results, got...), append(problems, found...)
		}
	}
	if tests == 0 {
		return fmt.Errorf("no tests: no *.test.yaml names a rule set of %s", strings.Join(paths, ", "))
	}
	if len(problems) > 0 {
		if err := rulefile.Render(a.stdout, rulefile.Sort(problems), "text"); err != nil {
			return err
		}
		fmt.Fprintln(a.stdout)
	}
	passed, err := rulestest.Report(a.stdout, results, verbose)
	if err != nil {
		return err
	}
	if !passed || rulefile.Failed(problems, false) {
		return errReported
	}
	return nil
}

// testFile is one test file and the rule file that it tests.
type testFile struct {
	test     *rulestest.File
	rules    rules.File
	problems []rules.Problem
}

func (t testFile) run(schema *features.Schema) ([]rulestest.Result, []rules.Problem) {
	if rulefile.Failed(t.problems, false) {
		return nil, t.problems
	}
	results, problems := rulestest.Run(t.test, t.rules, schema)
	return results, append(t.problems, problems...)
}

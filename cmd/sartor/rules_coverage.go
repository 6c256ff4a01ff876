package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sartorhq/sartor/rules"
	"github.com/sartorhq/sartor/rules/rulefile"
	"github.com/sartorhq/sartor/rules/rulestest"
)

func newRulesCoverageCommand(a *app) *cobra.Command {
	var format string
	var least float64
	var verbose bool
	cmd := &cobra.Command{
		Use:   "coverage PATH...",
		Short: "Show what the tests beside rules do not reach",
		Long: `Runs the tests beside rule files and reports what they have not seen: a rule that never acts or
always does, a part of a condition (between "and" and "or") that is never true or never false, a row
of a table that is never hit. With --min, coverage below that share is a failure (exit code 1).`,
		Example: `  sartor rules coverage deploy/rules
  sartor rules coverage --min 90 deploy/rules`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			if !(least >= 0 && least <= 100) {
				return usagef("--min %v: need 0 to 100", least)
			}
			if err := oneOf("--format", format, "text", "json"); err != nil {
				return err
			}
			return a.coverRules(args, format, least, verbose)
		},
	}
	flags := cmd.Flags()
	flags.Float64Var(&least, "min", 0, "least coverage, in `percent`")
	flags.StringVar(&format, "format", "text", "how to report: text or json")
	flags.BoolVarP(&verbose, "verbose", "v", false, "show rules that are covered, too")
	a.bind(flags, "schema", "schema.file", "feature schema `file`; empty = the built-in schema")
	return cmd
}

func (a *app) coverRules(paths []string, format string, least float64, verbose bool) error {
	schema, groups, err := a.ruleFiles(paths)
	if err != nil {
		return err
	}
	var all []*rulestest.Coverage
	var problems []rules.Problem
	for _, g := range groups {
		tests, err := g.testFiles(schema)
		if err != nil {
			return err
		}
		files, found := g.coveredFiles(tests)
		if problems = append(problems, found...); rulefile.Failed(problems, false) {
			return a.reportProblems(rulefile.Sort(problems))
		}
		for _, f := range files {
			var own []*rulestest.File
			for _, t := range tests {
				if t.rules.Path == f.Path {
					own = append(own, t.test)
				}
			}
			c, found := rulestest.Cover(own, f, schema)
			if rulefile.Failed(found, false) {
				return a.reportProblems(found)
			}
			all = append(all, c)
		}
	}
	if format == "json" {
		err = writeJSON(a.stdout, all)
	} else {
		err = writeCoverage(a.stdout, all, verbose)
	}
	if err != nil {
		return err
	}
	if got := coveragePercent(all); got < least {
		fmt.Fprintf(a.stderr, "sartor: coverage is %.1f%%, below --min %g\n", got, least)
		return errReported
	}
	return nil
}

// coveredFiles are the rule files of the group, and those that its tests bring.
func (g ruleGroup) coveredFiles(tests []testFile) ([]rules.File, []rules.Problem) {
	files, problems := readRules(g.rules)
	for _, t := range tests {
		problems = append(problems, t.problems...)
		if !slices.ContainsFunc(files, func(f rules.File) bool { return f.Path == t.rules.Path }) && t.rules.Path != "" {
			files = append(files, t.rules)
		}
	}
	return files, problems
}

func coveragePercent(all []*rulestest.Coverage) float64 {
	seen, points := 0, 0
	for _, c := range all {
		s, n := c.Points()
		seen, points = seen+s, points+n
	}
	if points == 0 {
		return 100
	}
	return 100 * float64(seen) / float64(points)
}

func writeCoverage(w io.Writer, all []*rulestest.Coverage, verbose bool) error {
	var b strings.Builder
	for _, c := range all {
		seen, points := c.Points()
		fmt.Fprintf(&b, "%s  %s: %s, %s\n", percent(seen, max(points, 1)), c.Path, plural(len(c.Rules), "rule"), plural(c.Cases, "case"))
		for i := range c.Rules {
			writeRuleCoverage(&b, c.Path, &c.Rules[i], verbose)
		}
	}
	if len(all) > 1 {
		fmt.Fprintf(&b, "%.1f%%  in all\n", coveragePercent(all))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func writeRuleCoverage(b *strings.Builder, path string, r *rulestest.RuleCoverage, verbose bool) {
	var gaps []string
	if r.Matched == 0 {
		gaps = append(gaps, "no test in which it acts")
	}
	if r.Unmatched == 0 && !r.Row && !r.Always {
		gaps = append(gaps, "no test in which it does not act")
	}
	for _, o := range r.Operands {
		if o.Unknown {
			continue
		}
		if o.True == 0 {
			gaps = append(gaps, fmt.Sprintf("%s: never true: %s", o.Key, o.Text))
		}
		if o.False == 0 {
			gaps = append(gaps, fmt.Sprintf("%s: never false: %s", o.Key, o.Text))
		}
	}
	if len(gaps) == 0 && !verbose {
		return
	}
	where := r.Rule
	if r.Line > 0 {
		where = fmt.Sprintf("%s:%d  %s", path, r.Line, r.Rule)
	}
	fmt.Fprintf(b, "  %s: acts in %s, not in %d\n", where, plural(r.Matched, "case"), r.Unmatched)
	for _, g := range gaps {
		fmt.Fprintf(b, "      %s\n", g)
	}
	if !verbose {
		return
	}
	for _, o := range r.Operands {
		fmt.Fprintf(b, "      %s: true %d, false %d: %s\n", o.Key, o.True, o.False, o.Text)
	}
}

func newRulesLintCommand(a *app) *cobra.Command {
	var format string
	var strict bool
	cmd := &cobra.Command{
		Use:   "lint PATH...",
		Short: "Show what in rule files is right and yet doubtful",
		Long: `Reports warnings only: conditions that are never or always true, rules that others hide, pins that
want one place, parameters and lists that nothing uses, schedules that are over, rules that no test
names, rule sets without owner. 'sartor rules check' reports errors. Warnings are no failure unless
--strict is given.`,
		Example: `  sartor rules lint deploy/rules`,
		Args:    cobra.MinimumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			if err := oneOf("--format", format, rulefile.Formats()...); err != nil {
				return err
			}
			return a.lintRules(args, format, strict)
		},
	}
	cmd.Flags().StringVar(&format, "format", "text", "how to report: text, json or sarif")
	cmd.Flags().BoolVar(&strict, "strict", false, "exit code 1 when there are warnings")
	a.bind(cmd.Flags(), "schema", "schema.file", "feature schema `file`; empty = the built-in schema")
	return cmd
}

func (a *app) lintRules(paths []string, format string, strict bool) error {
	schema, groups, err := a.ruleFiles(paths)
	if err != nil {
		return err
	}
	var warnings []rules.Problem
	for _, g := range groups {
		found, _ := g.check(schema, time.Now())
		if rulefile.Failed(found, false) {
			return fmt.Errorf("the files have errors: run 'sartor rules check %s'", strings.Join(paths, " "))
		}
		tests, err := g.testFiles(schema)
		if err != nil {
			return err
		}
		files, _ := readRules(g.rules)
		warnings = append(warnings, found...)
		for _, f := range files {
			var of []*rulestest.File
			for _, t := range tests {
				if t.rules.Path == f.Path && t.test != nil {
					of = append(of, t.test)
				}
			}
			warnings = append(warnings, rulestest.Untested(f, of)...)
		}
	}
	warnings = rulefile.Sort(warnings)
	if err := rulefile.Render(a.stdout, warnings, format); err != nil {
		return err
	}
	if format == "text" {
		if len(warnings) > 0 {
			fmt.Fprintln(a.stdout)
		}
		fmt.Fprintln(a.stdout, plural(len(warnings), "warning"))
	}
	if strict && len(warnings) > 0 {
		return errReported
	}
	return nil
}

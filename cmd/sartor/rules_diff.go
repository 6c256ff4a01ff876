package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sartorhq/sartor/rules"
	"github.com/sartorhq/sartor/rules/rulestest"
)

// playFlags are the flags that diff and simulate share.
type playFlags struct {
	requests, format string
	top              int
	timing           bool
}

func (f *playFlags) declare(a *app, cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.requests, "requests", "", "recorded requests, one JSON object a line")
	flags.StringVar(&f.format, "format", "text", "how to report: text or json")
	flags.IntVar(&f.top, "top", 10, "longest table of the text report")
	flags.BoolVar(&f.timing, "timing", true, "measure what each rule costs")
	a.bind(flags, "schema", "schema.file", "feature schema `file`; empty = the built-in schema")
}

func (f *playFlags) check() error {
	if err := oneOf("--format", f.format, "text", "json"); err != nil {
		return err
	}
	if f.top < 1 {
		return usagef("--top %d: need at least 1", f.top)
	}
	return nil
}

// costRequests is how many recorded requests a rule's cost is measured with.
const costRequests = 50

func newRulesDiffCommand(a *app) *cobra.Command {
	var f playFlags
	cmd := &cobra.Command{
		Use:   "diff OLD NEW",
		Short: "Show what a change of rules does to recorded requests",
		Long: `Answers recorded requests with the old rules and with the new ones, and reports the difference: lists
that change, how much of them stays (overlap) and in which order (Kendall's tau), items that enter and
leave, exposure by brand and category, empty lists, rules that fire more or less often, and the rules
that cost most. OLD and NEW are folders or files.`,
		Example: `  sartor rules diff deploy/rules rules.new --requests recorded.ndjson`,
		Args:    cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := f.check(); err != nil {
				return err
			}
			return a.diffRules(cmd.Context(), args[0], args[1], f)
		},
	}
	f.declare(a, cmd)
	return cmd
}

// impactReport is the JSON form of diff.
type impactReport struct {
	rulestest.Impact
	Costs []rulestest.RuleCost `json:"costs,omitempty"`
}

func (a *app) diffRules(ctx context.Context, before, after string, f playFlags) error {
	recs, sets, files, err := a.recordedRules(ctx, f.requests, before, after)
	if err != nil {
		return err
	}
	report := impactReport{}
	if report.Impact, err = recs.Compare(ctx, sets[0], sets[1]); err != nil {
		return err
	}
	if report.Costs, err = costs(ctx, recs, files[1], f.timing); err != nil {
		return err
	}
	if f.format == "json" {
		return writeJSON(a.stdout, report)
	}
	return writeImpact(a.stdout, &report, f.top)
}

func costs(ctx context.Context, recs *rulestest.Recordings, files []rules.File, wanted bool) ([]rulestest.RuleCost, error) {
	if !wanted {
		return nil, nil
	}
	return recs.Costs(ctx, files, costRequests, time.Now)
}

func writeImpact(w io.Writer, r *impactReport, top int) error {
	t := &table{}
	t.line("requests        %d", r.Requests)
	t.line("lists changed   %d (%s)", r.Changed, percent(r.Changed, r.Requests))
	t.line("overlap         %.3f", r.Overlap)
	t.line("kendall tau     %.3f  (order of what stays, over %s)", r.Tau, plural(r.Ordered, "list"))
	t.line("empty lists     %d -> %d", r.Old.Empty, r.New.Empty)
	t.line("short lists     %d -> %d", r.Old.Short, r.New.Short)
	t.line("distinct items  %d -> %d", r.Old.Distinct, r.New.Distinct)
	t.counts("changed by scenario", r.Scenarios, top, r.Changed)
	t.segments(r.Segments, top)
	t.counts("items entering, by lists", r.Entering, top, r.Requests)
	t.counts("items leaving, by lists", r.Leaving, top, r.Requests)
	t.compare("exposure by brand, share of places", r.Old.Brands, r.New.Brands, r.Old.Shown, r.New.Shown, top)
	t.compare("exposure by category, share of places", r.Old.Categories, r.New.Categories, r.Old.Shown, r.New.Shown, top)
	t.compare("rules that acted, share of requests", r.Old.Fired, r.New.Fired, r.Requests, r.Requests, top)
	t.counts("rules that failed, by requests", r.New.Errors, top, r.Requests)
	t.costs(r.Costs, top)
	_, err := io.WriteString(w, t.String())
	return err
}

func newRulesSimulateCommand(a *app) *cobra.Command {
	var f playFlags
	cmd := &cobra.Command{
		Use:   "simulate PATH",
		Short: "Answer recorded requests with a rule set",
		Long: `Runs recorded requests through the rules of a folder or file and reports what comes out: empty and
short lists, exposure by brand and category, how often each rule acted, which never did, and what each
of them costs.`,
		Example: `  sartor rules simulate deploy/rules --requests recorded.ndjson`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := f.check(); err != nil {
				return err
			}
			return a.simulateRules(cmd.Context(), args[0], f)
		},
	}
	f.declare(a, cmd)
	return cmd
}

// tallyReport is the JSON form of simulate.
type tallyReport struct {
	rulestest.Tally
	Costs []rulestest.RuleCost `json:"costs,omitempty"`
}

func (a *app) simulateRules(ctx context.Context, path string, f playFlags) error {
	recs, sets, files, err := a.recordedRules(ctx, f.requests, path)
	if err != nil {
		return err
	}
	report := tallyReport{}
	if report.Tally, err = recs.Simulate(ctx, sets[0]); err != nil {
		return err
	}
	if report.Costs, err = costs(ctx, recs, files[0], f.timing); err != nil {
		return err
	}
	if f.format == "json" {
		return writeJSON(a.stdout, report)
	}
	t := &table{}
	t.line("requests        %d", report.Requests)
	t.line("empty lists     %d (%s)", report.Empty, percent(report.Empty, report.Requests))
	t.line("short lists     %d (%s)", report.Short, percent(report.Short, report.Requests))
	t.line("distinct items  %d in %s", report.Distinct, plural(report.Shown, "place"))
	t.counts("exposure by brand, places", report.Brands, f.top, report.Shown)
	t.counts("exposure by category, places", report.Categories, f.top, report.Shown)
	t.counts("rules, requests in which each acted", report.Fired, math.MaxInt, report.Requests)
	t.counts("rules that gave way to another one, by requests", report.Yielded, f.top, report.Requests)
	t.counts("rules that failed, by requests", report.Errors, f.top, report.Requests)
	t.costs(report.Costs, f.top)
	_, err = io.WriteString(a.stdout, t.String())
	return err
}

// table is a text report in the making.
type table struct{ strings.Builder }

func (t *table) line(format string, args ...any) { fmt.Fprintf(t, format+"\n", args...) }

func (t *table) counts(title string, counts []rulestest.Count, top, of int) {
	if len(counts) == 0 {
		return
	}
	t.line("\n%s", title)
	for _, c := range counts[:min(top, len(counts))] {
		t.line("  %-32s %7d  %6s", nameOrUnknown(c.Name), c.N, percent(c.N, of))
	}
	if more := len(counts) - top; more > 0 {
		t.line("  and %d more", more)
	}
}

func (t *table) segments(list []rulestest.SegmentImpact, top int) {
	if len(list) == 0 {
		return
	}
	t.line("\nby users: requests, lists changed, overlap")
	for _, s := range list[:min(top, len(list))] {
		t.line("  %-32s %7d  %6s  %.3f", s.Name, s.Requests, percent(s.Changed, s.Requests), s.Overlap)
	}
	if more := len(list) - top; more > 0 {
		t.line("  and %d more", more)
	}
}

// compare shows shares before and after, where they differ, the largest difference first.
func (t *table) compare(title string, before, after []rulestest.Count, ofBefore, ofAfter, top int) {
	type row struct {
		name     string
		was, is  int
		distance float64
	}
	at := map[string]int{}
	var rows []row
	for side, counts := range [][]rulestest.Count{before, after} {
		for _, c := range counts {
			i, ok := at[c.Name]
			if !ok {
				i, at[c.Name] = len(rows), len(rows)
				rows = append(rows, row{name: c.Name})
			}
			if side == 0 {
				rows[i].was = c.N
			} else {
				rows[i].is = c.N
			}
		}
	}
	if len(rows) == 0 {
		return
	}
	for i := range rows {
		rows[i].distance = math.Abs(part(rows[i].is, ofAfter) - part(rows[i].was, ofBefore))
	}
	slices.SortStableFunc(rows, func(a, b row) int { return cmp.Compare(b.distance, a.distance) })
	t.line("\n%s", title)
	for _, r := range rows[:min(top, len(rows))] {
		t.line("  %-32s %6s -> %6s", nameOrUnknown(r.name), percent(r.was, ofBefore), percent(r.is, ofAfter))
	}
}

func (t *table) costs(costs []rulestest.RuleCost, top int) {
	if len(costs) == 0 {
		return
	}
	t.line("\nslowest rules, each measured alone, a request")
	for _, c := range costs[:min(top, len(costs))] {
		t.line("  %-32s %9.1f µs", c.Rule, float64(c.Request.Nanoseconds())/1000)
	}
}

func nameOrUnknown(name string) string {
	if name == "" {
		return "(unknown)"
	}
	return name
}

func part(n, of int) float64 {
	if of == 0 {
		return 0
	}
	return float64(n) / float64(of)
}

func percent(n, of int) string { return fmt.Sprintf("%.1f%%", 100*part(n, of)) }

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sartorhq/sartor/features"
	"github.com/sartorhq/sartor/rules"
	"github.com/sartorhq/sartor/rules/rulefile"
	"github.com/sartorhq/sartor/rules/rulestest"
	"github.com/sartorhq/sartor/rules/rulestore"
)

// publishFlags are the flags of publish and rollback.
type publishFlags struct {
	store, author, message, revision string
	requests                         string
	maxChanged                       int
	draft, allowWarnings             bool
}

func (f *publishFlags) declare(a *app, cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.store, "store", "", "`folder` of the archive, whose subfolder 'current' replicas read; or redis, as the configuration names it")
	flags.StringVar(&f.author, "author", "", "who does this; default: the user of this computer")
	a.bind(flags, "schema", "schema.file", "feature schema `file`; empty = the built-in schema")
}

// testTree runs the tests of a revision against its rules.
func testTree(files []rules.File, tests rulestore.Tree, schema *features.Schema) (rulestore.TestResult, error) {
	out := rulestore.TestResult{}
	var results []rulestest.Result
	for _, name := range sortedKeysOf(tests) {
		t, problems := rulestest.Parse(name, []byte(tests[name]), schema)
		i := slices.IndexFunc(files, func(f rules.File) bool { return f.Name == t.RuleSet })
		if i < 0 && !rulefile.Failed(problems, false) {
			problems = append(problems, rules.Problem{Code: rules.CodeUnknownName, Severity: rules.SeverityError, Path: name, Line: 1, Column: 1,
				Message: fmt.Sprintf("no file beside this one holds the rule set `%s`", t.RuleSet)})
		}
		if !rulefile.Failed(problems, false) {
			var got []rulestest.Result
			if got, problems = rulestest.Run(t, files[i], schema); len(problems) == 0 {
				results = append(results, got...)
			}
		}
		out.Problems = append(out.Problems, problems...)
	}
	out.Cases = len(results)
	for _, r := range results {
		if !r.Passed() {
			out.Failed++
		}
	}
	var b strings.Builder
	_, err := rulestest.Report(&b, results, false)
	out.Report = b.String()
	return out, err
}

func sortedKeysOf(t rulestore.Tree) []string {
	names := make([]string, 0, len(t))
	for name := range t {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func newRulesPublishCommand(a *app) *cobra.Command {
	var f publishFlags
	cmd := &cobra.Command{
		Use:   "publish [FOLDER]",
		Short: "Check a rule folder and make it live as a new revision",
		Long: `Keeps the rule files, their lists and their tests of a folder as a revision in an archive, checks it
(it must decode, have the right types, cost little enough, give no warnings and pass its tests), and
makes it live: the link 'current' of the archive is replaced in one step, so that a replica which reads
STORE/current sees the old revision or the new one, never a mixture. A revision that is refused stays a
draft, and what is live stays live. With --store redis the archive is shared by all machines that use the
same Redis, and replicas follow it (rules.store: redis).

With --requests, recorded requests are answered by the live rules and by the new ones, nobody sees it, and
the difference stands in the history; --max-changed refuses a change of more lists than meant.`,
		Example: `  sartor rules publish rules/ --store /var/lib/sartor/rules -m "Autumn campaign"
  sartor rules publish rules/ --store STORE -m "To be looked at" --draft
  sartor rules publish --revision 7 --store STORE
  sartor rules publish rules/ --store redis -m "Sale" --requests recorded.ndjson --max-changed 30`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if (len(args) == 1) == (f.revision != "") {
				return usagef("publish a folder, or a draft with --revision")
			}
			return a.publishRules(cmd.Context(), args, f)
		},
	}
	f.declare(a, cmd)
	cmd.Flags().StringVarP(&f.message, "message", "m", "", "what is new, for the history")
	cmd.Flags().BoolVar(&f.draft, "draft", false, "keep and check it, but do not make it live")
	cmd.Flags().StringVar(&f.revision, "revision", "", "publish this draft: its `id` or number")
	cmd.Flags().BoolVar(&f.allowWarnings, "allow-warnings", false, "publish in spite of warnings")
	cmd.Flags().StringVar(&f.requests, "requests", "", "answer the recorded requests of this `file` by the live and the new rules first")
	cmd.Flags().IntVar(&f.maxChanged, "max-changed", 100, "refuse when more than this many percent of the lists change")
	return cmd
}

func (a *app) publishRules(ctx context.Context, args []string, f publishFlags) error {
	if f.requests == "" && f.maxChanged != 100 {
		return usagef("--max-changed needs --requests: without recorded requests nothing is compared")
	}
	if f.maxChanged < 0 || f.maxChanged > 100 {
		return usagef("--max-changed %d: want a percentage from 0 to 100", f.maxChanged)
	}
	if f.revision == "" && f.message == "" {
		return usagef("what is new? use -m MESSAGE")
	}
	tree := rulestore.Tree{}
	if f.revision == "" {
		if _, err := ruleGroups(args); err != nil { // exists, and holds rules
			return err
		}
		var err error
		if tree, err = rulestore.ReadTree(args[0]); err != nil {
			return fmt.Errorf("read %s: %w", args[0], err)
		}
	}
	return a.changeArchive(ctx, &f, func(archive *rulestore.Archive) (string, *rulestore.CheckReport, error) {
		id := f.revision
		if id == "" {
			r, err := archive.Submit(ctx, rulestore.Draft{Files: tree, Author: f.author, Message: f.message})
			if err != nil {
				return "", nil, err
			}
			id = r.ID
		}
		if f.draft {
			report, err := archive.Check(ctx, id, f.allowWarnings)
			return "is checked; publish it with --revision " + id, report, err
		}
		report, err := archive.Publish(ctx, id, f.author, f.allowWarnings)
		return "is live", report, err
	})
}

// published reports what became of a revision.
func (a *app) published(fate string, report *rulestore.CheckReport, err error) error {
	if report == nil {
		return err
	}
	if err := rulefile.Render(a.stdout, rulefile.Sort(report.Problems), "text"); err != nil {
		return err
	}
	if report.Tests.Failed > 0 {
		fmt.Fprint(a.stdout, report.Tests.Report)
	}
	r := report.Revision
	for _, c := range r.Checks {
		mark := "ok    "
		if !c.OK {
			mark = "FAIL  "
		}
		fmt.Fprintln(a.stdout, strings.TrimRight(mark+fmt.Sprintf("%-7s %s", c.Name, c.Detail), " "))
	}
	if errors.Is(err, rulestore.ErrRefused) {
		fmt.Fprintf(a.stdout, "%s was refused and stays a draft; nothing has changed for anybody\n", r.ID)
		return errReported
	}
	if errors.Is(err, rulestore.ErrNotApproved) {
		fmt.Fprintf(a.stdout, "%s waits: somebody else has to approve it with 'sartor rules approve %s'\n", r.ID, r.ID)
	}
	if err != nil {
		return err
	}
	fmt.Fprintf(a.stdout, "%s %s\n", r.ID, fate)
	return nil
}

func newRulesRollbackCommand(a *app) *cobra.Command {
	var f publishFlags
	cmd := &cobra.Command{
		Use:     "rollback REVISION",
		Short:   "Publish an older revision again, as a new one",
		Example: `  sartor rules rollback 6 --store STORE -m "The campaign sells nothing"`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if f.message == "" {
				return usagef("why? use -m MESSAGE")
			}
			return a.changeArchive(cmd.Context(), &f, func(archive *rulestore.Archive) (string, *rulestore.CheckReport, error) {
				report, err := archive.Rollback(cmd.Context(), args[0], f.author, f.message)
				fate := "is live"
				if report != nil {
					fate += " with the files of " + report.Revision.RollbackOf
				}
				return fate, report, err
			})
		},
	}
	f.declare(a, cmd)
	cmd.Flags().StringVarP(&f.message, "message", "m", "", "why, for the history")
	return cmd
}

func newRulesHistoryCommand(a *app) *cobra.Command {
	var f publishFlags
	var format string
	var replicas []string
	cmd := &cobra.Command{
		Use:   "history [REVISION]",
		Short: "List the revisions of an archive, or show one with its difference",
		Example: `  sartor rules history --store STORE
  sartor rules history 7 --store STORE
  sartor rules history --store STORE --replicas http://a:8080,http://b:8080`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := oneOf("--format", format, "text", "json"); err != nil {
				return err
			}
			opened, err := a.archive(&f)
			if err != nil {
				return err
			}
			defer opened.close()
			archive, err := opened.Latest(cmd.Context())
			if err != nil {
				return err
			}
			if len(args) == 1 {
				return a.showRevision(archive, args[0], format)
			}
			if err := a.showHistory(archive, format); err != nil {
				return err
			}
			if opened.redis != nil && format == "text" && len(replicas) == 0 {
				return a.showReported(cmd.Context(), opened.redis, archive)
			}
			return a.showReplicas(cmd.Context(), archive, replicas)
		},
	}
	f.declare(a, cmd)
	cmd.Flags().StringVar(&format, "format", "text", "how to report: text or json")
	cmd.Flags().StringSliceVar(&replicas, "replicas", nil, "ask these `addresses` which revision they serve")
	return cmd
}

func (a *app) showHistory(archive *rulestore.Archive, format string) error {
	all, err := archive.History()
	if err != nil {
		return err
	}
	if format == "json" {
		return writeJSON(a.stdout, all)
	}
	for _, r := range all {
		fmt.Fprintf(a.stdout, "%s  %-10s  %s  %s: %s%s\n", r.ID, r.State, r.CreatedAt.Format("2006-01-02 15:04Z"), r.Author, r.Message, checksInWords(&r))
	}
	return nil
}

func checksInWords(r *rulestore.Revision) string {
	for _, c := range r.Checks {
		if !c.OK {
			return fmt.Sprintf("  (refused by %s: %s)", c.Name, c.Detail)
		}
	}
	return ""
}

func (a *app) showRevision(archive *rulestore.Archive, id, format string) error {
	r, err := archive.Revision(id)
	if errors.Is(err, rulestore.ErrUnknownRevision) {
		return usageError{err}
	}
	if err != nil {
		return err
	}
	if format == "json" {
		return writeJSON(a.stdout, r)
	}
	fmt.Fprintf(a.stdout, "revision  %s (%s)\nsha256    %s\nby        %s at %s\nmessage   %s\n", r.ID, r.State, r.SHA256, r.Author,
		r.CreatedAt.Format(time.RFC3339), r.Message)
	if r.RollbackOf != "" {
		fmt.Fprintf(a.stdout, "repeats   %s\n", r.RollbackOf)
	}
	for _, c := range r.Checks {
		fmt.Fprintln(a.stdout, strings.TrimRight(fmt.Sprintf("check     %-7s %v %s", c.Name, c.OK, c.Detail), " "))
	}
	fmt.Fprintf(a.stdout, "\n%s", r.Diff)
	return nil
}

func newRulesAuditCommand(a *app) *cobra.Command {
	var f publishFlags
	var quiet bool
	cmd := &cobra.Command{Use: "audit", Short: "Show and verify who did what to an archive"}
	verify := &cobra.Command{
		Use:   "verify",
		Short: "Check the chain of the audit log and the files of all revisions",
		Long: `Each line of the log holds the hash of itself and, through it, of all lines before it; a file beside
the log holds the hash of the last one. Exit code 1: a line was changed, added or taken away (it is
named), or the files of a revision are not those that were handed in.`,
		Example: `  sartor rules audit verify --store STORE`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if _, err := os.Stat(f.store); err != nil && f.store != "" && f.store != ruleRedis {
				return usageError{err}
			}
			opened, err := a.archive(&f)
			if err != nil {
				return err
			}
			defer opened.close()
			archive, err := opened.Latest(cmd.Context())
			if err != nil {
				return err
			}
			entries, err := archive.Verify(cmd.Context())
			if !quiet {
				for _, e := range entries {
					fmt.Fprintln(a.stdout, strings.TrimRight(fmt.Sprintf("%4d  %s  %-9s  %s  %s  %s", e.Seq, e.Time.Format(time.RFC3339), e.Action, e.Revision, e.Author, e.Message), " "))
				}
			}
			if err != nil {
				return err
			}
			fmt.Fprintf(a.stdout, "%s, all in order\n", plural(len(entries), "line"))
			return nil
		},
	}
	f.declare(a, verify)
	verify.Flags().BoolVarP(&quiet, "quiet", "q", false, "do not list the lines")
	cmd.AddCommand(verify)
	return cmd
}

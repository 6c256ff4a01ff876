package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sartorhq/sartor/features"
	"github.com/sartorhq/sartor/rules"
	"github.com/sartorhq/sartor/rules/rulefile"
	"github.com/sartorhq/sartor/rules/rulestest"
	"github.com/sartorhq/sartor/streams/spelling"
)

// explainFlags are the flags of one call of explain.
type explainFlags struct {
	name, requests, item, format string
	line                         int
}

func newRulesExplainCommand(a *app) *cobra.Command {
	var f explainFlags
	cmd := &cobra.Command{
		Use:   "explain PATH",
		Short: "Say in plain sentences why a list is what it is",
		Long: `Takes one situation, a case of the tests beside the rules or a recorded request, runs the rules and
says what each of them did, and for every item where it came from, what happened to it and why it is
where it is, or why it is not in the list.`,
		Example: `  sartor rules explain deploy/rules --case "best seller first"
  sartor rules explain home.test.yaml --case "sold out never" --item sku-17
  sartor rules explain deploy/rules --requests recorded.ndjson --line 12`,
		Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			if err := oneOf("--format", f.format, "text", "json"); err != nil {
				return err
			}
			return a.explainRules(args[0], f)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.name, "case", "", "the test case: its `name`, or a part of it")
	flags.StringVar(&f.requests, "requests", "", "take a request of this `file` of recorded requests")
	flags.IntVar(&f.line, "line", 1, "line of --requests")
	flags.StringVar(&f.item, "item", "", "tell the story of this item `id` only")
	flags.StringVar(&f.format, "format", "text", "how to report: text or json")
	a.bind(flags, "schema", "schema.file", "feature schema `file`; empty = the built-in schema")
	return cmd
}

func (a *app) explainRules(path string, f explainFlags) error {
	schema, err := loadSchema(a.config.Schema)
	if err != nil {
		return err
	}
	title, story, err := "", rulestest.Story{}, error(nil)
	if f.requests != "" {
		title, story, err = a.explainRequest(path, f, schema)
	} else {
		title, story, err = a.explainCase(path, f, schema)
	}
	if err != nil {
		return err
	}
	if f.item != "" {
		if story, err = onlyItem(story, f.item); err != nil {
			return err
		}
	}
	if f.format == "json" {
		return writeJSON(a.stdout, story)
	}
	return writeStory(a.stdout, title, story)
}

// onlyItem leaves one item's story.
func onlyItem(s rulestest.Story, id string) (rulestest.Story, error) {
	known := make([]string, 0, len(s.Items))
	for _, it := range s.Items {
		if it.Item == id {
			s.Items = []rulestest.ItemStory{it}
			return s, nil
		}
		known = append(known, it.Item)
	}
	hint := ""
	if near := spelling.Nearest(id, known); near != "" {
		hint = fmt.Sprintf("; did you mean %s?", near)
	}
	return s, usagef("the item %s was no candidate%s", id, hint)
}

func writeJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

func writeStory(w io.Writer, title string, s rulestest.Story) error {
	var b strings.Builder
	fmt.Fprintln(&b, title)
	for _, text := range s.Request {
		fmt.Fprintf(&b, "  %s\n", text)
	}
	for _, it := range s.Items {
		place := "  -"
		if it.Position > 0 {
			place = fmt.Sprintf("%2d.", it.Position)
		}
		fmt.Fprintf(&b, "\n%s %s\n", place, it.Item)
		for _, text := range it.Says {
			fmt.Fprintf(&b, "    %s\n", text)
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// explainCase runs the tests of path and tells the one case that is meant.
func (a *app) explainCase(path string, f explainFlags, schema *features.Schema) (string, rulestest.Story, error) {
	groups, err := ruleGroups([]string{path})
	if err != nil {
		return "", rulestest.Story{}, err
	}
	var found []rulestest.Result
	var names, ids []string
	for _, g := range groups {
		tests, err := g.testFiles(schema)
		if err != nil {
			return "", rulestest.Story{}, err
		}
		for _, t := range tests {
			results, problems := t.run(schema)
			if rulefile.Failed(problems, false) {
				return "", rulestest.Story{}, a.reportProblems(problems)
			}
			for _, r := range results {
				names = append(names, r.Name)
				if r.Name == f.name || f.name != "" && strings.Contains(r.Name, f.name) {
					found = append(found, r)
					ids = idsOf(t.rules)
				}
				if r.Name == f.name { // the whole name means this one
					return caseTitle(r), rulestest.Tell(&r.Trace, ids), nil
				}
			}
		}
	}
	if len(names) == 0 {
		return "", rulestest.Story{}, fmt.Errorf("no tests: no *.test.yaml names a rule set of %s", path)
	}
	if f.name == "" {
		return "", rulestest.Story{}, usagef("which case? use --case NAME; the cases are: %s", strings.Join(names, "; "))
	}
	if len(found) != 1 {
		return "", rulestest.Story{}, usagef("--case %q fits %s; the cases are: %s", f.name, plural(len(found), "case"), strings.Join(names, "; "))
	}
	return caseTitle(found[0]), rulestest.Tell(&found[0].Trace, ids), nil
}

func caseTitle(r rulestest.Result) string {
	return fmt.Sprintf("%s:%d  %s", r.Path, r.Line, r.Name)
}

func idsOf(f rules.File) []string {
	var ids []string
	for _, r := range f.Rules {
		if !r.Disabled {
			ids = append(ids, r.ID)
		}
	}
	for _, t := range f.Tables {
		for i := range t.Rows {
			if !t.Disabled {
				ids = append(ids, fmt.Sprintf("%s#%d", t.ID, i+1))
			}
		}
	}
	return ids
}

// explainRequest tells one recorded request.
func (a *app) explainRequest(path string, f explainFlags, schema *features.Schema) (string, rulestest.Story, error) {
	set, _, err := a.compileRules(path, schema)
	if err != nil {
		return "", rulestest.Story{}, err
	}
	recs, err := a.readRecordings(f.requests, schema)
	if err != nil {
		return "", rulestest.Story{}, err
	}
	for i := range recs.Requests {
		if rec := &recs.Requests[i]; rec.Line == f.line {
			got := recs.Play(set, rec, true)
			title := fmt.Sprintf("%s:%d  %s, %s wanted", f.requests, f.line, rec.Env.Now.Format(time.RFC3339), plural(rec.Env.Request.Count, "item"))
			return title, rulestest.Tell(&got.Trace, set.RuleIDs()), nil
		}
	}
	return "", rulestest.Story{}, usagef("%s has no request on line %d", f.requests, f.line)
}

// compileRules makes the set that a service would make of a folder or file. Problems that stop it are
// reported.
func (a *app) compileRules(path string, schema *features.Schema) (*rules.Set, []rules.File, error) {
	groups, err := ruleGroups([]string{path})
	if err != nil {
		return nil, nil, err
	}
	files, read := readRules(groups[0].rules)
	set, compiled := rules.Compile(files, schema, rules.Options{Now: time.Now()})
	problems := rulefile.Merge(read, compiled)
	if set == nil || rulefile.Failed(problems, false) {
		return nil, nil, a.reportProblems(problems)
	}
	return set, files, nil
}

func (a *app) reportProblems(problems []rules.Problem) error {
	if err := rulefile.Render(a.stderr, problems, "text"); err != nil {
		return err
	}
	return errReported
}

// readRecordings opens a file of recorded requests and says on standard error what it ignored.
func (a *app) readRecordings(path string, schema *features.Schema) (*rulestest.Recordings, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, usageError{err}
	}
	defer file.Close()
	recs, err := rulestest.ReadRecordings(file, schema)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if len(recs.Requests) == 0 {
		return nil, fmt.Errorf("%s holds no request", path)
	}
	if len(recs.Unknown) > 0 {
		fmt.Fprintf(a.stderr, "sartor: the schema does not know %s: ignored\n", strings.Join(recs.Unknown, ", "))
	}
	return recs, nil
}

// recordedRules is what diff and simulate need of the command line.
func (a *app) recordedRules(ctx context.Context, requests string, paths ...string) (*rulestest.Recordings, []*rules.Set, [][]rules.File, error) {
	if requests == "" {
		return nil, nil, nil, usagef("which requests? use --requests FILE, as 'sartor serve --record' writes it")
	}
	schema, err := loadSchema(a.config.Schema)
	if err != nil {
		return nil, nil, nil, err
	}
	var sets []*rules.Set
	var files [][]rules.File
	for _, path := range paths {
		set, f, err := a.compileRules(path, schema)
		if err != nil {
			return nil, nil, nil, err
		}
		sets, files = append(sets, set), append(files, f)
	}
	recs, err := a.readRecordings(requests, schema)
	if err != nil {
		return nil, nil, nil, err
	}
	return recs, sets, files, ctx.Err()
}

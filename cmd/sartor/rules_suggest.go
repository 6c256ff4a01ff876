package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sartorhq/sartor/features"
	"github.com/sartorhq/sartor/rules"
	"github.com/sartorhq/sartor/rules/rulefile"
	"github.com/sartorhq/sartor/rules/rulestore"
	rulesuggest "github.com/sartorhq/sartor/rules/suggest"
	"github.com/sartorhq/sartor/rules/value"
	"github.com/sartorhq/sartor/streams"
	"github.com/sartorhq/sartor/streams/kafka"
)

// suggestFlags are the flags of one call.
type suggestFlags struct {
	from, out, format string
	options           rulesuggest.Options
}

func newRulesSuggestCommand(a *app) *cobra.Command {
	var f suggestFlags
	cmd := &cobra.Command{
		Use:   "suggest [PATH]",
		Short: "Propose rules from what happened, with the numbers behind them",
		Long: `Reads the log (Kafka or a recording) and proposes: a boost for categories whose sales rise by more than
chance, a place for items that have stock and margin and are never shown, a weight for categories that a
segment or tier wants more or less than others do, and, for the rules in PATH, which of them never act and
which cost revenue, by their hold-outs. Each rule comes as a file with a test and its evidence; --out
writes them, and under replace/ the files of PATH without the rules that are better off. What is
proposed has passed the same checks and tests as a published revision. Nothing is published.`,
		Example: `  sartor rules suggest deploy/rules --brokers localhost:9092
  sartor rules suggest --from-file ndjson:events.ndjson --out suggested/`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := oneOf("--format", f.format, "text", "json"); err != nil {
				return err
			}
			return a.suggestRules(cmd.Context(), args, f)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.from, "from-file", "", fromFileUsage)
	flags.StringVar(&f.out, "out", "", "write the proposed files into this `folder`")
	flags.StringVar(&f.format, "format", "text", "how to report: text or json")
	flags.StringVar(&f.options.Owner, "owner", "", "owner of the proposed files")
	flags.Int64Var(&f.options.MinUnits, "min-units", 20, "units that a rising category sold in the last week, at least")
	flags.Float64Var(&f.options.MinRise, "min-rise", 1.5, "last week's units to those of the week before, at least")
	flags.Int64Var(&f.options.MinStock, "min-stock", 10, "stock of an item that should be shown, at least")
	flags.Float64Var(&f.options.MinMargin, "min-margin", 0.3, "margin of an item that should be shown, at least; negative = also at a loss")
	flags.IntVar(&f.options.MinUsers, "min-users", 100, "users of a segment, and others, who were shown a category, at least")
	flags.Int64Var(&f.options.MinShown, "min-shown", 1000, "recorded places that it takes to say never")
	a.bind(flags, "brokers", "kafka.brokers", "Kafka brokers, host:port separated by commas")
	a.bind(flags, "schema", "schema.file", "feature schema `file`; empty = the built-in schema")
	return cmd
}

func (a *app) suggestRules(ctx context.Context, args []string, f suggestFlags) error {
	schema, err := loadSchema(a.config.Schema)
	if err != nil {
		return err
	}
	var ids []string
	var files []rules.File
	if len(args) == 1 {
		set, read, err := a.compileRules(args[0], schema)
		if err != nil {
			return err
		}
		ids, files = set.RuleIDs(), read
	}
	read, err := a.loggedEvents(f.from, streams.Catalog, streams.Users, streams.Orders, streams.Behavior, streams.Exposures)
	if err != nil {
		return err
	}
	log, worth, events := rulesuggest.NewLog(), value.NewLog(), 0
	if err := read(ctx, func(e *streams.Event) { log.Add(e); worth.Add(e); events++ }); err != nil {
		return err
	}
	found := append(log.Suggest(ids, f.options), costlyRules(worth.Measure(value.Options{Held: heldShares(files)}), ids)...)
	for i := range found {
		if err := prove(ctx, &found[i], schema); err != nil {
			return fmt.Errorf("the suggestion %s does not hold: %w", found[i].Name, err)
		}
	}
	if f.format == "json" {
		if err := writeJSON(a.stdout, found); err != nil {
			return err
		}
	} else {
		a.tellSuggestions(found, events)
	}
	if f.out == "" {
		return nil
	}
	if err := a.writeSuggestions(found, f.out); err != nil {
		return err
	}
	return a.writeReplacements(ctx, found, files, f.out, schema)
}

// loggedEvents opens the log that the command line names; of Kafka only the streams that are asked for.
func (a *app) loggedEvents(from string, which ...streams.Stream) (func(context.Context, func(*streams.Event)) error, error) {
	if from != "" {
		format, path, err := parseRecording(from)
		if err != nil {
			return nil, err
		}
		return recordedEvents(format, path, a.stderr), nil
	}
	if len(a.config.Kafka.Brokers) == 0 {
		return nil, usagef("no events to look at: use --brokers, or --from-file FORMAT:PATH")
	}
	options, err := a.kafkaOptions()
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context, add func(*streams.Event)) error {
		return kafka.ReadAll(ctx, options, which, func(r streams.Record) error {
			add(&r.Event)
			return nil
		})
	}, nil
}

// prove holds a suggestion to what is asked of every author, and puts it into canonical form.
func prove(ctx context.Context, s *rulesuggest.Suggestion, schema *features.Schema) error {
	if s.Rules == "" {
		return nil
	}
	for _, text := range []*string{&s.Rules, &s.Test} {
		out, err := rulefile.Format([]byte(*text))
		if err != nil {
			return err
		}
		*text = string(out)
	}
	f, problems := rulefile.Parse(s.Name+".yaml", []byte(s.Rules))
	_, compiled := rules.Compile([]rules.File{f}, schema, rules.Options{Now: time.Time{}})
	if problems = rulefile.Merge(problems, compiled); rulefile.Failed(problems, false) {
		return errors.New(problems[0].Message)
	}
	result, err := testTree([]rules.File{f}, rulestore.Tree{s.Name + ".test.yaml": s.Test}, schema)
	if err == nil && (result.Failed > 0 || rulefile.Failed(result.Problems, false)) {
		err = errors.New(result.Report)
	}
	return errors.Join(err, ctx.Err())
}

func (a *app) tellSuggestions(found []rulesuggest.Suggestion, events int) {
	fmt.Fprintf(a.stdout, "%s from %s\n", plural(len(found), "suggestion"), plural(events, "event"))
	for _, s := range found {
		fmt.Fprintf(a.stdout, "\n%s: %s\n", s.Kind, s.Title)
		for _, e := range s.Evidence {
			fmt.Fprintf(a.stdout, "  - %s\n", e)
		}
		if s.Rules == "" {
			continue
		}
		for line := range strings.Lines(s.Rules) {
			if !strings.HasPrefix(line, "#") {
				fmt.Fprintf(a.stdout, "    %s", line)
			}
		}
	}
}

func (a *app) writeSuggestions(found []rulesuggest.Suggestion, folder string) error {
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	for _, s := range found {
		if s.Rules == "" {
			continue
		}
		for name, text := range map[string]string{s.Name + ".yaml": s.Rules, s.Name + ".test.yaml": s.Test} {
			if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o644); err != nil {
				return err
			}
		}
		fmt.Fprintf(a.stderr, "wrote %s and its test\n", filepath.Join(folder, s.Name+".yaml"))
	}
	return nil
}

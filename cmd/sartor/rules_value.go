package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sartorhq/sartor/rules"
	"github.com/sartorhq/sartor/rules/value"
	"github.com/sartorhq/sartor/streams"
)

// valueFlags are the flags of one call.
type valueFlags struct {
	from, format string
	days         int
}

func newRulesValueCommand(a *app) *cobra.Command {
	var f valueFlags
	cmd := &cobra.Command{
		Use:   "value [PATH]",
		Short: "Measure what rules are worth, by those who were held out",
		Long: `A rule with 'holdout: 5%' stays off for one user in twenty. This command reads the log (Kafka or a
recording) and compares what both kinds of users did after their first list: what they spent, how many of
them ordered, how often they clicked. Each difference comes with its 95 % interval: it is known when the
interval leaves one direction only. With PATH, the rule files, the split of users is checked, too.`,
		Example: `  sartor rules value deploy/rules --brokers localhost:9092
  sartor rules value --from-file ndjson:events.ndjson --days 7`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := oneOf("--format", f.format, "text", "json"); err != nil {
				return err
			}
			if f.days < 1 {
				return usagef("--days %d: need at least 1", f.days)
			}
			return a.valueRules(cmd.Context(), args, f)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.from, "from-file", "", fromFileUsage)
	flags.IntVar(&f.days, "days", 14, "count orders and clicks for so many days after somebody's first list")
	flags.StringVar(&f.format, "format", "text", "how to report: text or json")
	a.bind(flags, "brokers", "kafka.brokers", "Kafka brokers, host:port separated by commas")
	a.bind(flags, "schema", "schema.file", "feature schema `file`; empty = the built-in schema")
	return cmd
}

func (a *app) valueRules(ctx context.Context, args []string, f valueFlags) error {
	opts := value.Options{Within: time.Duration(f.days) * 24 * time.Hour}
	if len(args) == 1 {
		schema, err := loadSchema(a.config.Schema)
		if err != nil {
			return err
		}
		_, files, err := a.compileRules(args[0], schema)
		if err != nil {
			return err
		}
		opts.Held = heldShares(files)
	}
	read, err := a.loggedEvents(f.from, streams.Exposures, streams.Behavior, streams.Orders)
	if err != nil {
		return err
	}
	log := value.NewLog()
	if err := read(ctx, log.Add); err != nil {
		return err
	}
	found := log.Measure(opts)
	if f.format == "json" {
		return writeJSON(a.stdout, found)
	}
	return writeWorth(a.stdout, found, f.days)
}

// heldShares are the shares of users that rules and tables are kept from.
func heldShares(files []rules.File) map[string]float64 {
	out := map[string]float64{}
	for _, f := range files {
		for _, r := range f.Rules {
			if r.Holdout != nil {
				out[r.ID] = r.Holdout.Percent
			}
		}
		for _, t := range f.Tables {
			if t.Holdout != nil {
				out[t.ID] = t.Holdout.Percent
			}
		}
	}
	return out
}

func writeWorth(w io.Writer, all []value.Worth, days int) error {
	var b strings.Builder
	if len(all) == 0 {
		b.WriteString("no rule was held out from anybody: give a rule `holdout: 5%`, and ask again when it has been live for a while\n")
	}
	for i, r := range all {
		if i > 0 {
			b.WriteByte('\n')
		}
		fmt.Fprintf(&b, "%s: %s reached, %d held out\n", r.Rule, plural(r.Tried, "user"), r.Held)
		if r.Mixed > 0 {
			fmt.Fprintf(&b, "  %s on both sides, since the share has changed: left out\n", plural(r.Mixed, "user"))
		}
		if r.Unbalanced {
			b.WriteString("  WARNING: this split of users is not what the rule file says; do not trust what follows\n")
		}
		fmt.Fprintf(&b, "  spent in %s   %s\n", plural(days, "day"), effectInWords(r.Revenue, "%.2f"))
		fmt.Fprintf(&b, "  users who order  %s\n", effectInWords(r.Orders, "%.4f"))
		fmt.Fprintf(&b, "  clicks           %s\n", effectInWords(r.Clicks, "%.3f"))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// effectInWords says what one number per user comes to, and whether that is known.
func effectInWords(e value.Effect, format string) string {
	means := fmt.Sprintf(format+" a user, against "+format, e.Tried, e.Held)
	if !e.Lift.Known() {
		return means + ": nothing to compare with yet"
	}
	verdict := "not known yet"
	switch {
	case float64(e.Low) > 0:
		verdict = "it gains"
	case float64(e.High) < 0:
		verdict = "it costs"
	case e.Enough() > 1 && e.Enough() < 1000:
		verdict += fmt.Sprintf(": %.0f times as many users would tell", e.Enough()+0.5)
	}
	return fmt.Sprintf("%s: %+.1f%% (%+.1f%% to %+.1f%%), %s", means, 100*float64(e.Lift), 100*float64(e.Low), 100*float64(e.High), verdict)
}

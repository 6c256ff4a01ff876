package main

import (
	"encoding/json"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/sartorhq/sartor/models/train"
	"github.com/sartorhq/sartor/streams"
)

func newDataCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "data",
		Short: "Look at the events that models are trained on",
	}
	cmd.AddCommand(newInspectCommand(a), newPrepareCommand(a))
	return cmd
}

func newInspectCommand(a *app) *cobra.Command {
	var f trainFlags
	var limits train.Limits
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "inspect",
		Short: "Count what is wrong with the events: bots, duplicates, impossible values, short sessions",
		Long: `Reads the behavior and orders streams from Kafka (or a recording) once and counts by type, and what
cleaning would leave out. It changes nothing.`,
		Example: `  sartor data inspect --brokers localhost:9092
  sartor data inspect --from-file ml-1m:data/ml-1m --json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.inspect(cmd, f, limits, asJSON) },
	}
	flags := cmd.Flags()
	a.bind(flags, "brokers", "kafka.brokers", "Kafka brokers, host:port separated by commas")
	flags.StringVar(&f.from, "from-file", "", fromFileUsage)
	flags.StringVar(&f.archive, "from-archive", "", "read the archive at `URL` first, and from Kafka, when brokers are named, only what is newer")
	flags.IntVar(&limits.PerHour, "bot-events", 600, "events of one user in an hour before it is taken for a bot")
	flags.DurationVar(&limits.SessionGap, "session-gap", 30*time.Minute, "silence that ends a session")
	flags.IntVar(&limits.LongSessions, "long-session", 500, "events of a session before it is long")
	atLeast(flags, 1, "bot-events", "long-session")
	atLeast(flags, float64(time.Millisecond), "session-gap")
	flags.BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func (a *app) inspect(cmd *cobra.Command, f trainFlags, limits train.Limits, asJSON bool) error {
	var o trainOptions
	f.told = a.stderr
	if err := f.resolveFiles(&o, false); err != nil {
		return err
	}
	if o.Read == nil {
		log, err := (&logFlags{archive: f.archive}).open(a, "no events to inspect: use --brokers, --from-archive URL, or --from-file FORMAT:PATH")
		if err != nil {
			return err
		}
		o.Read = eventsOf(log, streams.Behavior, streams.Orders)
		limits.Newest = time.Now().Add(24 * time.Hour)
	}
	x := train.NewInspector(limits)
	if err := o.Read(cmd.Context(), func(e *streams.Event) { x.Add(e) }); err != nil {
		return fmt.Errorf("read events: %w", err)
	}
	report := x.Report()
	if asJSON {
		enc := json.NewEncoder(a.stdout)
		enc.SetIndent("", "  ")
		return enc.Encode(report)
	}
	return a.printFindings(report)
}

func (a *app) printFindings(f train.Findings) error {
	fmt.Fprintf(a.stdout, "%s events of %s users on %s items in %s sessions, %s to %s.\n", thousands(f.Events), thousands(f.Users),
		thousands(f.Items), thousands(f.Sessions), f.First.UTC().Format(time.RFC3339), f.Last.UTC().Format(time.RFC3339))
	for i, t := range f.Types {
		separator := ", "
		if i == 0 {
			separator = "  "
		}
		fmt.Fprintf(a.stdout, "%s%s %s", separator, thousands(t.Events), t.Type)
	}
	fmt.Fprint(a.stdout, "\n\n")
	w := tabwriter.NewWriter(a.stdout, 0, 4, 2, ' ', 0)
	fmt.Fprintf(w, "finding\tevents\tof\tcleaning\trule\n")
	for _, x := range f.Findings {
		does := "keeps"
		if x.Removed {
			does = "removes"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", x.Name, thousands(x.Events), thousands(x.Subjects), does, x.About)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	fmt.Fprintf(a.stdout, "\nCleaning would keep %s of %s events.\n", thousands(f.Kept), thousands(f.Events))
	return nil
}

package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/sartorhq/sartor/streams/kafka"
)

func newTopicsCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "topics",
		Short: "Compare Kafka's topics with the configuration, and make those that are missing",
	}
	cmd.AddCommand(
		newTopicsSubcommand(a, "plan", "Show which topics exist, which would be made, and what is wrong",
			`Reads and changes nothing. The exit code is 1 when a topic would lose what its stream must keep.`, a.topicsPlan),
		newTopicsSubcommand(a, "apply", "Make the topics that are missing",
			`Makes missing topics and changes none that exist: another number of partitions breaks the order of events, another
cleanup policy loses data. While a topic has such a problem, nothing is made. Running it again changes nothing.`, a.topicsApply))
	return cmd
}

func newTopicsSubcommand(a *app, name, short, long string, run func(context.Context) error) *cobra.Command {
	cmd := &cobra.Command{Use: name, Short: short, Long: long, Args: cobra.NoArgs,
		Example: "  sartor topics " + name + " --brokers kafka:9092 --partitions 16 --replication 3",
		RunE:    func(cmd *cobra.Command, _ []string) error { return run(cmd.Context()) }}
	a.bind(cmd.Flags(), "brokers", "kafka.brokers", "Kafka brokers, host:port separated by commas")
	a.bind(cmd.Flags(), "partitions", "kafka.partitions", "partitions of topics that are made")
	a.bind(cmd.Flags(), "replication", "kafka.replication", "replicas of topics that are made")
	return cmd
}

// planTopics asks the cluster and prints the plan.
func (a *app) planTopics(ctx context.Context, command string) (plans []kafka.TopicPlan, options kafka.Options, spec kafka.TopicSpec, err error) {
	if options, err = a.needKafka(command); err != nil {
		return nil, options, spec, err
	}
	spec = kafka.TopicSpec{Partitions: a.config.Kafka.Partitions, Replication: a.config.Kafka.Replication}
	if plans, err = kafka.PlanTopics(ctx, options, spec); err != nil {
		return nil, options, spec, err
	}
	return plans, options, spec, printTopics(a.stdout, plans)
}

func (a *app) topicsPlan(ctx context.Context) error {
	plans, _, _, err := a.planTopics(ctx, "topics plan")
	if err != nil {
		return err
	}
	if dangerous(plans) {
		return errReported
	}
	if n := missing(plans); n > 0 {
		fmt.Fprintf(a.stdout, "\n%d topics would be made: sartor topics apply\n", n)
	} else {
		fmt.Fprintln(a.stdout, "\nnothing to do")
	}
	return nil
}

func (a *app) topicsApply(ctx context.Context) error {
	plans, options, spec, err := a.planTopics(ctx, "topics apply")
	if err != nil {
		return err
	}
	switch n := missing(plans); {
	case dangerous(plans):
		return errors.New("nothing is made while existing topics have problems: mend them with Kafka's tools, or name other topics in kafka.topics")
	case n == 0:
		fmt.Fprintln(a.stdout, "\nnothing to do")
		return nil
	default:
		if err := kafka.EnsureTopics(ctx, options, spec); err != nil {
			return err
		}
		fmt.Fprintf(a.stdout, "\n%d topics made\n", n)
		return nil
	}
}

// missing counts the topics that do not exist.
func missing(plans []kafka.TopicPlan) (n int) {
	for i := range plans {
		if !plans[i].Exists {
			n++
		}
	}
	return n
}

// dangerous tells whether a topic has a problem.
func dangerous(plans []kafka.TopicPlan) bool {
	for i := range plans {
		if len(plans[i].Problems) > 0 {
			return true
		}
	}
	return false
}

// printTopics prints a table, and below it what is wrong.
func printTopics(out io.Writer, plans []kafka.TopicPlan) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "STREAM\tTOPIC\tSTATE\tPARTITIONS\tREPLICAS\tCLEANUP\tRETENTION")
	for i := range plans {
		p := &plans[i]
		state := "exists"
		switch {
		case len(p.Problems) > 0:
			state = "WRONG"
		case !p.Exists:
			state = "missing"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%d\t%s\t%s\n", p.Stream, p.Topic, state, p.Partitions, p.Replication, cmp.Or(p.Policy, "unknown"), retention(p))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	for i := range plans {
		for _, problem := range plans[i].Problems {
			fmt.Fprintf(out, "problem: %v\n", problem)
		}
		for _, warning := range plans[i].Warnings {
			fmt.Fprintf(out, "warning: topic %s %s\n", plans[i].Topic, warning)
		}
	}
	return nil
}

// retention writes how long a topic keeps events.
func retention(p *kafka.TopicPlan) string {
	switch {
	case p.Policy == "compact" || p.Retention < 0:
		return "for ever"
	case p.Retention == 0 && !p.Exists:
		return "broker's default"
	case p.Retention == 0:
		return "unknown"
	case p.Retention%(24*time.Hour) == 0:
		return fmt.Sprintf("%dd", p.Retention/(24*time.Hour))
	}
	return p.Retention.String()
}

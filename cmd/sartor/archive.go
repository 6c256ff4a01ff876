package main

import (
	"context"
	"errors"
	"fmt"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/sartorhq/sartor/streams"
	"github.com/sartorhq/sartor/streams/archive"
	"github.com/sartorhq/sartor/streams/kafka"
)

func newArchiveCommand(a *app) *cobra.Command {
	var once bool
	cmd := &cobra.Command{
		Use:   "archive",
		Short: "Write the log to Parquet files that outlive Kafka's retention",
		Long: `Reads the topics as a consumer group of its own and writes every event once to Parquet files in a
folder or bucket (--to), by topic and day. The archive itself remembers how far it has each partition:
a crash, a rebalance or a second process neither loses nor doubles an event. 'train', 'features verify'
and 'features rebuild' read it with --from-archive; so do Spark and DuckDB. The files are described in
streams/archive/ARCHIVE.md.

Events wait up to archive.max_age in memory; when the process stops they are read from Kafka again next
time, so Kafka must keep them longer than that. With --once everything that is in Kafka now is written,
and the command ends: for a job that runs every hour. It stops cleanly on SIGTERM.`,
		Example: `  sartor archive --config sartor.yaml --to s3://shop-events/log
  sartor archive --brokers localhost:9092 --to /var/lib/sartor/archive --once
  sartor archive show --to /var/lib/sartor/archive`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.keepArchive(cmd.Context(), once) },
	}
	a.bindArchive(cmd)
	a.bind(cmd.Flags(), "brokers", "kafka.brokers", "Kafka brokers, host:port separated by commas")
	a.bind(cmd.Flags(), "group", "archive.group", "consumer group")
	cmd.Flags().BoolVar(&once, "once", false, "write what is in Kafka now, and end")
	cmd.AddCommand(newArchiveShowCommand(a))
	return cmd
}

func (a *app) bindArchive(cmd *cobra.Command) {
	a.bind(cmd.Flags(), "to", "archive.url", "folder, or URL such as s3://bucket/prefix")
}

// openArchive opens the archive of the configuration; existing, one that somebody has written to.
func (a *app) openArchive(ctx context.Context, existing bool) (*archive.Archive, error) {
	c := a.config.Archive
	if c.URL == "" {
		return nil, usagef("no archive is configured: use --to, archive.url in the --config file or SARTOR_ARCHIVE_URL")
	}
	return archive.Open(ctx, c.URL, archive.Options{Existing: existing, MaxEvents: c.MaxEvents, MaxAge: c.MaxAge, Logger: a.logger, Registerer: a.metrics})
}

// keepArchive runs until ctx is done, or once.
func (a *app) keepArchive(ctx context.Context, once bool) (err error) {
	if len(a.config.Kafka.Brokers) == 0 {
		return usagef("archive needs Kafka: use --brokers, kafka.brokers in the --config file or SARTOR_KAFKA_BROKERS")
	}
	options, err := a.kafkaOptions()
	if err != nil {
		return err
	}
	to, err := a.openArchive(ctx, false)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, to.Close()) }()
	if once {
		return a.archiveOnce(ctx, options, to)
	}
	a.logger.Info("archiving", "brokers", options.Brokers, "group", a.config.Archive.Group)
	consumer := kafka.NewConsumer(options, kafka.ConsumerOptions{Group: a.config.Archive.Group, Streams: consumed(),
		BatchEvents: 5000, Version: buildVersion(), NoLetters: true})
	return ignoreCanceled(ctx, consumer.Run(ctx, func(ctx context.Context, topic string, partition int) (kafka.Partition, error) {
		p, err := to.Partition(ctx, topic, partition)
		return archived{p}, err
	}))
}

// archived is a partition of the archive as the consumer sees it.
type archived struct{ *archive.Partition }

func (s archived) Apply(ctx context.Context, records []streams.Record, last int64) error {
	return moved(s.Partition.Apply(ctx, records, last))
}

func (s archived) Idle(ctx context.Context) error { return moved(s.Partition.Idle(ctx)) }

// moved translates the archive's refusal into the consumer's order to open the partition again.
func moved(err error) error {
	if errors.Is(err, archive.ErrMoved) {
		return fmt.Errorf("%w: %w", kafka.ErrRewind, err)
	}
	return err
}

// archiveOnce writes what is in Kafka now.
func (a *app) archiveOnce(ctx context.Context, options kafka.Options, to *archive.Archive) error {
	open := map[place]*archive.Partition{}
	var broken error
	start := func(topic string, partition int) int64 {
		p, err := to.Partition(ctx, topic, partition)
		if err != nil {
			broken = errors.Join(broken, err)
			return 0
		}
		open[place{topic, partition}] = p
		return p.Next()
	}
	var events int64
	err := kafka.ReadAfter(ctx, options, consumed(), start, func(r streams.Record) error {
		if broken != nil {
			return broken
		}
		events++
		return open[placeOf(&r)].Apply(ctx, []streams.Record{r}, r.Offset)
	})
	if err = errors.Join(err, broken); err != nil {
		return err
	}
	for at, p := range open {
		if err := p.Flush(ctx); err != nil {
			return fmt.Errorf("%s/%d: %w", at.topic, at.partition, err)
		}
	}
	fmt.Fprintf(a.stdout, "%s events archived\n", grouped(events))
	return nil
}

func newArchiveShowCommand(a *app) *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use:   "show",
		Short: "Say what the archive holds",
		Long: `Prints, for every partition of the topics, the offset up to which it is archived, and how many events,
files and ranges of offsets that is. A range that is being written, or whose writer was killed, is
counted as open; the next 'sartor archive' finishes it.`,
		Example: `  sartor archive show --to /var/lib/sartor/archive`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := checkOutput(output); err != nil {
				return err
			}
			return a.showArchive(cmd.Context(), output)
		},
	}
	a.bindArchive(cmd)
	outputFlag(cmd, &output)
	return cmd
}

func (a *app) showArchive(ctx context.Context, output string) (err error) {
	to, err := a.openArchive(ctx, true)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, to.Close()) }()
	options := kafka.Options{Topics: a.config.Kafka.Topics.names()}
	var topics []string
	for _, s := range consumed() {
		topics = append(topics, options.Topic(s))
	}
	extents, err := to.Extents(ctx, topics)
	if err != nil {
		return err
	}
	if output == "json" {
		return a.writeJSON(extents)
	}
	if len(extents) == 0 {
		fmt.Fprintln(a.stdout, "the archive is empty")
		return nil
	}
	w := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "topic\tpartition\tarchived up to\tevents\tfiles\tranges\topen")
	for _, e := range extents {
		fmt.Fprintf(w, "%s\t%d\t%s\t%s\t%d\t%d\t%d\n", e.Topic, e.Partition, grouped(e.Next), grouped(e.Events), e.Files, e.Ranges, e.Open)
	}
	return w.Flush()
}

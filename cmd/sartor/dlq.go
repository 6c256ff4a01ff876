package main

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/sartorhq/sartor/streams/kafka"
)

func newDLQCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "dlq",
		Short: "Look at dead letters and publish them again",
		Long: `Messages that 'sartor ingest' could not use are in the dead-letters topic, with the reason and the place
where they were. A letter is named by its own place there, partition/offset, such as 0/1042.`,
	}
	cmd.AddCommand(newDLQListCommand(a), newDLQShowCommand(a), newDLQReplayCommand(a))
	return cmd
}

// letterFilter chooses letters.
type letterFilter struct {
	topic, reason string
	since         time.Duration
	limit         int
}

func (f *letterFilter) bind(flags *pflag.FlagSet) {
	flags.StringVar(&f.topic, "topic", "", "only those of one `topic`")
	flags.StringVar(&f.reason, "reason", "", "only those whose reason contains `text`")
	flags.DurationVar(&f.since, "since", 0, "only messages that the log received in the last `duration`, such as 24h")
	flags.IntVar(&f.limit, "limit", 0, "at most `n` letters; 0 = all")
}

// any tells whether the filter chooses at all.
func (f *letterFilter) any() bool {
	return f.topic != "" || f.reason != "" || f.since > 0 || f.limit > 0
}

// match tells whether a letter is chosen.
func (f *letterFilter) match(l *kafka.Letter, now time.Time) bool {
	return (f.topic == "" || l.Origin.Topic == f.topic) && strings.Contains(l.Reason, f.reason) &&
		(f.since <= 0 || now.Sub(l.Received) <= f.since)
}

// letterID names a letter on the command line.
func letterID(l *kafka.Letter) string {
	return strconv.Itoa(l.Position.Partition) + "/" + strconv.FormatInt(l.Position.Offset, 10)
}

// kind is a reason without what differs from message to message, to count by.
func kind(reason string) string {
	reason = reasonQuoted.ReplaceAllString(reason, `"…"`)
	reason = reasonNumber.ReplaceAllString(reason, "N")
	if cut := []rune(reason); len(cut) > 100 {
		reason = string(cut[:100]) + "…"
	}
	return reason
}

var (
	reasonQuoted = regexp.MustCompile(`"(\\.|[^"\\])*"…?`)
	reasonNumber = regexp.MustCompile(`[0-9]+`)
)

func newDLQListCommand(a *app) *cobra.Command {
	var f letterFilter
	var replayed, asJSON bool
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List dead letters, and count them by reason",
		Example: `  sartor dlq list --since 24h
  sartor dlq list --topic orders --reason currency
  sartor dlq list --json | jq -r .reason`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			list := &letterList{filter: f, replayed: replayed, now: time.Now(), counts: map[letterGroup]int{}}
			return a.dlqList(cmd.Context(), list, asJSON)
		},
	}
	f.bind(cmd.Flags())
	cmd.Flags().BoolVar(&replayed, "replayed", false, "also those that were published again")
	cmd.Flags().BoolVar(&asJSON, "json", false, "one JSON object a letter, without the message's bytes")
	a.bind(cmd.Flags(), "brokers", "kafka.brokers", "Kafka brokers, host:port separated by commas")
	return cmd
}

// needKafka makes the options of a command that needs Kafka and nothing else.
func (a *app) needKafka(command string) (kafka.Options, error) {
	if len(a.config.Kafka.Brokers) == 0 {
		return kafka.Options{}, usagef("%s needs Kafka: use --brokers or set kafka.brokers", command)
	}
	return a.kafkaOptions()
}

// letterGroup is what letters are counted by.
type letterGroup struct{ topic, kind string }

// letterList collects what 'dlq list' says below its lines.
type letterList struct {
	filter         letterFilter
	replayed       bool // list those, too
	now            time.Time
	counts         map[letterGroup]int
	open, done, in int
}

// take counts a letter and tells whether it is listed.
func (x *letterList) take(l *kafka.Letter) bool {
	if !x.filter.match(l, x.now) {
		return false
	}
	if l.Replayed {
		x.done++
	} else {
		x.open++
	}
	if l.Replayed && !x.replayed {
		return false
	}
	x.counts[letterGroup{l.Origin.Topic, kind(l.Reason)}]++
	if x.filter.limit > 0 && x.in == x.filter.limit {
		return false
	}
	x.in++
	return true
}

func (a *app) dlqList(ctx context.Context, list *letterList, asJSON bool) error {
	options, err := a.needKafka("dlq list")
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
	if !asJSON {
		fmt.Fprintln(w, "LETTER\tRECEIVED\tFROM\tREASON")
	}
	err = kafka.ReadLetters(ctx, options, func(l kafka.Letter) error {
		if !list.take(&l) {
			return nil
		}
		if asJSON {
			return json.NewEncoder(a.stdout).Encode(describeLetter(&l))
		}
		_, err := fmt.Fprintf(w, "%s\t%s\t%s/%d/%d\t%s\n", letterID(&l), l.Received.UTC().Format(time.DateTime), l.Origin.Topic, l.Origin.Partition,
			l.Origin.Offset, oneLine(l.Reason, 120))
		return err
	})
	if err != nil || asJSON {
		return err
	}
	if err := w.Flush(); err != nil {
		return err
	}
	list.summary(a.stdout)
	return nil
}

// describedLetter is a letter as JSON.
type describedLetter struct {
	Letter    string    `json:"letter"`
	Topic     string    `json:"topic"`
	Partition int       `json:"partition"`
	Offset    int64     `json:"offset"`
	Received  time.Time `json:"received"`
	Reason    string    `json:"reason"`
	Version   string    `json:"version"`
	Bytes     int       `json:"bytes"`
	Cut       bool      `json:"cut,omitempty"`
	Replayed  bool      `json:"replayed,omitempty"`
}

func describeLetter(l *kafka.Letter) describedLetter {
	return describedLetter{Letter: letterID(l), Topic: l.Origin.Topic, Partition: l.Origin.Partition, Offset: l.Origin.Offset, Received: l.Received,
		Reason: l.Reason, Version: l.Version, Bytes: max(len(l.Value), l.Cut), Cut: l.Cut > 0, Replayed: l.Replayed}
}

// summary says how many letters there are, and why.
func (x *letterList) summary(w io.Writer) {
	fmt.Fprintf(w, "\n%d listed; %d open, %d replayed", x.in, x.open, x.done)
	if len(x.counts) == 0 {
		fmt.Fprintln(w)
		return
	}
	fmt.Fprintln(w, ". By reason:")
	groups := make([]letterGroup, 0, len(x.counts))
	for g := range x.counts {
		groups = append(groups, g)
	}
	slices.SortFunc(groups, func(a, b letterGroup) int {
		if n := x.counts[b] - x.counts[a]; n != 0 {
			return n
		}
		return strings.Compare(a.topic+"\x00"+a.kind, b.topic+"\x00"+b.kind)
	})
	for _, g := range groups {
		fmt.Fprintf(w, "%8d  %s  %s\n", x.counts[g], g.topic, g.kind)
	}
}

// oneLine makes a text from outside fit for one line of a terminal.
func oneLine(s string, most int) string {
	clean := []rune(strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == utf8.RuneError {
			return '?'
		}
		return r
	}, s))
	if len(clean) > most {
		return string(clean[:most]) + "…"
	}
	return string(clean)
}

func newDLQShowCommand(a *app) *cobra.Command {
	var raw bool
	cmd := &cobra.Command{
		Use:   "show LETTER",
		Short: "Show where a letter came from, why, and its bytes",
		Example: `  sartor dlq show 0/1042
  sartor dlq show 0/1042 --raw > message.json`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return a.dlqShow(cmd.Context(), args[0], raw) },
	}
	cmd.Flags().BoolVar(&raw, "raw", false, "only the value, byte by byte")
	a.bind(cmd.Flags(), "brokers", "kafka.brokers", "Kafka brokers, host:port separated by commas")
	return cmd
}

// errFound ends a search.
var errFound = errors.New("found")

func (a *app) dlqShow(ctx context.Context, id string, raw bool) error {
	options, err := a.needKafka("dlq show")
	if err != nil {
		return err
	}
	var letter kafka.Letter
	err = kafka.ReadLetters(ctx, options, func(l kafka.Letter) error {
		if letterID(&l) == id {
			letter = l
			return errFound
		}
		return nil
	})
	switch {
	case err == nil:
		return fmt.Errorf("there is no letter %s: 'sartor dlq list --replayed' names them", id)
	case !errors.Is(err, errFound):
		return err
	case raw:
		_, err := a.stdout.Write(letter.Value)
		return err
	}
	return showLetter(a.stdout, &letter)
}

// showLetter prints a letter for a person.
func showLetter(out io.Writer, l *kafka.Letter) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	row := func(name, value string) { fmt.Fprintf(w, "%s\t%s\n", name, value) }
	row("letter", letterID(l))
	row("from", fmt.Sprintf("topic %s, partition %d, offset %d", l.Origin.Topic, l.Origin.Partition, l.Origin.Offset))
	row("received", l.Received.UTC().Format(time.RFC3339Nano))
	row("refused by", "sartor "+oneLine(l.Version, 60))
	if l.Replayed {
		row("replayed", "yes")
	}
	row("reason", oneLine(l.Reason, 2048))
	row("key", printable(l.Key))
	for _, h := range l.Headers {
		row("header "+oneLine(h.Key, 60), printable(h.Value))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	switch {
	case l.Value == nil:
		fmt.Fprintln(out, "value       none (null)")
		return nil
	case l.Cut > 0:
		fmt.Fprintf(out, "value       the first %d of %d bytes:\n", len(l.Value), l.Cut)
	default:
		fmt.Fprintf(out, "value       %d bytes:\n", len(l.Value))
	}
	if isText(l.Value) {
		_, err := fmt.Fprintf(out, "%s\n", l.Value)
		return err
	}
	_, err := io.WriteString(out, hex.Dump(l.Value))
	return err
}

// printable shows bytes as text, quoted where they are none.
func printable(b []byte) string {
	switch {
	case b == nil:
		return "none (null)"
	case isText(b) && !strings.ContainsAny(string(b), "\n\t\r"):
		return string(b)
	}
	return strconv.Quote(string(b))
}

// isText tells whether bytes may go to a terminal as they are.
func isText(b []byte) bool {
	return utf8.Valid(b) && !strings.ContainsFunc(string(b), func(r rune) bool {
		return r < ' ' && r != '\n' && r != '\t' && r != '\r' || r >= 0x7f && r < 0xa0
	})
}

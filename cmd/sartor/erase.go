package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sartorhq/sartor/features/redisstore"
	"github.com/sartorhq/sartor/streams"
	"github.com/sartorhq/sartor/streams/kafka"
)

func newEraseCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "erase",
		Short: "Erase what is stored about a person, for good",
	}
	cmd.AddCommand(newEraseUserCommand(a))
	return cmd
}

func newEraseUserCommand(a *app) *cobra.Command {
	var onlyRedis bool
	var output string
	cmd := &cobra.Command{
		Use:   "user ID",
		Short: "Erase a user and the visitors that the user turned out to be",
		Long: `Writes a user-delete event to the users topic, so that every later fold of the log erases the user
again, and deletes the user's keys from all namespaces of Redis at once. A tombstone with the time
remains: events up to it leave no trace, in whatever order they are applied again. Visitors that a
user-merge joined with the user are erased too. A visitor is 'anon:' and the anonymous id.

It prints what was deleted, and what is left when Redis is read again. What it does not reach: the
user's events in Kafka, which go with the topics' retention; item counters, which do not name people;
trained models, which forget the user at the next training; answers' caches, which serve drops within
five minutes; backups.`,
		Example: `  sartor erase user u-1 --config sartor.yaml
  sartor erase user anon:c-9 --config sartor.yaml --output json`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkOutput(output); err != nil {
				return err
			}
			if args[0] == "" || args[0] == streams.AnonymousSubject("") {
				return usagef("the id is empty")
			}
			if len(a.config.Kafka.Brokers) == 0 && !onlyRedis {
				return usagef("no Kafka broker is configured, and without the event a rebuild brings the user back: use --brokers, or --only-redis")
			}
			return a.withStore(cmd.Context(), func(w *wiring, store *redisstore.Store) error {
				var write func(context.Context, ...streams.Event) error
				if !onlyRedis {
					producer := kafka.NewProducer(w.kafka)
					defer producer.Close()
					write = producer.Write
				}
				return a.eraseUser(cmd.Context(), store, write, args[0], time.Now().UTC().Truncate(time.Millisecond), output)
			})
		},
	}
	a.bindStore(cmd)
	a.bind(cmd.Flags(), "brokers", "kafka.brokers", "Kafka brokers, host:port separated by commas")
	cmd.Flags().BoolVar(&onlyRedis, "only-redis", false, "write no event: a rebuild from the log knows of the erasure only through Redis")
	outputFlag(cmd, &output)
	return cmd
}

// erasure is the proof of one erasure.
type erasure struct {
	Subjects []string               `json:"subjects"`
	At       time.Time              `json:"at"`
	Events   int                    `json:"events_written"`
	Erased   []redisstore.StoredKey `json:"erased"`
	Left     []redisstore.StoredKey `json:"left"`
}

// eraseUser erases the subject and its visitors; write is nil when no event is to be written.
func (a *app) eraseUser(ctx context.Context, store *redisstore.Store, write func(context.Context, ...streams.Event) error, subject string, at time.Time, output string) error {
	st, err := store.User(ctx, subject)
	if err != nil {
		return err
	}
	proof := erasure{Subjects: append([]string{subject}, st.Visitors()...), At: at, Erased: []redisstore.StoredKey{}, Left: []redisstore.StoredKey{}}
	if write != nil { // first, so that an erasure that stops half way is repeated by the log
		var events []streams.Event
		for _, s := range proof.Subjects {
			events = append(events, deletion(s, at))
		}
		if err := write(ctx, events...); err != nil {
			return fmt.Errorf("write the deletion to the log; nothing was erased: %w", err)
		}
		proof.Events = len(events)
	}
	for _, s := range proof.Subjects {
		keys, err := store.EraseUser(ctx, s, at)
		if err != nil {
			return err
		}
		proof.Erased = append(proof.Erased, keys...)
	}
	for _, s := range proof.Subjects {
		keys, err := store.UserKeys(ctx, s)
		if err != nil {
			return err
		}
		proof.Left = append(proof.Left, keys...)
	}
	if output == "json" {
		err = a.writeJSON(proof)
	} else {
		a.printErasure(proof)
	}
	return errors.Join(err, proof.check())
}

// deletion is the event that erases a subject.
func deletion(subject string, at time.Time) streams.Event {
	e := streams.Event{Type: streams.UserDelete, Time: at, UserID: subject}
	if streams.IsAnonymous(subject) {
		e.UserID, e.AnonymousID = "", strings.TrimPrefix(subject, streams.AnonymousSubject(""))
	}
	return e
}

// check fails when more than tombstones are left.
func (p *erasure) check() error {
	for _, k := range p.Left {
		if !k.Tombstone {
			return fmt.Errorf("%s has %d entries again: events newer than the erasure arrived; repeat it if they must go too", k.Key, k.Entries)
		}
	}
	return nil
}

func (a *app) printErasure(p erasure) {
	fmt.Fprintf(a.stdout, "erased %s at %s\n", strings.Join(p.Subjects, ", "), p.At.Format(time.RFC3339Nano))
	var entries int64
	for _, k := range p.Erased {
		entries += k.Entries
		fmt.Fprintf(a.stdout, "  deleted  %s  %d entries, %s bytes\n", k.Key, k.Entries, grouped(k.Bytes))
	}
	fmt.Fprintf(a.stdout, "%d keys with %d entries deleted", len(p.Erased), entries)
	if p.Events > 0 {
		fmt.Fprintf(a.stdout, ", %s written to the log", plural(p.Events, "user-delete event"))
	}
	fmt.Fprintln(a.stdout)
	for _, k := range p.Left {
		fmt.Fprintf(a.stdout, "  left     %s  the tombstone, %s bytes\n", k.Key, grouped(k.Bytes))
	}
}

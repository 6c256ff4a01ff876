package main

import (
	"cmp"
	"context"
	"fmt"
	"hash/fnv"
	"io"
	"maps"
	"slices"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/sartorhq/sartor/features"
	"github.com/sartorhq/sartor/features/redisstore"
	"github.com/sartorhq/sartor/streams"
)

// flagged is what has flags.
type flagged interface{ Flags() *pflag.FlagSet }

// verifyFlags are the flags of one call.
type verifyFlags struct {
	log    logFlags
	passes int
	show   int
	wait   time.Duration
	output string
}

func newFeaturesVerifyCommand(a *app) *cobra.Command {
	var f verifyFlags
	cmd := &cobra.Command{
		Use:   "verify",
		Short: "Compare the stored features with a fold of the log",
		Long: `Folds the whole log in memory, as ingest folds it into Redis, and compares every user and item that
either of them knows: counters, documents, erasures and lists, to the last digit. Ingest may go on
meanwhile: verify waits until what it has read is applied, and does not judge an entity that newer
events have changed.

The log must reach back to the beginning: what Kafka's retention has deleted is missing in the fold and
shows as differences, unless an archive has it (--from-archive). Memory is that of all states, about 10 kB for an active user; --passes N reads
the log N times and holds an Nth of them.

Exit code 1: something differs, or could not be read.`,
		Example: `  sartor features verify --brokers localhost:9092 --redis localhost:6379
  sartor features verify --passes 8 --output json
  sartor features verify --brokers localhost:9092 --from-archive s3://shop-events/log
  sartor features verify --from-file ndjson:events.ndjson.gz`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := checkOutput(f.output); err != nil {
				return err
			}
			if f.passes < 1 || f.passes > 1000 {
				return usagef("--passes %d: need 1 to 1000", f.passes)
			}
			log, err := f.log.open(a, "no log to read: use --brokers, --from-archive URL or --from-file FORMAT:PATH")
			if err != nil {
				return err
			}
			return a.withStore(cmd.Context(), func(w *wiring, store *redisstore.Store) error {
				v := &verifier{schema: w.schema, store: store, log: log, flags: f, ttl: w.redis.UserTTL, progress: a.stderr}
				return a.verify(cmd.Context(), v)
			})
		},
	}
	a.bindStore(cmd)
	f.log.bind(a, cmd)
	cmd.Flags().IntVar(&f.passes, "passes", 1, "read the log `n` times, with an nth of the memory")
	cmd.Flags().IntVar(&f.show, "show", 20, "print at most `n` differing entities")
	cmd.Flags().DurationVar(&f.wait, "wait", 30*time.Second, "how long to wait for ingest to apply what was read")
	outputFlag(cmd, &f.output)
	return cmd
}

// verdict is the outcome.
type verdict struct {
	Events    int64             `json:"events"`
	Users     int               `json:"users"`
	Items     int               `json:"items"`
	Differing int               `json:"differing"`
	Moving    int               `json:"not_judged"` // changed by events that came meanwhile
	Expired   int               `json:"expired"`    // users that Redis has forgotten in time
	Erased    int               `json:"erased"`     // erased users who came back; nothing older than the erasure is there
	Entities  []differingEntity `json:"entities"`
}

// differingEntity is one entity that is not what the log says.
type differingEntity struct {
	Kind   string                `json:"kind"`
	ID     string                `json:"id"`
	Fields []features.Difference `json:"fields"`
}

func (a *app) verify(ctx context.Context, v *verifier) error {
	for pass := range v.flags.passes {
		if err := v.pass(ctx, pass); err != nil {
			return err
		}
	}
	r := &v.verdict
	slices.SortFunc(r.Entities, func(a, b differingEntity) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.ID, b.ID))
	})
	r.Entities = r.Entities[:min(len(r.Entities), v.flags.show)]
	if v.flags.output == "json" {
		if err := a.writeJSON(r); err != nil {
			return err
		}
	} else {
		r.print(a.stdout)
	}
	if r.Differing > 0 {
		return errReported
	}
	return nil
}

func (r *verdict) print(w io.Writer) {
	for _, e := range r.Entities {
		fmt.Fprintf(w, "%s %s\n", e.Kind, e.ID)
		for i, d := range e.Fields {
			if i == 10 {
				fmt.Fprintf(w, "  and %d more fields\n", len(e.Fields)-i)
				break
			}
			fmt.Fprintf(w, "  %s: log %s, redis %s\n", d.Field, cmp.Or(shorten(d.Want), "nothing"), cmp.Or(shorten(d.Got), "nothing"))
		}
	}
	if n := r.Differing - len(r.Entities); n > 0 {
		fmt.Fprintf(w, "and %d more\n", n)
	}
	fmt.Fprintf(w, "%s events folded into %s users and %s items: %s differ", grouped(r.Events), grouped(int64(r.Users)), grouped(int64(r.Items)), grouped(int64(r.Differing)))
	if r.Moving > 0 {
		fmt.Fprintf(w, ", %d changed meanwhile and are not judged", r.Moving)
	}
	if r.Expired > 0 {
		fmt.Fprintf(w, ", %d users are forgotten after redis.user_ttl", r.Expired)
	}
	if r.Erased > 0 {
		fmt.Fprintf(w, ", %d erased users came back and hold nothing older than their erasure", r.Erased)
	}
	fmt.Fprintln(w)
}

// verifier compares the store with a fold of the log.
type verifier struct {
	schema   *features.Schema
	store    *redisstore.Store
	log      eventLog
	flags    verifyFlags
	ttl      time.Duration
	progress io.Writer
	verdict  verdict

	// of the pass under way
	number int
	states map[features.Entity]*features.State
	ends   map[place]int64 // last offset that was folded
}

// mine tells whether the pass under way holds the entity.
func (v *verifier) mine(e features.Entity) bool {
	if v.flags.passes == 1 {
		return true
	}
	h := fnv.New32a()
	_, _ = io.WriteString(h, string(rune(e.Kind))+e.ID)
	return int(h.Sum32()%uint32(v.flags.passes)) == v.number
}

func (v *verifier) pass(ctx context.Context, number int) error {
	v.number, v.states, v.ends = number, map[features.Entity]*features.State{}, map[place]int64{}
	if err := v.fold(ctx); err != nil {
		return err
	}
	if err := v.awaitIngest(ctx); err != nil {
		return err
	}
	found, err := v.compare(ctx)
	if err != nil || len(found) == 0 {
		return err
	}
	return v.judge(ctx, found)
}

// fold builds the states of the pass from the log.
func (v *verifier) fold(ctx context.Context) error {
	var events int64
	err := v.log.Read(ctx, consumed(), func(r *streams.Record) error {
		events++
		v.ends[placeOf(r)] = r.Offset
		for _, d := range v.schema.Fold(&r.Event) {
			if !v.mine(d.Entity) {
				continue
			}
			st := v.states[d.Entity]
			if st == nil {
				st = &features.State{}
				v.states[d.Entity] = st
			}
			st.Apply(v.schema, d.Ops)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("fold the log: %w", err)
	}
	v.verdict.Events = max(v.verdict.Events, events)
	for e := range v.states {
		if e.Kind == features.UserEntity {
			v.verdict.Users++
		} else {
			v.verdict.Items++
		}
	}
	return nil
}

// awaitIngest waits until everything that was folded is applied.
func (v *verifier) awaitIngest(ctx context.Context) error {
	if _, offline := v.log.(fileLog); offline {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, v.flags.wait)
	defer cancel()
	var behind int64
	applied := func() bool {
		behind = 0
		for at, end := range v.ends {
			p, err := v.store.Partition(ctx, at.topic, at.partition)
			if err != nil {
				behind = max(behind, 1)
				return false
			}
			behind += max(0, end+1-p.Next())
		}
		return behind == 0
	}
	if applied() || every(ctx, 200*time.Millisecond, applied) {
		return nil
	}
	return fmt.Errorf("ingest is %d events behind the log: start it, or wait longer with --wait", behind)
}

// compareChunk is how many entities are read at once.
const compareChunk = 500

// compare returns the entities of the pass that differ.
func (v *verifier) compare(ctx context.Context) (map[features.Entity][]features.Difference, error) {
	entities := slices.Collect(maps.Keys(v.states))
	err := v.store.Entities(ctx, func(e features.Entity) error {
		if _, known := v.states[e]; !known && v.mine(e) {
			v.states[e] = &features.State{} // the log does not know it: everything in it is too much
			entities = append(entities, e)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	found := map[features.Entity][]features.Difference{}
	for chunk := range slices.Chunk(entities, compareChunk) {
		states, err := v.store.StoredAll(ctx, chunk)
		if err != nil {
			return nil, err
		}
		for i, e := range chunk {
			want := v.states[e]
			if states[i] == nil && v.expired(e, want) {
				v.verdict.Expired++
				continue
			}
			d := want.Differences(states[i])
			if len(d) > 0 && states[i] != nil && states[i].RemovedAt != 0 && states[i].RemovedAt == want.RemovedAt && !states[i].BreaksErasure() {
				v.verdict.Erased++ // what remains of later events depends on when the erasure was applied
				continue
			}
			if len(d) > 0 {
				found[e] = d
			}
		}
	}
	return found, nil
}

// expired tells whether Redis may have forgotten the user. Lifetimes start when an event is applied,
// which is not before it happened.
func (v *verifier) expired(e features.Entity, want *features.State) bool {
	newest := max(want.Time().UnixMilli(), want.RemovedAt)
	return e.Kind == features.UserEntity && v.ttl > 0 && time.Since(time.UnixMilli(newest)) > v.ttl
}

// judge leaves out entities that events behind the fold have changed.
func (v *verifier) judge(ctx context.Context, found map[features.Entity][]features.Difference) error {
	if _, offline := v.log.(fileLog); !offline {
		err := v.log.Read(ctx, consumed(), func(r *streams.Record) error {
			if end, ok := v.ends[placeOf(r)]; ok && r.Offset <= end {
				return nil
			}
			for _, d := range v.schema.Fold(&r.Event) {
				if _, ok := found[d.Entity]; ok {
					delete(found, d.Entity)
					v.verdict.Moving++
				}
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("read what came meanwhile: %w", err)
		}
	}
	v.verdict.Differing += len(found)
	for e, d := range found {
		kind := "user"
		if e.Kind == features.ItemEntity {
			kind = "item"
		}
		v.verdict.Entities = append(v.verdict.Entities, differingEntity{kind, e.ID, d})
	}
	return nil
}

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/sartorhq/sartor/features"
	"github.com/sartorhq/sartor/features/redisstore"
)

func newFeaturesCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "features",
		Short: "Look at the stored features, prove them, and build them anew",
		Long: `The features are a fold of the log: 'show' prints what is known about one user or item, 'verify'
compares all that is stored with the log, 'plan' says what a changed schema needs, 'rebuild' folds the
log again beside what is being served and then switches, 'budget' says how much memory a schema takes.
The schema language is written in features/SCHEMA.md.`,
	}
	cmd.AddCommand(newFeaturesShowCommand(a), newFeaturesVerifyCommand(a), newFeaturesPlanCommand(a),
		newFeaturesRebuildCommand(a), newFeaturesBudgetCommand(a))
	return cmd
}

// bindStore declares the flags of commands that read the feature store.
func (a *app) bindStore(cmd *cobra.Command) {
	a.bind(cmd.Flags(), "redis", "redis.addrs", "Redis address, host:port or the path of a socket")
	a.bind(cmd.Flags(), "schema", "schema.file", "feature schema `file`; empty = the built-in schema")
}

// outputFlag declares --output.
func outputFlag(cmd *cobra.Command, format *string) {
	cmd.Flags().StringVarP(format, "output", "o", "text", "text or json")
}

func checkOutput(format string) error {
	if format != "text" && format != "json" {
		return usagef("--output %s: it can be text or json", format)
	}
	return nil
}

// withStore gives fn the feature store of the configuration. Nothing is written but, in a new store,
// its layout.
func (a *app) withStore(ctx context.Context, fn func(*wiring, *redisstore.Store) error) error {
	return a.withAnyStore(ctx, func(w *wiring, store *redisstore.Store, attached error) error {
		if attached != nil {
			return attached
		}
		return fn(w, store)
	})
}

// withAnyStore is withStore for who can do with a store that this version cannot read: attached says why.
func (a *app) withAnyStore(ctx context.Context, fn func(w *wiring, store *redisstore.Store, attached error) error) error {
	if len(a.config.Redis.Addrs) == 0 {
		return usagef("no Redis is configured: use --redis, redis.addrs in the --config file or SARTOR_REDIS_ADDRS")
	}
	w, err := a.newWiring()
	if err != nil {
		return err
	}
	w.redis.ReadTimeout = 5 * time.Second // a person waits, not a visitor
	store := redisstore.New(w.redis, w.schema)
	defer store.Close()
	return fn(w, store, store.Attach(ctx))
}

// writeJSON prints a value for programs.
func (a *app) writeJSON(v any) error {
	enc := json.NewEncoder(a.stdout)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}

func newFeaturesShowCommand(a *app) *cobra.Command {
	var at, output string
	cmd := &cobra.Command{
		Use:   "show user|item ID",
		Short: "Print what is known about one user or item",
		Long: `Prints every feature of the schema with its value at this moment (or --at another), where it comes
from, and whether it is known or the default stands in. A visitor is 'anon:' and the anonymous id.

Exit code 1: nothing is stored.`,
		Example: `  sartor features show user u-1 --redis localhost:6379
  sartor features show item sku-7 --output json
  sartor features show user anon:c-9`,
		Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			now := time.Now().UTC()
			if at != "" {
				var err error
				if now, err = time.Parse(time.RFC3339, at); err != nil {
					return usagef("--at %s: need a time such as 2026-10-23T19:00:00Z", at)
				}
			}
			if err := checkOutput(output); err != nil {
				return err
			}
			kind, err := entityKind(args[0])
			if err != nil {
				return err
			}
			return a.withStore(cmd.Context(), func(w *wiring, store *redisstore.Store) error {
				return a.showEntity(cmd.Context(), w.schema, store, features.Entity{Kind: kind, ID: args[1]}, now, output)
			})
		},
	}
	a.bindStore(cmd)
	cmd.Flags().StringVar(&at, "at", "", "moment at which windows end, RFC 3339 `time`; empty = now")
	outputFlag(cmd, &output)
	return cmd
}

func entityKind(name string) (features.EntityKind, error) {
	switch name {
	case "user":
		return features.UserEntity, nil
	case "item":
		return features.ItemEntity, nil
	}
	return 0, usagef("%q: it can be user or item", name)
}

// shown is one feature as it is printed.
type shown struct {
	Name  string `json:"name"`
	Value any    `json:"value"`
	Known bool   `json:"known"`
	From  string `json:"from"`
}

// card is what is known about one entity.
type card struct {
	Kind     string           `json:"kind"`
	ID       string           `json:"id"`
	At       time.Time        `json:"at"`
	Newest   *time.Time       `json:"newest_event,omitempty"`
	Erased   *time.Time       `json:"erased_at,omitempty"`
	Visitors []string         `json:"visitors,omitempty"`
	Bytes    int64            `json:"redis_bytes"`
	Features []shown          `json:"features"`
	History  []features.Entry `json:"history,omitempty"`
	Exposed  []features.Entry `json:"shown,omitempty"`
}

func (a *app) showEntity(ctx context.Context, schema *features.Schema, store *redisstore.Store, e features.Entity, now time.Time, output string) error {
	c := card{Kind: map[features.EntityKind]string{features.UserEntity: "user", features.ItemEntity: "item"}[e.Kind], ID: e.ID, At: now}
	var st *features.State
	var err error
	if e.Kind == features.UserEntity {
		st, err = store.User(ctx, e.ID)
	} else {
		st, err = store.Item(ctx, e.ID)
	}
	if err != nil {
		return err
	}
	if st == nil {
		fmt.Fprintf(a.stderr, "nothing is stored about %s %s: to rules and models every feature has its default\n", c.Kind, e.ID)
		return errReported
	}
	if err := c.fill(ctx, schema, store, e, st); err != nil {
		return err
	}
	if output == "json" {
		return a.writeJSON(c)
	}
	return a.printCard(c)
}

// fill computes the features.
func (c *card) fill(ctx context.Context, schema *features.Schema, store *redisstore.Store, e features.Entity, st *features.State) error {
	c.Bytes = schema.StoredBytes(e, st, "")
	if t := st.Time(); !t.IsZero() {
		c.Newest = &t
	}
	if st.RemovedAt != 0 {
		t := time.UnixMilli(st.RemovedAt).UTC()
		c.Erased = &t
	}
	fields, env, known := schema.ItemFields(), map[string]any(nil), map[string]bool(nil)
	if e.Kind == features.UserEntity {
		items, err := itemsOf(ctx, schema, store, st, c.At)
		if err != nil {
			return err
		}
		u := schema.User(e.ID, st, items, c.At)
		fields, env, known = schema.UserFields(), u.Env, u.Known
		c.Visitors, c.History, c.Exposed = st.Visitors(), u.History, u.Shown
	} else {
		it := schema.Item(e.ID, st, c.At)
		env, known = it.Env, it.Known
	}
	for _, f := range fields {
		c.Features = append(c.Features, shown{f.Name, env[f.Name], known[f.Name], schema.Origin(e.Kind, f.Name)})
	}
	return nil
}

// itemsOf reads the items that a user's lists name, for favourite categories and brands.
func itemsOf(ctx context.Context, schema *features.Schema, store *redisstore.Store, st *features.State, now time.Time) (features.ItemLookup, error) {
	ids := map[string]bool{}
	for _, list := range st.Lists {
		for _, entry := range list {
			ids[entry.ItemID] = true
		}
	}
	var entities []features.Entity
	for _, id := range slices.Sorted(maps.Keys(ids)) {
		entities = append(entities, features.Entity{Kind: features.ItemEntity, ID: id})
	}
	states, err := store.StoredAll(ctx, entities)
	if err != nil {
		return nil, err
	}
	items := make(map[string]*features.Item, len(entities))
	for i, e := range entities {
		items[e.ID] = schema.Item(e.ID, states[i], now)
	}
	return func(id string) *features.Item { return items[id] }, nil
}

func (a *app) printCard(c card) error {
	fmt.Fprintf(a.stdout, "%s %s at %s", c.Kind, c.ID, c.At.Format(time.RFC3339))
	if c.Newest != nil {
		fmt.Fprintf(a.stdout, ", newest event %s", c.Newest.Format(time.RFC3339))
	}
	fmt.Fprintf(a.stdout, ", about %s bytes\n", grouped(c.Bytes))
	if c.Erased != nil {
		fmt.Fprintf(a.stdout, "erased: events up to %s leave no trace\n", c.Erased.Format(time.RFC3339))
	}
	if len(c.Visitors) > 0 {
		fmt.Fprintf(a.stdout, "joined with %s\n", strings.Join(c.Visitors, ", "))
	}
	w := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "\nfeature\tvalue\t\tfrom")
	for _, f := range c.Features {
		standing := ""
		if !f.Known {
			standing = "default"
		}
		fmt.Fprintf(w, "%s.%s\t%s\t%s\t%s\n", c.Kind, f.Name, shortValue(f.Value), standing, f.From)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	a.printEntries("history", c.History)
	a.printEntries("shown", c.Exposed)
	return nil
}

// printEntries prints the newest entries of a list; nothing of an empty one.
func (a *app) printEntries(title string, entries []features.Entry) {
	for i, entry := range entries {
		if i == 0 {
			fmt.Fprintf(a.stdout, "\n%s, newest first\n", title)
		}
		if i == 20 {
			fmt.Fprintf(a.stdout, "  and %d more\n", len(entries)-i)
			return
		}
		fmt.Fprintf(a.stdout, "  %s  %-11s %s\n", time.UnixMilli(entry.Time).UTC().Format(time.RFC3339), entry.Type, entry.ItemID)
	}
}

// shortValue writes a value for a table.
func shortValue(v any) string {
	switch x := v.(type) {
	case time.Time:
		if x.IsZero() {
			return "-"
		}
		return x.Format(time.RFC3339)
	case string:
		if x == "" {
			return `""`
		}
		return shorten(x)
	case []string:
		return shorten("[" + strings.Join(x, ", ") + "]")
	case map[string]string:
		parts := make([]string, 0, len(x))
		for _, k := range slices.Sorted(maps.Keys(x)) {
			parts = append(parts, k+": "+x[k])
		}
		return shorten("{" + strings.Join(parts, ", ") + "}")
	case float64:
		return fmt.Sprintf("%.6g", x)
	}
	return fmt.Sprint(v)
}

// shorten cuts a text to a width that a terminal shows.
func shorten(s string) string {
	const most = 60
	if r := []rune(s); len(r) > most {
		return string(r[:most-1]) + "…"
	}
	return s
}

package main

import (
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/sartorhq/sartor/features"
	"github.com/sartorhq/sartor/features/redisstore"
)

func newFeaturesPlanCommand(a *app) *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use:   "plan",
		Short: "Say what a changed schema needs before it is used",
		Long: `Compares the schema of the configuration with the one that the stored features were built with: what
is added, changed or removed, and whether what is stored can give it its past. A field that needs a
rebuild works without one, but counts from now on only.

Exit code 1: a rebuild is needed, or the store does not say how it was built.`,
		Example: `  sartor features plan --schema schema.yaml --redis localhost:6379`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := checkOutput(output); err != nil {
				return err
			}
			return a.withStore(cmd.Context(), func(w *wiring, store *redisstore.Store) error {
				spaces, err := store.Namespaces(cmd.Context())
				if err != nil {
					return err
				}
				return a.plan(w.schema, spaces, output)
			})
		},
	}
	a.bindStore(cmd)
	outputFlag(cmd, &output)
	return cmd
}

// planned is what 'plan' says.
type planned struct {
	Namespace string            `json:"namespace"`
	Built     string            `json:"built_with"`
	Written   string            `json:"written_with"`
	Wanted    string            `json:"wanted"`
	Changes   []features.Change `json:"changes"`
	Rebuild   bool              `json:"rebuild_needed"`
}

func (a *app) plan(schema *features.Schema, spaces []redisstore.Namespace, output string) error {
	p := planned{Wanted: schema.Version(), Changes: []features.Change{}}
	var source string
	for _, n := range spaces {
		if n.Active {
			p.Namespace, p.Built, p.Written, source = n.Name, n.Built, n.Schema, n.BuiltSource
		}
	}
	if p.Built == "" {
		return fmt.Errorf("the store does not say which schema it was built with (it is written with %s): rebuild it once with 'sartor features rebuild'", p.Written)
	}
	built, err := features.Parse("the stored schema", []byte(source))
	if err != nil {
		return fmt.Errorf("read how the store was built: %w", err)
	}
	p.Changes = append(p.Changes, features.Compare(built, schema)...)
	for _, c := range p.Changes {
		p.Rebuild = p.Rebuild || c.Rebuild
	}
	if output == "json" {
		err = a.writeJSON(p)
	} else {
		err = a.printPlan(p)
	}
	if err == nil && p.Rebuild {
		err = errReported
	}
	return err
}

func (a *app) printPlan(p planned) error {
	name := p.Namespace
	if name == "" {
		name = "(the first)"
	}
	fmt.Fprintf(a.stdout, "namespace %s, built with schema %s, wanted %s\n", name, p.Built, p.Wanted)
	if len(p.Changes) == 0 {
		fmt.Fprintln(a.stdout, "nothing to do")
		return nil
	}
	w := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
	for _, c := range p.Changes {
		need := "no rebuild"
		if c.Rebuild {
			need = "REBUILD"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", c.Kind, c.Field, need, c.Why)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if p.Rebuild {
		fmt.Fprintln(a.stdout, "\n'sartor features rebuild' with this schema gives every field its past, while the old features are served")
	}
	return nil
}

func newFeaturesBudgetCommand(a *app) *cobra.Command {
	var users, items int64
	var output string
	cmd := &cobra.Command{
		Use:   "budget",
		Short: "Say how much memory a schema makes Redis keep",
		Long: `Estimates the bytes that Redis needs of one user and one item with the schema of the configuration,
for usual activity and at the most that windows and list lengths allow. A test holds the estimate to
what redis-server says of real keys.`,
		Example: `  sartor features budget
  sartor features budget --schema schema.yaml --users 1000000 --items 50000`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if err := checkOutput(output); err != nil {
				return err
			}
			schema, err := loadSchema(a.config.Schema)
			if err != nil {
				return err
			}
			user, item := schema.Budget(time.Now(), a.config.Redis.Prefix)
			if output == "json" {
				return a.writeJSON(map[string]any{"schema": schema.Version(), "user": user, "item": item,
					"usual_total_bytes": users*user[0].Bytes + items*item[0].Bytes})
			}
			w := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
			fmt.Fprintf(w, "schema %s\tfields\tlist entries\tbytes\n", schema.Version())
			for _, s := range user {
				fmt.Fprintf(w, "user, %s\t%d\t%d\t%s\n", s.Name, s.Fields, s.Listed, grouped(s.Bytes))
			}
			for _, s := range item {
				fmt.Fprintf(w, "item, %s\t%d\t%d\t%s\n", s.Name, s.Fields, s.Listed, grouped(s.Bytes))
			}
			if err := w.Flush(); err != nil {
				return err
			}
			if users+items > 0 {
				fmt.Fprintf(a.stdout, "%s users and %s items: about %.1f GiB as usual\n", grouped(users), grouped(items),
					float64(users*user[0].Bytes+items*item[0].Bytes)/(1<<30))
			}
			return nil
		},
	}
	a.bind(cmd.Flags(), "schema", "schema.file", "feature schema `file`; empty = the built-in schema")
	cmd.Flags().Int64Var(&users, "users", 0, "number of users, for a total")
	cmd.Flags().Int64Var(&items, "items", 0, "number of items, for a total")
	outputFlag(cmd, &output)
	return cmd
}

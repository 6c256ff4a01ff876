package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/sartorhq/sartor/models"
	"github.com/sartorhq/sartor/models/registry"
)

// modelSummary is what a model is made of.
type modelSummary struct {
	models.Meta
	Weights int          `json:"weights"`
	Groups  []groupSize  `json:"groups,omitempty"` // as freeze and rates of a scenario name them
	Items   *readSummary `json:"item_features,omitempty"`
	Visits  *readSummary `json:"user_features,omitempty"`
}

type groupSize struct {
	Name    string `json:"name"`
	Weights int    `json:"weights"`
}

// readSummary is what a tower or a head reads.
type readSummary struct {
	Units    int            `json:"units"`
	Features int            `json:"features"`
	Fields   []fieldSummary `json:"fields"`
}

type fieldSummary struct {
	models.TowerField
	Features int `json:"features"`
}

func newShowCommand(a *app) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "inspect VERSION|FOLDER",
		Short: "Show what a model is made of: groups of weights, and what it reads of items, users and visits",
		Long: `Reads a published version, or the folder of a model, and shows its manifest, how many weights each group
has (the names that freeze and rates of a scenario file take), and the fields that it reads of items and
users, with the edges that part numbers.

Exit code 1: the model cannot be read. Exit code 2: the command line is wrong.`,
		Example: `  sartor train inspect encoder-0123456789ab --models models
  sartor train inspect models/encoder-0123456789ab --json`,
		Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error { return a.show(args[0], asJSON) },
	}
	a.bind(cmd.Flags(), "models", "models.dir", "registry folder")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func (a *app) show(name string, asJSON bool) error {
	m, err := a.modelNamed(name)
	if err != nil {
		return err
	}
	s := summarize(m)
	if asJSON {
		enc := json.NewEncoder(a.stdout)
		enc.SetIndent("", "  ")
		return enc.Encode(s)
	}
	return s.print(a.stdout)
}

// modelNamed loads a version of the registry, or the model in a folder.
func (a *app) modelNamed(name string) (models.Model, error) {
	if _, err := os.Stat(filepath.Join(name, models.ManifestFile)); err == nil {
		return models.Load(name)
	}
	if a.config.Models.Dir == "" {
		return nil, usagef("%s is not the folder of a model; for a version use --models FOLDER", name)
	}
	return registry.New(a.config.Models.Dir).Load(name)
}

func summarize(m models.Model) modelSummary {
	s := modelSummary{Meta: m.Meta()}
	group := func(name string, n int) {
		s.Weights += n
		at := slices.IndexFunc(s.Groups, func(g groupSize) bool { return g.Name == name })
		if at < 0 {
			at, s.Groups = len(s.Groups), append(s.Groups, groupSize{Name: name})
		}
		s.Groups[at].Weights += n
	}
	switch m := m.(type) {
	case *models.Encoder:
		t := m.Table()
		for _, x := range t.Arrays(m.Params()) {
			group(x.Name[:strings.LastIndexByte(x.Name, '.')], x.Size())
		}
		if t.Tower != nil {
			s.Items = readOf(t.Tower.Hidden, t.Tower.Spec)
		}
		if t.Head != nil {
			s.Visits = readOf(t.Head.Hidden, t.Head.Spec)
		}
	case *models.LAE:
		t := m.Table()
		group(groupIn, len(t.In))
		group(groupOut, len(t.Out))
		if w := t.Tower; w != nil {
			for _, side := range []models.TowerWeights{w.In, w.Out} {
				group(groupTower, len(side.Embed)+len(side.W1)+len(side.B1)+len(side.W2))
			}
			s.Items = readOf(w.Hidden, w.Spec)
		}
	}
	return s
}

// readOf counts the features of each field.
func readOf(units int, spec *models.TowerSpec) *readSummary {
	r := &readSummary{Units: units, Features: len(spec.Features)}
	for _, f := range spec.Fields {
		n := 0
		for _, text := range spec.Features {
			if strings.HasPrefix(text, f.Name+"=") {
				n++
			}
		}
		r.Fields = append(r.Fields, fieldSummary{TowerField: f, Features: n})
	}
	return r
}

func (s modelSummary) print(out io.Writer) error {
	fmt.Fprintf(out, "%s: %s items, %d dimensions, trained on %s events of %s users through %s.\n", cmp.Or(s.Version, s.Kind), thousands(int64(s.Meta.Items)), s.Dim,
		thousands(s.Events), thousands(int64(s.Users)), s.TrainedThrough.UTC().Format("2006-01-02 15:04"))
	for _, name := range sortedKeys(s.Params) {
		fmt.Fprintf(out, "  %s %g\n", name, s.Params[name])
	}
	w := tabwriter.NewWriter(out, 0, 4, 2, ' ', 0)
	if len(s.Groups) > 0 {
		fmt.Fprintf(w, "\ngroup\tweights\n")
		for _, g := range s.Groups {
			fmt.Fprintf(w, "%s\t%s\n", g.Name, thousands(int64(g.Weights)))
		}
	}
	for _, part := range []struct {
		of   string
		read *readSummary
	}{{"items", s.Items}, {"users and visits", s.Visits}} {
		if part.read == nil {
			continue
		}
		fmt.Fprintf(w, "\nread of %s, %d units\tas\tfeatures\tedges\n", part.of, part.read.Units)
		for _, f := range part.read.Fields {
			fmt.Fprintf(w, "%s\t%s\t%d\t%s\n", f.Name, f.As, f.Features, strings.Trim(fmt.Sprint(f.Edges), "[]"))
		}
	}
	return w.Flush()
}

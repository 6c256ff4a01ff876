package main

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sartorhq/sartor/models"
	"github.com/sartorhq/sartor/models/foreign"
	"github.com/sartorhq/sartor/models/registry"
)

func newModelsCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "models",
		Short: "Bring models of other programs into the registry",
	}
	cmd.AddCommand(newImportCommand(a))
	return cmd
}

// importFlags are the flags of one call.
type importFlags struct {
	safetensors, parquet, manifest string
	tensor, ids, idColumn, vectors string
	as                             string
	als                            models.ALSParams
	tau                            float64
	stage                          bool
}

func newImportCommand(a *app) *cobra.Command {
	var f importFlags
	cmd := &cobra.Command{
		Use:   "import",
		Short: "Publish item vectors or a whole model that PyTorch or Spark trained",
		Long: `Item vectors: an embedding table that PyTorch wrote as safetensors, with a file of ids, or the item
factors of Spark's ALSModel as Parquet. Users are encoded here, from their histories: --as lae adds up
the vectors of what they did and ranks by cosine, --as als solves their row of the factorisation.

A whole model: --manifest names a JSON file with kind and params as in the manifest of models/MODEL.md,
--safetensors a file with the tensors of that kind.

Exit code 1: a file cannot be read or does not fit. Exit code 2: the command line is wrong.`,
		Example: `  sartor models import --safetensors items.safetensors --tensor item.weight --ids items.txt --models models
  sartor models import --parquet als/itemFactors --as als --lambda 0.1 --unobserved 1 --models models`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.importModel(cmd, f) },
	}
	flags := cmd.Flags()
	a.bind(flags, "models", "models.dir", "registry folder to publish to")
	flags.StringVar(&f.safetensors, "safetensors", "", "`file` with an embedding table, or with all tensors of --manifest")
	flags.StringVar(&f.parquet, "parquet", "", "`file` or folder of part files with ids and vectors")
	flags.StringVar(&f.manifest, "manifest", "", "JSON `file` with the kind and params of a whole model")
	flags.StringVar(&f.tensor, "tensor", "", "name of the table among the tensors; not needed when there is one matrix")
	flags.StringVar(&f.ids, "ids", "", "`file` with the id of each row, one a line")
	flags.StringVar(&f.idColumn, "id-column", "id", "column of the ids in Parquet")
	flags.StringVar(&f.vectors, "vector-column", "features", "column of the vectors in Parquet")
	flags.StringVar(&f.as, "as", models.KindLAE, "how users are encoded: lae or als")
	flags.Float64Var(&f.tau, "tau", 0.1, "lae: temperature by which cosines are divided")
	flags.Float64Var(&f.als.Lambda, "lambda", 0.1, "als: ridge of the factorisation (regParam of Spark)")
	flags.Float64Var(&f.als.Unobserved, "unobserved", 1, "als: weight of pairs without evidence (1 in Spark)")
	flags.Float64Var(&f.als.Nu, "nu", 1, "als: exponent of the ridge's frequency scaling")
	flags.BoolVar(&f.stage, "add-only", false, "add the version without making it current")
	return cmd
}

func (a *app) importModel(cmd *cobra.Command, f importFlags) error {
	if a.config.Models.Dir == "" {
		return usagef("where to publish? use --models FOLDER")
	}
	if (f.safetensors == "") == (f.parquet == "") {
		return usagef("name what to import: --safetensors or --parquet")
	}
	m, err := f.read()
	if err != nil {
		return err
	}
	publish := registry.New(a.config.Models.Dir).Publish
	done := "Published"
	if f.stage {
		publish, done = registry.New(a.config.Models.Dir).Add, "Added"
	}
	meta, err := publish(cmd.Context(), m)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(a.stdout, "%s %s: %s items of %d dimensions, users encoded as %s.\n", done, meta.Version, thousands(int64(meta.Items)), meta.Dim, meta.Kind)
	return err
}

// read builds the model from the files.
func (f importFlags) read() (models.Model, error) {
	meta := models.Meta{CreatedAt: time.Now().UTC()}
	if f.manifest != "" {
		return f.whole(meta)
	}
	var v foreign.Vectors
	var err error
	switch {
	case f.as != models.KindLAE && f.as != models.KindALS:
		return nil, usagef("--as %s: it can be %s or %s", f.as, models.KindLAE, models.KindALS)
	case f.parquet != "":
		v, err = foreign.Parquet(f.parquet, f.idColumn, f.vectors)
	case f.ids == "":
		return nil, usagef("--ids: name the file with the id of each row")
	default:
		v, err = foreign.Safetensors(f.safetensors, f.tensor, f.ids)
	}
	if err != nil {
		return nil, fmt.Errorf("import: %w", err)
	}
	if f.ids != "" && f.parquet != "" {
		if v.IDs, err = renamed(v.IDs, f.ids); err != nil {
			return nil, fmt.Errorf("import: %w", err)
		}
	}
	if f.as == models.KindALS {
		f.als.Signal = models.DefaultSignal()
		return v.ALS(meta, f.als, nil)
	}
	return v.LAE(meta, models.LAEParams{Tau: f.tau, Signal: models.DefaultSignal()}, nil)
}

// renamed replaces the numbers that Spark needs by the shop's ids: a file of lines "number,id".
func renamed(ids []string, path string) ([]string, error) {
	lines, err := foreign.IDs(path)
	if err != nil {
		return nil, err
	}
	names := map[string]string{}
	for i, line := range lines {
		number, id, ok := strings.Cut(line, ",")
		if !ok || id == "" {
			return nil, fmt.Errorf("%s: line %d: want NUMBER,ID", path, i+1)
		}
		names[number] = id
	}
	out := make([]string, len(ids))
	for i, number := range ids {
		if out[i] = names[number]; out[i] == "" {
			return nil, fmt.Errorf("%s names no id for %s", path, number)
		}
	}
	return out, nil
}

// whole reads a model with its manifest.
func (f importFlags) whole(meta models.Meta) (models.Model, error) {
	text, err := os.ReadFile(f.manifest)
	if err != nil {
		return nil, fmt.Errorf("import: %w", err)
	}
	created := meta.CreatedAt
	if err := json.Unmarshal(text, &meta); err != nil {
		return nil, fmt.Errorf("import %s: %w", f.manifest, err)
	}
	meta.Version, meta.SHA256, meta.CreatedAt = "", nil, created
	file, err := os.ReadFile(f.safetensors)
	if err != nil {
		return nil, fmt.Errorf("import: %w", err)
	}
	var ids []string
	if f.ids != "" {
		if ids, err = foreign.IDs(f.ids); err != nil {
			return nil, fmt.Errorf("import: %w", err)
		}
	}
	m, err := models.Decode(meta, file, ids)
	if err != nil {
		return nil, fmt.Errorf("import %s: %w", f.safetensors, err)
	}
	return m, nil
}

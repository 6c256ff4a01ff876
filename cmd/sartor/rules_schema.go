package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	ruleschema "github.com/sartorhq/sartor/rules/schema"
)

func newRulesSchemaCommand(a *app) *cobra.Command {
	var kind, folder string
	cmd := &cobra.Command{
		Use:   "schema",
		Short: "Print the JSON Schema of rule files, for editors",
		Long: `Prints the JSON Schema (draft 2020-12) of rule files, or of their tests, with the names of the feature
schema: editors complete keys and fields and mark mistakes while you type. With --write, both are put
into a folder, and the line is shown that tells an editor where they are.`,
		Example: `  sartor rules schema > rules.schema.json
  sartor rules schema --kind tests
  sartor rules schema --write rules/`,
		Args: cobra.NoArgs,
		RunE: func(_ *cobra.Command, _ []string) error {
			if err := oneOf("--kind", kind, ruleschema.Kinds()...); err != nil {
				return err
			}
			return a.printSchema(kind, folder)
		},
	}
	cmd.Flags().StringVar(&kind, "kind", "rules", "rules or tests")
	cmd.Flags().StringVar(&folder, "write", "", "write both schemas into this `folder`")
	a.bind(cmd.Flags(), "schema", "schema.file", "feature schema `file`; empty = the built-in schema")
	return cmd
}

func (a *app) printSchema(kind, folder string) error {
	schema, err := loadSchema(a.config.Schema)
	if err != nil {
		return err
	}
	if folder == "" {
		data, err := ruleschema.Build(kind, schema)
		if err != nil {
			return err
		}
		_, err = a.stdout.Write(data)
		return err
	}
	for _, kind := range ruleschema.Kinds() {
		data, err := ruleschema.Build(kind, schema)
		if err != nil {
			return err
		}
		name := kind + ".schema.json"
		if err := os.WriteFile(filepath.Join(folder, name), data, 0o644); err != nil {
			return err
		}
		fmt.Fprintf(a.stdout, "wrote %s; put this line on top of %s:\n%s\n", filepath.Join(folder, name), map[string]string{"rules": "rule files", "tests": "tests"}[kind],
			ruleschema.Modeline(name))
	}
	return nil
}

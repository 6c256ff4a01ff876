package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sartorhq/sartor/models/registry"
)

// foreignData holds what PyTorch and Arrow wrote.
var foreignData = filepath.Join("..", "..", "models", "foreign", "testdata")

func TestModelsImport(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "models")
	write := func(name, text string) string {
		path := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	ids := write("ids.txt", "a\nb\nc\nd\ne\nf\n")
	manifest := write("manifest.json", `{"kind": "lae", "params": {"factors": 8, "tau": 0.1, "weight.view": 1}}`)
	names := write("names.csv", "100,x0\n101,x1\n102,x2\n103,x3\n104,x4\n105,x5\n")
	for name, c := range map[string]struct {
		args []string
		want string
		kind string
	}{
		"torch":  {[]string{"--safetensors", filepath.Join(foreignData, "torch.safetensors"), "--tensor", "item.weight", "--ids", ids}, "6 items of 8 dimensions, users encoded as lae", "lae"},
		"spark":  {[]string{"--parquet", filepath.Join(foreignData, "spark.parquet"), "--as", "als", "--ids", names}, "6 items of 8 dimensions, users encoded as als", "als"},
		"whole":  {[]string{"--safetensors", filepath.Join(foreignData, "lae.safetensors"), "--manifest", manifest, "--ids", ids, "--add-only"}, "Added lae-", "als"},
		"no-ids": {[]string{"--safetensors", filepath.Join(foreignData, "f64.safetensors")}, "--ids: name the file", ""},
		"both":   {[]string{"--safetensors", "x", "--parquet", "y"}, "name what to import", ""},
		"as":     {[]string{"--parquet", "y", "--as", "tree"}, "it can be lae or als", ""},
		"gone":   {[]string{"--parquet", "nowhere"}, "no such file", ""},
	} {
		t.Run(name, func(t *testing.T) {
			into := filepath.Join(dir, name)
			code, out, errs := runHere(t, append([]string{"models", "import", "--models", into}, c.args...)...)
			if !strings.Contains(out+errs, c.want) || (code == exitOK) != (c.kind != "") {
				t.Fatalf("exit code %d\n%s%s", code, out, errs)
			}
			if c.kind == "" || name == "whole" {
				return
			}
			version, err := registry.New(into).Current()
			if err != nil || !strings.HasPrefix(version, c.kind) {
				t.Errorf("current is %s: %v", version, err)
			}
		})
	}
}

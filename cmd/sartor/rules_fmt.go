package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/rogpeppe/go-internal/diff"
	"github.com/spf13/cobra"

	"github.com/sartorhq/sartor/rules/rulefile"
)

func newRulesFmtCommand(a *app) *cobra.Command {
	var showDiff, check bool
	cmd := &cobra.Command{
		Use:   "fmt PATH...",
		Short: "Write rule files in their canonical form",
		Long: `Rewrites rule files and their tests with two spaces a level, one space after a colon and awkward
conditions as "|" blocks. Comments, order and meaning stay. Names the files that it changed. The
path - formats standard input to standard output, for editors.`,
		Example: `  sartor rules fmt deploy/rules
  sartor rules fmt --check deploy/rules      exit code 1 when a file is not canonical
  sartor rules fmt -d home.yaml              show what would change`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) == 1 && args[0] == "-" {
				return a.fmtStream()
			}
			return a.fmtRules(args, showDiff, check)
		},
		Annotations: map[string]string{skipConfig: "formatting needs no configuration"},
	}
	cmd.Flags().BoolVarP(&showDiff, "diff", "d", false, "print the difference, write nothing")
	cmd.Flags().BoolVar(&check, "check", false, "name the files that are not canonical, write nothing, exit 1 if there are any")
	return cmd
}

func (a *app) fmtStream() error {
	data, err := io.ReadAll(io.LimitReader(a.stdin, rulefile.MaxBytes+1))
	if err != nil {
		return fmt.Errorf("read standard input: %w", err)
	}
	out, err := rulefile.Format(data)
	if err != nil {
		return a.fmtProblem("standard input", err)
	}
	_, err = a.stdout.Write(out)
	return err
}

func (a *app) fmtRules(paths []string, showDiff, check bool) error {
	groups, err := ruleGroups(paths)
	if err != nil {
		return err
	}
	failed := false
	for _, g := range groups {
		for _, path := range append(g.rules, g.tests...) {
			changed, err := a.fmtFile(path, showDiff, showDiff || check)
			if err != nil && !errors.Is(err, errReported) {
				return err
			}
			failed = failed || err != nil || changed && check
		}
	}
	if failed {
		return errReported
	}
	return nil
}

// fmtFile formats one file and tells whether that changes it.
func (a *app) fmtFile(path string, showDiff, dry bool) (changed bool, err error) {
	before, err := os.ReadFile(path)
	if err != nil {
		return false, err
	}
	after, err := rulefile.Format(before)
	if err != nil {
		return false, a.fmtProblem(path, err)
	}
	if bytes.Equal(before, after) {
		return false, nil
	}
	if showDiff {
		_, err := a.stdout.Write(diff.Diff(path, before, path+" (formatted)", after))
		return true, err
	}
	fmt.Fprintln(a.stdout, path)
	if dry {
		return true, nil
	}
	return true, replaceFile(path, after)
}

// fmtProblem reports why a file cannot be formatted; the other files are still done.
func (a *app) fmtProblem(path string, err error) error {
	var f *rulefile.FormatError
	if !errors.As(err, &f) {
		return fmt.Errorf("format %s: %w", path, err)
	}
	for i := range f.Problems {
		f.Problems[i].Path = path
	}
	if err := rulefile.Render(a.stderr, f.Problems, "text"); err != nil {
		return err
	}
	return errReported
}

// replaceFile puts new content in a file's place as one step, so that a service that watches the
// folder never reads half of it. A symbolic link stays one.
func replaceFile(path string, data []byte) error {
	path, err := filepath.EvalSymlinks(path)
	if err != nil {
		return err
	}
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	tmp, err := os.CreateTemp(filepath.Dir(path), ".fmt-*")
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name()) // gone already when all went well
	_, err = tmp.Write(data)
	if err = errors.Join(err, tmp.Chmod(info.Mode().Perm()), tmp.Close()); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return os.Rename(tmp.Name(), path)
}

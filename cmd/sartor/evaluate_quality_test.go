package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The cases name commands and flags that exist: each is parsed, and run where its data is small enough.
func TestQualityCasesAreCommands(t *testing.T) {
	for _, q := range qualities() {
		root := newRootCommand(&app{stdout: &strings.Builder{}, stderr: &strings.Builder{}})
		cmd, rest, err := root.Find(q.args)
		if err == nil {
			err = cmd.ParseFlags(rest)
		}
		if err != nil || q.known == "" || len(q.lines) < 2 {
			t.Errorf("%s: %v", q.name, err)
		}
	}
}

func TestQualityLeavesOutWhatIsNotThere(t *testing.T) {
	dir := t.TempDir()
	code, out, errs := runHere(t, "evaluate", "quality", "--data", dir, "--all")
	if code != exitOK || strings.Count(out, "left out, there is no") != len(qualities()) {
		t.Errorf("exit code %d\n%s%s", code, out, errs)
	}
}

func TestQualityOnRetailrocket(t *testing.T) {
	if testing.Short() || os.Getenv("SARTOR_SOAK") == "" {
		t.Skip("takes half a minute: set SARTOR_SOAK=1")
	}
	dir := os.Getenv("SARTOR_DATA")
	if dir == "" {
		dir = filepath.Join("..", "..", "..", "shared", "data")
	}
	if _, err := os.Stat(filepath.Join(dir, "retailrocket-mb")); err != nil {
		t.Skipf("no data: %v", err)
	}
	code, out, errs := runHere(t, "evaluate", "quality", "--data", dir, "--only", "retailrocket-mb")
	for _, want := range []string{"pretrained", "tuned, 100 %", "from scratch, 100 %", "tuned, 100 % minus from scratch, 100 %", "known: "} {
		if code != exitOK || !strings.Contains(out, want) {
			t.Errorf("exit code %d, no %q\n%s%s", code, want, out, errs)
		}
	}
}

// TestQualityCasesAreAccepted runs each case without its data: the command line is right, and only the data is missing.
func TestQualityCasesAreAccepted(t *testing.T) {
	for _, q := range qualities() {
		args := make([]string, len(q.args))
		work := t.TempDir()
		if err := os.WriteFile(filepath.Join(work, "scenario.yaml"), []byte("scenario: s\nobjective: {order: 1}\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		for i, arg := range q.args {
			args[i] = strings.NewReplacer("WORK/scenario.yaml", filepath.Join(work, "scenario.yaml"), "WORK", filepath.Join(work, "none"), "DATA", filepath.Join(work, "none")).Replace(arg)
		}
		if code, _, stderr := runHere(t, args...); code != exitFailed || !strings.Contains(stderr, "no such file or directory") {
			t.Errorf("%s: exit code %d, %s", q.name, code, stderr)
		}
	}
}

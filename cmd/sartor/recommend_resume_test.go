package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// resumes: a run that ends early keeps what is done, and the same command goes on behind its last complete line.
func resumes(t *testing.T, w *world) {
	dir := t.TempDir()
	users, out := filepath.Join(dir, "users"), filepath.Join(dir, "lists.ndjson")
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	run := func(code int, want string, args ...string) {
		t.Helper()
		got, _, errOut := w.mail(append([]string{"--users", users, "--out", out, "--count", "2", "--resume"}, args...)...)
		if got != code || !strings.Contains(errOut, want) {
			t.Fatalf("exit %d, want %d with %q: %s", got, code, want, errOut)
		}
	}
	write(users, "ann\nben\n"+strings.Repeat("x", 129)+"\ncy\n")
	run(exitFailed, "what is done is kept in "+partOf(out)+": the same command goes on from there")
	left(t, dir, "lists.ndjson.part", "users")
	first, err := os.ReadFile(partOf(out))
	if err != nil || strings.Count(string(first), "\n") != 2 {
		t.Fatalf("kept: %q, %v", first, err)
	}

	// A machine that went down left half a line.
	write(partOf(out), string(first)+`{"user_id":"dora","scen`)
	write(users, "ann\nbert\ncy\n")
	run(exitFailed, ".part:2: the list of another user than the one at "+users+":2, so the file of users has changed: delete the file")
	write(users, "ann\n")
	run(exitFailed, ".part:2: one list more than "+users+" has users")
	write(users, "ann\nben\ncy\ndora\n")
	run(exitFailed, ".part:1: a list of the scenario email, and this run is for home", "--scenario", "home")
	run(exitOK, "2 by the run before")
	left(t, dir, "lists.ndjson", "users")
	whole, err := os.ReadFile(out)
	if err != nil || !strings.HasPrefix(string(whole), string(first)) {
		t.Fatalf("what was done has changed: %v", err)
	}
	var names []string
	for _, m := range readMailed(t, out) {
		names = append(names, m.UserID)
	}
	if got := strings.Join(names, " "); got != "ann ben cy dora" {
		t.Errorf("lists of %s", got)
	}

	write(partOf(out), "not a list\n")
	run(exitFailed, ".part:1: not a list: delete the file to start again")
	for _, tc := range [][]string{
		{"Parquet file cannot be continued", "--out", filepath.Join(dir, "lists.parquet")},
		{"standard output cannot be continued", "--out", "-"},
		{"standard input cannot be read again", "--users", "-"},
	} {
		run(exitUsage, tc[0], tc[1:]...)
	}
}

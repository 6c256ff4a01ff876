package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sartorhq/sartor/features"
)

// sartorRules runs "sartor rules ARGS".
func sartorRules(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	code = run(context.Background(), append([]string{"rules"}, args...), strings.NewReader(""), &out, &errs)
	return code, out.String(), errs.String()
}

// TestStarterRulesAreExemplary holds the rules that ship to what the manual asks of everybody.
func TestStarterRulesAreExemplary(t *testing.T) {
	for _, args := range [][]string{{"check"}, {"test"}, {"fmt", "--check"}} {
		code, stdout, stderr := sartorRules(t, append(args, "../../deploy/rules")...)
		if code != exitOK {
			t.Errorf("rules %v: exit code %d\n%s%s", args, code, stdout, stderr)
		}
	}
}

func TestRulesExitCodes(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	const head = "apiVersion: rules/v1\nkind: RuleSet\ndescription: d\nowner: o\n"
	good := write("good.yaml", head+"name: good\nrules:\n  - id: a\n    match: item.stock < 1\n    then: [exclude: {}]\n")
	over := write("over.yaml", head+"name: over\nrules:\n  - id: b\n    schedule: {until: 2020-01-01}\n    match: item.stock < 1\n    then: [exclude: {}]\n")
	twin := write("twin.yaml", head+"name: twin\nrules:\n  - id: a\n    match: item.stock < 1\n    then: [exclude: {}]\n")
	test := write("bad.test.yaml", "apiVersion: rules/v1\nkind: RuleTest\nruleset: good\nnow: 2026-01-01\ncases:\n  - nmae: x\n    expect: {}\n")
	empty := filepath.Join(dir, "empty")
	if err := os.Mkdir(empty, 0o755); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name string
		args []string
		code int
		want string
	}{
		{"good", []string{"check", good}, exitOK, "1 file, 1 rule: 0 errors, 0 warnings"},
		{"schedule_over", []string{"check", over}, exitFailed, "R012"},
		{"schedule_over_allowed", []string{"check", "--allow-warnings", over}, exitOK, "1 warning"},
		{"one_id_in_two_files", []string{"check", good, twin}, exitFailed, "R010"},
		{"one_id_in_two_calls", []string{"check", twin}, exitOK, "0 errors"},
		{"broken_test_file", []string{"check", test}, exitFailed, "did you mean `name`"},
		{"run_broken_test_file", []string{"test", test}, exitFailed, "did you mean `name`"},
		{"tests_of_another_file", []string{"test", twin}, exitFailed, "no tests"},
		{"empty_folder", []string{"check", empty}, exitUsage, "no rule files"},
		{"no_path", []string{"check"}, exitUsage, "rules check needs PATH..., as in:"},
		{"missing_path", []string{"fmt", filepath.Join(dir, "none.yaml")}, exitUsage, "does not exist"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			code, stdout, stderr := sartorRules(t, tt.args...)
			if code != tt.code || !strings.Contains(stdout+stderr, tt.want) {
				t.Errorf("exit code %d, want %d with %q\n%s%s", code, tt.code, tt.want, stdout, stderr)
			}
		})
	}
}

// TestFmtKeepsLinksAndModes formats through a symbolic link.
func TestFmtKeepsLinksAndModes(t *testing.T) {
	dir := t.TempDir()
	target, link := filepath.Join(dir, "real.yaml"), filepath.Join(dir, "link.yaml")
	if err := os.WriteFile(target, []byte("name:   x\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("real.yaml", link); err != nil {
		t.Fatal(err)
	}
	if code, stdout, stderr := sartorRules(t, "fmt", link); code != exitOK || strings.TrimSpace(stdout) != link {
		t.Fatal(code, stdout, stderr)
	}
	info, err := os.Lstat(link)
	if err != nil || info.Mode()&os.ModeSymlink == 0 {
		t.Errorf("the link is gone: %v %v", info.Mode(), err)
	}
	data, err := os.ReadFile(target)
	if err != nil || string(data) != "name: x\n" {
		t.Errorf("%q %v", data, err)
	}
	if info, err := os.Stat(target); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v %v", info.Mode(), err)
	}
}

func TestUnreadableRuleFile(t *testing.T) {
	g := ruleGroup{rules: []string{filepath.Join(t.TempDir(), "gone.yaml")}, tests: []string{filepath.Join(t.TempDir(), "gone.test.yaml")}}
	problems, n := g.check(features.Default(), time.Unix(0, 0))
	if len(problems) != 2 || n != 0 || !strings.Contains(problems[0].Message, "cannot read the file") {
		t.Errorf("%d rules, problems %+v", n, problems)
	}
}

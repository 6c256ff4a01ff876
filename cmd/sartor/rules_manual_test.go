package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestManualFromAnEmptyFile types what the first chapter of LANGUAGE.md says, one thing after the other:
// its files are written, its commands run, and what they print must be what the manual prints. "..."
// stands for what differs from day to day, on a line or for whole lines.
func TestManualFromAnEmptyFile(t *testing.T) {
	data, err := os.ReadFile("../../rules/LANGUAGE.md")
	if err != nil {
		t.Fatal(err)
	}
	_, chapter, found := strings.Cut(string(data), "\n## Your first rule, from an empty file to live\n")
	chapter, _, ended := strings.Cut(chapter, "\n## ")
	if !found || !ended {
		t.Fatal("the first chapter is gone: say here what it is called now")
	}
	t.Chdir(mkdir(t, filepath.Join(t.TempDir(), "rules")))
	commands := 0
	for _, b := range regexp.MustCompile("(?s)\n```([^\n]*)\n(.*?)```").FindAllStringSubmatch(chapter, -1) {
		switch info, text := b[1], b[2]; info {
		case "yaml", "yaml wrong":
			write(t, "shop.yaml", text)
		case "yaml test":
			write(t, "shop.test.yaml", text)
		case "text":
			if _, stdout, _ := sartorRules(t, "check", "."); !strings.HasPrefix(stdout, text) {
				t.Errorf("check says\n%s\nthe manual\n%s", stdout, text)
			}
		case "console":
			commands += typed(t, text)
		default:
			t.Errorf("a block of kind %q is not executed", info)
		}
	}
	if commands < 12 {
		t.Errorf("only %d commands were found: has the manual changed its form?", commands)
	}
}

func mkdir(t *testing.T, path string) string {
	t.Helper()
	if err := os.Mkdir(path, 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// typed runs the commands of a block and compares what they print.
func typed(t *testing.T, block string) (commands int) {
	t.Helper()
	for _, part := range strings.Split("\n"+block, "\n$ ")[1:] {
		commands++
		line, want, _ := strings.Cut(part, "\n")
		args := words(line)
		if args[0] == "touch" {
			write(t, args[1], "")
			continue
		}
		var out bytes.Buffer
		run(context.Background(), args[1:], strings.NewReader(""), &out, &out)
		got := strings.TrimRight(out.String(), "\n")
		if !like(strings.TrimRight(want, "\n")).MatchString(got) {
			t.Errorf("$ %s\n%s\nthe manual says\n%s", line, got, want)
		}
	}
	return commands
}

// words splits a command line; double quotes hold words together.
func words(line string) []string {
	var out []string
	for i, part := range strings.Split(line, `"`) {
		if i%2 == 1 {
			out = append(out, part)
		} else {
			out = append(out, strings.Fields(part)...)
		}
	}
	return out
}

func like(text string) *regexp.Regexp {
	return regexp.MustCompile("(?s)^" + strings.ReplaceAll(regexp.QuoteMeta(text), `\.\.\.`, ".*") + "$")
}

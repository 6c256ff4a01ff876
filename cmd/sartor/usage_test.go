package main

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// commandTree lists every command that help shows, without the root.
func commandTree() []*cobra.Command {
	var out []*cobra.Command
	var walk func(*cobra.Command)
	walk = func(parent *cobra.Command) {
		for _, c := range parent.Commands() {
			if c.IsAvailableCommand() && c.Name() != "help" && c.Name() != "completion" {
				out = append(out, c)
				walk(c)
			}
		}
	}
	walk(newRootCommand(&app{stdin: strings.NewReader(""), stdout: new(bytes.Buffer), stderr: new(bytes.Buffer)}))
	return out
}

// TestEveryCommandSaysWhatToWrite tries the slips of a newcomer on each command of the program: a flag with
// two letters swapped, a flag without its value or with a wrong one, too few arguments and too many, a
// command that does not exist. Each is a usage error that names what to write.
func TestEveryCommandSaysWhatToWrite(t *testing.T) {
	tree := commandTree()
	if len(tree) < 40 {
		t.Fatalf("only %d commands: is the walk right?", len(tree))
	}
	for _, cmd := range tree {
		path := strings.Fields(cmd.CommandPath())[1:]
		t.Run(strings.Join(path, "-"), func(t *testing.T) {
			slip := func(want string, args ...string) {
				t.Helper()
				code, stdout, stderr := runHere(t, append(append([]string{}, path...), args...)...)
				if code != exitUsage || !strings.Contains(stderr, want) || stdout != "" || !strings.HasSuffix(stderr, "Try '"+cmd.CommandPath()+" --help'.\n") {
					t.Errorf("%v: exit code %d, %q; want 2 with %q", args, code, stderr, want)
				}
			}
			names := argumentNames(cmd)
			required := 0
			for _, name := range names {
				if !strings.HasPrefix(name, "[") {
					required++
				}
			}
			switch {
			case required > 0:
				if cmd.Example == "" {
					t.Error("needs an example")
				}
				first, _, _ := strings.Cut(strings.TrimSpace(cmd.Example), "\n")
				slip(cmd.CommandPath() + " needs " + strings.Join(names, " and ") + ", as in:\n  " + first)
			case cmd.HasSubCommands():
				slip("unknown command \"nosuch\" for \""+cmd.CommandPath()+"\": it has ", "nosuch")
				child := cmd.Commands()[0].Name()
				slip("did you mean \""+child+"\"?", strings.ToUpper(child[:1])+child[1:])
			case len(names) == 0:
				slip(cmd.CommandPath()+" takes no arguments: \"nosuch\" is too much", "nosuch")
			}
			cmd.LocalFlags().VisitAll(func(f *pflag.Flag) {
				if f.Hidden || len(f.Name) < 4 || f.Name == "help" || f.Deprecated != "" {
					return
				}
				slipped := f.Name[:1] + f.Name[2:3] + f.Name[1:2] + f.Name[3:]
				if slipped != f.Name {
					slip("unknown flag --"+slipped+": did you mean --", "--"+slipped)
				}
				if f.NoOptDefVal == "" {
					slip("--"+f.Name+" needs ", "--"+f.Name)
				}
				if kind := f.Value.Type(); strings.HasPrefix(kind, "int") || kind == "duration" || kind == "float64" || kind == "bool" {
					slip("--"+f.Name+" \"abc\": need ", "--"+f.Name+"=abc")
				}
			})
		})
	}
}

// TestEveryNumberHasALeast: no command works with a negative number whose help does not say what it means, and none
// with a number that is none.
func TestEveryNumberHasALeast(t *testing.T) {
	tried := 0
	for _, cmd := range commandTree() {
		call := strings.Fields(cmd.CommandPath())[1:]
		for range argumentNames(cmd) {
			call = append(call, "nosuch")
		}
		refuse := func(flag, value string) {
			t.Helper()
			tried++
			code, _, stderr := runHere(t, append(slices.Clone(call), "--"+flag+"="+value)...)
			if code != exitUsage || !strings.HasPrefix(stderr, "sartor: --"+flag+" ") {
				t.Errorf("%s --%s=%s: exit code %d, %q; want 2 with the flag", cmd.CommandPath(), flag, value, code, stderr)
			}
		}
		cmd.LocalFlags().VisitAll(func(f *pflag.Flag) {
			if strings.Contains(f.Usage, "negative = ") {
				return
			}
			switch f.Value.Type() {
			case "int", "int64", "uint", "uint64":
				refuse(f.Name, "-1")
			case "float64":
				refuse(f.Name, "-1")
				refuse(f.Name, "NaN")
				refuse(f.Name, "Inf")
			case "duration":
				refuse(f.Name, "-1m")
			}
		})
	}
	if tried < 100 {
		t.Errorf("only %d values were tried", tried)
	}
}

// TestWrongCommandLines: what the command line says wrongly is its fault, and what the file says is not.
func TestWrongCommandLines(t *testing.T) {
	file := filepath.Join(t.TempDir(), "sartor.yaml")
	if err := os.WriteFile(file, []byte("log: {level: loud}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		args []string
		code int
		want string
	}{
		"no-key":         {[]string{"serve", "--set", "nonsense"}, exitUsage, "write --set key=value"},
		"unknown-key":    {[]string{"serve", "--set", "http.adr=x"}, exitUsage, "did you mean http.addr?"},
		"no-duration":    {[]string{"serve", "--set", "http.budget=fast"}, exitUsage, "http.budget"},
		"not-positive":   {[]string{"serve", "--set", "http.budget=-1s"}, exitUsage, "http.budget: must be greater than zero"},
		"addr":           {[]string{"serve", "--addr", "nowhere"}, exitUsage, "is not host:port"},
		"level":          {[]string{"serve", "--log-level", "loud"}, exitUsage, "is not one of debug"},
		"section":        {[]string{"serve", "--set", "kafka.sasl.mechanism=plain"}, exitUsage, "kafka.sasl: "},
		"file":           {[]string{"serve", "--config", file}, exitFailed, "is not one of debug"},
		"both":           {[]string{"serve", "--config", file, "--addr", "nowhere"}, exitUsage, "configuration has 2 problems"},
		"what-was-asked": {[]string{"config", "check", "--log-level", "loud"}, exitFailed, "is not one of debug"},
		"bots":           {[]string{"data", "inspect", "--bot-events", "0"}, exitUsage, "--bot-events 0: need 1 or more"},
		"sessions":       {[]string{"data", "inspect", "--session-gap", "0s"}, exitUsage, "--session-gap 0s: need 1ms or more"},
	} {
		t.Run(name, func(t *testing.T) {
			code, _, stderr := runHere(t, tc.args...)
			if code != tc.code || !strings.Contains(stderr, tc.want) {
				t.Errorf("exit code %d, %q; want %d with %q", code, stderr, tc.code, tc.want)
			}
		})
	}
}

func TestOneOf(t *testing.T) {
	for value, want := range map[string]string{
		"json": "", "jsn": `unknown --format "jsn": did you mean json?`, "xml": `unknown --format "xml": use one of text, json`,
	} {
		got := ""
		if err := oneOf("--format", value, "text", "json"); err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%q: %q, want %q", value, got, want)
		}
	}
}

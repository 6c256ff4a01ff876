package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// documents are those whose examples these tests run.
func documents(t *testing.T) map[string]string {
	t.Helper()
	out := map[string]string{}
	for _, name := range []string{"README.md", "deploy/docs/operate.md"} {
		data, err := os.ReadFile(filepath.Join(moduleRoot(t), filepath.FromSlash(name)))
		if err != nil {
			t.Fatal(err)
		}
		out[name] = string(data)
	}
	return out
}

// blocks returns the fenced blocks of a language.
func blocks(text, language string) []string {
	var out []string
	for _, m := range regexp.MustCompile("(?ms)^```"+language+"\n(.*?)^```").FindAllStringSubmatch(text, -1) {
		out = append(out, m[1])
	}
	return out
}

// TestDocumentedRequests sends the curl examples of the documents to a running server and compares the
// answers, in which ... stands for anything.
func TestDocumentedRequests(t *testing.T) {
	w := newWorld(t, nil)
	a := &app{config: w.app.config, logger: slog.New(slog.DiscardHandler), metrics: prometheus.NewRegistry()}
	a.config.HTTP.Adapters = []string{"gorse", "metarank"}
	wired, err := a.newWiring()
	if err != nil {
		t.Fatal(err)
	}
	s := newServing(wired, servingParts{store: w.parts.store, producer: w.parts.producer})
	ln := listenHere(t)
	background(t, func(ctx context.Context) error { return s.run(ctx, ln) })
	eventually(t, "the catalogue to be seen", func() bool {
		st := s.rec.Status()
		return st.Catalogue == "live" && st.Items == len(goodsKinds)*itemsOfKind && st.Versions.Model != ""
	})
	sent := 0
	for name, text := range documents(t) {
		for _, block := range blocks(text, "console") {
			lines := strings.Split(strings.TrimSpace(block), "\n")
			for i := 0; i+1 < len(lines); i += 2 {
				command, ok := strings.CutPrefix(lines[i], "$ curl ")
				if !ok {
					t.Fatalf("%s: %q is no request", name, lines[i])
				}
				sent++
				got := curled(t, command, ln.Addr().String())
				if !matches(lines[i+1], got) {
					t.Errorf("%s: %s\nanswers %s\nthe document says %s", name, lines[i], got, lines[i+1])
				}
			}
		}
	}
	if sent < 8 {
		t.Errorf("only %d requests were found", sent)
	}
}

// curled does what curl would do with the arguments that the documents use.
func curled(t *testing.T, command, addr string) string {
	t.Helper()
	method, url, body, headers := "", "", "", http.Header{}
	words := shellWords(t, command)
	for i := 0; i < len(words); i++ {
		switch words[i] {
		case "-s":
		case "-X", "-d", "-H":
			if i+1 == len(words) {
				t.Fatalf("%s: nothing after %s", command, words[i])
			}
			switch i++; words[i-1] {
			case "-X":
				method = words[i]
			case "-d":
				body = words[i]
			default:
				key, value, _ := strings.Cut(words[i], ": ")
				headers.Set(key, value)
			}
		default:
			url = words[i]
		}
	}
	if method == "" {
		if method = http.MethodGet; body != "" {
			method = http.MethodPost
		}
	}
	url = "http://" + strings.Replace(url, "localhost:8080", addr, 1)
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if body != "" { // as curl has it
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for key := range headers {
		req.Header.Set(key, headers.Get(key))
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// shellWords cuts a command into words; single quotes hold one together.
func shellWords(t *testing.T, command string) (words []string) {
	t.Helper()
	for rest := strings.TrimSpace(command); rest != ""; rest = strings.TrimSpace(rest) {
		word := ""
		for rest != "" && rest[0] != ' ' {
			if rest[0] != '\'' {
				word, rest = word+rest[:1], rest[1:]
				continue
			}
			end := strings.IndexByte(rest[1:], '\'')
			if end < 0 {
				t.Fatalf("%s: a quote is not closed", command)
			}
			word, rest = word+rest[1:1+end], rest[end+2:]
		}
		words = append(words, word)
	}
	return words
}

// matches compares an answer with what a document says of it.
func matches(said, got string) bool {
	parts := strings.Split(said, "...")
	for i := range parts {
		parts[i] = regexp.QuoteMeta(parts[i])
	}
	return regexp.MustCompile("^" + strings.Join(parts, ".*") + "$").MatchString(got)
}

func TestMatches(t *testing.T) {
	for _, tc := range []struct {
		said, got string
		want      bool
	}{{`{"a":...}`, `{"a":[1]}`, true}, {`{"a":...}`, `{"b":1}`, false}, {`[]`, `[]`, true}, {`[]`, `[] `, false}, {`.`, `x`, false}} {
		if matches(tc.said, tc.got) != tc.want {
			t.Errorf("%s and %s", tc.said, tc.got)
		}
	}
}

// TestDocumentedCommands finds each command of the documents in the program, with every flag that it is given.
func TestDocumentedCommands(t *testing.T) {
	command := regexp.MustCompile(`(?m)^(?:    |\$ )?(sartor [a-z].*)$`)
	found := 0
	for name, text := range documents(t) {
		for _, m := range command.FindAllStringSubmatch(text, -1) {
			found++
			line, _, _ := strings.Cut(m[1], "#")
			line, _, _ = strings.Cut(line, ">")
			line, _, _ = strings.Cut(line, "|")
			if err := knownCommand(shellWords(t, line)[1:]); err != nil {
				t.Errorf("%s: %s: %v", name, m[1], err)
			}
		}
	}
	if found < 10 {
		t.Errorf("only %d commands were found", found)
	}
}

// knownCommand parses a command line without running it.
func knownCommand(args []string) error {
	root := newRootCommand(&app{stdout: io.Discard, stderr: io.Discard})
	cmd, rest, err := root.Find(args)
	if err != nil {
		return err
	}
	if cmd == root || cmd.HasSubCommands() && !cmd.Runnable() {
		return errors.New("there is no such command")
	}
	if err := cmd.ParseFlags(rest); err != nil && !errors.Is(err, pflag.ErrHelp) {
		return err
	}
	if cmd.Args != nil && len(cmd.Flags().Args()) > 0 && cmd.HasSubCommands() {
		return cobra.NoArgs(cmd, cmd.Flags().Args())
	}
	return nil
}

// TestDocumentedConfiguration loads each YAML block of the operator's document.
func TestDocumentedConfiguration(t *testing.T) {
	found := blocks(documents(t)["deploy/docs/operate.md"], "yaml")
	if len(found) < 2 {
		t.Errorf("%d blocks were found", len(found))
	}
	for _, block := range found {
		if _, _, err := load(t, &app{}, block); err != nil {
			t.Errorf("%v in\n%s", err, block)
		}
	}
}

package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/sartorhq/sartor/features"
	"github.com/sartorhq/sartor/rules"
	"github.com/sartorhq/sartor/rules/rulefile"
	rulesuggest "github.com/sartorhq/sartor/rules/suggest"
	"github.com/sartorhq/sartor/rules/value"
)

// costlyRules names the live rules whose hold-out shows, beyond chance, that they lose revenue. A split
// of users that the rule file does not explain proves nothing.
func costlyRules(all []value.Worth, ids []string) []rulesuggest.Suggestion {
	var out []rulesuggest.Suggestion
	for _, w := range all {
		live := slices.ContainsFunc(ids, func(id string) bool { return id == w.Rule || strings.HasPrefix(id, w.Rule+"#") })
		if !live || w.Unbalanced || !(float64(w.Revenue.High) < 0) {
			continue
		}
		out = append(out, rulesuggest.Suggestion{Kind: "costly-rule", Name: w.Rule, Title: fmt.Sprintf("The rule %s costs revenue", w.Rule),
			Evidence: []string{fmt.Sprintf("%s reached, %d held out: %s", plural(w.Tried, "user"), w.Held, effectInWords(w.Revenue, "%.2f"))}})
	}
	return out
}

// writeReplacements writes the rule files without the rules that do nothing or cost money, with a test
// that says so: files that take the place of the author's.
func (a *app) writeReplacements(ctx context.Context, found []rulesuggest.Suggestion, files []rules.File, folder string, schema *features.Schema) error {
	for _, f := range files {
		var off []string
		for _, s := range found {
			if s.Rules == "" && slices.ContainsFunc(f.Rules, func(r rules.Rule) bool { return r.ID == s.Name }) {
				off = append(off, s.Name)
			}
		}
		if len(off) == 0 {
			continue
		}
		r := rulesuggest.Suggestion{Name: f.Name, Rules: withoutRules(f, off), Test: withoutTest(f, off)}
		if err := prove(ctx, &r, schema); err != nil || r.Rules == "" {
			fmt.Fprintf(a.stderr, "sartor: %s: switch off %s by hand\n", f.Path, strings.Join(off, ", "))
			continue
		}
		replace := filepath.Join(folder, "replace")
		if err := os.MkdirAll(replace, 0o755); err != nil {
			return err
		}
		base := strings.TrimSuffix(filepath.Base(f.Path), filepath.Ext(f.Path))
		for name, text := range map[string]string{filepath.Base(f.Path): r.Rules, base + ".off.test.yaml": r.Test} {
			if err := os.WriteFile(filepath.Join(replace, name), []byte(text), 0o644); err != nil {
				return err
			}
		}
		fmt.Fprintf(a.stderr, "wrote %s without %s\n", filepath.Join(replace, filepath.Base(f.Path)), strings.Join(off, ", "))
	}
	return nil
}

// withoutRules is the author's text with rules switched off, comments and all; "" where a rule is written
// in a way that does not allow it.
func withoutRules(f rules.File, off []string) string {
	lines := slices.Clone(f.Lines)
	var insert []rules.Pos
	for _, r := range f.Rules {
		if slices.Contains(off, r.ID) {
			insert = append(insert, r.Pos)
		}
	}
	slices.SortFunc(insert, func(a, b rules.Pos) int { return b.Line - a.Line })
	for _, at := range insert {
		if at.Line < 1 || at.Line > len(lines) || at.Column < 2 || at.Column > len(lines[at.Line-1]) {
			return ""
		}
		line := lines[at.Line-1]
		before, rest := line[:at.Column-1], line[at.Column-1:]
		if strings.TrimSpace(before) != "-" || strings.HasPrefix(rest, "{") {
			return ""
		}
		lines = slices.Replace(lines, at.Line-1, at.Line, before+"disabled: true", strings.Repeat(" ", at.Column-1)+rest)
	}
	text := strings.Join(lines, "\n") + "\n"
	changed, problems := rulefile.Parse(f.Path, []byte(text))
	if rulefile.Failed(problems, false) || len(changed.Rules) != len(f.Rules) {
		return ""
	}
	return text
}

// withoutTest says that the rules no longer act.
func withoutTest(f rules.File, off []string) string {
	var b bytes.Buffer
	fmt.Fprintf(&b, "apiVersion: rules/v1\nkind: RuleTest\nruleset: %s\nnow: %s\n", f.Name, time.Now().UTC().Format(time.RFC3339))
	fmt.Fprintf(&b, "items: {any: {}}\ncases:\n  - name: switched off\n    candidates: [any]\n    expect: {not_fired: [%s]}\n", strings.Join(off, ", "))
	return b.String()
}

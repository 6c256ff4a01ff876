package rulefile

import (
	"fmt"
	"strings"
	"testing"
)

// bombs are texts that make careless readers slow, large or dead. Their size is a power that keeps
// the test quick while anything quadratic would still show as a test that never ends.
func bombs(size int) map[string]string {
	many := func(s string) string { return strings.Repeat(s, size/len(s)) }
	var keys strings.Builder
	for i := 0; keys.Len() < size-20; i++ {
		fmt.Fprintf(&keys, "k%d: v\n", i)
	}
	return map[string]string{
		"open_brackets": many("["), "open_braces": many("{"), "dashes": many("- "), "questions": many("? "), "colons": many("a: "),
		"one_key": many("k: v\n"), "many_keys": keys.String(), "comments": many("# c\n"), "quotes": many("\""), "spaces": many(" "),
		"newlines": many("\n"), "tabs": many("\tk: v\n"), "anchors": many("- &a x\n"), "aliases": "a: &a x\n" + many("- *a\n"), "tags": "a: [" + many("!t x, ") + "x]\n",
		"blocks": many("k: |\n x\n"), "broken_end": many("k: v\n") + "x: [\n", "broken_begin": "x: \"a\" b\n" + many("k: v\n"), "broken_everywhere": many("k: \"a\" b\n"),
		"plain_text_over_lines": "when: a\n" + many("  b\n"), "quoted_text_over_lines": "when: \"" + many("x\n ") + "\"\n", "bad_indents": "rules:\n" + many("  - id: x\n   when: y\n"),
		"unclosed_in_rules": "rules:\n" + many("  - id: x\n    match: [a\n"), "one_line": "when: " + many("x"), "flow_list": "a: [" + many("x, ") + "]", "line_comments": many("k: v # c\n"),
		"nested_comments": many("- # c\n  - x\n"), "merge": many("<<: {a: b}\n"), "alias_bomb": "a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b]\nd: [*c,*c,*c,*c,*c,*c,*c,*c,*c]\n",
	}
}

func TestBombs(t *testing.T) {
	for name, text := range bombs(1 << 15) {
		t.Run(name, func(t *testing.T) {
			f, problems := Parse("x.yaml", []byte(text))
			if len(problems) == 0 || len(problems) > MaxProblems || len(f.Rules) > MaxRules {
				t.Errorf("%d problems, %d rules", len(problems), len(f.Rules))
			}
			for _, p := range problems {
				if len(p.Message) > 400 || len(p.Hint) > 600 {
					t.Errorf("a message of %d and a hint of %d bytes", len(p.Message), len(p.Hint))
				}
			}
			if _, err := Format([]byte(text)); err == nil {
				return
			}
		})
	}
}

func TestGate(t *testing.T) {
	tests := []struct{ name, text, want string }{
		{"too_large", strings.Repeat("# comment\n", 110_000), "split it into several rule sets"},
		{"utf16", "\xff\xfea\x00", "save it as UTF-8 text"},
		{"not_utf8", "name: \xe4\n", "save the file as UTF-8 text"},
		{"deep_brackets", "a: " + strings.Repeat("[", 100) + strings.Repeat("]", 100), "close the brackets"},
		{"deep_dashes", strings.Repeat("- ", 100) + "x", "write it flatter"},
		{"carriage_return", "a: b\rc: d", "press Enter instead"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, problems := Parse("x.yaml", []byte(tt.text))
			if len(problems) != 1 || problems[0].Code != CodeLimits || !strings.Contains(problems[0].Hint, tt.want) {
				t.Errorf("got %+v, want one problem with the hint %q", problems, tt.want)
			}
			if _, err := Format([]byte(tt.text)); err == nil {
				t.Error("Format takes it")
			}
		})
	}
	if _, problems := Parse("x.yaml", []byte("# \uFFFD is a character\n\uFEFF")); len(problems) == 0 {
		t.Error("a byte order mark in the middle is invisible and must be refused")
	}
}

package rulefile

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestFormat(t *testing.T) {
	tests := []struct{ name, in, want string }{
		{"canonical_stays", "a: 1\nrules:\n  - id: x # c\n    then:\n      - exclude: {}\n", "a: 1\nrules:\n  - id: x # c\n    then:\n      - exclude: {}\n"},
		{"indents_by_two", "rules:\n- id: x\n  then:\n  - exclude: {}\n", "rules:\n  - id: x\n    then:\n      - exclude: {}\n"},
		{"indents_by_four", "rules:\n    -   id: x\n        then:\n            -   exclude:\n                    reason: y\n", "rules:\n  - id: x\n    then:\n      - exclude:\n          reason: y\n"},
		{"spaces_after_colon", "name:    home\nowner:  me   # c\n", "name: home\nowner: me   # c\n"},
		{"tables_stay", "items:\n    a:   {score: 1}\n    bcd: {score: 2}\n", "items:\n  a:   {score: 1}\n  bcd: {score: 2}\n"},
		{"line_ends", "name: home  \r\n\r\n\r\n\r\nowner: me\r\n\r\n", "name: home\n\nowner: me\n"},
		{"byte_order_mark", "\uFEFFname: home\n", "name: home\n"},
		{"no_final_line_end", "name: home", "name: home\n"},
		{"tabs", "rules:\n\t- id: x\n\t  match: item.stock < 1\n", "rules:\n  - id: x\n    match: item.stock < 1\n"},
		{"comments_move_with_what_they_describe", "rules:\n# first\n- id: x\n  # about match\n  match: a\n# second\n- id: y\n", "rules:\n  # first\n  - id: x\n    # about match\n    match: a\n  # second\n  - id: y\n"},
		{"block_is_indented", "rules:\n- id: x\n  when: |\n        a > 1\n          and b\n  then: []\n", "rules:\n  - id: x\n    when: |\n      a > 1\n        and b\n    then: []\n"},
		{"folded_becomes_block", "when: >-\n  user.is_new\n  and user.orders > 3\n", "when: |\n  user.is_new and user.orders > 3\n"},
		{"spread_becomes_block", "when: user.is_new\n  and user.orders > 3 # why\nthen: []\n", "when: | # why\n  user.is_new and user.orders > 3\nthen: []\n"},
		{"escapes_become_block", "when: \"user.tier == \\\"gold\\\"\"\n", "when: |\n  user.tier == \"gold\"\n"},
		{"doubled_quote_becomes_block", "when: 'user.tier == ''gold'''\n", "when: |\n  user.tier == 'gold'\n"},
		{"quoted_without_escapes_stays", "when: '\"vip\" in user.tags'\n", "when: '\"vip\" in user.tags'\n"},
		{"flow_over_lines", "rules:\n- id: x\n  tags: [a,\n    b]\n", "rules:\n  - id: x\n    tags: [a,\n      b]\n"},
		{"long_condition_is_broken", "when: >-\n  user.spend_90d > params.vip_spend and user.country in lists.countries or user.tier == \"gold\"\n",
			"when: |\n  user.spend_90d > params.vip_spend\n  and user.country in lists.countries\n  or user.tier == \"gold\"\n"},
		{"empty", "\n\n", ""},
		{"comment_only", "  # c\n\n", "  # c\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := Format([]byte(tt.in))
			if err != nil {
				t.Fatal(err)
			}
			if string(got) != tt.want {
				t.Errorf("got:\n%s\nwant:\n%s", got, tt.want)
			}
			checkFormat(t, []byte(tt.in))
		})
	}
}

// checkFormat holds Format to its promises: it loses nothing, means the same and changes nothing
// the second time.
func checkFormat(t *testing.T, in []byte) {
	t.Helper()
	once, err := Format(in)
	if err != nil {
		return
	}
	twice, err := Format(once)
	if err != nil {
		t.Fatalf("the formatted text is refused: %v\n%s", err, once)
	}
	if string(once) != string(twice) {
		t.Fatalf("not idempotent:\n%q\nfirst:\n%s\nsecond:\n%s", in, once, twice)
	}
	before, problems := Parse("x.yaml", in)
	after, again := Parse("x.yaml", once)
	if a, b := meaning(before), meaning(after); a != b {
		t.Fatalf("meaning changed:\n%q\n%s\nbefore: %s\nafter:  %s", in, once, a, b)
	}
	if tabbed := strings.Contains(string(in), "\t"); len(problems) == 0 && len(again) > 0 && !tabbed {
		t.Fatalf("new problems after formatting:\n%q\n%s\n%s", in, once, rendered(again))
	}
}

func TestFormatKeepsTheSpecExample(t *testing.T) {
	files, err := filepath.Glob("testdata/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatal("no files", err)
	}
	for _, name := range files {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		got, err := Format(data)
		if err != nil {
			t.Fatal(err)
		}
		if string(got) != string(data) {
			t.Errorf("%s changed:\n%s", name, got)
		}
	}
}

func TestFormatRefusesWhatItCannotRead(t *testing.T) {
	_, err := Format([]byte("a: [b\nc: d\n"))
	if err == nil || !strings.Contains(err.Error(), "line 1") {
		t.Fatalf("got %v, want an error that names line 1", err)
	}
}

// TestFormatLosesNothing mutilates a real file by lines: comments at any depth, lines gone, doubled,
// indented or folded. Whatever is still YAML must keep its meaning and every comment.
func TestFormatLosesNothing(t *testing.T) {
	_, data := parseAutumn(t)
	rng := rand.New(rand.NewPCG(3, 4))
	formatted := 0
	for range 300 {
		messy := mutilate(rng, string(data))
		checkFormat(t, []byte(messy))
		out, err := Format([]byte(messy))
		if err != nil {
			continue
		}
		formatted++
		if a, b := strings.Count(messy, "# note"), strings.Count(string(out), "# note"); a != b {
			t.Fatalf("%d notes became %d:\n%s\n%s", a, b, messy, out)
		}
	}
	if formatted < 100 {
		t.Errorf("only %d of the texts were YAML: the test tests little", formatted)
	}
}

func mutilate(rng *rand.Rand, text string) string {
	lines := strings.Split(text, "\n")
	for range 1 + rng.IntN(4) {
		i := rng.IntN(len(lines))
		switch rng.IntN(8) {
		case 0, 1, 2:
			lines = slices.Insert(lines, i, strings.Repeat(" ", rng.IntN(12))+"# note")
		case 3:
			lines = slices.Delete(lines, i, i+1)
		case 4:
			lines[i] = strings.Repeat(" ", 1+rng.IntN(3)) + lines[i]
		case 5:
			if key, value, ok := strings.Cut(lines[i], "match: "); ok && strings.TrimSpace(key) == "" {
				lines[i] = key + "match: >-  # note\n" + key + "      " + strings.Replace(value, " ", "\n"+key+"      ", 1)
			}
		case 6:
			if key, value, ok := strings.Cut(lines[i], "when: "); ok && strings.TrimSpace(key) == "" {
				lines[i] = key + "when:  # note\n" + key + "    " + strings.Replace(value, " and ", "\n"+key+"     and ", 1) + "  # note"
			}
		case 7:
			if key, value, ok := strings.Cut(lines[i], "match: "); ok && strings.TrimSpace(key) == "" {
				lines[i] = key + "match:   |-\n" + key + "     " + value + "\n\n" + key + " # note"
			}
		}
	}
	return strings.Join(lines, "\n")
}

package rulefile

import (
	"bytes"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/sartorhq/sartor/rules"
)

func parseAutumn(t testing.TB) (rules.File, []byte) {
	t.Helper()
	data, err := os.ReadFile("testdata/autumn.yaml")
	if err != nil {
		t.Fatal(err)
	}
	f, problems := Parse("testdata/autumn.yaml", data)
	if len(problems) > 0 {
		t.Fatal(rendered(problems))
	}
	return f, data
}

func TestParseReadsEverything(t *testing.T) {
	f, _ := parseAutumn(t)
	if f.Name != "home-autumn" || f.Owner != "merchandising@example.com" || f.Timezone != "Europe/Berlin" || f.Description == "" ||
		!reflect.DeepEqual(f.Tags, []string{"campaign", "home"}) ||
		!reflect.DeepEqual(f.Scope, rules.Scope{Scenarios: []string{"home", "category"}, Placements: []string{"grid"}}) {
		t.Errorf("head: %+v", f)
	}
	if p := f.Params[0]; p.Name != "vip_spend" || p.Type != "number" || p.Default != "500" || p.Min != "0" || p.Max != "10000" || p.Description != "90-day spend of a VIP" || p.Pos != (rules.Pos{Line: 11, Column: 3}) {
		t.Errorf("param: %+v", p)
	}
	if l := f.Lists[0]; l.Name != "recalled" || !reflect.DeepEqual(l.Values, []string{"sku-17", "sku-99"}) {
		t.Errorf("list: %+v", l)
	}
	var ids []string
	for _, r := range f.Rules {
		ids = append(ids, r.ID)
	}
	if got := strings.Join(ids, " "); got != "recalled-or-sold-out new-big-buyer-without-details vip-sees-hottest best-seller-first fresh-in-favourite-category bury-low-margin variety" {
		t.Errorf("rules: %s", got)
	}
	if r := f.Rules[0]; !r.Hard || r.Then[0].Name != "exclude" || r.Match.Text != "item.stock <= 0 or item.id in lists.recalled" || !r.Match.Exact {
		t.Errorf("guard: %+v", r)
	}
	if r := f.Rules[2]; r.Priority != 50 || r.Rollout.Percent != 50 || r.Rollout.By != "user.id" {
		t.Errorf("rollout: %+v", r)
	}
	if s := f.Rules[4].Schedule; s.From != "2026-10-01" || s.Until != "2026-11-01" || strings.Join(s.Days, " ") != "fri sat sun" || s.Hours != "18:00-24:00" {
		t.Errorf("schedule: %+v", s)
	}
	quota := f.Rules[6].Then[2]
	if e := quota.Fields[0].Value; quota.Name != "quota" || e.Text != "'private_label' in item.tags" || !e.Exact || e.Pos != (rules.Pos{Line: 56, Column: 25}) {
		t.Errorf("quota: %+v", quota)
	}
}

// TestPlaces checks that every exact expression really stands where it says, character by character.
func TestPlaces(t *testing.T) {
	tests := []struct {
		name, when string
		exact      bool
		text       string
	}{
		{"plain", "when: user.is_new", true, "user.is_new"},
		{"plain_with_comment", "when: user.is_new   # why", true, "user.is_new"},
		{"plain_below", "when:\n      user.is_new", true, "user.is_new"},
		{"single_quoted", "when: '\"gold\" == user.tier'", true, `"gold" == user.tier`},
		{"double_quoted", "when: \"'gold' == user.tier\"", true, `'gold' == user.tier`},
		{"block", "when: |\n      user.is_new\n        and user.orders > 3", true, "user.is_new\n  and user.orders > 3"},
		{"block_with_empty_line", "when: |-\n        user.is_new\n\n        and user.orders > 3\n", true, "user.is_new\n\nand user.orders > 3"},
		{"block_with_comment", "when: |  # why\n      user.is_new", true, "user.is_new"},
		{"umlauts", "when: user.country == \"Österreich\" and user.is_new", true, `user.country == "Österreich" and user.is_new`},
		{"folded", "when: >\n      user.is_new\n      and user.orders > 3", false, "user.is_new and user.orders > 3"},
		{"plain_over_lines", "when: user.is_new\n      and user.orders > 3", false, "user.is_new and user.orders > 3"},
		{"escapes", `when: "user.tier == \"gold\""`, false, `user.tier == "gold"`},
		{"doubled_quote", `when: 'user.tier == ''gold'''`, false, `user.tier == 'gold'`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			data := inRule("    " + tt.when + "\n")
			f, problems := Parse("x.yaml", []byte(data))
			if len(problems) > 0 {
				t.Fatal(rendered(problems))
			}
			e := f.Rules[0].When
			if e.Text != tt.text || e.Exact != tt.exact {
				t.Fatalf("got %+v", e)
			}
			if tt.exact {
				checkExact(t, e, f.Lines)
			}
		})
	}
}

func checkExact(t *testing.T, e rules.Expr, lines []string) {
	t.Helper()
	for i, want := range strings.Split(e.Text, "\n") {
		line, column := e.Pos.Line+i, e.Pos.Column
		if e.Indent > 0 {
			line, column = e.Pos.Line+1+i, e.Indent+1
		}
		have := []rune(lines[line-1])
		if want != "" && !strings.HasPrefix(string(have[min(len(have), column-1):]), want) {
			t.Fatalf("line %d of the text, %q, is not at %d:%d of\n%s", i, want, line, column, lines[line-1])
		}
	}
}

func TestRawTextIsKept(t *testing.T) {
	f, problems := Parse("x.yaml", []byte(inFile("tags: [007, 1.10, 12:30, NO, 2026-10-01, ~, 0x1F, 1_000, .5, yes]\n")))
	if want := []string{"007", "1.10", "12:30", "NO", "2026-10-01", "~", "0x1F", "1_000", ".5", "yes"}; len(problems) > 0 || !reflect.DeepEqual(f.Tags, want) {
		t.Errorf("got %q, want %q (%v)", f.Tags, want, problems)
	}
}

func TestManyMistakesAtOnce(t *testing.T) {
	text := "apiVersion: rules/v1\nkind: RuleSet\nname: home\nonwer: me\nrules:\n" +
		"  - id: a\n    when: \"x\" in user.segments\n    then: [hide: {}]\n" +
		"  - id: b\n    match: !user.is_new\n    priority: high\n    then: [boost: {multipli: 2}]\n" +
		"  - id: a\n    when: a ? b : c\n    then: [exclude: {}]\n"
	_, problems := Parse("x.yaml", []byte(text))
	var got []string
	for _, p := range problems {
		got = append(got, p.Code)
	}
	if want := "R009 R030 R009 R032 R034 R009 R010 R030"; strings.Join(got, " ") != want {
		t.Errorf("got %v, want %s\n%s", got, want, rendered(problems))
	}
	for i := 1; i < len(problems); i++ {
		if problems[i].Line < problems[i-1].Line {
			t.Error("not sorted by place")
		}
	}
}

func TestAtMostFiftyProblems(t *testing.T) {
	var b strings.Builder
	b.WriteString("apiVersion: rules/v1\nkind: RuleSet\nname: home\nrules:\n")
	for range 80 {
		b.WriteString("  - id: x\n    then: [hide: {}]\n")
	}
	if _, problems := Parse("x.yaml", []byte(b.String())); len(problems) != MaxProblems {
		t.Errorf("%d problems", len(problems))
	}
}

func TestListFilesStayInTheFolder(t *testing.T) {
	dir := t.TempDir()
	inner := filepath.Join(dir, "rules")
	if err := os.MkdirAll(filepath.Join(inner, "lists"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"secret.txt": "secret\n", "rules/good.txt": "\uFEFF# note\n a \r\n\nb\n", "rules/lists/deep.txt": "c\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("../secret.txt", filepath.Join(inner, "link.txt")); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		file string
		want []string
	}{
		{"good.txt", []string{"a", "b"}}, {"lists/deep.txt", []string{"c"}}, {"link.txt", nil}, {"../secret.txt", nil},
		{"lists/../../secret.txt", nil}, {"/etc/hostname", nil}, {"lists", nil}, {`lists\deep.txt`, nil}, {"''", nil},
	}
	for _, tt := range tests {
		f, problems := Parse(filepath.Join(inner, "home.yaml"), []byte(inFile("lists:\n  x: {file: "+tt.file+"}\n")))
		if tt.want == nil {
			if len(problems) != 1 || problems[0].Code != CodeListFile || len(f.Lists[0].Values) > 0 {
				t.Errorf("%s: read %q, problems %v", tt.file, f.Lists[0].Values, problems)
			}
			continue
		}
		if len(problems) > 0 || !reflect.DeepEqual(f.Lists[0].Values, tt.want) {
			t.Errorf("%s: read %q, want %q (%v)", tt.file, f.Lists[0].Values, tt.want, problems)
		}
	}
}

func TestRender(t *testing.T) {
	problems := []rules.Problem{
		{Code: "R001", Severity: rules.SeverityError, Path: "a/b.yaml", Line: 3, Column: 5, Rule: "r", Message: "m", Snippet: "\twhën: x", Hint: "h"},
		{Code: "R020", Severity: rules.SeverityWarning, Path: "a/b.yaml", Line: 120, Column: 90, Message: "far", Snippet: strings.Repeat("x", 200)},
		{Code: "R009", Severity: rules.SeverityError, Path: "a/b.yaml", Line: 121, Column: 4, Message: "wide", Snippet: "日本 x"},
	}
	want := "a/b.yaml:3:5: error R001 in r: m\n    3 | \twhën: x\n      | \t   ^\n   hint: h\n\n" +
		"a/b.yaml:120:90: warning R020: far\n  120 | ..." + strings.Repeat("x", 94) + "...\n      | " + strings.Repeat(" ", 60) + "^\n\n" +
		"a/b.yaml:121:4: error R009: wide\n  121 | 日本 x\n      |      ^\n"
	if got := rendered(problems); got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
	for _, format := range []string{"json", "sarif"} {
		var b bytes.Buffer
		if err := Render(&b, nil, format); err != nil || !json.Valid(b.Bytes()) {
			t.Errorf("%s without problems: %v %s", format, err, b.String())
		}
		b.Reset()
		if err := Render(&b, problems, format); err != nil || !json.Valid(b.Bytes()) || !strings.Contains(b.String(), "R020") {
			t.Errorf("%s: %v %s", format, err, b.String())
		}
	}
	if err := Render(&bytes.Buffer{}, nil, "xml"); err == nil {
		t.Error("xml is taken")
	}
	if err := Render(failingWriter{}, problems, "text"); err == nil {
		t.Error("a write error is lost")
	}
}

type failingWriter struct{}

func (failingWriter) Write([]byte) (int, error) { return 0, errors.New("disk full") }

func TestMergeLeavesOutEchoes(t *testing.T) {
	problem := func(line int, code, rule string, s rules.Severity) rules.Problem {
		return rules.Problem{Path: "x", Line: line, Column: 1, Code: code, Rule: rule, Severity: s}
	}
	read := []rules.Problem{problem(5, "R009", "a", rules.SeverityError)}
	compiled := []rules.Problem{
		problem(5, "R001", "a", rules.SeverityError), problem(4, "R024", "a", rules.SeverityError), problem(1, "R024", "", rules.SeverityError),
		problem(1, "R020", "", rules.SeverityWarning), problem(9, "R024", "b", rules.SeverityError), problem(8, "R001", "b", rules.SeverityError),
	}
	var got []string
	for _, p := range Merge(read, compiled) {
		got = append(got, p.Code+p.Rule)
	}
	if strings.Join(got, " ") != "R009a R001b R024b" {
		t.Errorf("got %v", got)
	}
	if len(Merge(nil, compiled)) != 6 {
		t.Errorf("without read problems nothing is an echo: %v", Merge(nil, compiled))
	}
	if Failed(compiled[3:4], false) || !Failed(compiled[3:4], true) || !Failed(compiled, false) || Failed(nil, true) {
		t.Error("Failed")
	}
}

// TestFormatIsCanonical writes one file in many styles of indentation and blanks and expects one
// text.
func TestFormatIsCanonical(t *testing.T) {
	_, data := parseAutumn(t)
	rng := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		messy := disturb(rng, string(data))
		got, err := Format([]byte(messy))
		if err != nil {
			t.Fatalf("%v in\n%s", err, messy)
		}
		if string(got) != string(data) {
			t.Fatalf("from\n%s\ngot\n%s", messy, got)
		}
	}
}

// disturb changes the width of indentation, blanks at line ends, line ends and blank lines.
func disturb(rng *rand.Rand, text string) string {
	width, end := 1+rng.IntN(7), "\n"
	if rng.IntN(3) == 0 {
		end = "\r\n"
	}
	var b strings.Builder
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		rest := strings.TrimLeft(line, " ")
		level := (len(line) - len(rest)) / 2
		if strings.HasPrefix(rest, "- ") && width > 1 {
			rest = "-" + strings.Repeat(" ", width-1) + rest[2:]
		} else if strings.HasPrefix(rest, "- ") {
			width = 2
			return disturb(rng, text)
		}
		b.WriteString(strings.Repeat(" ", level*width) + rest + strings.Repeat(" ", rng.IntN(3)) + end)
		if rest == "" {
			b.WriteString(strings.Repeat(end, rng.IntN(3)))
		}
	}
	return b.String()
}

func FuzzParse(f *testing.F) {
	for _, m := range shapeMistakes {
		text, _, _ := seed(m.text)
		f.Add([]byte(text))
	}
	_, data := parseAutumn(f)
	f.Add(data)
	f.Fuzz(func(t *testing.T, in []byte) {
		if len(in) > 1<<14 {
			return
		}
		file, problems := ParseWith("x.yaml", in, func(string) ([]byte, error) { return nil, os.ErrNotExist })
		if len(problems) > MaxProblems {
			t.Fatalf("%d problems", len(problems))
		}
		for _, p := range problems {
			if p.Line < 1 || p.Column < 1 || p.Code == "" || p.Message == "" || p.Line > max(1, len(file.Lines)) {
				t.Fatalf("a problem without a place: %+v", p)
			}
		}
		for _, r := range file.Rules {
			for _, e := range []rules.Expr{r.When, r.Match} {
				if e.Exact {
					checkExact(t, e, file.Lines)
				}
			}
		}
	})
}

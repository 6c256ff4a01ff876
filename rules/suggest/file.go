package suggest

import (
	"fmt"
	"hash/fnv"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// file is a suggestion in the making.
type file struct {
	name, owner, kind, title string
	evidence                 []string
	rules, test              strings.Builder
}

// slug makes a name of any text: what is not a letter or digit becomes a dash, and what would be lost
// stays apart by a number.
func slug(text string) string {
	var b strings.Builder
	lost := false
	for _, r := range strings.ToLower(text) {
		switch {
		case r >= 'a' && r <= 'z' || r >= '0' && r <= '9':
			b.WriteRune(r)
		case b.Len() > 0 && !strings.HasSuffix(b.String(), "-"):
			b.WriteByte('-')
			lost = lost || r != ' ' && r != '-'
		default:
			lost = true
		}
	}
	out := strings.Trim(b.String(), "-")
	if len(out) > 40 {
		out, lost = strings.Trim(out[:40], "-"), true
	}
	if lost || out == "" {
		h := fnv.New32a()
		h.Write([]byte(text))
		out = strings.Trim(fmt.Sprintf("%s-%x", out, h.Sum32()), "-")
	}
	return out
}

// quoted is a YAML text in single quotes.
func quoted(text string) string { return "'" + strings.ReplaceAll(text, "'", "''") + "'" }

// oneLine keeps a comment a comment, whatever somebody called a category.
func oneLine(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == '\u2028' || r == '\u2029' || r == '\ufeff' {
			return ' '
		}
		return r
	}, text)
}

func (f *file) head(b *strings.Builder, kind string) {
	fmt.Fprintf(b, "# %s\n", oneLine(f.title))
	for _, e := range f.evidence {
		fmt.Fprintf(b, "# - %s\n", oneLine(e))
	}
	fmt.Fprintf(b, "apiVersion: rules/v1\nkind: %s\n", kind)
}

func (f *file) begin(now time.Time) {
	f.head(&f.rules, "RuleSet")
	fmt.Fprintf(&f.rules, "name: %s\ndescription: %s\nowner: %s\ntags: [suggested]\n", f.name, quoted(oneLine(f.title)), quoted(oneLine(f.owner)))
	f.head(&f.test, "RuleTest")
	fmt.Fprintf(&f.test, "ruleset: %s\nnow: %s\n", f.name, now.UTC().Format(time.RFC3339))
}

// rising boosts a category for two weeks.
func (f *file) rising(category string, boost float64, now time.Time) {
	f.begin(now)
	day := now.UTC().Truncate(24 * time.Hour)
	fmt.Fprintf(&f.rules, "rules:\n  - id: %s\n    description: %s\n    match: %s\n    schedule: {from: %s, until: %s}\n    holdout: 10%%\n    then: [boost: {multiply: %g}]\n",
		f.name, quoted(oneLine(f.title)), quoted("item.category == "+strconv.Quote(category)), day.Format(time.DateOnly), day.AddDate(0, 0, 15).Format(time.DateOnly), boost)
	fmt.Fprintf(&f.test, "items: {rising: {score: 0.5, category: %s}, other: {score: 0.52}}\ncases:\n", yamlText(category))
	fmt.Fprintf(&f.test, "  - name: the rising category goes up\n    candidates: [other, rising]\n    expect: {order: [rising, other], fired: [%s], score: {rising: %g}}\n", f.name, 0.5*boost)
	fmt.Fprintf(&f.test, "  - name: until two weeks have passed\n    now: %s\n    candidates: [other, rising]\n    expect: {order: [other, rising], not_fired: [%s]}\n",
		day.AddDate(0, 0, 15).Format(time.RFC3339), f.name)
}

// hidden brings one item of a list in, for a fifth of the users.
func (f *file) hidden(ids []string, now time.Time) {
	f.begin(now)
	texts := make([]string, len(ids))
	for i, id := range ids {
		texts[i] = yamlText(id)
	}
	fmt.Fprintf(&f.rules, "lists:\n  hidden: {values: [%s]}\n", strings.Join(texts, ", "))
	fmt.Fprintf(&f.rules, "rules:\n  - id: %s\n    description: One of them in every list, for a fifth of the users\n    rollout: {percent: 20}\n    then: [inject: {source: 'list:hidden', count: 1, score: p50}]\n", f.name)
	fmt.Fprintf(&f.test, "items: {%s: {}, best: {score: 0.9}, middle: {score: 0.5}, last: {score: 0.1}}\ncases:\n", texts[0])
	fmt.Fprintf(&f.test, "  - name: one of the hidden items comes in\n    user: {id: user-10}\n    candidates: [best, middle, last]\n    expect: {contains: [%s], fired: [%s]}\n", texts[0], f.name)
	fmt.Fprintf(&f.test, "  - name: not for everybody\n    user: {id: user-1}\n    candidates: [best, middle, last]\n    expect: {order: [best, middle, last], not_fired: [%s]}\n", f.name)
}

// yamlText is a text that YAML reads as it is.
func yamlText(text string) string { return strconv.Quote(text) }

func (f *file) suggestion() Suggestion {
	return Suggestion{Kind: f.kind, Name: f.name, Title: f.title, Evidence: f.evidence, Rules: f.rules.String(), Test: f.test.String()}
}

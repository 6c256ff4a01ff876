package rules

import (
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"
)

// explainSyntax finds the plain words for one message of the parser.
func (f *fault) explainSyntax(src, message string) {
	if f.habit(src) {
		return
	}
	token := ""
	if _, rest, ok := strings.Cut(message, `("`); ok {
		token, _, _ = strings.Cut(rest, `")`)
	}
	switch {
	case strings.Contains(message, "maximum allowed nodes"):
		f.code, f.message, f.hint = CodeTooCostly, fmt.Sprintf("the condition has more than %d parts", maxNodes), "split it, or put values under `lists:`"
	case strings.HasPrefix(message, `unexpected token Operator("=")`):
		f.code, f.message, f.hint = CodeSingleEquals, "`=` does not compare", "write `==`"
	case strings.Contains(message, "unexpected token EOF"), strings.Contains(message, "unexpected end"):
		f.message, f.hint = "the expression ends too early", "something is missing after the last word, or a bracket is not closed"
		f.offset = len([]rune(strings.TrimRight(src, " \t\n")))
	case strings.Contains(message, "literal not terminated"):
		f.message, f.hint = "a quote is not closed", "close the text with the same quote it starts with"
	case strings.Contains(message, "unrecognized character"):
		f.message, f.hint = "a character that conditions do not use", "use straight quotes \" and plain operators such as <= and !="
	case strings.HasPrefix(message, "unexpected token Identifier"), strings.HasPrefix(message, "unexpected token String"):
		f.message, f.hint = "`"+token+"` cannot stand here", wordHint(token)
	case token != "":
		f.message, f.hint = "`"+token+"` cannot stand here", "a value or an operator is missing before it"
	case strings.Contains(message, "cannot be mixed"):
		f.message, f.hint = "`??` beside another operator needs brackets", "write `(a ?? b) > 1`"
	case strings.HasPrefix(message, "expected"):
		f.message, f.hint = "the function needs more values", "for instance `any(user.last_items, # == \"sku-1\")`"
	}
}

// wordHint offers the operator that a word stands for.
func wordHint(word string) string {
	switch strings.ToLower(word) {
	case "and", "or", "not", "in":
		return "write `" + strings.ToLower(word) + "` in small letters"
	case "is", "equals", "eq":
		return "write `==`, or ask `has(\"item.brand\")` whether it is known"
	case "like":
		return "write `contains`"
	}
	return "join conditions with `and` or `or`; text needs quotes"
}

// habits are ways of writing that people bring along from spreadsheets, SQL and everyday language, and
// what to write here. They are looked for only in texts that cannot be read.
var habits = []struct {
	pattern       *regexp.Regexp // outside of quotes
	message, hint string         // with the pattern's groups
}{
	{regexp.MustCompile(`\b([0-9.]+) ?%(?:$|[ )\]])`), "`$1%` is no number here", "write a share as a number, such as 0.05; to raise by 20%, multiply by 1.2"},
	{regexp.MustCompile(`(\S+) (?:not )?between (\S+) and (\S+)`), "`between` stands before its values", "write `between($1, $2, $3)`"},
	{regexp.MustCompile(`(\S+) is (?:not )?(?:empty|null|nil|none|missing|unknown|known|set|blank)\b`), "`is` is no word of conditions", "write `has(\"$1\")`, or `not has(\"$1\")`, to ask whether it is known; `$1 == \"\"` to compare with no text"},
	{regexp.MustCompile(`\bin ?\(`), "a list of values stands in square brackets", "write `in [\"first\", \"second\"]`"},
	{regexp.MustCompile(`\b([0-9]+) ?(?:d|days?)\b`), "`$1d` is no time span in a condition", "write `days($1)`"},
	{regexp.MustCompile(`\b([0-9]+) ?(?:h|hours?)\b`), "`$1h` is no time span in a condition", "write `hours($1)`"},
	{regexp.MustCompile(`\b([0-9]+) ?(?:min|minutes?)\b`), "`$1 min` is no time span in a condition", "write `minutes($1)`"},
	{regexp.MustCompile(`\b([0-9]+) ?(EUR|USD|GBP|CHF|Euro|euro|dollars?|kg|g|cm|pcs)\b`), "`$2` cannot stand here: numbers have no unit", "write `$1`; prices are in the shop's currency"},
	{regexp.MustCompile(`\b([0-9]+),([0-9]{1,2})(?:$|[ )])`), "`$1,$2` has a decimal comma", "write `$1.$2`"},
	{regexp.MustCompile(`<>`), "`<>` is no comparison", "write `!=`"},
	{regexp.MustCompile(`=<`), "`=<` is no comparison", "write `<=`"},
	{regexp.MustCompile(`=>`), "`=>` is no comparison", "write `>=`"},
	{regexp.MustCompile(`={3}`), "`===` is no comparison", "write `==`"},
	{regexp.MustCompile(`\b(?:if|IF|If) `), "a condition needs no `if`", "write the question alone, such as `item.price < 50`"},
	{regexp.MustCompile(`\blike\b`), "`like` is no word of conditions", "write `contains`, `startsWith` or `endsWith`"},
	{regexp.MustCompile(`[€$£]`), "a currency sign cannot stand here", "write the number alone; prices are in the shop's currency"},
}

// habit recognises a habit in a text that cannot be read, and points at it.
func (f *fault) habit(src string) bool {
	plain := unquoted(src)
	for _, h := range habits {
		at := h.pattern.FindStringSubmatchIndex(plain)
		if at == nil {
			continue
		}
		f.code = CodeSyntax
		f.message = string(h.pattern.ExpandString(nil, h.message, src, at))
		f.hint = string(h.pattern.ExpandString(nil, h.hint, src, at))
		f.offset = utf8.RuneCountInString(src[:at[0]])
		return true
	}
	return false
}

// unquoted is the text with what stands in quotes blanked out, byte for byte.
func unquoted(src string) string {
	out := []byte(src)
	var quote byte
	for i := 0; i < len(out); i++ {
		c := out[i]
		switch {
		case quote != 0 && c == quote:
			quote = 0
		case quote != 0:
			if c == '\\' && quote != '`' && i+1 < len(out) {
				out[i] = '_'
				i++
			}
			out[i] = '_'
		case c == '"' || c == '\'' || c == '`':
			quote = c
		}
	}
	return string(out)
}

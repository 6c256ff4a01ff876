package rulestest

import "strings"

// operands takes a condition apart at its `and` and `or`, brackets and negations included, down to
// parts that are yes or no by themselves. A condition with a choice (a ? b : c) stays whole.
func operands(text string) []string {
	text = strings.TrimSpace(text)
	if inner, ok := bracketed(text); ok {
		return operands(inner)
	}
	for _, words := range [][]string{{"or", "||"}, {"and", "&&"}} {
		parts, whole := splitAt(text, words)
		if whole {
			return []string{text}
		}
		if len(parts) > 1 {
			var out []string
			for _, p := range parts {
				out = append(out, operands(p)...)
			}
			return out
		}
	}
	for _, not := range []string{"not ", "not(", "!"} {
		if rest, ok := strings.CutPrefix(text, not); ok {
			if not == "not(" {
				rest = "(" + rest
			}
			if inner, ok := bracketed(strings.TrimSpace(rest)); ok {
				return operands(inner)
			}
		}
	}
	return []string{text}
}

// bracketed returns what one pair of brackets around the whole text holds.
func bracketed(text string) (inner string, ok bool) {
	if !strings.HasPrefix(text, "(") || !strings.HasSuffix(text, ")") {
		return "", false
	}
	closes := -1
	scan(text, func(i, depth int) bool {
		if depth == 0 && text[i] == ')' {
			closes = i
			return false
		}
		return true
	})
	if closes != len(text)-1 {
		return "", false
	}
	return text[1:closes], true
}

// splitAt cuts text at words that stand outside of brackets and quotes; whole tells that the text is a
// choice, which must not be cut.
func splitAt(text string, words []string) (parts []string, whole bool) {
	from := 0
	scan(text, func(i, depth int) bool {
		if depth > 0 || i < from {
			return true
		}
		if text[i] == '?' && (i+1 == len(text) || text[i+1] != '?' && text[i+1] != '.') && (i == 0 || text[i-1] != '?') {
			whole = true
			return false
		}
		for _, w := range words {
			if strings.HasPrefix(text[i:], w) && standsAlone(text, i, len(w)) {
				parts = append(parts, text[from:i])
				from = i + len(w)
				break
			}
		}
		return true
	})
	return append(parts, text[from:]), whole
}

// standsAlone tells whether the word at i is not a part of a longer name.
func standsAlone(text string, i, n int) bool {
	if text[i] == '|' || text[i] == '&' {
		return true
	}
	return (i == 0 || !isNameByte(text[i-1]) && text[i-1] != '.') && (i+n == len(text) || !isNameByte(text[i+n]))
}

func isNameByte(c byte) bool {
	return c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c >= 0x80
}

// scan calls do for every byte outside of quotes, with the depth of brackets after it, until do
// returns false.
func scan(text string, do func(i, depth int) bool) {
	depth, quote := 0, byte(0)
	for i := 0; i < len(text); i++ {
		c := text[i]
		switch {
		case quote != 0:
			if c == '\\' && quote != '`' {
				i++
			} else if c == quote {
				quote = 0
			}
			continue
		case c == '"' || c == '\'' || c == '`':
			quote = c
			continue
		case c == '(' || c == '[' || c == '{':
			depth++
		case c == ')' || c == ']' || c == '}':
			depth--
		}
		if !do(i, depth) {
			return
		}
	}
}

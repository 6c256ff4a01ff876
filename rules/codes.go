package rules

import (
	"sort"
	"strings"
)

// The codes of problems. rules/rulefile adds its own about YAML itself under the same numbers.
const (
	CodeUnknownField  = "R001" // a name that the schema does not have
	CodeTypeMismatch  = "R002" // values of two types compared or combined
	CodeSingleEquals  = "R003" // = instead of ==
	CodeBareWord      = "R004" // text without quotes
	CodeListContains  = "R005" // contains on a list
	CodeNotYesNo      = "R006" // a condition that is not yes/no
	CodeRefused       = "R007" // a construct that rules may not use
	CodeTooCostly     = "R008" // too long, too deep, too many parts or too much work
	CodeUnknownKey    = "R009" // an unknown or misplaced key, action or parameter
	CodeDuplicate     = "R010" // an id or name used twice
	CodeEmpty         = "R011" // an empty condition
	CodeSchedule      = "R012" // a schedule that cannot be read, is inverted or over
	CodeOutOfBounds   = "R013" // a number outside its bounds
	CodeUnknownName   = "R014" // an unknown list, source, strategy, window or model
	CodePinConflict   = "R015" // two pins for one position
	CodeQuota         = "R016" // a quota that cannot be met
	CodeConstant      = "R017" // a condition that is always or never true
	CodeShadowed      = "R018" // a rule that another one hides
	CodeUnused        = "R019" // a parameter or list that nothing uses
	CodeUndocumented  = "R020" // no owner or description
	CodeZeroDivision  = "R021" // a division whose right side can be zero
	CodeDurationText  = "R022" // duration("7d") instead of days(7)
	CodeSyntax        = "R023" // text that cannot be read as an expression
	CodeActionField   = "R024" // an action field that is missing or cannot be read
	CodeMisplaced     = "R025" // a key that has no meaning with this action
	CodeOpposed       = "R026" // two rules that pull the same items both ways
	maxProblems       = 50     // a file with more is mended in rounds
	maxRulesPerSet    = 500
	maxRuleNameLength = 128
)

// fault is a problem inside one expression: offset counts characters of its text.
type fault struct {
	code    string
	warning bool
	offset  int
	message string
	hint    string
}

// reporter turns faults into problems of one file.
type reporter struct {
	file     *File
	rule     string
	problems []Problem
	between  bool // what is compared stands in another file
}

func (r *reporter) add(severity Severity, pos Pos, code, message, hint string) {
	if pos.Line == 0 {
		pos = r.file.Pos
	}
	r.problems = append(r.problems, Problem{
		Code: code, Severity: severity, Path: r.file.Path, Line: pos.Line, Column: pos.Column,
		Rule: r.rule, Message: message, Snippet: r.line(pos.Line), Hint: hint,
	})
}

func (r *reporter) error(pos Pos, code, message, hint string) {
	r.add(SeverityError, pos, code, message, hint)
}

func (r *reporter) warn(pos Pos, code, message, hint string) {
	r.add(SeverityWarning, pos, code, message, hint)
}

// faults reports what is wrong inside an expression at its place in the file.
func (r *reporter) faults(e Expr, faults []fault) {
	for _, f := range faults {
		severity := SeverityError
		if f.warning {
			severity = SeverityWarning
		}
		r.add(severity, e.at(f.offset), f.code, f.message, f.hint)
		if last := &r.problems[len(r.problems)-1]; last.Snippet == "" {
			last.Snippet = e.Text
		}
	}
}

func (r *reporter) line(n int) string {
	if n < 1 || n > len(r.file.Lines) {
		return ""
	}
	return r.file.Lines[n-1]
}

// at is the place in the file of the character with the given offset.
func (e Expr) at(offset int) Pos {
	if !e.Exact {
		return e.Pos
	}
	line, column := 0, 0
	for i, c := range []rune(e.Text) {
		if i == offset {
			break
		}
		column++
		if c == '\n' {
			line, column = line+1, 0
		}
	}
	if e.Indent > 0 { // a block starts on the line after its "|"
		return Pos{Line: e.Pos.Line + 1 + line, Column: e.Indent + column + 1}
	}
	return Pos{Line: e.Pos.Line + line, Column: e.Pos.Column + column}
}

// sortProblems orders problems by place and keeps the first fifty, errors before warnings when
// something has to go.
func sortProblems(problems []Problem) []Problem {
	if len(problems) > maxProblems {
		sort.SliceStable(problems, func(i, j int) bool {
			return problems[i].Severity == SeverityError && problems[j].Severity != SeverityError
		})
		problems = problems[:maxProblems]
	}
	sort.SliceStable(problems, func(i, j int) bool {
		a, b := problems[i], problems[j]
		switch {
		case a.Path != b.Path:
			return a.Path < b.Path
		case a.Line != b.Line:
			return a.Line < b.Line
		case a.Column != b.Column:
			return a.Column < b.Column
		}
		return a.Code < b.Code
	})
	return problems
}

// hasErrors tells whether one of the problems stops the set.
func hasErrors(problems []Problem) bool {
	for _, p := range problems {
		if p.Severity == SeverityError {
			return true
		}
	}
	return false
}

// oneLine shortens text for a message.
func oneLine(s string) string {
	s = strings.Join(strings.Fields(s), " ")
	if r := []rune(s); len(r) > 60 {
		return string(r[:57]) + "..."
	}
	return s
}

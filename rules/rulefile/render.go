package rulefile

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"unicode"

	"github.com/sartorhq/sartor/rules"
)

// Formats lists the formats that Render knows.
func Formats() []string { return []string{"text", "json", "sarif"} }

// Render writes problems as "text" for people (a snippet with a caret under the column, as
// compilers do), as "json" (an array) or as "sarif" 2.1.0 for code review tools.
func Render(w io.Writer, problems []rules.Problem, format string) error {
	switch format {
	case "text":
		return renderText(w, problems)
	case "json":
		if problems == nil {
			problems = []rules.Problem{}
		}
		return writeJSON(w, problems)
	case "sarif":
		return writeJSON(w, sarifOf(problems))
	default:
		return fmt.Errorf("unknown format %q: use one of %s", format, strings.Join(Formats(), ", "))
	}
}

func writeJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

func renderText(w io.Writer, problems []rules.Problem) error {
	var b bytes.Buffer
	for i, p := range problems {
		if i > 0 {
			b.WriteByte('\n')
		}
		fmt.Fprintf(&b, "%s:%d:%d: %s %s", p.Path, p.Line, p.Column, p.Severity, p.Code)
		if p.Rule != "" {
			fmt.Fprintf(&b, " in %s", p.Rule)
		}
		fmt.Fprintf(&b, ": %s\n", p.Message)
		writeSnippet(&b, p)
		if p.Hint != "" {
			fmt.Fprintf(&b, "   hint: %s\n", p.Hint)
		}
	}
	_, err := w.Write(b.Bytes())
	return err
}

// writeSnippet shows the source line, cut around the column when it is long, and the caret.
func writeSnippet(b *bytes.Buffer, p rules.Problem) {
	const width, before = 100, 60
	line := []rune(p.Snippet)
	if strings.TrimSpace(p.Snippet) == "" || p.Column > len(line)+1 {
		return
	}
	at := p.Column - 1
	if start := max(0, at-before); len(line) > width && start > 0 {
		line = append([]rune("..."), line[start+3:]...)
		at -= start
	}
	if len(line) > width {
		line = append(line[:width-3:width-3], []rune("...")...)
	}
	margin := fmt.Sprintf("%5d | ", p.Line)
	fmt.Fprintf(b, "%s%s\n%s", margin, strings.TrimRight(string(line), " \t"), strings.Repeat(" ", len(margin)-2)+"| ")
	for _, r := range line[:min(at, len(line))] {
		switch {
		case r == '\t':
			b.WriteByte('\t')
		case isWide(r):
			b.WriteString("  ")
		case !unicode.Is(unicode.Mn, r):
			b.WriteByte(' ')
		}
	}
	b.WriteString("^\n")
}

// isWide tells whether a terminal gives r two columns.
func isWide(r rune) bool {
	return r >= 0x1100 && (unicode.In(r, unicode.Han, unicode.Hangul, unicode.Hiragana, unicode.Katakana) ||
		r >= 0xFF01 && r <= 0xFF60 || r >= 0x1F300 && r <= 0x1FAFF)
}

// sarif is the part of the SARIF 2.1.0 format that code review tools read.
type sarif struct {
	Schema  string     `json:"$schema"`
	Version string     `json:"version"`
	Runs    []sarifRun `json:"runs"`
}

type sarifRun struct {
	Tool struct {
		Driver struct {
			Name  string      `json:"name"`
			Rules []sarifRule `json:"rules"`
		} `json:"driver"`
	} `json:"tool"`
	ColumnKind string        `json:"columnKind"`
	Results    []sarifResult `json:"results"`
}

type sarifRule struct {
	ID    string    `json:"id"`
	Short sarifText `json:"shortDescription"`
	Full  sarifText `json:"fullDescription"`
	Help  string    `json:"helpUri"`
}

type sarifText struct {
	Text string `json:"text"`
}

type sarifResult struct {
	RuleID    string          `json:"ruleId"`
	Level     string          `json:"level"`
	Message   sarifText       `json:"message"`
	Locations []sarifLocation `json:"locations"`
}

type sarifLocation struct {
	Physical struct {
		Artifact struct {
			URI string `json:"uri"`
		} `json:"artifactLocation"`
		Region struct {
			StartLine   int `json:"startLine"`
			StartColumn int `json:"startColumn"`
		} `json:"region"`
	} `json:"physicalLocation"`
}

// catalogueURI is where the codes are explained, in this program's sources.
const catalogueURI = "https://github.com/sartorhq/sartor/blob/main/rules/ERRORS.md"

func sarifRuleOf(code string) sarifRule {
	out := sarifRule{ID: code, Help: catalogueURI}
	for _, c := range rules.Catalogue() {
		if c.Code == code {
			out.Short, out.Full = sarifText{c.Title}, sarifText{c.Meaning}
		}
	}
	return out
}

func sarifOf(problems []rules.Problem) sarif {
	run := sarifRun{ColumnKind: "unicodeCodePoints", Results: []sarifResult{}}
	run.Tool.Driver.Name = "sartor rules check"
	run.Tool.Driver.Rules = []sarifRule{}
	seen := map[string]bool{}
	for _, p := range problems {
		if !seen[p.Code] {
			seen[p.Code] = true
			run.Tool.Driver.Rules = append(run.Tool.Driver.Rules, sarifRuleOf(p.Code))
		}
		message := p.Message
		if p.Hint != "" {
			message += "\nHint: " + p.Hint
		}
		var at sarifLocation
		at.Physical.Artifact.URI = filepath.ToSlash(p.Path)
		at.Physical.Region.StartLine, at.Physical.Region.StartColumn = p.Line, p.Column
		run.Results = append(run.Results, sarifResult{p.Code, string(p.Severity), sarifText{message}, []sarifLocation{at}})
	}
	return sarif{"https://json.schemastore.org/sarif-2.1.0.json", "2.1.0", []sarifRun{run}}
}

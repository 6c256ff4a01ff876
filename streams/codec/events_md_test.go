package codec

import (
	"errors"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/sartorhq/sartor/streams"
)

// block is one fenced block of EVENTS.md.
type block struct {
	line int
	info string
	text string
}

// blocks returns the fenced blocks of a document.
func blocks(t *testing.T, doc string) []block {
	t.Helper()
	var all []block
	var open *block
	for i, line := range strings.Split(doc, "\n") {
		switch {
		case open == nil && strings.HasPrefix(line, "```"):
			open = &block{line: i + 1, info: strings.TrimPrefix(line, "```")}
		case open != nil && line == "```":
			all = append(all, *open)
			open = nil
		case open != nil:
			open.text += line + "\n"
		}
	}
	if open != nil {
		t.Fatalf("EVENTS.md:%d: the block is not closed", open.line)
	}
	return all
}

func TestEventsDocument(t *testing.T) {
	data, err := os.ReadFile("../EVENTS.md")
	if err != nil {
		t.Fatal(err)
	}
	doc := string(data)
	shown := map[streams.Type]bool{}
	all := blocks(t, doc)
	for i, b := range all {
		switch b.info {
		case "json":
			e, err := Decode([]byte(b.text))
			if err != nil {
				t.Errorf("EVENTS.md:%d: %v", b.line, err)
				continue
			}
			shown[e.Type] = true
			checkRoundTrip(t, &e)
		case "json refused":
			if i+1 == len(all) || all[i+1].info != "text" {
				t.Fatalf("EVENTS.md:%d: no message follows", b.line)
			}
			want := strings.TrimSpace(all[i+1].text)
			if _, err := Decode([]byte(b.text)); err == nil || err.Error() != want {
				t.Errorf("EVENTS.md:%d:\ngot  %v\nwant %s", b.line, err, want)
			}
		case "text":
		default:
			if format, what, _ := strings.Cut(strings.TrimPrefix(b.info, "json "), " "); i+1 < len(all) && format != b.info {
				checkForeign(t, b, Format(format), what, all[i+1])
				continue
			}
			t.Errorf("EVENTS.md:%d: a block of kind %q is not tested", b.line, b.info)
		}
	}
	for _, typ := range streams.Types() {
		if !shown[typ] {
			t.Errorf("EVENTS.md has no example of %s", typ)
		}
	}
}

// checkForeign checks a block in another format: it becomes the native event of the next block, or is
// refused or skipped with the words there. Found by itself it is the same.
func checkForeign(t *testing.T, b block, format Format, what string, next block) {
	t.Helper()
	for _, f := range []Format{format, Auto} {
		if _, err := ParseFormat(string(f)); err != nil {
			t.Fatalf("EVENTS.md:%d: %v", b.line, err)
		}
		m := Message{Key: []byte("u-1"), Value: []byte(b.text)}
		e, err := DecodeMessage(streams.Behavior, f, &m)
		if what != "" {
			skip := what == "skipped"
			if err == nil || err.Error() != strings.TrimSpace(next.text) || errors.Is(err, ErrSkipped) != skip {
				t.Errorf("EVENTS.md:%d: %s: got %v", b.line, f, err)
			}
			continue
		}
		want, wrong := Decode([]byte(next.text))
		if err != nil || wrong != nil || !reflect.DeepEqual(e, want) {
			t.Errorf("EVENTS.md:%d: %s: got %+v, %v, %v", b.line, f, e, err, wrong)
		}
	}
}

func TestEventsDocumentTables(t *testing.T) {
	data, err := os.ReadFile("../EVENTS.md")
	if err != nil {
		t.Fatal(err)
	}
	_, fields, _ := strings.Cut(string(data), "## Fields")
	fields, _, _ = strings.Cut(fields, "## Types")
	var names []string
	for _, m := range regexp.MustCompile("(?m)^\\| `(\\w+)`").FindAllStringSubmatch(fields, -1) {
		names = append(names, m[1])
	}
	if !slices.Equal(names, fieldNames) {
		t.Errorf("the table has the fields\n%v\nthe codec\n%v", names, fieldNames)
	}
	for _, name := range lineNames {
		if !strings.Contains(fields, "`"+name+"`") {
			t.Errorf("the item's field %s is not described", name)
		}
	}
	_, table, _ := strings.Cut(string(data), "## Streams")
	table, _, _ = strings.Cut(table, "## Fields")
	rows := map[string]string{}
	for _, m := range regexp.MustCompile("(?m)^\\| `([\\w-]+)` \\|(.*)$").FindAllStringSubmatch(table, -1) {
		rows[m[1]] = m[2]
	}
	for _, s := range streams.Streams() {
		row, ok := rows[string(s)]
		if !ok || strings.Contains(row, "**compact**") != s.Compacted() {
			t.Errorf("stream %s: row %q", s, row)
		}
	}
	for _, typ := range streams.Types() {
		if !strings.Contains(rows[string(typ.Stream())], "`"+string(typ)+"`") {
			t.Errorf("%s is not in the row of %s", typ, typ.Stream())
		}
	}
	for _, e := range segmentEvents {
		if !strings.Contains(string(data), "`"+e.name+"`") {
			t.Errorf("the Segment event %s is not described", e.name)
		}
	}
	for _, n := range []int{MaxBytes, MaxDepth, MaxIDBytes, MaxTextBytes, MaxLines, MaxQuantity, len(types)} {
		if !strings.Contains(string(data), strconv.Itoa(n)) {
			t.Errorf("the limit %d is not named", n)
		}
	}
}

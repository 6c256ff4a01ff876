package features

import (
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sartorhq/sartor/streams"
)

var exampleBlock = regexp.MustCompile("(?s)```yaml example\n(.*?)```\n\n```events\n(.*?)```\n\n```values\n(.*?)```")

// TestSchemaExamples runs the examples of SCHEMA.md.
func TestSchemaExamples(t *testing.T) {
	data, err := os.ReadFile("SCHEMA.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := exampleBlock.FindAllStringSubmatch(string(data), -1)
	if want := strings.Count(string(data), "```yaml example"); len(blocks) != want || want == 0 {
		t.Fatalf("read %d of %d examples", len(blocks), want)
	}
	for i, b := range blocks {
		t.Run(strconv.Itoa(i+1), func(t *testing.T) { runExample(t, b[1], b[2], b[3]) })
	}
}

func runExample(t *testing.T, fields, events, values string) {
	text := "apiVersion: features/v1\nhistory: {max: 100, events: [view, click, order, return]}\n" + fields
	for _, section := range []string{"user", "item", "context"} {
		if !strings.Contains("\n"+fields, "\n"+section+":") {
			text += section + ": {}\n"
		}
	}
	s, err := Parse("SCHEMA.md", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	var log []streams.Event
	visits := streams.NewVisits(streams.Behavior, s.VisitGap())
	for line := range strings.Lines(events) {
		e := exampleEvent(t, strings.Fields(line))
		visits.Add(&e, int64(len(log)))
		log = append(log, e)
	}
	states := apply(s, log)
	var now time.Time
	for line := range strings.Lines(values) {
		line = strings.TrimSpace(line)
		if at, ok := strings.CutPrefix(line, "at "); ok {
			now = exampleTime(t, at)
			continue
		}
		name, want, _ := strings.Cut(line, " = ")
		field, id, _ := strings.Cut(name, " of ")
		section, field, _ := strings.Cut(field, ".")
		var env map[string]any
		var known map[string]bool
		if section == "user" {
			u := s.User(id, states[Entity{UserEntity, id}], nil, now)
			env, known = u.Env, u.Known
		} else {
			it := s.Item(id, states[Entity{ItemEntity, id}], now)
			env, known = it.Env, it.Known
		}
		got := fmt.Sprint(env[field])
		if list, ok := env[field].([]string); ok {
			got = "[" + strings.Join(list, ", ") + "]"
		}
		if !known[field] {
			got += " by default"
		}
		if got != want {
			t.Errorf("%s = %s, the document says %s", name, got, want)
		}
	}
}

func exampleTime(t *testing.T, text string) time.Time {
	t.Helper()
	at, err := time.Parse("2006-01-02T15:04", text)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

// exampleEvent reads "time type user item:quantity:price,... key=value...".
func exampleEvent(t *testing.T, words []string) streams.Event {
	t.Helper()
	e := streams.Event{Time: exampleTime(t, words[0]), Type: streams.Type(words[1]), UserID: words[2]}
	for _, item := range strings.Split(words[3], ",") {
		parts := append(strings.Split(item, ":"), "0", "0")
		quantity, err := strconv.ParseInt(parts[1], 10, 64)
		price, err2 := strconv.ParseFloat(parts[2], 64)
		if err != nil || err2 != nil {
			t.Fatalf("%q is no item", item)
		}
		e.Items = append(e.Items, streams.Line{ItemID: parts[0], Quantity: quantity, Price: int64(price*100 + 0.5)})
	}
	for _, word := range words[4:] {
		key, value, _ := strings.Cut(word, "=")
		if name, ok := strings.CutPrefix(key, "attributes."); ok {
			e.Attributes = map[string]any{name: value}
		} else if key == "country" {
			e.Country = value
		} else {
			t.Fatalf("%q is unknown", word)
		}
	}
	return e
}

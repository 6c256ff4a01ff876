package file

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/sartorhq/sartor/streams"
	"github.com/sartorhq/sartor/streams/codec"
)

// write makes the files of a small made-up data set and returns its folder.
func write(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		data := []byte(strings.TrimLeft(content, "\n"))
		if strings.HasSuffix(name, ".gz") {
			var b bytes.Buffer
			z := gzip.NewWriter(&b)
			z.Write(data)
			z.Close()
			data = b.Bytes()
		}
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// drain reads a recording to its end or its first error.
func drain(t *testing.T, format Format, path string, opts Options) ([]streams.Event, Stats, error) {
	t.Helper()
	s, err := Open(format, path, opts)
	if err != nil {
		return nil, Stats{}, err
	}
	defer s.Close()
	var events []streams.Event
	for {
		e, err := s.Next()
		if errors.Is(err, io.EOF) {
			return events, s.Stats(), nil
		}
		if err != nil {
			return events, s.Stats(), err
		}
		events = append(events, e)
	}
}

// brief writes what matters of an event on one line.
func brief(e streams.Event) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s %s", e.Time.Format("2006-01-02T15:04:05"), e.Type, e.ID)
	if s := e.Subject(); s != "" {
		fmt.Fprintf(&b, " by %s", s)
	}
	if e.SessionID != "" {
		fmt.Fprintf(&b, " in %s", e.SessionID)
	}
	if e.OrderID != "" {
		fmt.Fprintf(&b, " order %s", e.OrderID)
	}
	for _, l := range e.Items {
		fmt.Fprintf(&b, " [%s %dx%d]", l.ItemID, l.Quantity, l.Price)
	}
	if e.Total != nil {
		fmt.Fprintf(&b, " total %d", *e.Total)
	}
	if e.Currency != "" || e.Country != "" {
		fmt.Fprintf(&b, " %s/%s", e.Currency, e.Country)
	}
	if e.Rating != 0 {
		fmt.Fprintf(&b, " %v stars", e.Rating)
	}
	if e.Attributes != nil {
		attrs, _ := json.Marshal(e.Attributes)
		fmt.Fprintf(&b, " %s", attrs)
	}
	return b.String()
}

// same compares the events of a recording with the expected lines.
func same(t *testing.T, events []streams.Event, want string) {
	t.Helper()
	wanted := strings.Split(strings.TrimSpace(want), "\n")
	for i := range max(len(events), len(wanted)) {
		got, exp := "(no event)", "(no event)"
		if i < len(events) {
			got = brief(events[i])
		}
		if i < len(wanted) {
			exp = strings.TrimSpace(wanted[i])
		}
		if got != exp {
			t.Errorf("event %d:\n got %s\nwant %s", i+1, got, exp)
		}
	}
}

// sound checks what holds for the events of every recording: ids are unique, times ascend, and the
// codec reads back what it writes.
func sound(t *testing.T, events []streams.Event) {
	t.Helper()
	ids := map[string]bool{}
	for i, e := range events {
		if ids[e.ID] || e.ID == "" {
			t.Fatalf("event id %q is empty or there twice", e.ID)
		}
		ids[e.ID] = true
		if i > 0 && e.Time.Before(events[i-1].Time) {
			t.Fatalf("event %s at %s after %s", e.ID, e.Time, events[i-1].Time)
		}
		if problems := codec.Validate(&e); problems != nil {
			t.Fatalf("event %s: %v", e.ID, problems)
		}
	}
}

func TestFormatsAreKnown(t *testing.T) {
	for _, f := range Formats() {
		if got, err := ParseFormat(string(f)); got != f || err != nil {
			t.Errorf("ParseFormat(%q) = %q, %v", f, got, err)
		}
		if _, err := Open(f, filepath.Join(t.TempDir(), "absent"), Options{}); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("open %s of an absent path: %v", f, err)
		}
		if f == Mapped { // names its files itself
			continue
		}
		if _, err := Open(f, t.TempDir(), Options{}); err == nil || !strings.Contains(err.Error(), "plain or .gz") {
			t.Errorf("open %s of an empty folder: %v", f, err)
		}
	}
	_, err := Open("csv", ".", Options{})
	if err == nil || !strings.Contains(err.Error(), `unknown format "csv"; the formats are ndjson, online-retail`) {
		t.Errorf("an unknown format gives %v", err)
	}
}

func TestSourceKeepsItsError(t *testing.T) {
	dir := write(t, map[string]string{"train.tsv": "user_id\titem_id\n1\t2\n\t3\n4\t5\n"})
	s, err := Open(LightGCN, dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if e, err := s.Next(); err != nil || e.UserID != "1" {
		t.Fatalf("first event %+v, %v", e, err)
	}
	const want = "train.tsv:3: column user_id: is empty"
	for range 2 {
		if _, err := s.Next(); err == nil || err.Error() != want {
			t.Fatalf("error %v, want %s", err, want)
		}
	}
	s.Close()
	if _, err := s.Next(); err == nil || err.Error() != want {
		t.Errorf("after Close: %v, want %s", err, want)
	}
	if s, err = Open(LightGCN, dir, Options{}); err != nil {
		t.Fatal(err)
	}
	s.Close()
	if _, err := s.Next(); err == nil || errors.Is(err, io.EOF) {
		t.Errorf("a closed source gives %v", err)
	}
}

func TestParseCents(t *testing.T) {
	for in, want := range map[string]int64{"0": 0, "2.55": 255, "2.5": 250, "7": 700, "0.001": 0, "0.005": 1, "0.004999": 0,
		"-11062.06": -1106206, "-0.005": -1, "1.995": 200, "0.0000000000000004440892": 0, "38970.0": 3897000, "9999999999999.99": 999999999999999} {
		if got, ok := parseCents(in); !ok || got != want {
			t.Errorf("parseCents(%q) = %d, %v, want %d", in, got, ok, want)
		}
	}
	for _, in := range []string{"", "-", ".", ".5", "5.", "1,5", "1e3", "+1", "--1", "1.2.3", " 1", "1 ", "NaN", "12345678901234"} {
		if got, ok := parseCents(in); ok {
			t.Errorf("parseCents(%q) = %d, want a refusal", in, got)
		}
	}
}

func TestPerUnitRoundsHalfAwayFromZero(t *testing.T) {
	for _, c := range [][3]int64{{10, 4, 3}, {9, 4, 2}, {-10, 4, -3}, {0, 7, 0}, {7, 1, 7}, {1, 2, 1}} {
		if got := perUnit(c[0], c[1]); got != c[2] {
			t.Errorf("perUnit(%d, %d) = %d, want %d", c[0], c[1], got, c[2])
		}
	}
}

// A replay must be the same each time: two readings give equal events.
func TestReadingIsRepeatable(t *testing.T) {
	dir := write(t, map[string]string{"orders.csv": retailFixture})
	first, _, err := drain(t, OnlineRetail, dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	second, _, _ := drain(t, OnlineRetail, filepath.Join(dir, "orders.csv"), Options{})
	if !slices.EqualFunc(first, second, func(a, b streams.Event) bool { return brief(a) == brief(b) }) {
		t.Error("two readings differ")
	}
}

func TestTablesWithFaults(t *testing.T) {
	const header = "ts,user_id,item_id,event\n"
	for name, c := range map[string]struct{ content, want string }{
		"empty-file":       {"", "events.csv is empty: it needs a header row with ts, user_id, item_id, event"},
		"missing-column":   {"ts,user,item_id\n", `events.csv has no column user_id, event; its header is "ts,user,item_id"`},
		"short-row":        {header + "1,2,3\n", "events.csv:2: wrong number of fields"},
		"bad-quote":        {header + "1,2,3,view\n1,\"2,3,view\n", `events.csv:3: extraneous or missing " in quoted-field`},
		"bad-number":       {header + "1,2,3,view\nx,2,3,view\n", `events.csv:3: column ts: "x" is not a whole number`},
		"unknown-event":    {header + "1,2,3,buy\n", `events.csv:2: column event: "buy" is none of view, addtocart, transaction`},
		"back-in-time":     {header + "5,2,3,view\n4,2,3,view\n", "events.csv:3: column ts: is earlier than in the row before; sort the file by ts"},
		"line-after-quote": {header + "1,\"2\n\",3,view\n", "events.csv:2: the row makes no valid event: user_id: has control characters; remove them"},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := drain(t, RetailRocket, write(t, map[string]string{"events.csv": c.content}), Options{})
			if err == nil || !strings.HasSuffix(err.Error(), c.want) {
				t.Errorf("error %v, want %s", err, c.want)
			}
		})
	}
	dir := write(t, map[string]string{"events.csv.gz": header + strings.Repeat("1,2,3,view\n", 1000)})
	path := filepath.Join(dir, "events.csv.gz")
	data, _ := os.ReadFile(path)
	os.WriteFile(path, data[:len(data)-12], 0o600)
	if _, _, err := drain(t, RetailRocket, dir, Options{}); err == nil || !strings.Contains(err.Error(), "events.csv.gz") {
		t.Errorf("a cut gzip file gives %v", err)
	}
	os.WriteFile(path, []byte{0x1f, 0x8b, 0}, 0o600)
	if _, _, err := drain(t, RetailRocket, dir, Options{}); err == nil || !strings.Contains(err.Error(), "unpack") {
		t.Errorf("a broken gzip header gives %v", err)
	}
}

// Columns are found by name, whatever their order and whatever else is there, behind a byte order mark.
func TestHeaderInAnotherOrder(t *testing.T) {
	dir := write(t, map[string]string{"events.csv": "\ufeffextra,event,item_id,user_id,ts\r\n-,view,i,u,7\r\n"})
	events, stats, err := drain(t, RetailRocket, dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	same(t, events, "1970-01-01T00:00:07 view rr-1 by u [i 0x0]")
	if stats.Rows != 1 || stats.Events != 1 {
		t.Errorf("stats %+v, want one row and one event", stats)
	}
}

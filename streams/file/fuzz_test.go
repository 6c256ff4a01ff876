package file

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/sartorhq/sartor/streams/codec"
)

// FuzzSource reads arbitrary bytes in every format. Whatever they are, the source ends, returns only
// events that the codec accepts, accounts for the rows, and keeps its error.
func FuzzSource(f *testing.F) {
	for i, seed := range []string{
		"{\"event_id\":\"a\",\"type\":\"view\",\"time\":\"2026-01-02T03:04:05Z\",\"user_id\":\"u\",\"item_id\":\"i\"}\n",
		retailFixture[1:],
		"ts,user_id,item_id,event\n1600000000,9,51,view\n1600000060,9,51,transaction\n",
		"ts,user_id,session_id,event_code,product_id,category_id,category_code_id,brand_id,price\n1600000000,9,-77,2,51,3,128,3425,0.00\n",
		journeyTransactions[1:],
		"user_id,movie_id,rating,ts,user_seq\n1,20,5,1000000010,3\n2,10,4,1000000000,1\n",
		"user_id\titem_id\n0\t7\n",
		`{"FeedbackType":"star","UserId":"bob","ItemId":"x","Value":1.0,"Timestamp":"2022-02-24","Labels":null,"Comment":""}`,
		`[{"event":"item","id":"e1","timestamp":"1599391467000","item":"i1","fields":[{"name":"title","value":"a"}]},
{"event":"ranking","id":"e3","timestamp":1599391467000,"user":"u1","items":[{"id":"i3"},"i4"]},{"event":"interaction","id":"e4","timestamp":"2020-01-01","session":"s","type":"purchase","item":"i"}]`,
	} {
		f.Add(uint8(i), []byte(seed))
	}
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, which uint8, data []byte) {
		format := Formats()[int(which)%len(Formats())]
		if format == Mapped { // would read whatever files the bytes name: FuzzMapped
			return
		}
		path := filepath.Join(dir, "recording") // one worker process has one folder
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := Open(format, path, Options{MaxLines: 3})
		if err != nil {
			return
		}
		defer s.Close()
		if events := readAll(t, s); events > int64(3*len(data)) {
			t.Fatalf("%d %s events from %d bytes", events, format, len(data))
		}
	})
}

// readAll reads a source to its end or first error: every event is valid, the error stays, the counts add up.
func readAll(t *testing.T, s *Source) (events int64) {
	t.Helper()
	for {
		e, err := s.Next()
		if err != nil {
			if _, again := s.Next(); again != err {
				t.Fatalf("error %v, then %v", err, again)
			}
			checkStats(t, s.Stats(), events, err)
			return events
		}
		events++
		if problems := codec.Validate(&e); problems != nil || e.ID == "" {
			t.Fatalf("event %+v: %v", e, problems)
		}
	}
}

// checkStats compares the counts of a source that has ended.
func checkStats(t *testing.T, stats Stats, events int64, end error) {
	t.Helper()
	gone := int64(0)
	for _, n := range stats.Skipped {
		gone += n
	}
	if stats.Events != events || gone > stats.Rows || errors.Is(end, io.EOF) && stats.Rows > gone && events == 0 {
		t.Fatalf("%d events, stats %+v, end %v", events, stats, end)
	}
}

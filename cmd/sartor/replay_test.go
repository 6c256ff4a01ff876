package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/sartorhq/sartor/streams"
	"github.com/sartorhq/sartor/streams/file"
	"github.com/sartorhq/sartor/streams/kafka"
)

// recording returns events 1..n, one a second, and then end.
type recording struct {
	n, i int
	end  error
}

func (r *recording) Next() (streams.Event, error) {
	if r.i++; r.i > r.n {
		return streams.Event{}, r.end
	}
	return streams.Event{ID: fmt.Sprint(r.i), Type: streams.View, Time: time.Unix(int64(r.i), 0)}, nil
}

// log keeps what is written; fail says which events of a write fail.
type memoryLog struct {
	ids  []string
	fail func(writes int, events []streams.Event) error
	n    int
	on   func()
}

func (l *memoryLog) Write(ctx context.Context, events ...streams.Event) error {
	if l.on != nil {
		l.on()
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	l.n++
	if l.fail != nil {
		if err := l.fail(l.n, events); err != nil {
			return err
		}
	}
	for _, e := range events {
		l.ids = append(l.ids, e.ID)
	}
	return nil
}

func fast() *file.Pacer { return file.NewPacer(0, file.Clock{}) }

func TestReplayCountsWhatItPublished(t *testing.T) {
	broken := &file.RowError{File: "f.csv", Line: 7, Column: "price", Problem: "is odd"}
	for name, c := range map[string]struct {
		events      int
		end         error
		skip, limit int64
		want        int64
		err         error
	}{
		"all":                 {events: 4500, end: io.EOF, want: 4500},
		"nothing":             {events: 0, end: io.EOF, want: 0},
		"limit":               {events: 4500, end: io.EOF, limit: 2001, want: 2001},
		"skip":                {events: 4500, end: io.EOF, skip: 4000, want: 500},
		"skip-and-limit":      {events: 4500, end: io.EOF, skip: 10, limit: 20, want: 20},
		"skip-past-the-end":   {events: 5, end: io.EOF, skip: 9, want: 0},
		"row-error":           {events: 2500, end: broken, want: 2500, err: broken},
		"row-error-in-a-skip": {events: 5, end: broken, skip: 9, want: 0, err: broken},
	} {
		t.Run(name, func(t *testing.T) {
			log := &memoryLog{}
			r := &replayer{source: &recording{n: c.events, end: c.end}, sink: log, pacer: fast(), skip: c.skip, limit: c.limit}
			if err := r.run(t.Context()); !errors.Is(err, c.err) {
				t.Fatalf("error %v, want %v", err, c.err)
			}
			if r.published != c.want || int64(len(log.ids)) != c.want {
				t.Fatalf("published %d, the log has %d, want %d", r.published, len(log.ids), c.want)
			}
			for i, id := range log.ids {
				if want := fmt.Sprint(int64(i) + c.skip + 1); id != want {
					t.Fatalf("event %d has id %s, want %s", i, id, want)
				}
			}
		})
	}
}

// After a failed write the count is a prefix that is in the log for certain, so that --skip loses nothing.
func TestReplayAfterAFailedWrite(t *testing.T) {
	down := errors.New("broker is down")
	for name, c := range map[string]struct {
		fail func(int, []streams.Event) error
		want int64
	}{
		"whole-batch": {func(n int, _ []streams.Event) error {
			if n == 2 {
				return down
			}
			return nil
		}, 2000},
		"part-of-a-batch": {func(n int, events []streams.Event) error {
			if n < 2 {
				return nil
			}
			errs := make([]error, len(events))
			errs[7], errs[9] = down, down
			return &kafka.WriteError{Errs: errs}
		}, 2007},
	} {
		t.Run(name, func(t *testing.T) {
			r := &replayer{source: &recording{n: 5000, end: io.EOF}, sink: &memoryLog{fail: c.fail}, pacer: fast()}
			if err := r.run(t.Context()); !errors.Is(err, down) || !strings.Contains(err.Error(), fmt.Sprintf("publish event %d", c.want+1)) {
				t.Errorf("error %v, want one that names event %d", err, c.want+1)
			}
			if r.published != c.want {
				t.Errorf("published %d, want %d", r.published, c.want)
			}
		})
	}
}

// Ctrl-C ends a replay between events; what it read before is in the log and counted.
func TestReplayIsInterruptedCleanly(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	log := &memoryLog{on: cancel} // while the first batch is being written
	r := &replayer{source: &recording{n: 9000, end: io.EOF}, sink: log, pacer: fast()}
	if err := r.run(ctx); !errors.Is(err, errInterrupted) {
		t.Fatalf("error %v, want interrupted", err)
	}
	if r.published != replayBatch || len(log.ids) != replayBatch {
		t.Errorf("published %d, the log has %d, want one batch", r.published, len(log.ids))
	}
	waiting, stop := context.WithCancel(t.Context())
	clock := file.Clock{Now: func() time.Time { return time.Unix(0, 0) }, Sleep: func(ctx context.Context, _ time.Duration) error {
		stop()
		return ctx.Err()
	}}
	r = &replayer{source: &recording{n: 9, end: io.EOF}, sink: &memoryLog{}, pacer: file.NewPacer(1, clock)}
	if err := r.run(waiting); !errors.Is(err, errInterrupted) || r.published != 1 {
		t.Errorf("a replay that is stopped while it waits: %v after %d events, want interrupted after 1", err, r.published)
	}
	r = &replayer{source: &recording{n: 9, end: io.EOF}, sink: &memoryLog{}, pacer: fast(), skip: 5}
	if err := r.run(waiting); !errors.Is(err, errInterrupted) || r.published != 0 {
		t.Errorf("a replay that is stopped while it skips: %v after %d events", err, r.published)
	}
}

// At the recorded pace an event that must wait does not hold back the ones before it.
func TestReplayPublishesBeforeItWaits(t *testing.T) {
	now := time.Unix(1000, 0)
	log := &memoryLog{}
	var waits []int
	clock := file.Clock{Now: func() time.Time { return now }, Sleep: func(_ context.Context, d time.Duration) error {
		now = now.Add(d)
		waits = append(waits, len(log.ids))
		return nil
	}}
	r := &replayer{source: &recording{n: 4, end: io.EOF}, sink: log, pacer: file.NewPacer(2, clock)}
	if err := r.run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(waits, []int{1, 2, 3}) || now.Sub(time.Unix(1000, 0)) != 1500*time.Millisecond {
		t.Errorf("events written at each wait %v, want 1, 2, 3; three seconds at speed 2 took %s", waits, now.Sub(time.Unix(1000, 0)))
	}
}

func TestGrouped(t *testing.T) {
	for n, want := range map[int64]string{0: "0", 999: "999", 1000: "1,000", -1234567: "-1,234,567", -100: "-100"} {
		if got := grouped(n); got != want {
			t.Errorf("grouped(%d) = %s, want %s", n, got, want)
		}
	}
}

// tinyRetail has an order of two lines, a cancellation, a stock correction and postage.
const tinyRetail = `InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country
1,APL,APPLE,2,2020-01-01 08:00:00,1.50,7,France
1,BAL,BALL,1,2020-01-01 08:00:00,2.00,7,France
1,POST,POSTAGE,1,2020-01-01 08:00:00,3.00,7,France
2,APL,lost,-4,2020-01-01 09:00:00,0,,France
C3,APL,APPLE,-1,2020-01-02 08:00:00,1.50,7,France
`

func runReplay(t *testing.T, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	var out, errs bytes.Buffer
	a := &app{stdin: strings.NewReader(""), stdout: &out, stderr: &errs}
	code = a.execute(t.Context(), append([]string{"replay"}, args...))
	return out.String(), errs.String(), code
}

func TestReplayCommandLine(t *testing.T) {
	path := filepath.Join(t.TempDir(), "orders.csv")
	if err := os.WriteFile(path, []byte(tinyRetail), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		args []string
		want string
		code int
	}{
		"no-format":   {[]string{path}, "which --format", exitUsage},
		"bad-format":  {[]string{"--format", "xml", path}, `unknown format "xml"; the formats are ndjson`, exitUsage},
		"no-path":     {[]string{"--format", "ndjson"}, "replay needs PATH, as in:", exitUsage},
		"no-broker":   {[]string{"--format", "online-retail", path}, "no Kafka broker is configured", exitUsage},
		"bad-speed":   {[]string{"--format", "online-retail", "--speed", "-1", path}, "must not be negative", exitUsage},
		"absent":      {[]string{"--format", "online-retail", "--dry-run", path + "x"}, "no such file", exitFailed},
		"wrong-table": {[]string{"--format", "rees46", "--dry-run", path}, "orders.csv has no column ts", exitFailed},
	} {
		t.Run(name, func(t *testing.T) {
			_, stderr, code := runReplay(t, c.args...)
			if code != c.code || !strings.Contains(stderr, c.want) {
				t.Errorf("exit code %d and %q, want %d and %q", code, stderr, c.code, c.want)
			}
		})
	}
	stdout, _, code := runReplay(t, "--format", "online-retail", "--dry-run", path)
	head, rest, _ := strings.Cut(stdout, ", in ")
	if code != exitOK || head != "read 4 events of online-retail, from 5 rows, recorded 2020-01-01 08:00 to 2020-01-02 08:00" ||
		!strings.Contains(rest, "rows that are no events: 1 of 5 (stock correction)\nrows of which only a part counts: 1 of 5 (charge without goods)\n") {
		t.Errorf("a dry run ends with %d and prints\n%s", code, stdout)
	}
}

// The whole way: the command publishes to a broker, and the log holds the events in order.
func TestReplayIntoKafka(t *testing.T) {
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1))
	if err != nil {
		t.Fatal(err)
	}
	defer cluster.Close()
	brokers := strings.Join(cluster.ListenAddrs(), ",")
	path := filepath.Join(t.TempDir(), "orders.csv")
	if err := os.WriteFile(path, []byte(tinyRetail), 0o600); err != nil {
		t.Fatal(err)
	}
	args := []string{"--format", "online-retail", "--brokers", brokers, path}
	if _, stderr, code := runReplay(t, append(args, "--limit", "3")...); code != exitOK {
		t.Fatalf("exit code %d: %s", code, stderr)
	}
	if stdout, stderr, code := runReplay(t, append(args, "--skip", "3")...); code != exitOK || !strings.HasPrefix(stdout, "published 1 events") {
		t.Fatalf("exit code %d: %s %s", code, stdout, stderr)
	}
	byStream := map[streams.Stream][]string{}
	err = kafka.ReadAll(t.Context(), kafka.Options{Brokers: cluster.ListenAddrs()}, []streams.Stream{streams.Orders, streams.Catalog},
		func(rec streams.Record) error {
			s := rec.Event.Type.Stream()
			byStream[s] = append(byStream[s], fmt.Sprintf("%s %s %d", rec.Event.Type, rec.Event.ID, rec.Event.Amount()))
			return nil
		})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(byStream[streams.Catalog])
	if want := []string{"order 1 800", "return C3 150"}; !slices.Equal(byStream[streams.Orders], want) {
		t.Errorf("orders in the log: %q, want %q", byStream[streams.Orders], want)
	}
	if want := []string{"item-upsert item-APL 0", "item-upsert item-BAL 0"}; !slices.Equal(byStream[streams.Catalog], want) {
		t.Errorf("items in the log: %q, want %q", byStream[streams.Catalog], want)
	}
}

func TestReplayMapsKindsOfFeedback(t *testing.T) {
	dir := t.TempDir()
	rows := `{"FeedbackType":"zap","UserId":"u","ItemId":"i","Timestamp":"2022-02-24"}` + "\n" +
		`{"FeedbackType":"star","UserId":"u","ItemId":"i","Timestamp":"2022-02-24"}`
	if err := os.WriteFile(filepath.Join(dir, "feedback.jsonl"), []byte(rows), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		args           []string
		code           int
		stdout, stderr string
	}{
		"unknown":  {nil, exitFailed, "read 0 events of gorse", "--map zap=skip"},
		"mapped":   {[]string{"--map", "zap=order"}, exitOK, "read 2 events of gorse, from 2 rows", ""},
		"left-out": {[]string{"--map", "zap=skip"}, exitOK, "rows that are no events: 1 of 2 (feedback zap)", ""},
		"no-type":  {[]string{"--map", "zap"}, exitUsage, "", "--map zap: want KIND=TYPE, such as star=wishlist or share=skip"},
		"no-event": {[]string{"--map", "zap=search"}, exitFailed, "", `feedback "zap" cannot be "search"`},
	} {
		t.Run(name, func(t *testing.T) {
			var out, errs bytes.Buffer
			a := &app{stdin: strings.NewReader(""), stdout: &out, stderr: &errs}
			code := a.execute(t.Context(), append([]string{"replay", "--format", "gorse", "--dry-run", dir}, c.args...))
			if code != c.code || !strings.Contains(out.String(), c.stdout) || !strings.Contains(errs.String(), c.stderr) {
				t.Errorf("exit code %d\n%s\n%s", code, out.String(), errs.String())
			}
		})
	}
}

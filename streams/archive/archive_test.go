package archive

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"gocloud.dev/blob/memblob"

	"github.com/sartorhq/sartor/streams"
)

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// full is an event that has everything.
func full() streams.Event {
	total := int64(0)
	return streams.Event{ID: "e-1", Type: streams.Order, Time: noon.Add(7 * time.Millisecond), UserID: "u", AnonymousID: "a", SessionID: "s",
		Items:    []streams.Line{{ItemID: "x", Quantity: 2, Price: 1999, Position: 1}, {ItemID: "y", Quantity: 1, Price: 5, Position: 2}},
		Currency: "EUR", OrderID: "o-1", Total: &total, Query: "grün ☂", Rating: -4.25, Country: "DE", Scenario: "home", RecommendationID: "r-1",
		Attributes: map[string]any{"a": "b", "n": 1.5, "t": true, "z": nil, "l": []any{"x", 1.0}, "m": map[string]any{"k": "v"}}}
}

// log makes n records of partition 3 of the topic, on three days, with gaps between the offsets.
func log(topic string, n int) []streams.Record {
	out := make([]streams.Record, n)
	for i := range out {
		out[i] = streams.Record{Position: streams.Position{Topic: topic, Partition: 3, Offset: int64(i + i/3)},
			Event: streams.Event{ID: fmt.Sprint("e-", i), Type: streams.View, Time: noon.Add(time.Duration(i%3-2) * 24 * time.Hour), UserID: "u",
				Items: []streams.Line{{ItemID: fmt.Sprint("sku-", i%7)}}}}
	}
	return out
}

// everything reads the archive.
func everything(t testing.TB, a *Archive, topics ...string) []streams.Record {
	t.Helper()
	var out []streams.Record
	if _, err := a.Read(t.Context(), topics, func(r *streams.Record) error { out = append(out, *r); return nil }); err != nil {
		t.Fatal(err)
	}
	return out
}

func partition(t testing.TB, a *Archive) *Partition {
	t.Helper()
	p, err := a.Partition(t.Context(), "behavior", 3)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestEventsComeBackAsTheyWere(t *testing.T) {
	a, err := Open(t.Context(), t.TempDir(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	p := partition(t, a)
	empty := streams.Event{Type: streams.UserUpsert, Time: time.UnixMilli(-1).UTC(), Attributes: map[string]any{}}
	want := []streams.Record{{Position: streams.Position{Topic: "behavior", Partition: 3, Offset: 5}, Event: full()},
		{Position: streams.Position{Topic: "behavior", Partition: 3, Offset: 1 << 40}, Event: empty}}
	if err := p.Apply(t.Context(), want, 1<<40+3); err != nil {
		t.Fatal(err)
	}
	if got := everything(t, a, "behavior"); len(got) != 0 {
		t.Errorf("written before its time: %v", got)
	}
	if err := p.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := everything(t, a, "orders", "behavior"); !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	if p.Next() != 1<<40+4 || partition(t, a).Next() != 1<<40+4 {
		t.Errorf("goes on at %d and %d", p.Next(), partition(t, a).Next())
	}
	ends, err := a.Read(t.Context(), []string{"behavior"}, func(*streams.Record) error { return nil })
	if err != nil || !reflect.DeepEqual(ends, []streams.Position{{Topic: "behavior", Partition: 3, Offset: 1<<40 + 4}}) {
		t.Errorf("ends %v, %v", ends, err)
	}
}

func TestWhenItIsWritten(t *testing.T) {
	now := noon
	a := New(memblob.OpenBucket(nil), Options{MaxEvents: 10, MaxBytes: 1 << 20, MaxAge: time.Minute, Now: func() time.Time { return now }})
	defer a.Close()
	p, all := partition(t, a), log("behavior", 30)
	steps := []struct {
		records []streams.Record
		after   time.Duration
		want    int
	}{{all[:9], 0, 0}, {nil, 59 * time.Second, 0}, {all[9:10], 0, 10}, {all[10:12], 0, 10}, {nil, time.Minute, 12}, {all[12:12], time.Hour, 12}, {all[12:], 0, 30}}
	for i, s := range steps {
		now = now.Add(s.after)
		last := p.last
		if len(s.records) > 0 {
			last = s.records[len(s.records)-1].Offset
		}
		if err := p.Apply(t.Context(), s.records, last); err != nil {
			t.Fatal(err)
		}
		if err := p.Idle(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := len(everything(t, a, "behavior")); got != s.want {
			t.Fatalf("step %d: %d events are written, want %d", i, got, s.want)
		}
	}
	big := full()
	big.Attributes["text"] = strings.Repeat("x", 1<<20)
	if err := p.Apply(t.Context(), []streams.Record{{Position: streams.Position{Topic: "behavior", Partition: 3, Offset: 900}, Event: big}}, 900); err != nil {
		t.Fatal(err)
	}
	if got := len(everything(t, a, "behavior")); got != 31 {
		t.Errorf("a large event waits")
	}
}

var errCrash = errors.New("killed")

// Whatever kills a writer, and however another cuts its batches, no event is lost or twice, also for
// whoever reads all the files and knows nothing of claims.
func TestCrashesAndZombies(t *testing.T) {
	all := log("behavior", 36)
	cases := 25
	if os.Getenv("SARTOR_SOAK") != "" {
		cases = 2000
	}
	for seed := range cases {
		draw := rand.New(rand.NewPCG(uint64(seed), 1))
		between := func(least, most int) int { return least + draw.IntN(most-least+1) }
		ctx := t.Context()
		bucket := memblob.OpenBucket(nil)
		var crashes []int
		for range between(0, 6) {
			crashes = append(crashes, between(0, 12))
		}
		step := 0
		options := Options{MaxEvents: between(6, 24), step: func(string) error {
			if step++; len(crashes) > 0 && step > crashes[0] {
				crashes, step = crashes[1:], 0
				return errCrash
			}
			return nil
		}}
		a := New(bucket, options)
		writers := make([]*Partition, 2) // both believe that the partition is theirs
		done := func() bool {
			p, err := a.Partition(ctx, "behavior", 3)
			return err == nil && p.Next() == all[len(all)-1].Offset+1
		}
		for i := 0; !done(); i++ {
			if i > 3000 {
				t.Fatalf("seed %d: it does not end", seed)
			}
			n := between(0, 1)
			if writers[n] == nil {
				p, err := a.Partition(ctx, "behavior", 3)
				if err != nil {
					t.Fatalf("seed %d: %v", seed, err)
				}
				writers[n] = p
			}
			p := writers[n]
			var batch []streams.Record
			size := between(1, 16)
			for _, r := range all {
				if r.Offset > p.last && len(batch) < size {
					batch = append(batch, r)
				}
			}
			last := p.last
			if len(batch) > 0 {
				last = batch[len(batch)-1].Offset
			}
			err := p.Apply(ctx, batch, last)
			if err == nil && (len(batch) == 0 || draw.IntN(2) == 0) {
				err = p.Flush(ctx)
			}
			if err != nil {
				if !errors.Is(err, errCrash) && !errors.Is(err, ErrMoved) {
					t.Fatalf("seed %d: %v", seed, err)
				}
				writers[n] = nil
			}
		}
		got := everything(t, a, "behavior")
		if !reflect.DeepEqual(got, all) {
			t.Fatalf("seed %d: got %d events, want %d", seed, len(got), len(all))
		}
		twice, n := map[int64]bool{}, 0
		for _, key := range files(t, a) {
			data, err := bucket.ReadAll(ctx, key)
			if err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
			records, err := decodeAll("behavior", data)
			if err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
			for _, r := range records {
				n++
				twice[r.Offset] = true
			}
		}
		if n != len(all) || len(twice) != len(all) {
			t.Fatalf("seed %d: the files hold %d events, %d different ones, want %d", seed, n, len(twice), len(all))
		}
		if err := a.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// files lists the Parquet files.
func files(t testing.TB, a *Archive) []string {
	t.Helper()
	keys, err := a.keys(context.Background(), "behavior/")
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

// A range that was begun, and that the log has dropped since, is finished with what is left of it.
func TestWhatTheLogHasDroppedStays(t *testing.T) {
	bucket, all := memblob.OpenBucket(nil), log("behavior", 9)
	files := 0
	a := New(bucket, Options{step: func(name string) error {
		if name == "file" {
			if files++; files == 2 {
				return errCrash
			}
		}
		return nil
	}})
	defer a.Close()
	p := partition(t, a)
	if err := errors.Join(p.Apply(t.Context(), all, 11), p.Flush(t.Context())); !errors.Is(err, errCrash) {
		t.Fatal(err)
	}
	p = partition(t, a)
	if p.Next() != 0 {
		t.Fatalf("goes on at %d", p.Next())
	}
	if err := p.Apply(t.Context(), all[8:], 11); err != nil { // the log begins there by now
		t.Fatal(err)
	}
	var got []string
	for _, r := range everything(t, a, "behavior") {
		got = append(got, r.Event.ID)
	}
	// The first file, of the oldest day, was written; of the two others only the last event is there.
	if want := "e-0 e-3 e-6 e-8"; strings.Join(got, " ") != want {
		t.Errorf("got %v, want %s", got, want)
	}
}

func TestReadRefuses(t *testing.T) {
	write := func(t *testing.T) *Archive {
		a := New(memblob.OpenBucket(nil), Options{MaxEvents: 1})
		t.Cleanup(func() { _ = a.Close() })
		p := partition(t, a)
		for _, r := range log("behavior", 3) {
			if err := p.Apply(t.Context(), []streams.Record{r}, r.Offset); err != nil {
				t.Fatal(err)
			}
		}
		return a
	}
	for name, tc := range map[string]struct {
		spoil func(t *testing.T, a *Archive)
		want  string
	}{
		"missing-claim": {func(t *testing.T, a *Archive) { remove(t, a, claimPrefix("behavior", 3)+"00000000000000000001.json") }, "a claim is missing"},
		"missing-file":  {func(t *testing.T, a *Archive) { remove(t, a, files(t, a)[1]) }, "read behavior/day="},
		"stranger":      {func(t *testing.T, a *Archive) { put(t, a, "_log/behavior/x", "{}") }, "is no claim"},
		"no-json":       {func(t *testing.T, a *Archive) { put(t, a, claimPrefix("behavior", 3)+"00000000000000000003.json", "{") }, "unexpected end"},
		"newer": {func(t *testing.T, a *Archive) {
			put(t, a, claimPrefix("behavior", 3)+"00000000000000000003.json", `{"format":2}`)
		}, "reads format 1"},
		"moved": {func(t *testing.T, a *Archive) {
			put(t, a, claimPrefix("behavior", 3)+"00000000000000000003.json", `{"format":1}`)
		}, "was moved or edited"},
		"edited": {func(t *testing.T, a *Archive) { copyFile(t, a, 0, 1) }, "is twice or does not belong there"},
		"cut":    {func(t *testing.T, a *Archive) { put(t, a, files(t, a)[0], "PAR1") }, "decode Parquet"},
	} {
		t.Run(name, func(t *testing.T) {
			a := write(t)
			tc.spoil(t, a)
			_, err := a.Read(t.Context(), []string{"behavior"}, func(*streams.Record) error { return nil })
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want %s", err, tc.want)
			}
		})
	}
	a := write(t)
	if _, err := a.Read(t.Context(), []string{"behavior"}, func(*streams.Record) error { return errCrash }); !errors.Is(err, errCrash) {
		t.Errorf("got %v", err)
	}
}

func remove(t *testing.T, a *Archive, key string) {
	t.Helper()
	if err := a.bucket.Delete(t.Context(), key); err != nil {
		t.Fatal(err)
	}
}

func put(t *testing.T, a *Archive, key, text string) {
	t.Helper()
	if err := a.bucket.WriteAll(t.Context(), key, []byte(text), nil); err != nil {
		t.Fatal(err)
	}
}

func copyFile(t *testing.T, a *Archive, from, to int) {
	t.Helper()
	data, err := a.bucket.ReadAll(t.Context(), files(t, a)[from])
	if err != nil {
		t.Fatal(err)
	}
	put(t, a, files(t, a)[to], string(data))
}

func TestOpenSaysWhatIsWrong(t *testing.T) {
	for where, want := range map[string]string{
		"":               "no place is given",
		"s3://bucket/x":  "built without the cloud drivers (-tags nocloud)",
		"ftp://host/x":   "there is no driver for ftp://; use file, s3, gs, azblob",
		"::":             "is no URL",
		"/dev/null/here": "open the folder /dev/null/here",
	} {
		if a, err := Open(t.Context(), where, Options{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, %v", where, a, err)
		}
	}
	a, err := Open(t.Context(), "file://"+t.TempDir(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Close(); err != nil {
		t.Error(err)
	}
	if a, err = Open(t.Context(), "mem://", Options{}); err != nil {
		t.Fatal(err)
	}
	_ = a.Close()
}

func FuzzDecode(f *testing.F) {
	data, err := encode([]streams.Record{{Event: full()}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Add([]byte("PAR1"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > 1<<16 {
			return
		}
		records, err := decodeAll("t", data)
		if err == nil && len(records) > 0 {
			if _, err := encode(records); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// decodeAll returns the records of a file, however many it should have.
func decodeAll(topic string, data []byte) ([]streams.Record, error) {
	var out []streams.Record
	r, err := openFile(topic, file{Events: -1}, data)
	if err != nil {
		return nil, err
	}
	defer r.close()
	for {
		head, err := r.head()
		if head == nil {
			return out, err
		}
		out = append(out, *r.take())
	}
}

package features

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/sartorhq/sartor/streams"
)

// deed is an event of one item that two units of were taken of.
func deed(typ streams.Type, item string, at time.Duration) streams.Event {
	return streams.Event{Type: typ, Time: noon.Add(at), UserID: "u", Country: "DE", Rating: 3, Items: []streams.Line{{ItemID: item, Quantity: 2, Price: 150}}}
}

// genOp draws operations of every kind, with the names that a fold writes and with others.
func genOp(t *rapid.T) Op {
	ms := rapid.SampledFrom([]int64{noon.UnixMilli(), noon.UnixMilli() + 1, -5, 0, math.MaxInt64, math.MinInt64, 3_600_000}).Draw(t, "time")
	op := Op{Code: OpCode(rapid.IntRange(int(Add), int(Remove)).Draw(t, "code")), Time: ms}
	text := rapid.OneOf(rapid.String(), rapid.SampledFrom([]string{"sku-1", "sku-2", "a b c", ""}))
	switch op.Code {
	case Add, Min, Max:
		base := rapid.SampledFrom([]string{"first", "n:view", "a:order~USD", "v:c@h3", "", "n:view?country=DE", "x@h05", "x@h1@h2", "@", "y@c3"}).Draw(t, "name")
		u := rapid.SampledFrom(bucketUnits[:]).Draw(t, "unit")
		op.Field = base
		if u != 0 {
			op.Field = bucketName(base, u, rapid.SampledFrom([]int64{bucketOf(u, ms), 0, -1, 20089, math.MaxInt64, math.MinInt64}).Draw(t, "index"))
			op.Field += rapid.SampledFrom([]string{"", "/DE", "0"}).Draw(t, "rest")
		}
		op.Value = rapid.SampledFrom([]int64{1, 0, -1, ms, 4999, math.MaxInt64, math.MinInt64}).Draw(t, "value")
	case Push:
		op.Field = rapid.SampledFrom([]string{historyList, "last_viewed", "own", ""}).Draw(t, "list")
		op.Text = text.Draw(t, "text")
		if rapid.Bool().Draw(t, "log") {
			op.Text = historyMember(rapid.SampledFrom([]streams.Type{streams.View, "other", ""}).Draw(t, "type"), ms, op.Text)
		}
	case Put:
		op.Text = text.Draw(t, "document")
	case Remove:
		op.Field = rapid.SampledFrom([]string{"", DocumentField, "x"}).Draw(t, "field")
	}
	return op
}

func TestOpsComeOutAsTheyWentIn(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ops := rapid.SliceOfN(rapid.Custom(genOp), 0, 30).Draw(t, "ops")
		back, err := UnpackOps(nil, string(PackOps(nil, Origin{}, ops)))
		if err != nil {
			t.Fatal(err)
		}
		if len(ops)+len(back) > 0 && !reflect.DeepEqual(back, ops) {
			t.Fatalf("got  %+v\nwant %+v", back, ops)
		}
	})
}

func TestStateComesOutAsItWentIn(t *testing.T) {
	numbers := rapid.OneOf(rapid.Int64(), rapid.Int64Range(-3, 300), rapid.Just(noon.UnixMilli()))
	rapid.Check(t, func(t *rapid.T) {
		st := &State{DocTime: numbers.Draw(t, "document time"), RemovedAt: numbers.Draw(t, "erasure")}
		if rapid.Bool().Draw(t, "document") {
			st.Doc = rapid.String().Draw(t, "text")
		}
		ops := rapid.SliceOfN(rapid.Custom(genOp), 0, 40).Draw(t, "ops")
		for _, op := range ops {
			if op.Code <= Max {
				st.set(op.Field, op.Value)
			}
		}
		for _, name := range rapid.SliceOfDistinct(rapid.SampledFrom([]string{historyList, shownList, "last_viewed", "own", "another"}), rapid.ID[string]).Draw(t, "lists") {
			var l []Entry
			for range rapid.IntRange(0, 20).Draw(t, "entries") {
				l = append(l, Entry{rapid.SampledFrom([]streams.Type{streams.View, streams.Order, "other", ""}).Draw(t, "type"),
					rapid.SampledFrom([]string{"sku-1", "sku-12", "sku-2", "", "grün"}).Draw(t, "item"), numbers.Draw(t, "time")})
			}
			if rapid.Bool().Draw(t, "sorted") {
				slices.SortFunc(l, CompareEntries)
			}
			if len(l) > 0 {
				if st.Lists == nil {
					st.Lists = map[string][]Entry{}
				}
				st.Lists[name] = l
			}
		}
		part := PackState(nil, st)
		back, err := UnpackState(string(part))
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(back, st) {
			t.Fatalf("got  %+v\nwant %+v", back, st)
		}
		if again := PackState(nil, back); string(again) != string(part) {
			t.Fatalf("packed again: %x, before %x", again, part)
		}
	})
}

// Folding parts is folding the log, wherever it is cut and whatever was packed on the way.
func TestPartsAreTheFold(t *testing.T) {
	s := Default()
	rapid.Check(t, func(t *rapid.T) {
		var events [][]Op
		want := &State{}
		for range rapid.IntRange(1, 30).Draw(t, "events") {
			e := deed(rapid.SampledFrom(streams.Types()).Draw(t, "type"), rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "item"),
				time.Duration(rapid.IntRange(0, 100*24*3600).Draw(t, "second"))*time.Second)
			for _, d := range s.Fold(&e) {
				if d.Entity.Kind == UserEntity {
					events = append(events, d.Ops)
					want.Apply(s, d.Ops)
				}
			}
		}
		var parts []string
		for done := 0; done < len(events); {
			n := rapid.IntRange(1, len(events)-done).Draw(t, "cut")
			parts = append(parts, string(PackOps(nil, Origin{7, int64(done), int64(done + n)}, events[done:done+n]...)))
			done += n
			if rapid.IntRange(0, 3).Draw(t, "repack") == 0 {
				part, whole, err := s.Repack(parts)
				if err != nil || !whole {
					t.Fatal(whole, err)
				}
				parts = []string{string(part)}
			}
		}
		got, err := s.Unpack(parts)
		if err != nil {
			t.Fatal(err)
		}
		if len(parts) > 0 && len(want.Differences(got)) > 0 {
			t.Fatal(want.Differences(got))
		}
	})
}

// Merging the operations on an item changes nothing but their number.
func TestMergedOpsAreTheSame(t *testing.T) {
	s := Default()
	rapid.Check(t, func(t *rapid.T) {
		var ops []Op
		for i := range rapid.IntRange(1, 40).Draw(t, "events") {
			e := deed(rapid.SampledFrom(streams.Types()).Draw(t, "type"), "a",
				time.Duration(rapid.IntRange(0, 100*24*3600).Draw(t, "second"))*time.Second+time.Duration(i)*time.Millisecond)
			e.Attributes = map[string]any{"n": float64(i)}
			for _, d := range s.Fold(&e) {
				if d.Entity.Kind == ItemEntity {
					ops = append(ops, d.Ops...)
				}
			}
		}
		want, got := &State{}, &State{}
		for i := range ops {
			want.Apply(s, ops[i:i+1])
		}
		n := rapid.IntRange(0, len(ops)).Draw(t, "cut")
		got.Apply(s, MergeOps(ops[:n], ops[n:]))
		if d := want.Differences(got); len(d) > 0 {
			t.Fatal(d)
		}
	})
}

// What Redis carries out again after it lost the end of its log is recognised: a part of a source that a
// later one overlaps. Parts of other sources, and those that a state stands for, are not touched.
func TestReturnedParts(t *testing.T) {
	s := Default()
	view := func(source uint64, from, to int64) string {
		var ops []Op
		for range to - from {
			ops = append(ops, Op{Code: Add, Field: "n:view", Value: 1, Time: 5})
		}
		return string(PackOps(nil, Origin{source, from, to}, ops))
	}
	state := string(PackState(nil, &State{Counters: map[string]int64{"n:view": 100}}))
	for name, tc := range map[string]struct {
		parts []string
		want  int64
	}{
		"ascending":            {[]string{view(1, -1, 3), view(1, 3, 5)}, 6},
		"the same again":       {[]string{view(1, -1, 3), view(1, -1, 3)}, 4},
		"in a larger batch":    {[]string{view(1, 5, 7), view(1, 5, 9), view(1, 9, 10)}, 5},
		"in smaller batches":   {[]string{view(1, 5, 9), view(1, 5, 6), view(1, 6, 9)}, 4},
		"twice":                {[]string{view(1, 5, 9), view(1, 5, 7), view(1, 5, 8)}, 3},
		"other sources":        {[]string{view(1, 5, 9), view(2, 5, 9), view(1<<39, 5, 9)}, 12},
		"between others":       {[]string{view(1, 5, 9), view(2, 5, 9), view(1, 5, 9)}, 8},
		"a state stands for":   {[]string{view(1, 5, 9), state, view(1, 5, 9)}, 104},
		"a state comes later":  {[]string{state, view(1, 5, 9), state}, 100},
		"source of many bytes": {[]string{view(1<<40|1, 5, 9), view(1, 5, 9)}, 4},
	} {
		st, err := s.Unpack(tc.parts)
		if err != nil || st.Counters["n:view"] != tc.want {
			t.Errorf("%s: got %v, %v, want %d", name, st, err, tc.want)
		}
	}
}

// The bytes of both formats are fixed: a store is older than the program that reads it.
func TestPackedBytes(t *testing.T) {
	s := Default()
	e := deed(streams.View, "sku-7", 0)
	e.Time = time.UnixMilli(1_700_000_000_000)
	var ops []Op
	for _, d := range s.Fold(&e) {
		if d.Entity.Kind == UserEntity {
			ops = append(ops, d.Ops...)
		}
	}
	ops = append(ops, Op{Code: Put, Text: "{}", Time: e.Time.UnixMilli()}, Op{Code: Remove, Time: 1})
	st := &State{Doc: "{}", DocTime: 5, RemovedAt: -7, Counters: map[string]int64{"last": 1_700_000_000_000, "first": 1_699_999_999_999,
		"n:view@h472222": 3, "n:view@h472220": 4, "own": 9, "u:order@c19675/DE": 2},
		Lists: map[string][]Entry{historyList: {{streams.View, "sku-12", 1_700_000_000_000}, {streams.Order, "sku-1", 1_600_000_000_000}},
			"last_viewed": {{streams.View, "sku-12", 1_700_000_000_000}}}}
	for name, tc := range map[string]struct {
		part []byte
		want string
	}{
		"ops":   {PackOps(nil, Origin{Source: 0x1122334455667788, From: 41, To: 299}, ops), "218877665544d6048202" + "80a0abfef96208080a902101220222030b040105736b752d3713060004027b7dfd9fabfef9620105"},
		"state": {PackState(nil, st), "111f0d0a027b7d80a0abfef962050104010204000a090006040814070000032f44450400036f776e0412020006736b752d3132050002040800010080a0b787e905080106070101"},
	} {
		if got := fmt.Sprintf("%x", tc.part); got != tc.want {
			t.Errorf("%s:\n got %s\nwant %s", name, got, tc.want)
		}
	}
}

// A part that was cut, or that a newer version wrote, is refused with the remedy.
func TestDamagedParts(t *testing.T) {
	s := Default()
	user, _ := s.Budget(noon, "")
	if len(user) == 0 {
		t.Fatal("no samples")
	}
	st := s.fullest(UserEntity, noon)
	st.Doc, st.DocTime = "{}", 3
	whole := string(PackState(nil, st))
	for n := range len(whole) {
		if _, err := UnpackState(whole[:n]); !errors.Is(err, ErrPacked) {
			t.Fatalf("cut to %d of %d bytes: %v", n, len(whole), err)
		}
	}
	for _, parts := range [][]string{{""}, {"\x99abc"}, {whole + "x"}, {"\x21\x02\x03\x01"}, {whole, "\x22\x00"}} {
		_, err := s.Unpack(parts)
		if !errors.Is(err, ErrPacked) || !strings.Contains(err.Error(), "sartor features rebuild") {
			t.Errorf("%d parts: got %v", len(parts), err)
		}
		if _, _, err := s.Repack(parts); !errors.Is(err, ErrPacked) {
			t.Errorf("%d parts: got %v", len(parts), err)
		}
	}
}

// What this schema does not know belongs to another writer: it is not read, and not thrown away.
func TestListsOfAnotherSchema(t *testing.T) {
	s := Default()
	st := &State{Lists: map[string][]Entry{"of_another": {{ItemID: "a", Time: 5}}, "last_viewed": {{streams.View, "b", 4}}}}
	part, whole, err := s.Repack([]string{string(PackState(nil, st))})
	if err != nil || !whole {
		t.Fatal(whole, err)
	}
	back, err := UnpackState(string(part))
	if err != nil || !reflect.DeepEqual(back, st) {
		t.Fatalf("got %+v, %v", back, err)
	}
	read, err := s.Unpack([]string{string(part)})
	if err != nil || len(read.Lists) != 1 {
		t.Fatalf("got %+v, %v", read, err)
	}
	ops := PackOps(nil, Origin{}, []Op{{Code: Push, Field: "of_another", Text: "c", Time: 6}})
	if _, whole, err := s.Repack([]string{string(ops)}); err != nil || whole {
		t.Fatal("entries of a list that is not known would get lost", whole, err)
	}
}

func FuzzUnpack(f *testing.F) {
	s := Default()
	small := &State{}
	for _, typ := range []streams.Type{streams.View, streams.Order, streams.View} {
		e := deed(typ, "sku-1", 0)
		small.Apply(s, s.Fold(&e)[0].Ops)
	}
	f.Add(string(PackState(nil, small)))
	f.Add(string(PackState(nil, &State{RemovedAt: 3, Doc: "{}", DocTime: 4})))
	e := deed(streams.Order, "a", 0)
	for _, d := range s.Fold(&e) {
		f.Add(string(PackOps(nil, Origin{}, d.Ops)))
	}
	f.Fuzz(func(t *testing.T, part string) {
		st, err := s.Unpack([]string{part})
		if err != nil {
			if !errors.Is(err, ErrPacked) {
				t.Fatal(err)
			}
			return
		}
		s.User("u", st, nil, noon)
		s.Item("i", st, noon)
		if part[0] != packedOps {
			return
		}
		ops, err := UnpackOps(nil, part)
		if err != nil {
			t.Fatal(err)
		}
		again, err := UnpackOps(nil, string(PackOps(nil, Origin{}, ops)))
		if err != nil || !reflect.DeepEqual(again, ops) {
			t.Fatalf("packed again: %+v, %v, before %+v", again, err, ops)
		}
	})
}

func BenchmarkPack(b *testing.B) {
	s, rng := Default(), rand.New(rand.NewPCG(1, 2))
	st := &State{}
	for i := range 50 {
		e := deed(streams.Types()[rng.IntN(8)], fmt.Sprintf("item-%d", rng.IntN(5000)), time.Duration(i)*14*time.Hour)
		st.Apply(s, s.Fold(&e)[0].Ops)
	}
	part := string(PackState(nil, st))
	e := deed(streams.View, "item-1", 0)
	ops := s.Fold(&e)[0].Ops
	packed := string(PackOps(nil, Origin{}, ops))
	b.Run("state", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			PackState(nil, st)
		}
		b.ReportMetric(float64(len(part)), "bytes")
	})
	b.Run("unpack-state", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := UnpackState(part); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("ops", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			PackOps(nil, Origin{}, ops)
		}
		b.ReportMetric(float64(len(packed)), "bytes")
	})
	b.Run("fold-12-parts", func(b *testing.B) {
		parts := []string{part}
		for range 12 {
			parts = append(parts, packed) // of no source: all count
		}
		b.ReportAllocs()
		for b.Loop() {
			if _, err := s.Unpack(parts); err != nil {
				b.Fatal(err)
			}
		}
	})
}

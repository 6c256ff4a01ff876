package archive

import (
	"context"
	"testing"
	"time"

	"gocloud.dev/blob/memblob"

	"github.com/sartorhq/sartor/streams"
)

// benchLog is n events of one partition, as a shop's are: few hundred users, many items, one day.
func benchLog(n int) []streams.Record {
	out := log("behavior", n)
	for i := range out {
		out[i].Event.Time = noon.Add(time.Duration(i) * time.Millisecond)
		out[i].Event.SessionID = out[i].Event.ID[:3]
	}
	return out
}

func BenchmarkWrite(b *testing.B) {
	all := benchLog(50_000)
	bytes := 0
	for b.Loop() {
		data, err := encode(all)
		if err != nil {
			b.Fatal(err)
		}
		bytes = len(data)
	}
	b.ReportMetric(float64(len(all)*b.N)/b.Elapsed().Seconds(), "events/s")
	b.ReportMetric(float64(bytes)/float64(len(all)), "bytes/event")
}

func BenchmarkRead(b *testing.B) {
	all := benchLog(50_000)
	a := New(memblob.OpenBucket(nil), Options{MaxEvents: len(all)})
	defer a.Close()
	p, err := a.Partition(context.Background(), "behavior", 3)
	if err != nil {
		b.Fatal(err)
	}
	if err := p.Apply(context.Background(), all, all[len(all)-1].Offset); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		if _, err := a.Read(context.Background(), []string{"behavior"}, func(*streams.Record) error { n++; return nil }); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "events/s")
}

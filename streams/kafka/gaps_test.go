package kafka

import (
	"context"
	"encoding/binary"
	"hash/crc32"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/sartorhq/sartor/streams"
	"github.com/sartorhq/sartor/streams/codec"
)

// gapBatch is one record batch of a log that compaction has thinned out.
type gapBatch struct {
	base, last int64
	survivors  []int64 // offsets
}

// encode writes the batch as a broker sends it.
func (g gapBatch) encode(t *testing.T) []byte {
	t.Helper()
	b := kmsg.RecordBatch{FirstOffset: g.base, PartitionLeaderEpoch: -1, Magic: 2, LastOffsetDelta: int32(g.last - g.base),
		FirstTimestamp: noon.UnixMilli(), MaxTimestamp: noon.UnixMilli(), ProducerID: 7, NumRecords: int32(len(g.survivors))}
	for _, offset := range g.survivors {
		e := upsert("item", int(offset))
		value, err := codec.Encode(&e)
		if err != nil {
			t.Fatal(err)
		}
		r := kmsg.Record{OffsetDelta: int32(offset - g.base), Key: []byte("item"), Value: value}
		body := r.AppendTo(nil)[1:] // without the length, which is 0 and one byte long
		b.Records = append(binary.AppendVarint(b.Records, int64(len(body))), body...)
	}
	raw := b.AppendTo(nil)
	binary.BigEndian.PutUint32(raw[8:], uint32(len(raw)-12))
	binary.BigEndian.PutUint32(raw[17:], crc32.Checksum(raw[21:], crc32.MakeTable(crc32.Castagnoli)))
	return raw
}

// serveGaps answers fetches and questions about offsets with the given log, and counts the fetches.
func serveGaps(t *testing.T, c *kfake.Cluster, log []gapBatch, end int64) *atomic.Int64 {
	t.Helper()
	var fetches atomic.Int64
	encoded := make([][]byte, len(log))
	for i, g := range log {
		encoded[i] = g.encode(t)
	}
	c.ControlKey(int16(kmsg.Fetch), func(request kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		fetches.Add(1)
		r := request.(*kmsg.FetchRequest)
		answer := r.ResponseKind().(*kmsg.FetchResponse)
		topic := kmsg.NewFetchResponseTopic()
		topic.Topic = r.Topics[0].Topic
		part := kmsg.NewFetchResponseTopicPartition()
		part.HighWatermark, part.LastStableOffset = end, end
		asked := r.Topics[0].Partitions[0]
		for i, g := range log {
			if g.last < asked.FetchOffset {
				continue
			}
			if len(part.RecordBatches) > 0 && len(part.RecordBatches)+len(encoded[i]) > int(asked.PartitionMaxBytes) {
				break // but the first batch is sent whatever its size
			}
			part.RecordBatches = append(part.RecordBatches, encoded[i]...)
		}
		topic.Partitions = append(topic.Partitions, part)
		answer.Topics = append(answer.Topics, topic)
		return answer, nil, true
	})
	c.ControlKey(int16(kmsg.ListOffsets), func(request kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		r := request.(*kmsg.ListOffsetsRequest)
		answer := r.ResponseKind().(*kmsg.ListOffsetsResponse)
		for _, asked := range r.Topics {
			topic := kmsg.NewListOffsetsResponseTopic()
			topic.Topic = asked.Topic
			for _, p := range asked.Partitions {
				part := kmsg.NewListOffsetsResponseTopicPartition()
				part.Partition, part.Timestamp = p.Partition, -1
				if part.Offset = end; p.Timestamp == -2 {
					part.Offset = 0
				}
				topic.Partitions = append(topic.Partitions, part)
			}
			answer.Topics = append(answer.Topics, topic)
		}
		return answer, nil, true
	})
	return &fetches
}

// TestGapsWithinBatches: batches that compaction has left with an empty head, middle or tail, or with
// nothing at all, at the ends of fetches and of the log.
func TestGapsWithinBatches(t *testing.T) {
	tests := map[string]struct {
		log []gapBatch
		end int64
	}{
		"empty-tail":        {[]gapBatch{{0, 99_999, []int64{0, 5}}, {100_000, 100_000, []int64{100_000}}}, 100_001},
		"empty-batch":       {[]gapBatch{{0, 0, []int64{0}}, {1, 4999, nil}, {5000, 5001, []int64{5001}}}, 5002},
		"empty-first":       {[]gapBatch{{0, 700, nil}, {701, 701, []int64{701}}}, 702},
		"empty-at-the-end":  {[]gapBatch{{0, 9, []int64{3}}, {10, 1_000_000, nil}}, 1_000_001},
		"tail-at-the-end":   {[]gapBatch{{0, 1_000_000, []int64{0}}}, 1_000_001},
		"small-after-large": {[]gapBatch{{0, 1022, []int64{1}}, {1023, 1023, []int64{1023}}, {1024, 1024, []int64{1024}}, {1025, 1030, []int64{1026}}}, 1031},
		"gap-between":       {[]gapBatch{{0, 10, []int64{2}}, {5000, 5000, []int64{5000}}}, 5001},
		"only-empty":        {[]gapBatch{{0, 12, nil}}, 13},
	}
	for name, tt := range tests {
		for _, fetchBytes := range []int{1, 1 << 20} {
			t.Run(name, func(t *testing.T) {
				c := fake(t)
				o := testOptions(t, c.ListenAddrs())
				ctx := testContext(t)
				makeTopics(t, o, 1)
				fetches := serveGaps(t, c, tt.log, tt.end)
				pool, err := newPool(&o)
				if err != nil {
					t.Fatal(err)
				}
				defer pool.close()
				cur := cursor{pool: pool, topic: o.Topic(streams.Catalog), maxBytes: fetchBytes, maxWait: time.Millisecond}
				var got, want []int64
				for cur.offset < tt.end {
					var ch chunk
					if err := retry(ctx, limit, "fetch", func(ctx context.Context) (err error) {
						ch, err = cur.fetch(ctx)
						return err
					}); err != nil {
						t.Fatal(err)
					}
					for _, m := range ch.messages {
						got = append(got, m.offset)
					}
				}
				for _, g := range tt.log {
					want = append(want, g.survivors...)
				}
				if !slices.Equal(got, want) || cur.offset != tt.end {
					t.Errorf("read %v up to %d, want %v up to %d", got, cur.offset, want, tt.end)
				}
				if n := fetches.Load(); n > 100 {
					t.Errorf("%d fetches", n)
				}
				if n := len(readAll(t, o, streams.Catalog)); n != len(want) {
					t.Errorf("ReadAll brings %d events, want %d", n, len(want))
				}
			})
		}
	}
}

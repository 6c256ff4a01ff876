package codec

import (
	"testing"

	"github.com/sartorhq/sartor/streams"
)

var (
	benchView  = []byte(`{"event_id":"01JDCZK8Y3W4V5X6Y7Z8A9B0C1","type":"view","time":"2026-11-23T12:00:00.123Z","user_id":"user-123456","session_id":"s-98765432","item_id":"sku-004711","context":{"country":"DE"}}`)
	benchOrder = []byte(`{"event_id":"01JDCZK8Y3W4V5X6Y7Z8A9B0C1","type":"order","time":"2026-11-23T12:00:00.123Z","user_id":"user-123456","session_id":"s-98765432","items":[{"item_id":"sku-004711","quantity":2,"price":1299},{"item_id":"sku-000815","quantity":1,"price":4999}],"currency":"EUR","order_id":"o-1234567","context":{"country":"DE"}}`)
)

func BenchmarkDecode(b *testing.B) {
	for name, data := range map[string][]byte{"view": benchView, "order": benchOrder} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(data)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Decode(data); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkEncode(b *testing.B) {
	e, err := Decode(benchOrder)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		data, err := Encode(&e)
		if err != nil {
			b.Fatal(err)
		}
		b.SetBytes(int64(len(data)))
	}
}

// TestDecodeAllocs holds the ingest path's budget: one allocation for each text of the event and one
// for its lines.
func TestDecodeAllocs(t *testing.T) {
	if n := testing.AllocsPerRun(100, func() { _, _ = Decode(benchView) }); n > 6 {
		t.Errorf("a view costs %v allocations, want at most 6", n)
	}
}

func BenchmarkDecodeMessage(b *testing.B) {
	order := []byte(`{"anonymousId":"23adfd82-aa0f-45a7-a756-24f2a7a4c895","context":{"ip":"8.8.8.8","locale":"en-US","page":{"path":"/p","url":"https://shop.example/p"},"userAgent":"Mozilla/5.0"},` +
		`"event":"Order Completed","messageId":"ajs-f8ca1e4de5024d9430b3928bd8ac6b96","timestamp":"2026-11-23T12:00:00.123Z","type":"track","userId":"user-123456",` +
		`"properties":{"order_id":"o-1234567","currency":"EUR","total":75.97,"products":[{"product_id":"sku-004711","price":12.99,"quantity":2,"name":"x"},{"product_id":"sku-000815","price":49.99}]}}`)
	for name, m := range map[string]Message{"native-view": {Value: benchView}, "native-order": {Value: benchOrder}, "segment-order": {Value: order}} {
		stream := streams.Orders
		if name == "native-view" {
			stream = streams.Behavior
		}
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(m.Value)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := DecodeMessage(stream, Auto, &m); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

package file

import (
	"encoding/json"
	"fmt"
	"maps"
	"strings"
	"testing"

	"github.com/sartorhq/sartor/streams"
	"github.com/sartorhq/sartor/streams/codec"
)

// TestMappedLargeOrders: 1,500 lines whose ids have 120 quotes in each take 1,500 x 260 bytes and more, so the order
// becomes two events, whether or not the file is in order of time; a description of 300 kB is a row that cannot be used.
func TestMappedLargeOrders(t *testing.T) {
	const lines = 1500
	var orders strings.Builder
	orders.WriteString("order,user,time,item,quantity,price,total\n")
	for i := range lines {
		fmt.Fprintf(&orders, "o1,ann,2024-07-01,\"%04d%s\",1,1,99\n", i, strings.Repeat(`""`, 120))
	}
	orders.WriteString("o2,ben,2024-07-02,lamp,1,1,5\n")
	for _, head := range []string{"bad_rows: skip", "bad_rows: skip\nsorted: true"} {
		path := mappedFolder(t, head+`
files:
- path: orders.csv
  type: order
  columns: {order: order, user: user, time: time, item: item, quantity: quantity, price: price, total: total}
- path: items.csv
  type: item-upsert
  columns: {item: id}
  attributes: {title: title}
`, map[string]string{"orders.csv": orders.String(), "items.csv": "id,title\nlamp,Lamp\nbook," + strings.Repeat("x", 300_000) + "\n"})
		events, stats, err := drain(t, Mapped, path, Options{})
		if err != nil {
			t.Fatal(err)
		}
		var told []string
		n := 0
		for _, e := range events {
			if e.Type == streams.Order {
				told = append(told, fmt.Sprintf("%s %d lines, total %d", e.ID, len(e.Items), *e.Total))
			}
			for range e.Items {
				n++
			}
			if data, err := codec.Encode(&e); err != nil || len(data) > codec.MaxBytes {
				t.Errorf("%s is not accepted: %v", e.ID, err)
			}
		}
		if got, want := strings.Join(told, "; "), "orders-order-o1 750 lines, total 9900; orders-order-o1-2 750 lines, total 0; orders-order-o2 1 lines, total 500"; got != want {
			t.Errorf("%s: %s, want %s", head, got, want)
		}
		if want := map[string]int64{"the row makes an event of more than 262144 bytes": 1}; !maps.Equal(stats.Skipped, want) {
			t.Errorf("skipped %v, want %v", stats.Skipped, want)
		}
		counted(t, stats, int64(n))
	}
}

// FuzzMostBytes holds the bound to what the encoder writes.
func FuzzMostBytes(f *testing.F) {
	f.Add(`{"event_id":"e","type":"item-upsert","time":"2024-07-01T00:00:00Z","item_id":"\u2028\"","attributes":{"a":["\u0001",{"b":1e300,"c":null}]}}`)
	f.Add(`{"event_id":"e","type":"order","time":"2024-07-01T00:00:00Z","user_id":"u","items":[{"item_id":"\"","quantity":1000000,"price":1000000000000}]}`)
	f.Fuzz(func(t *testing.T, text string) {
		if !json.Valid([]byte(text)) {
			return
		}
		e, err := codec.Decode([]byte(text))
		if err != nil {
			return
		}
		if data, err := codec.Encode(&e); err == nil && len(data) > mostBytes(&e) {
			t.Errorf("%d bytes, and the bound is %d: %s", len(data), mostBytes(&e), data)
		}
	})
}

package codec_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/sartorhq/sartor/features"
	"github.com/sartorhq/sartor/streams"
	"github.com/sartorhq/sartor/streams/codec"
)

// TestSegmentOrdersKeepTheBooks follows one order through a refund of a part, an update and the
// cancellation of the rest: units and spend end where they began, and the update changes nothing.
func TestSegmentOrdersKeepTheBooks(t *testing.T) {
	call := func(n int, event, properties string) string {
		return fmt.Sprintf(`{"type":"track","event":%q,"messageId":"m%d","userId":"u","timestamp":"2026-11-23T12:%02d:00Z","properties":{"order_id":"o","currency":"EUR",%s}}`,
			event, n, n, properties)
	}
	schema := features.Default()
	states := map[features.Entity]*features.State{}
	user, lamp := features.Entity{Kind: features.UserEntity, ID: "u"}, features.Entity{Kind: features.ItemEntity, ID: "lamp"}
	for n, step := range []struct {
		call          string
		orders, units int64
		spend         float64
		sold          int64
		skipped       bool
	}{
		{call: call(0, "Order Completed", `"total":45.97,"products":[{"product_id":"lamp","price":19.99,"quantity":2},{"product_id":"bulb","price":5.99}]`), orders: 1, units: 3, spend: 45.97, sold: 2},
		{call: call(1, "Order Updated", `"total":50,"products":[{"product_id":"lamp","price":19.99,"quantity":2}]`), orders: 1, units: 3, spend: 45.97, sold: 2, skipped: true},
		{call: call(2, "Order Refunded", `"total":19.99,"products":[{"product_id":"lamp","price":19.99,"quantity":1}]`), orders: 1, units: 2, spend: 25.98, sold: 1},
		{call: call(3, "Order Refunded", `"total":1.00`), orders: 1, units: 2, spend: 24.98, sold: 1},
		{call: call(4, "Order Cancelled", `"total":24.98,"products":[{"product_id":"lamp","price":19.99,"quantity":1},{"product_id":"bulb","price":5.99}]`), orders: 1, units: 0, spend: 0, sold: 0},
	} {
		e, err := codec.DecodeMessage(streams.Orders, codec.Auto, &codec.Message{Value: []byte(step.call)})
		if errors.Is(err, codec.ErrSkipped) != step.skipped || err != nil && !step.skipped {
			t.Fatalf("step %d: %v", n, err)
		}
		if err == nil {
			for _, d := range schema.Fold(&e) {
				if states[d.Entity] == nil {
					states[d.Entity] = &features.State{}
				}
				states[d.Entity].Apply(schema, d.Ops)
			}
		}
		now := time.Date(2026, 11, 23, 13, 0, 0, 0, time.UTC)
		u := schema.User(user.ID, states[user], nil, now).Env
		sold := schema.Item(lamp.ID, states[lamp], now).Env["sales_total"]
		got := fmt.Sprint(u["orders"], u["units"], u["spend"], sold)
		if want := fmt.Sprint(step.orders, step.units, step.spend, step.sold); got != want {
			t.Errorf("after step %d: orders, units, spend, lamps sold: %s, want %s", n, got, want)
		}
	}
}

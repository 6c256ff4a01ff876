package codec

import (
	"errors"
	"testing"

	"github.com/sartorhq/sartor/streams"
)

// TestDecodeAny reads events of every stream without naming one, in all forms.
func TestDecodeAny(t *testing.T) {
	const order = `{"event_id":"e","type":"order","time":"2026-10-23T12:00:00Z","user_id":"u","order_id":"o","items":[{"item_id":"i","quantity":1}]}`
	ce := Message{Value: []byte(order), Headers: []Header{{"ce_specversion", []byte("1.0")}, {"ce_id", []byte("7")}, {"ce_source", []byte("/shop")},
		{"ce_type", []byte("order")}, {"ce_time", []byte("2026-10-23T12:00:00Z")}}}
	for name, tc := range map[string]struct {
		format  Format
		message Message
		want    streams.Type
		skipped bool
	}{
		"order":       {Auto, Message{Value: []byte(order)}, streams.Order, false},
		"item":        {Auto, Message{Value: []byte(`{"event_id":"e","type":"item-delete","time":"2026-10-23T12:00:00Z","item_id":"i"}`)}, streams.ItemDelete, false},
		"segment":     {Auto, Message{Value: []byte(`{"type":"track","event":"Product Viewed","messageId":"m","userId":"u","timestamp":"2026-10-23T12:00:00Z","properties":{"product_id":"i"}}`)}, streams.View, false},
		"identify":    {Segment, Message{Value: []byte(`{"type":"identify","messageId":"m","userId":"u","timestamp":"2026-10-23T12:00:00Z","traits":{"tier":"gold"}}`)}, streams.UserUpsert, false},
		"page":        {Auto, Message{Value: []byte(`{"type":"page","messageId":"m","userId":"u","timestamp":"2026-10-23T12:00:00Z"}`)}, "", true},
		"cloudevents": {Auto, ce, streams.Order, false},
	} {
		t.Run(name, func(t *testing.T) {
			e, err := DecodeAny(tc.format, &tc.message)
			if e.Type != tc.want || errors.Is(err, ErrSkipped) != tc.skipped || !tc.skipped && err != nil {
				t.Errorf("%q, %v", e.Type, err)
			}
		})
	}
	if _, err := DecodeAny("xml", &Message{}); err == nil {
		t.Error("a format that is none is taken")
	}
}

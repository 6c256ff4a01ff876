package codec

import (
	"errors"
	"strings"
	"testing"

	"github.com/sartorhq/sartor/streams"
)

// segmentHead is what the calls of the tests share; the rest of the object follows it.
const segmentHead = `{"messageId":"m1","timestamp":"2026-11-23T12:00:00.000Z","userId":"u1","anonymousId":"a1"`

// nativeHead is what segmentHead becomes.
const nativeHead = `"time":"2026-11-23T12:00:00Z","user_id":"u1","anonymous_id":"a1"`

func track(event, properties string) string {
	return segmentHead + `,"type":"track","event":"` + event + `","properties":` + properties + `}`
}

func TestDecodeSegment(t *testing.T) {
	tests := map[string]struct {
		stream   streams.Stream
		in, want string // the call, and the event in canonical native JSON
	}{
		"viewed": {streams.Behavior,
			`{"type":"track","event":"Product Viewed","messageId":"ajs-1","anonymousId":"c-9","userId":null,"timestamp":"2026-11-23T13:00:00.1239+01:00",` +
				`"originalTimestamp":"2020-01-01T00:00:00Z","sentAt":"x","channel":"web","integrations":{"All":true},"context":{"ip":"8.8.8.8","page":{"url":"/p"},"sessionId":1699,` +
				`"location":{"city":"Berlin","country":"DE"},"traits":{"age":9007199254740993}},` +
				`"properties":{"product_id":"507f","sku":"G-32","category":"Games","name":"Monopoly","price":18.99,"quantity":2,"currency":"usd","position":3,"coupon":null,"x":{"y":[1]},` +
				`"recommendation_id":"r-7","scenario":"home"}}`,
			`{"event_id":"ajs-1","type":"view","time":"2026-11-23T12:00:00.123Z","anonymous_id":"c-9","session_id":"1699",` +
				`"items":[{"item_id":"507f","price":1899,"position":3}],"currency":"USD","scenario":"home","recommendation_id":"r-7","context":{"country":"DE"}}`},
		"clicked-sku": {streams.Behavior, track("Product Clicked", `{"sku":"G-32"}`),
			`{"event_id":"m1","type":"click",` + nativeHead + `,"item_id":"G-32"}`},
		"added": {streams.Behavior, track("product added", `{"product_id":4711,"price":"18.99","quantity":"2","currency":"EUR"}`),
			`{"event_id":"m1","type":"cart-add",` + nativeHead + `,"items":[{"item_id":"4711","quantity":2,"price":1899}],"currency":"EUR"}`},
		"removed": {streams.Behavior, track("Product Removed", `{"product_id":"p"}`),
			`{"event_id":"m1","type":"cart-remove",` + nativeHead + `,"item_id":"p"}`},
		"searched": {streams.Behavior, track("Products Searched", `{"query":"blue hat"}`),
			`{"event_id":"m1","type":"search",` + nativeHead + `,"query":"blue hat"}`},
		"wishlist": {streams.Behavior, track("Product Added to Wishlist", `{"product_id":"p","wishlist_id":"w"}`),
			`{"event_id":"m1","type":"wishlist",` + nativeHead + `,"item_id":"p"}`},
		"order": {streams.Orders, track("Order Completed", `{"order_id":"o1","products":[{"product_id":"a","price":19,"quantity":1},{"sku":"b","price":3.005,"quantity":2.0}],`+
			`"total":27.50,"revenue":25.00,"shipping":3,"tax":2,"currency":"USD"}`),
			`{"event_id":"m1","type":"order",` + nativeHead + `,"items":[{"item_id":"a","quantity":1,"price":1900},{"item_id":"b","quantity":2,"price":301}],"currency":"USD","order_id":"o1","total":2750}`},
		"order-revenue-yen": {streams.Orders, track("Order Completed", `{"order_id":"o1","revenue":1e3,"currency":"JPY"}`),
			`{"event_id":"m1","type":"order",` + nativeHead + `,"currency":"JPY","order_id":"o1","total":1000}`},
		"order-dinar": {streams.Orders, track("Order Completed", `{"order_id":"o1","products":[{"product_id":"a","price":0.1234}],"currency":"KWD"}`),
			`{"event_id":"m1","type":"order",` + nativeHead + `,"items":[{"item_id":"a","quantity":1,"price":123}],"currency":"KWD","order_id":"o1"}`},
		"refund-in-part": {streams.Orders, track("Order Refunded", `{"order_id":"o1","total":19,"currency":"USD","products":[{"product_id":"a","price":19,"quantity":1}]}`),
			`{"event_id":"m1","type":"return",` + nativeHead + `,"items":[{"item_id":"a","quantity":1,"price":1900}],"currency":"USD","order_id":"o1","total":1900}`},
		"refund-of-money": {streams.Orders, track("Order Refunded", `{"order_id":"o1","total":5}`),
			`{"event_id":"m1","type":"return",` + nativeHead + `,"order_id":"o1","total":500}`},
		"cancelled": {streams.Orders, track("Order Cancelled", `{"order_id":"o1","products":[{"product_id":"a","price":19,"quantity":3}]}`),
			`{"event_id":"m1","type":"return",` + nativeHead + `,"items":[{"item_id":"a","quantity":3,"price":1900}],"order_id":"o1"}`},
		"order-on-behavior": {streams.Behavior, track("Order Completed", `{"total":1}`),
			`{"event_id":"m1","type":"order",` + nativeHead + `,"total":100}`},
		"identify": {streams.Users, segmentHead + `,"type":"identify","traits":{"email":"x@y","plan":{"seats":3},"vip":true}}`,
			`{"event_id":"m1","type":"user-upsert",` + nativeHead + `,"attributes":{"email":"x@y","plan":{"seats":3},"vip":true}}`},
		"identify-on-behavior": {streams.Behavior, segmentHead + `,"type":"identify","traits":null}`,
			`{"event_id":"m1","type":"user-upsert",` + nativeHead + `}`},
		"alias": {streams.Behavior, `{"type":"alias","messageId":"m1","previousId":"c-9","userId":"u1","originalTimestamp":"2026-11-23T12:00:00Z"}`,
			`{"event_id":"m1","type":"user-merge","time":"2026-11-23T12:00:00Z","user_id":"u1","anonymous_id":"c-9"}`},
		"the-last-of-two-counts": {streams.Behavior, segmentHead + `,"type":"track","event":"Product Viewed","properties":{"products":[{"sku":"x"}]},"properties":{"products":[{"sku":"y"}]}}`,
			`{"event_id":"m1","type":"view",` + nativeHead + `,"item_id":"y"}`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			for _, format := range []Format{Segment, Auto, ""} {
				m := Message{Key: []byte("u1"), Value: []byte(tt.in), Time: noon}
				e, err := DecodeMessage(tt.stream, format, &m)
				if err != nil {
					t.Fatalf("%q: %v", format, err)
				}
				got, err := Encode(&e)
				if err != nil || string(got) != tt.want {
					t.Errorf("%q: %v\ngot  %s\nwant %s", format, err, got, tt.want)
				}
				checkRoundTrip(t, &e)
			}
		})
	}
}

func TestDecodeSegmentRefuses(t *testing.T) {
	tests := map[string]struct {
		stream   streams.Stream
		in, want string
	}{
		"truncated": {streams.Behavior, `{"type":"track"`, `not valid JSON at byte 15: expected ',' or "}", found the end`},
		"array":     {streams.Behavior, `[]`, `not valid JSON at byte 0: a Segment call is one JSON object, found '['`},
		"two":       {streams.Behavior, `{}{}`, `not valid JSON at byte 2: more data after a Segment call; one message holds one event`},
		"no-type":   {streams.Behavior, `{}`, `type: is required: track, identify or alias`},
		"no-event":  {streams.Behavior, segmentHead + `,"type":"track"}`, `event: track needs the name of the event, like Product Viewed`},
		"nobody": {streams.Behavior, `{"type":"track","event":"Product Viewed"}`,
			`properties.product_id: is required (or sku); userId: one of userId and anonymousId is required; timestamp: is required: when it happened, RFC 3339 with a zone, like 2026-11-23T14:05:00Z`},
		"time": {streams.Behavior, `{"type":"identify","userId":"u","timestamp":1699000000}`,
			`timestamp: must be RFC 3339 with a zone, like 2026-11-23T14:05:00Z; got "1699000000"`},
		"prices": {streams.Orders, track("Order Completed", `{"products":[{"product_id":"a","price":"$1"},{"product_id":"b","price":-1,"quantity":0},{"quantity":1.5},{"sku":"d","price":true},7]}`),
			`properties.products[3].price: must be a text or a number; properties.products[4]: must be an object with a product_id; properties.products[0].price: must be an amount in major units, like 12.99; got "$1"; ` +
				`properties.products[1].price: must not be negative; got "-1"; properties.products[1].quantity: must be a whole number from 1 to 1000000; got "0"; ` +
				`properties.products[2].product_id: is required (or sku); properties.products[2].quantity: must be a whole number from 1 to 1000000; got "1.5"`},
		"too-dear": {streams.Orders, track("Order Completed", `{"products":[{"product_id":"a","price":10000000000.01}],"total":1e30}`),
			`properties.products[0].price: is more than 1000000000000 minor units; got "10000000000.01"; properties.total: must be an amount in major units, like 12.99; got "1e30"`},
		"currency":    {streams.Behavior, track("Product Viewed", `{"product_id":"a","currency":"€"}`), `properties.currency: must be three capital letters (ISO 4217), like EUR; got "€"`},
		"long-id":     {streams.Behavior, track("Product Viewed", `{"product_id":"`+strings.Repeat("x", 129)+`"}`), `properties.product_id: has 129 bytes; the limit is 128`},
		"no-products": {streams.Behavior, track("Product Viewed", `{"products":[]}`), `properties.products: is empty; name at least one product`},
		"no-query":    {streams.Behavior, track("Products Searched", `{}`), `properties.query: Products Searched needs the text that was searched for`},
		"cancelled": {streams.Orders, track("Order Cancelled", `{"order_id":"o1","total":19}`),
			`properties.products: Order Cancelled needs the products of the order, as Order Completed had them: orders are not looked up, and the items' counts could not be taken back`},
		"refunded": {streams.Orders, track("Order Refunded", `{"order_id":"o1"}`),
			`properties.products: Order Refunded needs the products that were given back, or the total that was refunded`},
		"completed": {streams.Orders, track("Order Completed", `{"order_id":"o1"}`), `properties.products: Order Completed needs products, or a total when the details are not known`},
		"alias": {streams.Behavior, `{"type":"alias","userId":"u","timestamp":"2026-11-23T12:00:00Z"}`,
			`previousId: alias needs the previousId of the visitor and the userId that the visitor turned out to be`},
		"traits":        {streams.Users, segmentHead + `,"type":"identify","traits":{"n":9007199254740993}}`, `traits.n: is too large a number to be kept exactly; send it as a string`},
		"traits-text":   {streams.Users, segmentHead + `,"type":"identify","traits":"x"}`, `traits: must be an object`},
		"properties":    {streams.Behavior, track("Product Viewed", `[]`), `properties: must be an object; properties.product_id: is required (or sku)`},
		"wrong-stream":  {streams.Users, track("Product Viewed", `{"sku":"a"}`), `type: view belongs on the behavior stream, not on users`},
		"not-exposures": {streams.Exposures, track("Product Viewed", `{"sku":"a"}`), `type: view belongs on the behavior stream, not on exposures`},
		"long":          {streams.Behavior, track("Product Viewed", `{"sku":"a","x":"`+strings.Repeat("x", MaxBytes)+`"}`), `the event has 262306 bytes; the limit is 262144`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			m := Message{Key: []byte("u1"), Value: []byte(tt.in), Time: noon}
			_, err := DecodeMessage(tt.stream, Segment, &m)
			if !errors.Is(err, ErrMalformed) || errors.Is(err, ErrSkipped) || err.Error() != tt.want {
				t.Errorf("\ngot  %v\nwant %s", err, tt.want)
			}
		})
	}
}

func TestSegmentSkips(t *testing.T) {
	for in, want := range map[string]string{
		track("Signed Up", `{"plan":"x"}`):                        `the Segment event "Signed Up" is skipped`,
		track("Product List Viewed", `[]`):                        `the Segment event "Product List Viewed" is skipped`,
		track("Order Updated", `{"order_id":"o1"}`):               `Order Updated is skipped: it does not say what changed`,
		segmentHead + `,"type":"page","properties":{"url":"/"}}`:  `Segment calls of type "page" are skipped`,
		segmentHead + `,"type":"group","groupId":"g","traits":1}`: `Segment calls of type "group" are skipped`,
	} {
		for _, s := range []streams.Stream{streams.Behavior, streams.Users} {
			_, err := DecodeMessage(s, Auto, &Message{Value: []byte(in), Time: noon})
			if !errors.Is(err, ErrSkipped) || errors.Is(err, ErrMalformed) || err.Error() != want {
				t.Errorf("%s\ngot  %v\nwant %s", in, err, want)
			}
		}
	}
}

func TestSegmentKeyOfUsers(t *testing.T) {
	m := Message{Key: []byte("other"), Value: []byte(segmentHead + `,"type":"identify"}`), Time: noon}
	if _, err := DecodeMessage(streams.Users, Segment, &m); err == nil || !strings.Contains(err.Error(), "the message key must be the id in the event") {
		t.Errorf("got %v", err)
	}
	m = Message{Key: []byte("u1"), Time: noon}
	if e, err := DecodeMessage(streams.Users, Segment, &m); err != nil || e.Type != streams.UserDelete || e.UserID != "u1" {
		t.Errorf("tombstone: %+v, %v", e, err)
	}
}

func TestDecimal(t *testing.T) {
	for _, tt := range []struct {
		text   string
		digits int
		want   int64
		exact  bool
	}{
		{"0", 2, 0, true}, {"12.99", 2, 1299, true}, {"12.990", 2, 1299, true}, {"1.005", 2, 101, false}, {"1.0049999", 2, 100, false},
		{"0.07", 2, 7, true}, {"1.15", 2, 115, true}, {"8.2e1", 2, 8200, true}, {"820e-1", 2, 8200, true}, {"5e-3", 2, 1, false},
		{"1e-5", 2, 0, false}, {"4.99e-3", 2, 0, false}, {"-0.5", 0, -1, false}, {"-2", 2, -200, true}, {"500", 0, 500, true},
		{"0.1234", 3, 123, false}, {"9007199254740993", 0, 9007199254740993, true}, {"0e400", 2, 0, true},
		{"0.30000000000000004", 2, 30, false}, {"0000000000000000000001", 0, 1, true}, {"1e+2", 0, 100, true},
	} {
		if v, exact, ok := decimal(tt.text, tt.digits); v != tt.want || exact != tt.exact || !ok {
			t.Errorf("decimal(%q, %d) = %d, %v, %v", tt.text, tt.digits, v, exact, ok)
		}
	}
	for _, text := range []string{"", "-", ".", "1.", ".5", "1,5", "+1", "1e", "e1", "1e401", "1e999999999999999999999", "0x1", "NaN", "1 ", "1e18", "1000000000000000000", "1.2.3", "--1"} {
		if v, _, ok := decimal(text, 2); ok {
			t.Errorf("decimal(%q) = %d", text, v)
		}
	}
}

package codec

import (
	"errors"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/sartorhq/sartor/streams"
)

func ptr[T any](v T) *T { return &v }

// noon is the time in most examples.
var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

func TestDecode(t *testing.T) {
	tests := map[string]struct {
		in   string
		want streams.Event
	}{
		"view": {
			`{"event_id":"e1","type":"view","time":"2026-11-23T12:00:00Z","user_id":"u1","item_id":"sku-1"}`,
			streams.Event{ID: "e1", Type: streams.View, Time: noon, UserID: "u1", Items: []streams.Line{{ItemID: "sku-1"}}},
		},
		"zone-and-fraction": {
			`{"type":"view","time":"2026-11-23T13:30:00.1239+01:30","anonymous_id":"a","item_id":"s"}`,
			streams.Event{Type: streams.View, Time: noon.Add(123 * time.Millisecond), AnonymousID: "a", Items: []streams.Line{{ItemID: "s"}}},
		},
		"quantity-defaults-to-one-before-the-type-is-known": {
			`{"items":[{"item_id":"a"},{"item_id":"b","quantity":3,"price":1299,"position":2}],"type":"order","time":"2026-11-23T12:00:00Z","user_id":"u","currency":"EUR","order_id":"o1","total":3000}`,
			streams.Event{Type: streams.Order, Time: noon, UserID: "u", Currency: "EUR", OrderID: "o1", Total: ptr(int64(3000)),
				Items: []streams.Line{{ItemID: "a", Quantity: 1}, {ItemID: "b", Quantity: 3, Price: 1299, Position: 2}}},
		},
		"shorthand-in-cart": {
			`{"type":"cart-add","time":"2026-11-23T12:00:00Z","user_id":"u","item_id":"a"}`,
			streams.Event{Type: streams.CartAdd, Time: noon, UserID: "u", Items: []streams.Line{{ItemID: "a", Quantity: 1}}},
		},
		"order-without-details": {
			`{"type":"order","time":"2026-11-23T12:00:00Z","user_id":"u","total":0}`,
			streams.Event{Type: streams.Order, Time: noon, UserID: "u", Total: ptr(int64(0))},
		},
		"search": {
			`{"type":"search","time":"2026-11-23T12:00:00Z","user_id":"u","query":"caf\u00e9 \ud83d\ude00 \"x\"","context":{"country":"DE"}}`,
			streams.Event{Type: streams.Search, Time: noon, UserID: "u", Query: "café 😀 \"x\"", Country: "DE"},
		},
		"rating-zero": {
			`{"type":"rating","time":"2026-11-23T12:00:00Z","user_id":"u","item_id":"a","rating":0}`,
			streams.Event{Type: streams.Rating, Time: noon, UserID: "u", Items: []streams.Line{{ItemID: "a"}}},
		},
		"null-is-absent": {
			`{"type":"user-delete","time":"2026-11-23T12:00:00Z","user_id":"u","items":null,"total":null,"rating":null,"context":null,"attributes":null,"query":null}`,
			streams.Event{Type: streams.UserDelete, Time: noon, UserID: "u"},
		},
		"document": {
			`{"type":"item-upsert","time":"2026-11-23T12:00:00Z","item_id":"a","attributes":{"title":"T","price":12.5,"tags":["x","y"],"on":true,"off":false,"none":null,"dim":{"w":1e3,"deep":[[]]}}}`,
			streams.Event{Type: streams.ItemUpsert, Time: noon, Items: []streams.Line{{ItemID: "a"}}, Attributes: map[string]any{
				"title": "T", "price": 12.5, "tags": []any{"x", "y"}, "on": true, "off": false, "none": nil,
				"dim": map[string]any{"w": 1000.0, "deep": []any{[]any{}}}}},
		},
		"white-space": {
			"\r\n\t{ \"type\" : \"view\" ,\n\"time\":\"2026-11-23T12:00:00Z\", \"user_id\":\"u\", \"items\" : [ { \"item_id\" : \"a\" } ] , \"attributes\" : { } } \n",
			streams.Event{Type: streams.View, Time: noon, UserID: "u", Items: []streams.Line{{ItemID: "a"}}},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := Decode([]byte(tt.in))
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got, tt.want) {
				t.Errorf("got  %#v\nwant %#v", got, tt.want)
			}
			checkRoundTrip(t, &got)
		})
	}
}

// checkRoundTrip is Decode(Encode(e)) == e and Encode(Decode(Encode(e))) == Encode(e).
func checkRoundTrip(t interface{ Fatalf(string, ...any) }, e *streams.Event) {
	b, err := Encode(e)
	if err != nil {
		t.Fatalf("encode %#v: %v", *e, err)
	}
	got, err := Decode(b)
	if err != nil {
		t.Fatalf("decode %s: %v", b, err)
	}
	if !reflect.DeepEqual(got, *e) {
		t.Fatalf("round trip of %s\ngot  %#v\nwant %#v", b, got, *e)
	}
	again, err := Encode(&got)
	if err != nil || string(again) != string(b) {
		t.Fatalf("not canonical:\n%s\n%s\n%v", b, again, err)
	}
}

func TestDecodeRefuses(t *testing.T) {
	const head = `{"type":"view","time":"2026-11-23T12:00:00Z","user_id":"u","item_id":"a"`
	tests := map[string]struct{ in, want string }{
		"empty":            {``, `not valid JSON at byte 0: an event is one JSON object, found the end`},
		"array":            {`[]`, `not valid JSON at byte 0: an event is one JSON object, found '['`},
		"truncated":        {head, `not valid JSON at byte 72: expected ',' or "}", found the end`},
		"trailing":         {head + `}{}`, `not valid JSON at byte 73: more data after the event; one message holds one event`},
		"trailing-comma":   {head + `,}`, `not valid JSON at byte 73: a comma before "}"`},
		"bare-name":        {head + `,x:1}`, `not valid JSON at byte 73: expected a field name in double quotes, found 'x'`},
		"no-colon":         {head + `,"x" 1}`, `not valid JSON at byte 77: expected ":", found '1'`},
		"nan":              {head + `,"rating":NaN}`, `rating: must be a number; not valid JSON at byte 82: NaN and Infinity are not numbers in JSON; leave the field out`},
		"leading-zero":     {head + `,"attributes":{"x":01}}`, `not valid JSON at byte 91: a number must not start with 0`},
		"no-fraction":      {head + `,"attributes":{"x":1.}}`, `not valid JSON at byte 93: expected a digit after the point`},
		"no-exponent":      {head + `,"attributes":{"x":1e}}`, `not valid JSON at byte 93: expected a digit in the exponent`},
		"literal":          {head + `,"attributes":{"x":nul}}`, `not valid JSON at byte 91: expected a value, found 'n'`},
		"escape":           {head + `,"query":"\x"}`, `not valid JSON at byte 82: unknown escape in a string`},
		"short-escape":     {head + `,"query":"\u12"}`, `not valid JSON at byte 82: \u needs four hexadecimal digits`},
		"half-surrogate":   {head + `,"query":"\ud83d"}`, `not valid JSON at byte 82: half of a surrogate pair in a string`},
		"low-surrogate":    {head + `,"query":"\ude00\ud83d"}`, `not valid JSON at byte 82: half of a surrogate pair in a string`},
		"open-string":      {head + `,"query":"`, `not valid JSON at byte 82: a string without its closing quote`},
		"open-escape":      {head + `,"query":"\`, `not valid JSON at byte 82: a string without its closing quote`},
		"control":          {head + ",\"query\":\"\n\"}", `not valid JSON at byte 82: a control character in a string must be escaped`},
		"bad-utf8":         {head + ",\"query\":\"\xff\"}", `not valid JSON at byte 82: a string is not valid UTF-8`},
		"bad-utf8-escaped": {head + ",\"query\":\"\\n\xff\"}", `not valid JSON at byte 86: a string is not valid UTF-8`},
		"deep":             {head + `,"attributes":{"x":` + strings.Repeat("[", 100_000), `not valid JSON at byte 106: nested deeper than 16`},
		"deep-unknown":     {head + `,"attributs":` + strings.Repeat("[", 100_000), `attributs: unknown field; did you mean attributes?; facts of your own go into attributes; not valid JSON at byte 101: nested deeper than 16`},
		"huge":             {strings.Repeat(" ", MaxBytes+1), `the event has 262145 bytes; the limit is 262144`},

		"type-missing":  {`{"time":"2026-11-23T12:00:00Z","user_id":"u","item_id":"a"}`, `type: is required`},
		"type-unknown":  {`{"type":"purchase","time":"2026-11-23T12:00:00Z","user_id":"u","item_id":"a"}`, `type: unknown type "purchase"; did you mean order?`},
		"type-typo":     {`{"type":"cart_add","time":"2026-11-23T12:00:00Z","user_id":"u","item_id":"a"}`, `type: unknown type "cart_add"; did you mean cart-add?`},
		"type-far":      {`{"type":"zzzzzzzz","time":"2026-11-23T12:00:00Z","user_id":"u","item_id":"a"}`, `type: unknown type "zzzzzzzz"; the types are view, click, cart-add, cart-remove, search, wishlist, rating, order, return, item-upsert, item-delete, user-upsert, user-delete, exposure, user-merge`},
		"type-number":   {`{"type":1,"time":"2026-11-23T12:00:00Z","user_id":"u","item_id":"a"}`, `type: must be a string in double quotes`},
		"time-missing":  {`{"type":"view","user_id":"u","item_id":"a"}`, `time: is required: when it happened, RFC 3339 with a zone, like 2026-11-23T14:05:00Z`},
		"time-no-zone":  {`{"type":"view","time":"2026-11-23T12:00:00","user_id":"u","item_id":"a"}`, `time: must be RFC 3339 with a zone, like 2026-11-23T14:05:00Z; got "2026-11-23T12:00:00"`},
		"time-number":   {`{"type":"view","time":1763899200,"user_id":"u","item_id":"a"}`, `time: must be a string: must be RFC 3339 with a zone, like 2026-11-23T14:05:00Z`},
		"time-too-old":  {`{"type":"view","time":"1969-12-31T23:59:59Z","user_id":"u","item_id":"a"}`, `time: must be in the years 1970 to 2199`},
		"time-feb-30":   {`{"type":"view","time":"2026-02-30T00:00:00Z","user_id":"u","item_id":"a"}`, `time: must be RFC 3339 with a zone, like 2026-11-23T14:05:00Z; got "2026-02-30T00:00:00Z"`},
		"nobody":        {`{"type":"view","time":"2026-11-23T12:00:00Z","item_id":"a"}`, `user_id: one of user_id and anonymous_id is required for view`},
		"user-number":   {`{"type":"view","time":"2026-11-23T12:00:00Z","user_id":17,"item_id":"a"}`, `user_id: must be a string in double quotes`},
		"user-empty":    {`{"type":"view","time":"2026-11-23T12:00:00Z","user_id":"","item_id":"a"}`, `user_id: is empty; leave the field out`},
		"user-anon":     {`{"type":"view","time":"2026-11-23T12:00:00Z","user_id":"anon:1","item_id":"a"}`, `user_id: must not start with "anon:"; send the rest as anonymous_id`},
		"user-long":     {`{"type":"view","time":"2026-11-23T12:00:00Z","user_id":"` + strings.Repeat("é", 65) + `","item_id":"a"}`, `user_id: has 130 bytes; the limit is 128`},
		"user-control":  {`{"type":"view","time":"2026-11-23T12:00:00Z","user_id":"a\u0000b","item_id":"a"}`, `user_id: has control characters; remove them`},
		"item-control":  {`{"type":"view","time":"2026-11-23T12:00:00Z","user_id":"u","item_id":"a\u0085b"}`, `items[0].item_id: has control characters; remove them`},
		"no-item":       {`{"type":"view","time":"2026-11-23T12:00:00Z","user_id":"u"}`, `items: view needs item_id or items`},
		"no-details":    {`{"type":"order","time":"2026-11-23T12:00:00Z","user_id":"u"}`, `items: order needs items, or a total when the details are not known`},
		"both-items":    {head + `,"items":[{"item_id":"b"}]}`, `item_id: use either item_id or items, not both`},
		"twice":         {head + `,"user_id":"v"}`, `user_id: the field is there twice`},
		"items-object":  {`{"type":"view","time":"2026-11-23T12:00:00Z","user_id":"u","items":{}}`, `items: must be an array of objects`},
		"items-text":    {`{"type":"view","time":"2026-11-23T12:00:00Z","user_id":"u","items":["a"]}`, `items[0]: must be an object with an item_id`},
		"items-no-id":   {`{"type":"view","time":"2026-11-23T12:00:00Z","user_id":"u","items":[{}]}`, `items[0].item_id: is required`},
		"line-twice":    {`{"type":"view","time":"2026-11-23T12:00:00Z","user_id":"u","items":[{"item_id":"a","item_id":"b"}]}`, `items[0].item_id: the field is there twice`},
		"line-unknown":  {`{"type":"order","time":"2026-11-23T12:00:00Z","user_id":"u","items":[{"item_id":"a","qty":1}]}`, `items[0].qty: unknown field; did you mean quantity?; an item has item_id, quantity, price, position`},
		"line-id":       {`{"type":"order","time":"2026-11-23T12:00:00Z","user_id":"u","items":[{"item_id":1}]}`, `items[0].item_id: must be a string in double quotes`},
		"price-decimal": {`{"type":"order","time":"2026-11-23T12:00:00Z","user_id":"u","items":[{"item_id":"a","price":12.99}]}`, `items[0].price: must be a whole number of minor units (12.99 EUR is 1299); got "12.99"`},
		"price-text":    {`{"type":"order","time":"2026-11-23T12:00:00Z","user_id":"u","items":[{"item_id":"a","price":"1299"}]}`, `items[0].price: must be a number, without quotes`},
		"price-bool":    {`{"type":"order","time":"2026-11-23T12:00:00Z","user_id":"u","items":[{"item_id":"a","price":true}]}`, `items[0].price: must be a number`},
		"price-minus":   {`{"type":"order","time":"2026-11-23T12:00:00Z","user_id":"u","items":[{"item_id":"a","price":-1}]}`, `items[0].price: must be from 0 to 1000000000000; got "-1"`},
		"price-huge":    {`{"type":"order","time":"2026-11-23T12:00:00Z","user_id":"u","items":[{"item_id":"a","price":99999999999999999999}]}`, `items[0].price: must be from 0 to 1000000000000; got "99999999999999999999"`},
		"quantity-zero": {`{"type":"order","time":"2026-11-23T12:00:00Z","user_id":"u","items":[{"item_id":"a","quantity":0}]}`, `items[0].quantity: must be from 1 to 1000000; got "0"`},
		"quantity-exp":  {`{"type":"order","time":"2026-11-23T12:00:00Z","user_id":"u","items":[{"item_id":"a","quantity":1e3}]}`, `items[0].quantity: must be a whole number; got "1e3"`},
		"quantity-view": {`{"type":"view","time":"2026-11-23T12:00:00Z","user_id":"u","items":[{"item_id":"a","quantity":1}]}`, `items[0].quantity: only order, return, cart-add and cart-remove have quantities; leave it out`},
		"position-zero": {`{"type":"view","time":"2026-11-23T12:00:00Z","user_id":"u","items":[{"item_id":"a","position":0}]}`, `items[0].position: must be from 1 to 1000000; got "0"`},
		"amount":        {`{"type":"order","time":"2026-11-23T12:00:00Z","user_id":"u","items":[{"item_id":"a","quantity":1000000,"price":1000000000000}]}`, `items: quantity times price adds up to more than 1000000000000000`},
		"upsert-price":  {`{"type":"item-upsert","time":"2026-11-23T12:00:00Z","items":[{"item_id":"a","price":1}]}`, `items[0].price: the price of a catalog item belongs into attributes`},
		"upsert-two":    {`{"type":"item-upsert","time":"2026-11-23T12:00:00Z","items":[{"item_id":"a"},{"item_id":"b"}]}`, `items: item-upsert is about exactly one item; use item_id`},
		"user-items":    {`{"type":"user-upsert","time":"2026-11-23T12:00:00Z","user_id":"u","item_id":"a"}`, `items: user-upsert is about a user; leave the items out`},
		"currency":      {head + `,"currency":"eur"}`, `currency: must be three capital letters (ISO 4217), like EUR; got "eur"`},
		"order-id":      {head + `,"order_id":"o"}`, `order_id: only order and return have one; leave it out`},
		"view-total":    {head + `,"total":5}`, `total: only order and return have one; leave it out`},
		"total-text":    {`{"type":"order","time":"2026-11-23T12:00:00Z","user_id":"u","total":"5"}`, `total: must be a number, without quotes; items: order needs items, or a total when the details are not known`},
		"search-query":  {`{"type":"search","time":"2026-11-23T12:00:00Z","user_id":"u"}`, `query: search needs the text that was searched for`},
		"no-rating":     {`{"type":"rating","time":"2026-11-23T12:00:00Z","user_id":"u","item_id":"a"}`, `rating: a rating event needs the rating, a number`},
		"rating-text":   {`{"type":"rating","time":"2026-11-23T12:00:00Z","user_id":"u","item_id":"a","rating":"5"}`, `rating: must be a number`},
		"rating-huge":   {`{"type":"rating","time":"2026-11-23T12:00:00Z","user_id":"u","item_id":"a","rating":1e999}`, `rating: is too large a number`},
		"view-rating":   {head + `,"rating":4}`, `rating: only rating events have one; leave it out`},
		"view-rating-0": {head + `,"rating":0}`, `rating: only rating events have one; leave it out`},
		"context-text":  {head + `,"context":"DE"}`, `context: must be an object`},
		"context-more":  {head + `,"context":{"device":"ios"}}`, `context.device: unknown; the context of an event holds country, put other facts into attributes`},
		"context-type":  {head + `,"context":{"country":49}}`, `context.country: must be a string in double quotes`},
		"context-twice": {head + `,"context":{"country":"DE","country":"FR"}}`, `context.country: the field is there twice`},
		"attr-array":    {head + `,"attributes":[]}`, `attributes: must be an object`},
		"attr-twice":    {head + `,"attributes":{"a":{"x":1,"x":2}}}`, `attributes.a.x: the field is there twice`},
		"attr-inexact":  {head + `,"attributes":{"ean":9007199254740993}}`, `attributes.ean: is too large a number to be kept exactly; send it as a string`},
		"attr-name":     {head + `,"attributes":{"":1}}`, `attributes: a name must have 1 to 128 bytes`},
		"user-id-camel": {`{"type":"view","time":"2026-11-23T12:00:00Z","userId":"u","item_id":"a"}`, `userId: unknown field; did you mean user_id?; facts of your own go into attributes; user_id: one of user_id and anonymous_id is required for view`},
		"top-price":     {head + `,"price":1}`, `price: unknown here; it belongs to an item: "items":[{"item_id":"…","price":1}]`},
		"top-country":   {head + `,"country":"DE"}`, `country: unknown here; it belongs to the context: "context":{"country":"DE"}`},
		"odd-name":      {head + `,"a\"b\n":1}`, `"a\"b\n": unknown field; facts of your own go into attributes`},
		"all-at-once": {
			`{"type":"ordr","time":"today","user_id":5,"items":[{"item_id":"a","price":1.5},{"quantity":-2}],"total":"x","foo":[1,{"a":null}]}`,
			`type: unknown type "ordr"; did you mean order?; time: must be RFC 3339 with a zone, like 2026-11-23T14:05:00Z; got "today"; user_id: must be a string in double quotes; items[0].price: must be a whole number of minor units (12.99 EUR is 1299); got "1.5"; items[1].quantity: must be from 1 to 1000000; got "-2"; total: must be a number, without quotes; foo: unknown field; facts of your own go into attributes`,
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := Decode([]byte(tt.in))
			if !errors.Is(err, ErrMalformed) {
				t.Fatalf("got error %v, want ErrMalformed", err)
			}
			if got := err.Error(); got != tt.want {
				t.Errorf("\ngot  %s\nwant %s", got, tt.want)
			}
		})
	}
}

func TestDecodeStopsNotingProblems(t *testing.T) {
	in := `{"type":"view","time":"2026-11-23T12:00:00Z","user_id":"u","item_id":"a"` + strings.Repeat(`,"x":1`, 10_000) + `}`
	_, err := Decode([]byte(in))
	var e *Error
	if !errors.As(err, &e) || len(e.Problems) != maxProblems+1 {
		t.Fatalf("got %v", err)
	}
	if got := e.Problems[maxProblems].String(); got != "and 9968 more problems" {
		t.Errorf("last problem %q", got)
	}
}

func TestDecodeTooManyItems(t *testing.T) {
	line := `{"item_id":"a"}`
	body := func(n int) []byte {
		return []byte(`{"type":"view","time":"2026-11-23T12:00:00Z","user_id":"u","items":[` + line + strings.Repeat(","+line, n-1) + `]}`)
	}
	if e, err := Decode(body(MaxLines)); err != nil || len(e.Items) != MaxLines {
		t.Errorf("%d items: %v", MaxLines, err)
	}
	if _, err := Decode(body(MaxLines + 2)); err == nil || err.Error() != "items: more than 2000 items; split the event" {
		t.Errorf("%d items: %v", MaxLines+2, err)
	}
}

func TestDecodeMessage(t *testing.T) {
	upsert := `{"type":"item-upsert","time":"2026-11-23T12:00:00Z","item_id":"a"}`
	view := `{"type":"view","time":"2026-11-23T12:00:00Z","user_id":"u","item_id":"a"}`
	tests := map[string]struct {
		stream     streams.Stream
		key, value []byte
		want       streams.Event
		err        string
	}{
		"behavior-any-key": {stream: streams.Behavior, value: []byte(view),
			want: streams.Event{Type: streams.View, Time: noon, UserID: "u", Items: []streams.Line{{ItemID: "a"}}}},
		"catalog": {stream: streams.Catalog, key: []byte("a"), value: []byte(upsert),
			want: streams.Event{Type: streams.ItemUpsert, Time: noon, Items: []streams.Line{{ItemID: "a"}}}},
		"item-tombstone": {stream: streams.Catalog, key: []byte("a"),
			want: streams.Event{Type: streams.ItemDelete, Time: noon, Items: []streams.Line{{ItemID: "a"}}}},
		"user-tombstone": {stream: streams.Users, key: []byte("u"), want: streams.Event{Type: streams.UserDelete, Time: noon, UserID: "u"}},
		"anon-tombstone": {stream: streams.Users, key: []byte("anon:x"), want: streams.Event{Type: streams.UserDelete, Time: noon, AnonymousID: "x"}},
		"keyless-tombstone": {stream: streams.Catalog,
			err: "a message without a value deletes what its key names; items[0].item_id: is required"},
		"empty-is-not-null": {stream: streams.Catalog, key: []byte("a"), value: []byte{},
			err: "not valid JSON at byte 0: an event is one JSON object, found the end"},
		"null-elsewhere": {stream: streams.Orders, key: []byte("a"),
			err: "not valid JSON at byte 0: an event is one JSON object, found the end"},
		"wrong-stream": {stream: streams.Orders, value: []byte(view), err: "type: view belongs on the behavior stream, not on orders"},
		"wrong-key": {stream: streams.Catalog, key: []byte("b"), value: []byte(upsert),
			err: "the message key must be the id in the event, because the catalog stream is compacted by key"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := DecodeMessage(tt.stream, Native, &Message{Key: tt.key, Value: tt.value, Time: noon.Add(999 * time.Microsecond)})
			if tt.err != "" {
				if !errors.Is(err, ErrMalformed) || err.Error() != tt.err {
					t.Fatalf("got error %v, want %s", err, tt.err)
				}
				return
			}
			if err != nil || !reflect.DeepEqual(got, tt.want) {
				t.Errorf("got %#v, %v\nwant %#v", got, err, tt.want)
			}
		})
	}
}

func TestUserMerge(t *testing.T) {
	const head = `{"event_id":"m","type":"user-merge","time":"2026-11-23T12:00:00Z"`
	e, err := DecodeMessage(streams.Behavior, Native, &Message{Value: []byte(head + `,"user_id":"u","anonymous_id":"a"}`), Time: noon})
	if err != nil {
		t.Fatal(err)
	}
	want := streams.Event{ID: "m", Type: streams.UserMerge, Time: noon, UserID: "u", AnonymousID: "a"}
	if !reflect.DeepEqual(e, want) || e.Key() != "anon:a" || e.Subject() != "u" {
		t.Errorf("got %#v with key %s", e, e.Key())
	}
	for in, want := range map[string]string{
		head + `,"user_id":"u"}`:                                  "user_id: user-merge needs both: the anonymous_id of the visitor and the user_id that the visitor turned out to be",
		head + `,"anonymous_id":"u"}`:                             "user_id: user-merge needs both: the anonymous_id of the visitor and the user_id that the visitor turned out to be",
		head + `,"user_id":"u","anonymous_id":"a","item_id":"i"}`: "items: user-merge is about a user; leave the items out",
	} {
		if _, err := Decode([]byte(in)); err == nil || err.Error() != want {
			t.Errorf("%s\ngot  %v\nwant %s", in, err, want)
		}
	}
}

func TestEncodeGolden(t *testing.T) {
	e := streams.Event{
		ID: "e1", Type: streams.Order, Time: noon.Add(5*time.Millisecond + 999).In(time.FixedZone("x", 3600)), UserID: "u\"1", AnonymousID: "a",
		SessionID: "s", Items: []streams.Line{{ItemID: "i", Quantity: 2, Price: 1299, Position: 3}, {ItemID: "j", Quantity: 1}},
		Currency: "EUR", OrderID: "o", Total: ptr(int64(2598)), Query: "tab here </b> \u2028 ", Scenario: "home",
		RecommendationID: "r", Country: "DE",
		Attributes: map[string]any{"b": []any{1.0, 2.5, 1e21, 1e-7, -0.5, nil, true}, "a": map[string]any{"z": "x", "y": "\\\n\r"}},
	}
	want := `{"event_id":"e1","type":"order","time":"2026-11-23T12:00:00.005Z","user_id":"u\"1","anonymous_id":"a","session_id":"s",` +
		`"items":[{"item_id":"i","quantity":2,"price":1299,"position":3},{"item_id":"j","quantity":1}],"currency":"EUR","order_id":"o","total":2598,` +
		"\"query\":\"tab here </b> \u2028 \"," +
		`"scenario":"home","recommendation_id":"r","context":{"country":"DE"},"attributes":{"a":{"y":"\\\n\r","z":"x"},"b":[1,2.5,1e+21,1e-07,-0.5,null,true]}}`
	got, err := Encode(&e)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Errorf("\ngot  %s\nwant %s", got, want)
	}
}

func TestEncodeRefuses(t *testing.T) {
	ok := func() streams.Event {
		return streams.Event{Type: streams.Order, Time: noon, UserID: "u", Items: []streams.Line{{ItemID: "a", Quantity: 1}}}
	}
	tests := map[string]struct {
		change func(*streams.Event)
		want   string
	}{
		"zero":     {func(e *streams.Event) { *e = streams.Event{} }, "type: is required; time: is required: when it happened, RFC 3339 with a zone, like 2026-11-23T14:05:00Z"},
		"type":     {func(e *streams.Event) { e.Type = "buy"; e.Items[0].Quantity = 0 }, `type: unknown type "buy"; did you mean order?`},
		"quantity": {func(e *streams.Event) { e.Items[0].Quantity = 0 }, "items[0].quantity: must be from 1 to 1000000; got 0"},
		"price":    {func(e *streams.Event) { e.Items[0].Price = -5 }, "items[0].price: must be from 0 to 1000000000000 minor units; got -5"},
		"position": {func(e *streams.Event) { e.Items[0].Position = -1 }, "items[0].position: must be from 1 to 1000000; got -1"},
		"lines":    {func(e *streams.Event) { e.Items = make([]streams.Line, MaxLines+1) }, "items: more than 2000 items; split the event"},
		"total":    {func(e *streams.Event) { e.Total = ptr(int64(-1)) }, "total: must be from 0 to 1000000000000000 minor units; got -1"},
		"utf8":     {func(e *streams.Event) { e.UserID = "\xff" }, "user_id: is not valid UTF-8"},
		"rating":   {func(e *streams.Event) { e.Rating = math.NaN() }, "rating: must be a finite number"},
		"go-types": {func(e *streams.Event) {
			e.Attributes = map[string]any{"b": []string{}, "a": []any{map[string]any{"x": 1}}}
		}, "attributes.a.x: holds a Go int; use string, float64, bool, nil, []any or map[string]any; attributes.b: holds a Go []string; use string, float64, bool, nil, []any or map[string]any"},
		"attr-nan":  {func(e *streams.Event) { e.Attributes = map[string]any{"a": math.Inf(1)} }, "attributes.a: must be a finite number"},
		"attr-utf8": {func(e *streams.Event) { e.Attributes = map[string]any{"a": "\xff"} }, "attributes.a: is not valid UTF-8"},
		"attr-name": {func(e *streams.Event) { e.Attributes = map[string]any{"": 1.0} }, "attributes: a name must have 1 to 128 bytes of UTF-8"},
		"attr-deep": {func(e *streams.Event) { e.Attributes = nest(15) }, "attributes" + strings.Repeat(".x", 15) + ": nested deeper than 16"},
		"large":     {func(e *streams.Event) { e.Attributes = map[string]any{"a": strings.Repeat("x", MaxBytes)} }, "the event has 262240 bytes; the limit is 262144"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			e := ok()
			tt.change(&e)
			_, err := Encode(&e)
			if !errors.Is(err, ErrMalformed) || err.Error() != tt.want {
				t.Errorf("\ngot  %v\nwant %s", err, tt.want)
			}
		})
	}
	deepest := ok()
	deepest.Attributes = nest(14)
	checkRoundTrip(t, &deepest)
}

// nest returns a document with n objects inside each other below the top one.
func nest(n int) map[string]any {
	m := map[string]any{"x": "leaf"}
	for range n {
		m = map[string]any{"x": m}
	}
	return m
}

package codec

import (
	"encoding/base64"
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/sartorhq/sartor/streams"
)

const ceHead = `{"specversion":"1.0","id":"7","source":"/shop/web"`

func TestDecodeCloudEvent(t *testing.T) {
	const order = `{"user_id":"u1","order_id":"o","items":[{"item_id":"a","price":100}]}`
	const want = `{"event_id":"/shop/web|7","type":"order","time":"2026-11-23T12:00:00Z","user_id":"u1","items":[{"item_id":"a","quantity":1,"price":100}],"order_id":"o"}`
	viewed := track("Product Viewed", `{"sku":"a"}`)
	headers := func(more ...string) []Header {
		all := []Header{{"ce_specversion", []byte("1.0")}, {"ce_id", []byte("7")}, {"ce_source", []byte("/shop/web")}, {"ce_time", []byte("2026-11-23T12:00:00Z")}}
		for i := 0; i < len(more); i += 2 {
			all = append(all, Header{more[i], []byte(more[i+1])})
		}
		return all
	}
	tests := map[string]struct {
		stream streams.Stream
		m      Message
		want   string
	}{
		"structured-native": {streams.Orders, Message{Value: []byte(ceHead + `,"type":"com.example.shop.order.v2","time":"2026-11-23T13:00:00+01:00","datacontenttype":"application/json; charset=utf-8",` +
			`"subject":"x","traceparent":"00-1","ext":{"a":[1]},"data":` + order + `}`)}, want},
		"data-before-type": {streams.Orders, Message{Value: []byte(`{"data":` + order + `,"type":"order","time":"2026-11-23T12:00:00Z",` + ceHead[1:] + `}`)}, want},
		"the-time-of-the-data-counts": {streams.Orders, Message{Value: []byte(ceHead + `,"type":"order","time":"2026-11-24T00:00:00Z","data":{"event_id":"mine","type":"order","time":"2026-11-23T12:00:00Z",` +
			order[1:] + `}`)}, want},
		"base64": {streams.Orders, Message{Value: []byte(ceHead + `,"type":"order","time":"2026-11-23T12:00:00Z","data_base64":"` + base64.StdEncoding.EncodeToString([]byte(order)) + `"}`)}, want},
		"binary": {streams.Orders, Message{Value: []byte(order), Headers: headers("ce_type", "com.example.order", "Content-Type", "application/json")}, want},
		"structured-segment": {streams.Behavior, Message{Value: []byte(ceHead + `,"type":"com.segment.track","data":` + viewed + `}`)},
			`{"event_id":"/shop/web|7","type":"view",` + nativeHead + `,"item_id":"a"}`},
		"binary-segment": {streams.Orders, Message{Value: []byte(`{"type":"track","event":"Product Viewed","userId":"u","properties":{"sku":"a"}}`), Headers: headers("ce_type", "track")},
			`{"event_id":"/shop/web|7","type":"view","time":"2026-11-23T12:00:00Z","user_id":"u","item_id":"a"}`},
		"long-ids-are-hashed": {streams.Behavior, Message{Value: []byte(`{"specversion":"1.0","id":"` + strings.Repeat("x", 128) + `","source":"s","type":"view","time":"2026-11-23T12:00:00Z","data":{"user_id":"u","item_id":"a"}}`)},
			`{"event_id":"c1cddb50eb43d70a8a97c3c8dc0fbdf492ad6e139cada741d4dd3bf86a84b6ea","type":"view","time":"2026-11-23T12:00:00Z","user_id":"u","item_id":"a"}`},
		"catalog": {streams.Catalog, Message{Key: []byte("a"), Value: []byte(`{"item_id":"a","attributes":{"title":"T"}}`), Headers: headers("ce_type", "item-upsert")},
			`{"event_id":"/shop/web|7","type":"item-upsert","time":"2026-11-23T12:00:00Z","item_id":"a","attributes":{"title":"T"}}`},
		"catalog-tombstone": {streams.Catalog, Message{Key: []byte("a"), Time: noon, Headers: headers("ce_type", "item-delete")},
			`{"type":"item-delete","time":"2026-11-23T12:00:00Z","item_id":"a"}`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			for _, format := range []Format{CloudEvents, Auto} {
				e, err := DecodeMessage(tt.stream, format, &tt.m)
				if err != nil {
					t.Fatalf("%s: %v", format, err)
				}
				if got, err := Encode(&e); err != nil || string(got) != tt.want {
					t.Errorf("%s: %v\ngot  %s\nwant %s", format, err, got, tt.want)
				}
			}
		})
	}
}

func TestDecodeCloudEventRefuses(t *testing.T) {
	tests := map[string]struct {
		in   string
		want string
	}{
		"old":         {`{"specversion":"0.3","id":"1","source":"s","type":"view"}`, `specversion: must be 1.0; got "0.3"`},
		"empty":       {`{}`, `specversion: must be 1.0; got ""`},
		"batch":       {`[]`, `not valid JSON at byte 0: a CloudEvent is one JSON object, found '['`},
		"nothing":     {`{"specversion":"1.0"}`, `type: is required; id: is required; source: is required; data: is required: a native event or a Segment call`},
		"no-data":     {ceHead + `,"type":"view"}`, `data: is required: a native event or a Segment call`},
		"null-data":   {ceHead + `,"type":"view","data":null}`, `not valid JSON at byte 0: an event is one JSON object, found 'n'`},
		"text":        {ceHead + `,"type":"view","datacontenttype":"text/plain","data":"x"}`, `datacontenttype: must be application/json; got "text/plain"`},
		"both-data":   {ceHead + `,"type":"view","data":{},"data_base64":"e30="}`, `data_base64: use either data or data_base64, not both`},
		"base64":      {ceHead + `,"type":"view","data_base64":"%"}`, `data_base64: is not base64`},
		"time":        {ceHead + `,"type":"view","time":"x","data":{}}`, `time: must be RFC 3339 with a zone, like 2026-11-23T14:05:00Z; got "x"`},
		"no-time":     {ceHead + `,"type":"view","data":{"user_id":"u","item_id":"a"}}`, `time: is required: when it happened, RFC 3339 with a zone, like 2026-11-23T14:05:00Z`},
		"two-types":   {ceHead + `,"type":"view","time":"2026-11-23T12:00:00Z","data":{"type":"click","user_id":"u","item_id":"a"}}`, `type: is click in the data and view in the envelope`},
		"native-data": {ceHead + `,"type":"view","time":"2026-11-23T12:00:00Z","data":{"user":"u","item_id":"a"}}`, `user: unknown field; did you mean user_id?; facts of your own go into attributes; user_id: one of user_id and anonymous_id is required for view`},
		"stream":      {ceHead + `,"type":"order","time":"2026-11-23T12:00:00Z","data":{"user_id":"u","total":1}}`, `type: order belongs on the orders stream, not on behavior`},
		"long":        {ceHead + `,"type":"` + strings.Repeat("x", MaxBytes) + `"}`, `the event has 262205 bytes; the limit is 262144`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := DecodeMessage(streams.Behavior, CloudEvents, &Message{Value: []byte(tt.in), Time: noon})
			if !errors.Is(err, ErrMalformed) || err.Error() != tt.want {
				t.Errorf("\ngot  %v\nwant %s", err, tt.want)
			}
		})
	}
}

func TestCloudEventSkips(t *testing.T) {
	for typ, want := range map[string]string{
		"com.example.invoice": `CloudEvents of type "com.example.invoice" are skipped`,
		"com.example.order.":  `CloudEvents of type "com.example.order." are skipped`,
		"v1":                  `CloudEvents of type "v1" are skipped`,
	} {
		_, err := DecodeMessage(streams.Orders, Auto, &Message{Value: []byte(ceHead + `,"type":"` + typ + `","data":{}}`)})
		if !errors.Is(err, ErrSkipped) || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

func TestDetect(t *testing.T) {
	for in, want := range map[string]Format{
		string(benchOrder):               Native,
		``:                               Native,
		`"userId"`:                       Native,
		`{"userId":"u","type":`:          Native,
		`{"type":"view","userId":1}`:     Native,
		`{"userId":"u","type":"screen"}`: Segment,
		`{"attributes":{"specversion":"1.0"},"type":"view"}`:           Native,
		`{"type":"track","specversion":"1.0"}`:                         CloudEvents,
		`{"type":"track","x":"` + strings.Repeat("x", MaxBytes) + `"}`: Native,
	} {
		if got := detect([]byte(in)); got != want {
			t.Errorf("%.80s: %s, want %s", in, got, want)
		}
	}
	for content, want := range map[string]Format{"application/cloudevents+json": CloudEvents, "application/cloudevents": CloudEvents, "application/json": Auto} {
		if got := detectHeaders(&Message{Headers: []Header{{"Content-Type", []byte(content)}}}); got != want {
			t.Errorf("%s: %s, want %s", content, got, want)
		}
	}
}

// TestAutoSaysWhatDecodeSays is about native messages that are wrong: looking for another format must
// not change what is said of them.
func TestAutoSaysWhatDecodeSays(t *testing.T) {
	for _, in := range append([]string{`{"type":"ordr","time":"yesterday","userId":"u-17","items":[{"item_id":"sku-1","price":12.99}]}`}, corpus...) {
		e, err := Decode([]byte(in))
		got, gotErr := DecodeMessage(e.Type.Stream(), Auto, &Message{Key: []byte(e.Key()), Value: []byte(in)})
		if err == nil && (gotErr != nil || !reflect.DeepEqual(got, e)) || err != nil && (gotErr == nil || gotErr.Error() != err.Error()) {
			t.Errorf("%s\ngot  %v\nwant %v", in, gotErr, err)
		}
	}
}

func TestFixedFormats(t *testing.T) {
	m := Message{Value: benchView, Time: noon}
	for format, want := range map[Format]string{
		Native: "", Auto: "", "": "",
		Segment:     `Segment calls of type "view" are skipped`,
		CloudEvents: `specversion: must be 1.0; got ""`,
		"xml":       `unknown event format "xml"; use auto, native, segment or cloudevents`,
	} {
		_, err := DecodeMessage(streams.Behavior, format, &m)
		if got := ""; err != nil && err.Error() != want || err == nil && got != want {
			t.Errorf("%q: got %v, want %s", format, err, want)
		}
	}
	for _, f := range Formats() {
		if got, err := ParseFormat(string(f)); got != f || err != nil {
			t.Errorf("ParseFormat(%q) = %q, %v", f, got, err)
		}
	}
	if got, err := ParseFormat(""); got != Auto || err != nil {
		t.Errorf("ParseFormat of nothing = %q, %v", got, err)
	}
}

func FuzzDecodeMessage(f *testing.F) {
	for i, s := range append([]string{
		track("Order Completed", `{"order_id":"o1","products":[{"product_id":"a","price":19.999,"quantity":1},{"sku":"b","price":"3","quantity":2.0}],"total":27.50,"currency":"JPY"}`),
		track("Products Searched", `{"query":"x","products":[{}]}`), track("Product Viewed", `{"sku":1}`), track("Order Cancelled", `{}`),
		segmentHead + `,"type":"identify","traits":{"a":{"b":[1]}}}`, `{"type":"alias","previousId":"a","userId":"u","timestamp":"2026-11-23T12:00:00Z"}`,
		ceHead + `,"type":"x.order.v1","time":"2026-11-23T12:00:00Z","data":{"user_id":"u","total":1}}`,
		ceHead + `,"type":"track","time":"2026-11-23T12:00:00Z","data":{"type":"track","event":"Product Viewed","userId":"u","properties":{"sku":"a"}}}`,
		ceHead + `,"type":"view","data_base64":"e30="}`,
	}, corpus...) {
		f.Add(byte(i), byte(i/3), []byte("a"), []byte(s), []byte("order"), i%2 == 0)
	}
	f.Fuzz(func(t *testing.T, stream, format byte, key, value, typ []byte, binary bool) {
		s := streams.Streams()[int(stream)%len(streams.Streams())]
		m := Message{Key: key, Value: value, Time: noon}
		if binary {
			m.Headers = []Header{{"ce_specversion", []byte("1.0")}, {"ce_type", typ}, {"ce_id", key}, {"ce_source", typ}, {"ce_time", []byte("2026-11-23T12:00:00Z")}}
		}
		before := string(value)
		e, err := DecodeMessage(s, Formats()[int(format)%len(Formats())], &m)
		if string(value) != before {
			t.Fatal("DecodeMessage changed its input")
		}
		if err != nil {
			if errors.Is(err, ErrMalformed) == errors.Is(err, ErrSkipped) || err.Error() == "" {
				t.Fatalf("error %#v", err)
			}
			return
		}
		if problems := Validate(&e); len(problems) > 0 {
			t.Fatalf("%q made an event with problems: %v", value, problems)
		}
		if s.Compacted() && e.Key() != string(key) {
			t.Fatalf("key %q for %q", key, e.Key())
		}
		if _, err := Encode(&e); err != nil && len(value) < MaxBytes/2 {
			t.Fatalf("made %q an event that Encode refuses: %v", value, err)
		} else if err == nil {
			checkRoundTrip(t, &e)
		}
	})
}

func FuzzDecimal(f *testing.F) {
	for _, s := range []string{"12.99", "1e3", "-0.005", "9e-400", "999999999999999999", ""} {
		f.Add(s, byte(2))
	}
	f.Fuzz(func(t *testing.T, text string, digits byte) {
		v, exact, ok := decimal(text, int(digits%5))
		if !ok && (v != 0 || exact) || v > 1_000_000_000_000_000_000 || v < -1_000_000_000_000_000_000 {
			t.Fatalf("decimal(%q) = %d, %v, %v", text, v, exact, ok)
		}
	})
}

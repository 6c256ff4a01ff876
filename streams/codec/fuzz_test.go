package codec

import (
	"bytes"
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/sartorhq/sartor/streams"
)

// corpus is the seed of the fuzz targets: one event of each shape, and typical damage.
var corpus = []string{
	`{"event_id":"e1","type":"view","time":"2026-11-23T12:00:00Z","user_id":"u1","item_id":"sku-1"}`,
	`{"type":"order","time":"2026-11-23T12:00:00.5+05:30","user_id":"u","items":[{"item_id":"a","quantity":2,"price":1299},{"item_id":"b"}],"currency":"EUR","order_id":"o","total":5}`,
	`{"type":"search","time":"2026-11-23T12:00:00Z","anonymous_id":"a","query":"caf\u00e9 \ud83d\ude00","context":{"country":"DE"}}`,
	`{"type":"rating","time":"2026-11-23T12:00:00Z","user_id":"u","item_id":"a","rating":-4.5e-3}`,
	`{"type":"item-upsert","time":"2026-11-23T12:00:00Z","item_id":"a","attributes":{"t":"x","n":[1,2.5,null,true,{"a":1e21}]}}`,
	`{"type":"user-delete","time":"2026-11-23T12:00:00Z","user_id":"u","items":null}`,
	`{"type":"view","type":"view","time":1,"itemId":"x","attributes":{"a":9007199254740993}}`,
	`{"type":"view",`, `{"a":"\ud800"}`, "{\"a\":\"\xff\"}", `[[[[[[[[[[[[[[[[[[`, `{"a":NaN}`, `{"a":01}`, ``, `null`, `{}{}`,
}

func FuzzDecode(f *testing.F) {
	for _, s := range corpus {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		before := bytes.Clone(data)
		e, err := Decode(data)
		if !bytes.Equal(data, before) {
			t.Fatal("Decode changed its input")
		}
		if err != nil {
			if !errors.Is(err, ErrMalformed) || err.Error() == "" {
				t.Fatalf("error %#v", err)
			}
			return
		}
		if !json.Valid(data) {
			t.Fatalf("accepted invalid JSON %q", data)
		}
		b, err := Encode(&e)
		if err != nil {
			if len(data) > MaxBytes/2 {
				return // the canonical form may be longer than what was sent
			}
			t.Fatalf("accepted %q, but Encode says %v", data, err)
		}
		checkRoundTrip(t, &e)
		if !json.Valid(b) {
			t.Fatalf("encoded invalid JSON %q", b)
		}
	})
}

func FuzzNativeMessage(f *testing.F) {
	for i, s := range corpus {
		f.Add(byte(i), []byte("a"), []byte(s), int64(1_700_000_000_000), i%3 == 0)
	}
	f.Fuzz(func(t *testing.T, stream byte, key, value []byte, ts int64, null bool) {
		all := streams.Streams()
		s := all[int(stream)%len(all)]
		if null {
			value = nil
		}
		e, err := DecodeMessage(s, Native, &Message{Key: key, Value: value, Time: time.UnixMilli(ts)})
		if err != nil {
			if !errors.Is(err, ErrMalformed) {
				t.Fatalf("error %#v", err)
			}
			return
		}
		if e.Type.Stream() != s {
			t.Fatalf("%s on stream %s", e.Type, s)
		}
		if s.Compacted() && e.Key() != string(key) {
			t.Fatalf("key %q for %q", key, e.Key())
		}
		if problems := Validate(&e); len(problems) > 0 {
			t.Fatalf("decoded an event with problems: %v", problems)
		}
	})
}

package httpapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"reflect"
	"testing"
)

// strictly decodes a body as document.decode does.
func strictly(body []byte) (out recommendBody, err error) {
	if err := readable(body); err != nil {
		return out, err
	}
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&out); err != nil {
		return out, err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return out, errors.New("something follows")
	}
	return out, nil
}

// plainSeeds are bodies, with whether they are plain.
func plainSeeds() map[string]bool {
	return map[string]bool{
		`{"user_id":"u1","scenario":"home","count":10,"context":{"country":"DE"}}`:                                            true,
		` { "anonymous_id" : "a" , "placement":"grid","channel":"web","source_item":"i","filter":"item.price < 50" } ` + "\n": true,
		`{}`:             true,
		`{"context":{}}`: true,
		`{"count":0}`:    true,
		`{"context":{"is_bot":false,"x":true,"y":""}}`: true,
		`{"user_id":""}`:                false,
		`{"user_id":"","user_id":"v"}`:  false,
		`{"user_id":"u","user_id":"v"}`: false,
		`{"count":1,"count":2}`:         false,
		`{"context":{},"context":{}}`:   false,
		`{"context":{"a":"b","a":"c"}}`: false,
		`{"count":007}`:                 false,
		`{"count":1.5}`:                 false,
		`{"count":-1}`:                  false,
		`{"count":12345}`:               false,
		`{"count":null}`:                false,
		`{"user_id":"\u0041"}`:          false,
		`{"user_id":"ü"}`:               false,
		`{"USER_ID":"u"}`:               false,
		`{"explain":true}`:              false,
		`{"exclude":["a"]}`:             false,
		`{"unknown":1}`:                 false,
		`{"context":{"n":1}}`:           false,
		`{"context":{"t":truex}}`:       false,
		`{"user_id":"u"}x`:              false,
		`{"user_id":"u",}`:              false,
		`{"user_id" "u"}`:               false,
		`{"user_id":"u"`:                false,
		`[]`:                            false,
		``:                              false,
	}
}

func TestPlainBodies(t *testing.T) {
	for body, want := range plainSeeds() {
		got, ok := plainBody([]byte(body))
		if ok != want {
			t.Errorf("%s: plain is %v, want %v", body, ok, want)
			continue
		}
		if !ok {
			continue
		}
		if strict, err := strictly([]byte(body)); err != nil || !reflect.DeepEqual(got, strict) {
			t.Errorf("%s: got %+v, strictly %+v, %v", body, got, strict, err)
		}
	}
}

// FuzzPlainBody wants what the strict decoder says whenever the reader believes that it understands.
func FuzzPlainBody(f *testing.F) {
	for body := range plainSeeds() {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		got, ok := plainBody(body)
		if !ok {
			return
		}
		strict, err := strictly(body)
		if err != nil || !reflect.DeepEqual(got, strict) {
			t.Fatalf("%q: got %+v, strictly %+v, %v", body, got, strict, err)
		}
	})
}

// A text that was read outlives the memory that it came in.
func TestPlainTextsOutliveTheBody(t *testing.T) {
	body := []byte(`{"user_id":"u1","context":{"country":"DE"}}`)
	out, ok := plainBody(body)
	clear(body)
	if !ok || out.UserID != "u1" || out.Context["country"] != "DE" {
		t.Errorf("got %+v, %v", out, ok)
	}
}

func BenchmarkDecode(b *testing.B) {
	body := []byte(`{"user_id":"u1","scenario":"home","count":10,"context":{"country":"DE"}}`)
	b.Run("plain", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, ok := plainBody(body); !ok {
				b.Fatal("not plain")
			}
		}
	})
	b.Run("strict", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := strictly(body); err != nil {
				b.Fatal(err)
			}
		}
	})
}

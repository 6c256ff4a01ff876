package httpapi_test

import (
	"fmt"
	"strings"
	"testing"
)

// TestEventFormats posts the same happenings in every form that is taken.
func TestEventFormats(t *testing.T) {
	const (
		native  = `{"event_id":"n","type":"view","time":"2026-10-23T11:00:00Z","user_id":"u1","item_id":"sku-1"}`
		segment = `{"type":"track","event":"Product Viewed","messageId":"m1","userId":"u1","timestamp":"2026-10-23T11:00:00Z","properties":{"product_id":"sku-1"}}`
		page    = `{"type":"page","messageId":"m2","userId":"u1","timestamp":"2026-10-23T11:00:00Z"}`
		cloud   = `{"specversion":"1.0","id":"7","source":"/shop","type":"com.sartor.view","time":"2026-10-23T11:00:00Z","data":{"user_id":"u1","item_id":"sku-1"}}`
	)
	kind := func(k string) map[string]string { return map[string]string{"Content-Type": k} }
	for _, sc := range []struct {
		scenario
		written string
	}{
		{scenario{name: "segment", body: segment, status: 202, want: []string{`"accepted":1`}}, "view u1"},
		{scenario{name: "segment-batch", body: `{"batch":[` + segment + `,` + page + `],"sentAt":"2026-10-23T11:00:01Z"}`, status: 202, want: []string{`"accepted":1,"rejected":0,"skipped":1`}}, "view u1"},
		{scenario{name: "segment-batch-bad", body: `{"batch":[{"type":"track","event":"Product Viewed"},` + segment + `]}`, status: 202, want: []string{`"accepted":1,"rejected":1`, `"index":0,"field":"`}}, "view u1"},
		{scenario{name: "segment-skipped", body: page, status: 202, want: []string{`{"accepted":0,"rejected":0,"skipped":1,"errors":[]}`}}, ""},
		{scenario{name: "mixed-list", body: `[` + native + `,` + segment + `,` + cloud + `]`, status: 202, want: []string{`"accepted":3`}}, "view u1 view u1 view u1"},
		{scenario{name: "cloudevent", body: cloud, headers: kind("application/cloudevents+json; charset=utf-8"), status: 202, want: []string{`"accepted":1`}}, "view u1"},
		{scenario{name: "cloudevents", body: `[` + cloud + `,` + cloud + `]`, headers: kind("application/cloudevents-batch+json"), status: 202, want: []string{`"accepted":2`}}, "view u1 view u1"},
		{scenario{name: "cloudevent-says-list", body: `[` + cloud + `]`, headers: kind("application/cloudevents+json"), status: 400}, ""},
		{scenario{name: "cloudevent-that-is-none", body: native, headers: kind("application/cloudevents+json"), status: 422, want: []string{`"field":"specversion"`}}, ""},
		{scenario{name: "cloudevent-avro", body: cloud, headers: kind("application/cloudevents+avro"), status: 415}, ""},
		{scenario{name: "cloudevent-binary", body: `{"user_id":"u1","item_id":"sku-1"}`, status: 202, want: []string{`"accepted":1`}, headers: map[string]string{
			"Content-Type": "application/json", "ce-specversion": "1.0", "ce-id": "7", "ce-source": "/shop", "ce-type": "view", "ce-time": "2026-10-23T11:00:00Z"}}, "view u1"},
		{scenario{name: "cloudevent-binary-bad", body: `{"user_id":"u1"}`, status: 422, want: []string{`"field":"id"`}, headers: map[string]string{
			"Content-Type": "application/json", "ce-specversion": "1.0", "ce-type": "view"}}, ""},
		{scenario{name: "form", body: native, headers: kind("application/x-www-form-urlencoded"), status: 202}, "view u1"},
		{scenario{name: "attribute-named-batch", body: `{"event_id":"n","type":"user-upsert","time":"2026-10-23T11:00:00Z","user_id":"u1","attributes":{"batch":"b7"}}`, status: 202}, "user-upsert u1"},
		{scenario{name: "every-field-and-index", body: `[{"type":"view"},` + native + `,{"type":"order","time":"yesterday"}]`, status: 202,
			want: []string{`"index":0,"field":"time"`, `"index":0,"field":"items"`, `"index":2,"field":"time"`}}, "view u1"},
		{scenario{name: "deep-list", body: strings.Repeat("[", 40) + strings.Repeat("]", 40), status: 400, want: []string{"nested more than 32 deep"}}, ""},
		{scenario{name: "too-many", body: `[` + strings.Repeat("0,", 1000) + `0]`, status: 422, want: []string{"1 to 1000 events"}}, ""},
	} {
		t.Run(sc.name, func(t *testing.T) {
			s := serve(t, nil)
			sc.method, sc.path = "POST", "/v1/events"
			sc.run(t, s)
			var written []string
			for _, e := range s.log.written() {
				written = append(written, fmt.Sprintf("%s %s", e.Type, e.Subject()))
			}
			if got := strings.Join(written, " "); got != sc.written {
				t.Errorf("written %q, want %q", got, sc.written)
			}
		})
	}
}

// TestOneErrorForAField: a value that is wrong in two ways is told once, fields that are missing each.
func TestOneErrorForAField(t *testing.T) {
	s := serve(t, nil)
	for _, sc := range []scenario{
		{name: "half", path: "/v1/recommend", body: `{"count":2.5}`, want: []string{`"errors":[{"field":"count","message":"must be a whole number, such as 10"}]`}},
		{name: "half-and-large", path: "/v1/recommend", body: `{"count":200.5}`, want: []string{`1 of the request's fields`, `"errors":[{"field":"count","message":"`}},
		{name: "negative-half", path: "/v1/rank", body: `{"items":["a"],"count":-0.5}`, want: []string{`1 of the request's fields`}},
		{name: "text", path: "/v1/recommend", body: `{"count":"ten"}`, want: []string{`1 of the request's fields`}},
		{name: "two", path: "/v1/recommend", body: `{"count":2.5,"scenario":7}`, want: []string{`2 of the request's fields`}},
		{name: "in-a-batch", path: "/v1/recommend:batch", body: `{"requests":[{"count":2.5},{"count":"x","user_id":7}]}`,
			want: []string{`1 of the request's fields`, `2 of the request's fields`, `"errors":[{"field":"count",`, `{"field":"user_id",`}},
		{name: "deep", path: "/v1/recommend", body: `{"context":` + strings.Repeat(`{"a":`, 40) + `1` + strings.Repeat("}", 41), want: []string{"nested more than 32 deep"}},
	} {
		t.Run(sc.name, func(t *testing.T) {
			switch sc.method, sc.status = "POST", 422; sc.name {
			case "deep":
				sc.status = 400
			case "in-a-batch": // each of its requests is judged by itself
				sc.status = 200
			}
			sc.run(t, s)
		})
	}
}

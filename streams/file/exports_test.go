package file

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/sartorhq/sartor/streams"
	"github.com/sartorhq/sartor/streams/codec"
)

// lines writes events in native JSON, one a line.
func lines(t *testing.T, events []streams.Event) string {
	t.Helper()
	var b strings.Builder
	for i := range events {
		data, err := codec.Encode(&events[i])
		if err != nil {
			t.Fatal(err)
		}
		b.Write(data)
		b.WriteByte('\n')
	}
	return b.String()
}

func TestGorse(t *testing.T) {
	dir := write(t, map[string]string{
		"feedback.jsonl.gz": `{"FeedbackType":"star","UserId":"bob","ItemId":"x","Value":1.0,"Timestamp":"2022-02-24","Labels":null,"Comment":""}
{"FeedbackType":"read","UserId":"amy","ItemId":"y","Value":3,"Timestamp":"2022-02-24T10:00:00+02:00"}

{"FeedbackType":"rating","UserId":"amy","ItemId":"x","Value":4.5,"Timestamp":"2022-02-23 08:00:00"}
{"FeedbackType":"Add_To_Cart","UserId":"amy","ItemId":"x","Timestamp":"2022-02-24T10:00:00+02:00"}
{"FeedbackType":"share","UserId":"amy","ItemId":"x","Timestamp":"2022-02-25"}
{"FeedbackType":"purchased","UserId":"amy","ItemId":"x","Timestamp":"2022-02-25"}
`,
		"items.json": `[
  {"ItemId":"x","IsHidden":false,"Categories":["a","b"],"Timestamp":"2021-01-01T00:00:00Z","Labels":{"embedding":[0,1,2,3,4,5,6,7],"topics":["go"],"size":3},"Comment":"The X"},
  {"ItemId":"y","IsHidden":true},
  {"ItemId":"z","Labels":["red","blue"],"Categories":["c"],"Timestamp":"0001-01-01T00:00:00Z","Comment":"not {}[],\"valid"}
]`,
		"users.jsonl": `{"UserId":"bob","Labels":["vip"],"Comment":""}{"UserId":"amy","Labels":{"age":33},"Comment":"Amy"}
{"UserId":"cy","Labels":null}`,
	})
	mapped := Options{Feedback: map[string]streams.Type{"share": Leave, "purchased": streams.Order}}
	events, stats, err := drain(t, Gorse, dir, mapped)
	if err != nil {
		t.Fatal(err)
	}
	want := `{"event_id":"gorse-item-x","type":"item-upsert","time":"2022-02-23T08:00:00Z","item_id":"x","attributes":{"category":"a","created_at":"2021-01-01T00:00:00Z","size":3,"tags":["a","b"],"title":"The X","topics":["go"]}}
{"event_id":"gorse-item-y","type":"item-delete","time":"2022-02-23T08:00:00Z","item_id":"y"}
{"event_id":"gorse-item-z","type":"item-upsert","time":"2022-02-23T08:00:00Z","item_id":"z","attributes":{"category":"c","tags":["red","blue"],"title":"not {}[],\"valid"}}
{"event_id":"gorse-user-bob","type":"user-upsert","time":"2022-02-23T08:00:00Z","user_id":"bob","attributes":{"segments":["vip"]}}
{"event_id":"gorse-user-amy","type":"user-upsert","time":"2022-02-23T08:00:00Z","user_id":"amy","attributes":{"age":33}}
{"event_id":"gorse-user-cy","type":"user-upsert","time":"2022-02-23T08:00:00Z","user_id":"cy"}
{"event_id":"gorse-rating-amy-x","type":"rating","time":"2022-02-23T08:00:00Z","user_id":"amy","item_id":"x","rating":4.5}
{"event_id":"gorse-star-bob-x","type":"wishlist","time":"2022-02-24T00:00:00Z","user_id":"bob","item_id":"x"}
{"event_id":"gorse-Add_To_Cart-amy-x","type":"cart-add","time":"2022-02-24T08:00:00Z","user_id":"amy","item_id":"x"}
{"event_id":"gorse-read-amy-y","type":"view","time":"2022-02-24T08:00:00Z","user_id":"amy","item_id":"y"}
{"event_id":"gorse-purchased-amy-x","type":"order","time":"2022-02-25T00:00:00Z","user_id":"amy","item_id":"x"}
`
	if got := lines(t, events); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if stats.Rows != 12 || stats.Events != 11 || stats.Skipped["feedback share"] != 1 || stats.Reduced["embedding in labels"] != 1 {
		t.Errorf("stats %+v", stats)
	}
	// Feedback alone, by its path, is enough.
	alone := write(t, map[string]string{"dump.json": `[{"FeedbackType":"click","UserId":"` + strings.Repeat("u", 120) + `","ItemId":"x","Timestamp":1645660800000}]`})
	events, _, err = drain(t, Gorse, filepath.Join(alone, "dump.json"), Options{})
	if err != nil || len(events) != 1 || events[0].Type != streams.Click || len(events[0].ID) != len("gorse-")+64 {
		t.Errorf("%+v, %v", events, err)
	}
	if got := lines(t, events); !strings.Contains(got, `"time":"2022-02-24T00:00:00Z"`) {
		t.Errorf("got %s", got)
	}
}

func TestMetarank(t *testing.T) {
	dir := write(t, map[string]string{"events.jsonl": `
{"event":"item","id":"e1","timestamp":"1599391467000","item":"i1","fields":[{"name":"title","value":"…"},{"name":"color","value":["white"]}]}
{"event":"user","id":"e2","timestamp":1599391467001,"user":"u1","fields":[{"name":"age","value":33}],"tenant":"t"}
{"event":"item","id":"e1b","timestamp":"2020-09-06T11:24:28Z","item":"i1","fields":[{"name":"title","value":"new"}]}
{"event":"ranking","id":"e3","timestamp":"1599391469000","user":"u1","session":"s1","fields":[{"name":"query","value":"cat"},{"name":"n","value":1}],"items":[{"id":"i3","fields":[{"name":"relevancy","value":2.0}],"label":1.0},{"id":"i1"}]}
{"event":"interaction","id":"e4","ranking":"e3","timestamp":"1599391470000","user":"u1","session":"s1","type":"purchase","item":"i1","fields":[{"name":"count","value":2}]}
{"event":"interaction","id":"e5","ranking":null,"timestamp":"1599391471000","user":null,"session":"s2","type":"click","item":"i3","fields":[]}
{"event":"interaction","id":"e6","timestamp":"1599391472000","user":"u1","type":"rate","item":"i3","fields":[{"name":"rating","value":4}]}
{"event":"ranking","id":"e7","timestamp":"1599391473000","items":["i1"]}
{"event":"interaction","id":"e8","timestamp":"1599391473000","type":"click","item":"i3"}
{"event":"ranking","id":"e9","timestamp":"1599391473000","user":"u1","items":[]}
{"event":"ranking","id":"e10","timestamp":"1599391474000","user":"u1","items":["i1","i2","i3"]}
{"event":"interaction","id":"e11","timestamp":"1599391475000","user":"u1","type":"hover","item":"i3"}
`})
	events, stats, err := drain(t, Metarank, dir, Options{MaxLines: 2, Feedback: map[string]streams.Type{"hover": Leave}})
	if err != nil {
		t.Fatal(err)
	}
	want := `{"event_id":"e1","type":"item-upsert","time":"2020-09-06T11:24:27Z","item_id":"i1","attributes":{"color":["white"],"title":"…"}}
{"event_id":"e2","type":"user-upsert","time":"2020-09-06T11:24:27.001Z","user_id":"u1","attributes":{"age":33}}
{"event_id":"e1b","type":"item-upsert","time":"2020-09-06T11:24:28Z","item_id":"i1","attributes":{"color":["white"],"title":"new"}}
{"event_id":"e3","type":"exposure","time":"2020-09-06T11:24:29Z","user_id":"u1","session_id":"s1","items":[{"item_id":"i3","position":1},{"item_id":"i1","position":2}],"query":"cat","recommendation_id":"e3"}
{"event_id":"e4","type":"order","time":"2020-09-06T11:24:30Z","user_id":"u1","session_id":"s1","items":[{"item_id":"i1","quantity":2}],"recommendation_id":"e3"}
{"event_id":"e5","type":"click","time":"2020-09-06T11:24:31Z","anonymous_id":"s2","session_id":"s2","item_id":"i3"}
{"event_id":"e6","type":"rating","time":"2020-09-06T11:24:32Z","user_id":"u1","item_id":"i3","rating":4}
{"event_id":"e10","type":"exposure","time":"2020-09-06T11:24:34Z","user_id":"u1","items":[{"item_id":"i1","position":1},{"item_id":"i2","position":2}],"recommendation_id":"e10"}
`
	if got := lines(t, events); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if stats.Rows != 12 || stats.Skipped["ranking of nobody"] != 1 || stats.Skipped["interaction of nobody"] != 1 ||
		stats.Skipped["ranking without items"] != 1 || stats.Skipped["interaction hover"] != 1 || stats.Reduced["items beyond the longest list"] != 1 {
		t.Errorf("stats %+v", stats)
	}
}

func TestExportFaults(t *testing.T) {
	const star = `{"FeedbackType":"star","UserId":"bob","ItemId":"x","Timestamp":"2022-02-24"}`
	for name, c := range map[string]struct {
		format Format
		files  map[string]string
		want   string
	}{
		"no-feedback":  {Gorse, map[string]string{"items.json": "[]"}, "has no feedback.jsonl or feedback.json or feedback.ndjson, plain or .gz"},
		"not-json":     {Gorse, map[string]string{"feedback.json": "\n x"}, `feedback.json:1: expected an object, or an array of objects, found 'x'`},
		"bad-object":   {Gorse, map[string]string{"feedback.json": star + "\n{x}"}, `feedback.json:2: is not valid JSON: invalid character 'x'`},
		"open-object":  {Gorse, map[string]string{"feedback.json": `[` + star + `,{"a":"}`}, `feedback.json:1: the object does not end`},
		"open-array":   {Gorse, map[string]string{"feedback.json": `[` + star + "\n"}, `feedback.json:2: the array does not end`},
		"no-comma":     {Gorse, map[string]string{"feedback.json": `[` + star + star + `]`}, `expected an object, or an array of objects, found '{'`},
		"two-commas":   {Gorse, map[string]string{"feedback.json": `[` + star + `,,` + star + `]`}, `expected an object, or an array of objects, found ','`},
		"bare-comma":   {Gorse, map[string]string{"feedback.json": star + `,` + star}, `expected an object, or an array of objects, found ','`},
		"long":         {Gorse, map[string]string{"feedback.json": `{"a":"` + strings.Repeat("x", codec.MaxBytes) + `"}`}, `the object is longer than 262144 bytes`},
		"wrong-type":   {Gorse, map[string]string{"feedback.json": `{"UserId":5}`}, `feedback.json:1: column UserId: cannot be a number`},
		"wrong-time":   {Gorse, map[string]string{"feedback.json": `{"Timestamp":"soon"}`}, `cannot be a time written as "soon"`},
		"no-time":      {Gorse, map[string]string{"feedback.json": `{"FeedbackType":"star"}`}, `feedback.json:1: column Timestamp: is empty`},
		"unknown-kind": {Gorse, map[string]string{"feedback.json": "\n\n" + strings.Replace(star, "star", "zap", 1)}, `feedback.json:1: column FeedbackType: "zap" is a kind of feedback that is not known: say what it is, --map zap=view say, or --map zap=skip`},
		"no-user":      {Gorse, map[string]string{"feedback.json": strings.Replace(star, "bob", "", 1)}, `feedback.json:1: the row makes no valid event: user_id: one of user_id and anonymous_id is required for wishlist`},
		"no-item-id":   {Gorse, map[string]string{"feedback.json": star, "items.jsonl": "\n{}"}, `items.jsonl:1: the row makes no valid event: items[0].item_id: is required`},
		"bad-users":    {Gorse, map[string]string{"feedback.json": star, "users.ndjson": "[}"}, `users.ndjson:1: expected an object, or an array of objects, found '}'`},
		"event":        {Metarank, map[string]string{"events.jsonl": `{"id":"a","timestamp":1,"event":"x"}`}, `events.jsonl:1: column event: "x" is none of item, user, ranking, interaction`},
		"no-stamp":     {Metarank, map[string]string{"events.jsonl": `{"id":"a","event":"item"}`}, `column timestamp: is empty`},
		"no-id":        {Metarank, map[string]string{"events.jsonl": `{"timestamp":1,"event":"item"}`}, `column id: is empty`},
		"bad-item":     {Metarank, map[string]string{"events.jsonl": `{"id":"a","timestamp":1,"event":"ranking","items":[7]}`}, `an item of a ranking is an object with an id`},
		"kind":         {Metarank, map[string]string{"events.jsonl": `{"id":"a","timestamp":1,"event":"interaction","type":"hover","user":"u"}`}, `column type: "hover" is a kind of feedback that is not known`},
	} {
		t.Run(name, func(t *testing.T) {
			if _, _, err := drain(t, c.format, write(t, c.files), Options{}); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %s", err, c.want)
			}
		})
	}
	_, err := Open(Gorse, t.TempDir(), Options{Feedback: map[string]streams.Type{"star": streams.Search}})
	if err == nil || err.Error() != `feedback "star" cannot be "search": it can be view, click, cart-add, cart-remove, wishlist, rating, order, return or skip` {
		t.Errorf("mapping: %v", err)
	}
}

package foreign

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/sartorhq/sartor/streams"
	"github.com/sartorhq/sartor/streams/codec"
)

func TestTypeOf(t *testing.T) {
	for kind, want := range map[string]streams.Type{
		"read": streams.View, "Watch": streams.View, "click": streams.Click, "Add_To_Cart": streams.CartAdd, "cart-remove": streams.CartRemove,
		"check out": streams.Order, "BUY": streams.Order, "refund": streams.Return, "Favourite": streams.Wishlist, "rate": streams.Rating,
		"yawn": "", "": "", "views": "",
	} {
		if got, ok := TypeOf(kind); got != want || ok != (want != "") {
			t.Errorf("TypeOf(%q) = %q, %v; want %q", kind, got, ok, want)
		}
	}
}

func TestID(t *testing.T) {
	if got := ID("gorse", "star", "bob", "x"); got != "gorse-star-bob-x" {
		t.Errorf("ID = %q", got)
	}
	long := strings.Repeat("u", codec.MaxIDBytes)
	a, b := ID("gorse", "a", long), ID("gorse", "a-"+long)
	if len(a) > codec.MaxIDBytes || !strings.HasPrefix(a, "gorse-") || a == b || a != ID("gorse", "a", long) {
		t.Errorf("long ids: %q and %q", a, b)
	}
}

func TestGorseFeedbackEvent(t *testing.T) {
	f := GorseFeedback[string]{UserID: "bob", ItemID: "x", Value: 4.5}
	for typ, want := range map[streams.Type]streams.Event{
		streams.View:   {Items: []streams.Line{{ItemID: "x"}}},
		streams.Order:  {Items: []streams.Line{{ItemID: "x", Quantity: 1}}},
		streams.Return: {Items: []streams.Line{{ItemID: "x", Quantity: 1}}},
		streams.Rating: {Items: []streams.Line{{ItemID: "x"}}, Rating: 4.5},
	} {
		want.Type, want.UserID = typ, "bob"
		if got := f.Event(typ); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v, want %+v", typ, got, want)
		}
	}
}

// TestGorseDocuments: what Gorse keeps of an item or a user, and which of it is a document here.
func TestGorseDocuments(t *testing.T) {
	type object = map[string]any
	for name, tc := range map[string]struct {
		row        string
		user       bool
		want       object
		embeddings int
	}{
		"everything": {row: `{"Labels":{"size":3,"e":[1,2,3,4,5,6,7,8]},"Categories":["a","b"],"Comment":"The X"}`,
			want: object{"size": 3.0, "category": "a", "tags": []any{"a", "b"}, "title": "The X", "created_at": "2021-01-01T00:00:00Z"}, embeddings: 1},
		"labels-win":    {row: `{"Labels":{"title":"mine","category":"c","tags":["t"],"created_at":"then"},"Categories":["a"],"Comment":"The X"}`, want: object{"title": "mine", "category": "c", "tags": []any{"t"}, "created_at": "then"}},
		"list":          {row: `{"Labels":["red"],"Categories":["a"]}`, want: object{"tags": []any{"red"}, "category": "a", "created_at": "2021-01-01T00:00:00Z"}},
		"vector":        {row: `{"Labels":[1,2,3,4,5,6,7,8]}`, user: true, embeddings: 1},
		"seven-numbers": {row: `{"Labels":[1,2,3,4,5,6,7]}`, user: true, want: object{"segments": []any{1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0}}},
		"mixed":         {row: `{"Labels":[1,2,3,4,5,6,7,"8"]}`, user: true, want: object{"segments": []any{1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, "8"}}},
		"text":          {row: `{"Labels":"vip"}`, user: true, want: object{"segments": "vip"}},
		"nothing":       {row: `{"Labels":null}`, user: true},
		"empty":         {row: `{"Labels":[],"Categories":[],"Comment":""}`, user: true},
	} {
		t.Run(name, func(t *testing.T) {
			var e streams.Event
			var n int
			if tc.user {
				var x GorseUser
				read(t, tc.row, &x)
				e, n = x.Event()
			} else {
				var x GorseItem[string]
				read(t, tc.row, &x)
				e, n = x.Event(time.Date(2021, 1, 1, 0, 0, 0, 0, time.UTC))
			}
			if !reflect.DeepEqual(e.Attributes, tc.want) || n != tc.embeddings {
				t.Errorf("attributes %v with %d embeddings left out, want %v with %d", e.Attributes, n, tc.want, tc.embeddings)
			}
		})
	}
	hidden := GorseItem[string]{ItemID: "x", IsHidden: true, Comment: "The X"}
	if e, _ := hidden.Event(time.Time{}); e.Type != streams.ItemDelete || e.Attributes != nil {
		t.Errorf("a hidden item is %+v", e)
	}
}

func TestMetarankEvents(t *testing.T) {
	for name, tc := range map[string]struct {
		row  string
		typ  streams.Type // of an interaction; "" is a ranking
		want streams.Event
		who  bool
	}{
		"ranking": {row: `{"id":"r1","user":"u","session":"s","fields":[{"name":"query","value":7},{"name":"query","value":"jeans"}],"items":["a",{"id":"b"}]}`, who: true,
			want: streams.Event{Type: streams.Exposure, RecommendationID: "r1", Query: "jeans", UserID: "u", SessionID: "s", Items: []streams.Line{{ItemID: "a", Position: 1}, {ItemID: "b", Position: 2}}}},
		"ranking-of-nobody": {row: `{"id":"r1"}`, want: streams.Event{Type: streams.Exposure, RecommendationID: "r1"}},
		"order-of-three": {row: `{"session":"s","ranking":"r1","item":"a","fields":[{"name":"count","value":3},{"name":"rating","value":5}]}`, typ: streams.Order, who: true,
			want: streams.Event{AnonymousID: "s", SessionID: "s", RecommendationID: "r1", Items: []streams.Line{{ItemID: "a", Quantity: 3}}}},
		"order-of-a-half": {row: `{"user":"u","item":"a","fields":[{"name":"count","value":0.5},{"name":"quantity","value":2e6}]}`, typ: streams.Order, who: true,
			want: streams.Event{UserID: "u", Items: []streams.Line{{ItemID: "a", Quantity: 1}}}},
		"rating": {row: `{"user":"u","item":"a","fields":[{"name":"value","value":4},{"name":"count","value":3}]}`, typ: streams.Rating, who: true,
			want: streams.Event{UserID: "u", Rating: 4, Items: []streams.Line{{ItemID: "a"}}}},
	} {
		t.Run(name, func(t *testing.T) {
			var x MetarankEvent[string]
			read(t, tc.row, &x)
			var e streams.Event
			who := x.Who(&e)
			if tc.typ == "" {
				x.Exposure(&e)
			} else {
				tc.want.Type = tc.typ
				x.Interaction(&e, tc.typ)
			}
			if !reflect.DeepEqual(e, tc.want) || who != tc.who {
				t.Errorf("%+v, somebody: %v; want %+v, %v", e, who, tc.want, tc.who)
			}
		})
	}
}

func TestMetarankDocument(t *testing.T) {
	var first, second MetarankEvent[string]
	read(t, `{"fields":[{"name":"price","value":10},{"name":"","value":1},{"name":"color","value":["white"]}]}`, &first)
	read(t, `{"fields":[{"name":"price","value":12}]}`, &second)
	doc := second.Document(first.Document(nil))
	if want := (map[string]any{"price": 12.0, "color": []any{"white"}}); !reflect.DeepEqual(doc, want) {
		t.Errorf("document %v, want %v", doc, want)
	}
	if doc := new(MetarankEvent[string]).Document(nil); doc != nil {
		t.Errorf("a document of nothing is %v", doc)
	}
	var bad MetarankEvent[string]
	if err := json.Unmarshal([]byte(`{"items":[7]}`), &bad); err == nil || !strings.Contains(err.Error(), "an object with an id") {
		t.Errorf("an item that is a number: %v", err)
	}
}

func read(t *testing.T, row string, into any) {
	t.Helper()
	if err := json.Unmarshal([]byte(row), into); err != nil {
		t.Fatal(err)
	}
}

package httpapi

import (
	"encoding/json"
	"math"
	"testing"

	"pgregory.net/rapid"

	"github.com/sartorhq/sartor/recommender"
)

// The answer is written by hand, to the byte as encoding/json would.
func TestAppendedRecommendation(t *testing.T) {
	text := rapid.OneOf(rapid.SampledFrom([]string{"", "sku-1", "a\"b\\c", "<b>&", "\u2028\u2029", "\xff\xc0", "grün 漢字 😀", "\x00\x1f\x7f\n\t"}), rapid.String())
	texts := rapid.OneOf(rapid.Just([]string(nil)), rapid.SliceOfN(text, 0, 3))
	score := rapid.OneOf(rapid.SampledFrom([]float64{0, math.Copysign(0, -1), 1, -1000, 1000, 1e-7, -4e-7, 0.1 + 0.2, 1e-6, 1e15, 1e21, 1e300}), rapid.Float64Range(-1000, 1000), rapid.Float64())
	rapid.Check(t, func(t *rapid.T) {
		r := &recommender.Response{
			RecommendationID: text.Draw(t, "id"), ServedBy: recommender.ServedBy(text.Draw(t, "by")), Degraded: texts.Draw(t, "degraded"), NextCursor: text.Draw(t, "cursor"),
			Versions: recommender.Versions{Model: text.Draw(t, "model"), Rules: text.Draw(t, "rules"), Schema: text.Draw(t, "schema")},
		}
		for range rapid.IntRange(0, 3).Draw(t, "items") {
			it := recommender.Item{ItemID: text.Draw(t, "item"), Score: score.Draw(t, "score"), Source: text.Draw(t, "source"), Reasons: texts.Draw(t, "reasons"), Badges: texts.Draw(t, "badges")}
			if rapid.Bool().Draw(t, "notes") {
				it.Notes = rapid.MapOfN(text, text, 0, 3).Draw(t, "note")
			}
			if rapid.Bool().Draw(t, "fields") {
				it.Fields = map[string]any{"title": text.Draw(t, "title"), "price": 4.25, "tags": texts.Draw(t, "tags")}
			}
			r.Items = append(r.Items, it)
		}
		want, wantErr := json.Marshal(toRecommendation(r))
		got, err := MarshalRecommendation(r)
		if (err != nil) != (wantErr != nil) {
			t.Fatalf("error %v, want %v", err, wantErr)
		}
		if err == nil && string(got) != string(want) {
			t.Fatalf("got  %s\nwant %s", got, want)
		}
	})
}

// A score that is no number cannot be told, and is an error as it was.
func TestNoNumberIsAnError(t *testing.T) {
	for _, score := range []float64{math.NaN(), math.Inf(1)} {
		if _, err := MarshalRecommendation(&recommender.Response{Items: []recommender.Item{{Score: score}}}); err == nil {
			t.Errorf("%v was written", score)
		}
	}
}

func BenchmarkMarshal(b *testing.B) {
	r := &recommender.Response{RecommendationID: "0123456789abcdef0123456789abcdef", ServedBy: recommender.ServedByModel, Versions: recommender.Versions{Model: "m", Rules: "r", Schema: "s"}}
	for range 10 {
		r.Items = append(r.Items, recommender.Item{ItemID: "item-0001234", Score: 0.6308079471273543, Source: "model", Reasons: []string{"rule-6", "rule-7"}})
	}
	b.Run("appended", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := MarshalRecommendation(r); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("encoding-json", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := json.Marshal(toRecommendation(r)); err != nil {
				b.Fatal(err)
			}
		}
	})
}

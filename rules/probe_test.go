package rules

import (
	"fmt"
	"reflect"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/sartorhq/sartor/features"
)

// A probe finds what is in a list, and refuses every other text that has a number.
func TestSieve(t *testing.T) {
	var texts []string
	for i := range ownCodes + 300 {
		texts = append(texts, fmt.Sprint("item-", i))
	}
	var book codebook
	for i, text := range texts {
		if c := book.code(text); c.own() != (i < ownCodes) {
			t.Fatalf("text %d has code %d", i, c)
		}
	}
	var s sieve
	list := texts[ownCodes-200:]
	s.fill(append(list, "what no item has"), &book)
	for i, text := range texts {
		in, c := i >= ownCodes-200, book.code(text)
		if got := s.has(c); in && !got || !in && got {
			t.Fatalf("%s: %v, code %d", text, got, c)
		}
	}
	if s.fill(nil, &book); s.has(book.code(texts[0])) || s.has(book.code("what no item has")) {
		t.Error("something is believed to be in an empty list")
	}
}

// Lists that are probed, by more texts than facts have hashes of, give the answers that they give without.
func TestProbesChangeNoAnswer(t *testing.T) {
	fields := []string{"brand", "category", "title", "id", "currency", "product_group"}
	var written []Rule
	for i, f := range fields {
		written = append(written, mk(fmt.Sprint("in-", f), match(`item.`+f+` in user.last_viewed and item.price < 8`), then(act("boost", "multiply", fmt.Sprint(2+i)))))
	}
	written = append(written, mk("out", match(`item.brand in user.top_brands`), then(act("exclude"))))
	s, problems := Compile([]File{rulesOf(written...)}, features.Default(), Options{})
	if s == nil {
		t.Fatalf("%+v", problems)
	}
	if probed := slices.DeleteFunc(slices.Clone(s.rules), func(r *rule) bool { return r.split.probe == nil }); len(probed) != maxTexts+1 || len(s.texts) != maxTexts {
		t.Fatalf("%d rules with a probe, %d texts", len(probed), len(s.texts))
	}
	rapid.Check(t, func(t *rapid.T) {
		word := rapid.SampledFrom([]string{"", "a", "b", "c", "d", "e"})
		words := rapid.SliceOfN(word, 0, 4)
		env := at(map[string]any{"last_viewed": words.Draw(t, "viewed"), "top_brands": words.Draw(t, "brands")}, nil)
		var in []Candidate
		for i := range rapid.IntRange(0, 12).Draw(t, "items") {
			item := map[string]any{"price": float64(rapid.IntRange(5, 9).Draw(t, "price"))}
			for _, f := range fields {
				if f != "id" {
					item[f] = word.Draw(t, f)
				}
			}
			in = append(in, thing(string(rune('a'+i)), float64(i%5)/10, item))
		}
		want := s.Apply(env, nil, in, 6, true)
		got := s.Apply(env, nil, informed(s, in), 6, true)
		for i := range got.Items {
			got.Items[i].Facts = nil
		}
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("with facts %+v\nwithout   %+v", got, want)
		}
	})
}

// Ids that begin alike, end early or hold a zero byte come in the order of strings.
func TestInputIsSortedById(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		id := rapid.StringOfN(rapid.RuneFrom([]rune{'a', 'b', 0, 'é'}), 1, 20, -1)
		prefix := rapid.SampledFrom([]string{"", "sku-", "a-very-long-prefix-of-a-shop-"}).Draw(t, "prefix")
		var in []Candidate
		var want []string
		for _, s := range rapid.SliceOfN(id, 0, 20).Draw(t, "ids") {
			in = append(in, thing(prefix+s, 0.5, nil))
			want = append(want, prefix+s)
		}
		in = append(in, Candidate{}, Candidate{Item: &features.Item{ID: "gone", Deleted: true}})
		slices.Sort(want)
		var r run
		r.sortInput(in)
		var got []string
		for i, k := range r.input {
			got = append(got, in[k].Item.ID)
			if i > 0 && got[i] == got[i-1] && k < r.input[i-1] {
				t.Fatalf("%q came in another order", got[i])
			}
		}
		if !slices.Equal(got, want) {
			t.Fatalf("got %q, want %q", got, want)
		}
	})
}

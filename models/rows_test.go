package models

import (
	"strconv"
	"testing"

	"pgregory.net/rapid"
)

// TestRowsAreAMap compares with what a map says, of known ids and of others, with ids that stand twice.
func TestRowsAreAMap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ids := rapid.SliceOf(rapid.StringMatching(`[ab]{0,6}`)).Draw(t, "ids")
		rows, again := NewRows(ids)
		want, twice := map[string]int32{}, -1
		for i, id := range ids {
			if _, known := want[id]; !known {
				want[id] = int32(i)
			} else if twice < 0 {
				twice = i
			}
		}
		if again != twice || rows.Len() != len(ids) {
			t.Fatalf("%d of %d stands again, want %d of %d", again, rows.Len(), twice, len(ids))
		}
		for _, id := range append(rapid.SliceOf(rapid.StringMatching(`[abc]{0,6}`)).Draw(t, "others"), ids...) {
			row, ok := rows.Find(id)
			if w, known := want[id]; ok != known || row != w {
				t.Fatalf("%q: %d %v, want %d %v", id, row, ok, w, known)
			}
		}
	})
}

func TestRowsOfMany(t *testing.T) {
	ids := make([]string, 100_000)
	for i := range ids {
		ids[i] = "item-" + strconv.Itoa(i)
	}
	rows, again := NewRows(ids)
	if again != -1 {
		t.Fatalf("item %d stands again", again)
	}
	for i, id := range ids {
		if row, ok := rows.Find(id); !ok || int(row) != i {
			t.Fatalf("%s: %d %v", id, row, ok)
		}
	}
	for _, id := range []string{"", "item-", "item-100000", "x"} {
		if row, ok := rows.Find(id); ok {
			t.Errorf("%q: %d", id, row)
		}
	}
	if _, ok := (*Rows)(nil).Find("x"); ok {
		t.Error("no rows know an id")
	}
}

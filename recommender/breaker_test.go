package recommender

import (
	"testing"
	"time"
)

func TestBreaker(t *testing.T) {
	now := time.Unix(0, 0)
	b := newBreaker(2, time.Second, 3*time.Second, func() time.Time { return now })
	step := func(name string, ahead time.Duration, allowed bool, report ...outcome) {
		t.Helper()
		now = now.Add(ahead)
		if got := b.allow(); got != allowed {
			t.Fatalf("%s: allow = %v, want %v", name, got, allowed)
		}
		for _, o := range report {
			b.done(o)
		}
	}
	step("first failure", 0, true, failed)
	step("success clears it", 0, true, succeeded)
	step("failure", 0, true, failed)
	step("abandoned says nothing", 0, true, abandoned)
	step("second failure in a row opens", 0, true, failed)
	step("open", 999*time.Millisecond, false)
	step("probe after the pause", time.Millisecond, true)
	step("only one probe at a time", 0, false)
	b.done(failed)
	step("the pause doubled", 1999*time.Millisecond, false)
	step("second probe", time.Millisecond, true, failed)
	step("the pause is bounded", 2999*time.Millisecond, false)
	step("an abandoned probe leaves it open", time.Millisecond, true, abandoned)
	step("and the next may try at once", 0, true, succeeded)
	step("closed", 0, true, failed)
	step("one failure does not open", 0, true, succeeded)
}

func TestLRU(t *testing.T) {
	c := newLRU[string, int](2)
	c.put("a", 1)
	c.put("b", 2)
	if v, ok := c.get("a"); !ok || v != 1 {
		t.Errorf("a = %d, %v", v, ok)
	}
	c.put("c", 3) // b was used least recently
	if _, ok := c.get("b"); ok {
		t.Error("b is still there")
	}
	if v := c.getOrPut("a", func() int { return 9 }); v != 1 {
		t.Errorf("getOrPut of a = %d, want what is stored", v)
	}
	c.put("a", 4)
	c.remove("c")
	if all := c.all(); len(all) != 1 || all[0].key != "a" || all[0].value != 4 {
		t.Errorf("all = %+v, want a 4", all)
	}
	none := newLRU[string, int](-1)
	none.put("a", 1)
	if _, ok := none.get("a"); ok {
		t.Error("a cache without room keeps something")
	}
}

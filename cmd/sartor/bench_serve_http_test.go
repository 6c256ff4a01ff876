package main

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// TestRequestsAreLookedAt: a server that answers fast with less than was asked for measures nothing.
func TestRequestsAreLookedAt(t *testing.T) {
	items := 0
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(strings.Repeat(`"item_id":`, items))) // the generator says what it lacks
	}))
	defer s.Close()
	do, closeAll := (&benchServeRun{}).requestsFor(s.Listener.Addr().String(), 1, asks([]string{"ann"}), fullList)
	defer closeAll()
	if err := do(0); err == nil || err.Error() != "0 items are listed of 10" {
		t.Errorf("an empty list: %v", err)
	}
	items = benchCount
	for range 2 * sampleEvery {
		if err := do(0); err != nil {
			t.Fatal(err)
		}
	}
	items = benchCount - 1
	short := 0
	for range 2 * sampleEvery {
		if do(0) != nil {
			short++
		}
	}
	if short != 2 {
		t.Errorf("%d of %d short lists were seen, want 2", short, 2*sampleEvery)
	}
}

package main

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"sync/atomic"
	"testing"
	"time"
)

func TestDelaysKeepQuantiles(t *testing.T) {
	var d delays
	for i := range 1000 {
		d.add(time.Duration(i+1) * time.Microsecond)
	}
	d.add(-time.Second) // a clock that was set back
	got := d.spread()
	within := func(what string, got, want time.Duration) {
		if got < want || got > want+want/delayParts {
			t.Errorf("%s is %v, want %v and at most a sixteenth more", what, got, want)
		}
	}
	if got.Count != 1001 {
		t.Errorf("counted %d, want 1001", got.Count)
	}
	within("p50", got.P50, 500*time.Microsecond)
	within("p99", got.P99, 990*time.Microsecond)
	if again := d.spread(); again != (spread{}) {
		t.Errorf("what was summed up is still there: %+v", again)
	}
}

func TestSentAt(t *testing.T) {
	plain := request("POST", "/x", "host", []byte("{}"))
	if got := sentAt(plain); got != 0 {
		t.Errorf("a request that says nothing was sent at %d", got)
	}
	if got := sentAt([]byte(sentHeader + "12")); got != 0 {
		t.Errorf("half a request was sent at %d", got)
	}
	s := stamped(plain)
	if got := sentAt(s); got != 0 {
		t.Errorf("a request that was not sent says %d", got)
	}
	if len(s) != len(plain)+len(sentHeader)+len(sentNever)+2 || slices.Equal(s, plain) {
		t.Errorf("the request is %q", s)
	}
}

// TestClockTellsAnswersApart has a measured server answer, refuse and fail in turn.
func TestClockTellsAnswersApart(t *testing.T) {
	var asked atomic.Int64
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader([]int{http.StatusOK, http.StatusServiceUnavailable, http.StatusTeapot}[asked.Add(1)%3])
	}))
	clock := new(serverClock)
	s.Listener = clock.listen(s.Listener)
	s.Start()
	defer s.Close()
	plan := loadPlan{Addr: s.Listener.Addr().String(), Rate: 300, Connections: 3, Duration: 100 * time.Millisecond,
		Requests: [][]byte{request("GET", "/", "test", nil)}}
	if r, err := plan.send(t.Context()); err != nil || r.sent() != 30 {
		t.Fatalf("%v: %d requests were sent, want 30", err, r.sent())
	}
	accepted, refused, arrived := 0, 0, 0
	eventually(t, "all to be noted", func() bool { // an answer is noted when it is written, which its reader may be ahead of
		accepted += clock.accepted.spread().Count
		refused += clock.refused.spread().Count
		arrived += clock.arrived.spread().Count
		return accepted+refused >= 20 && arrived >= 30
	})
	if accepted != 10 || refused != 10 || arrived != 30 {
		t.Errorf("%d answered, %d refused, %d read; want 10, 10 and 30", accepted, refused, arrived)
	}
}

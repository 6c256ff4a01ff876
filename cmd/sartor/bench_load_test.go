package main

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// TestBenchLoadSortsAnswers has a server answer, refuse and fail in turn, and another process ask it.
func TestBenchLoadSortsAnswers(t *testing.T) {
	var asked atomic.Int64
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader([]int{http.StatusOK, http.StatusServiceUnavailable, http.StatusTeapot}[asked.Add(1)%3])
	}))
	defer s.Close()
	plan := loadPlan{Addr: s.Listener.Addr().String(), Rate: 300, Connections: 3, Duration: 200 * time.Millisecond,
		Requests: [][]byte{request("GET", "/", "test", nil)}}
	r, err := plan.apart(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if r.Accepted.Count != 20 || r.Refused.Count != 20 || r.Failed != 20 || r.Late.Count != 60 || r.sent() != 60 {
		t.Errorf("%d answered, %d refused, %d failed, %d timed; want 20 of each, all 60 timed", r.Accepted.Count, r.Refused.Count, r.Failed, r.Late.Count)
	}
	if !strings.Contains(r.FirstFailure, "418") || r.answered() <= 0 {
		t.Errorf("first failure %q, %v answers a second", r.FirstFailure, r.answered())
	}
}

// TestBenchLoadEndsWithItsInput holds the generator to stop when the process that started it is gone.
func TestBenchLoadEndsWithItsInput(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer s.Close()
	plan, err := json.Marshal(loadPlan{Addr: s.Listener.Addr().String(), Rate: 10, Connections: 1, Duration: time.Hour,
		Requests: [][]byte{request("GET", "/", "test", nil)}})
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	a := &app{stdin: bytes.NewReader(plan), stdout: &out, stderr: io.Discard}
	if code := a.execute(t.Context(), []string{"bench", "load"}); code != exitOK {
		t.Fatalf("exit code %d", code)
	}
	var r loadReport
	if err := json.Unmarshal(out.Bytes(), &r); err != nil || r.Took >= time.Hour {
		t.Errorf("report %s: %v", out.Bytes(), err)
	}
}

func TestBenchLoadRefuses(t *testing.T) {
	for _, bad := range []string{
		``, `{`,
		`{"addr":"nowhere","connections":1,"duration_ns":1,"requests":["eA=="]}`,
		`{"addr":"192.0.2.1:80","connections":1,"duration_ns":1,"requests":["eA=="]}`,
		`{"addr":"127.0.0.1:80","connections":0,"duration_ns":1,"requests":["eA=="]}`,
		`{"addr":"127.0.0.1:80","connections":1,"duration_ns":1,"requests":[]}`,
		`{"addr":"127.0.0.1:80","connections":1,"duration_ns":1,"requests":["eA=="],"rate":-1}`,
	} {
		a := &app{stdin: strings.NewReader(bad), stdout: io.Discard, stderr: io.Discard}
		if code := a.execute(t.Context(), []string{"bench", "load"}); code == exitOK {
			t.Errorf("%s: taken", bad)
		}
	}
	plan := loadPlan{Addr: "192.0.2.1:80"}
	if _, err := plan.apart(t.Context()); err == nil || !strings.Contains(err.Error(), "loopback") {
		t.Errorf("error %v: want one that says what is allowed", err)
	}
}

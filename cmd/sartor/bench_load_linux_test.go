package main

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestParseReply(t *testing.T) {
	const ok = "HTTP/1.1 200 OK\r\n"
	for name, tc := range map[string]struct {
		text  string
		want  reply
		whole bool
		err   string // in it; "" = none
	}{
		"nothing":          {text: ""},
		"half-a-head":      {text: ok + "Content-Length: 2\r\n"},
		"half-a-body":      {text: ok + "Content-Length: 2\r\n\r\n{", want: reply{code: 200, length: 2}},
		"whole":            {text: ok + "Content-Length: 2\r\n\r\n{}", want: reply{code: 200, length: 2}, whole: true},
		"no-body":          {text: ok + "content-length:0\r\n\r\n", want: reply{code: 200}, whole: true},
		"no-reason":        {text: "HTTP/1.1 503\r\nContent-Length: 1\r\nConnection: Close\r\n\r\n!", want: reply{code: 503, length: 1, close: true}, whole: true},
		"no-content":       {text: "HTTP/1.1 204 No Content\r\n\r\n", want: reply{code: 204}, whole: true},
		"keeps-connection": {text: ok + "Connection: keep-alive\r\nContent-Length: 0\r\n\r\n", want: reply{code: 200}, whole: true},
		"too-much":         {text: ok + "Content-Length: 2\r\n\r\n{}x", err: "1 bytes more"},
		"no-length":        {text: ok + "Content-Type: x\r\n\r\n", err: "without a length"},
		"two-lengths":      {text: ok + "Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}", err: "content length"},
		"negative":         {text: ok + "Content-Length: -1\r\n\r\n", err: "content length"},
		"not-a-number":     {text: ok + "Content-Length: 2x\r\n\r\n", err: "content length"},
		"huge":             {text: ok + "Content-Length: 99999999999\r\n\r\n", err: "content length"},
		"chunks":           {text: ok + "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", err: "chunks"},
		"no-field":         {text: ok + "Content-Length 2\r\n\r\n{}", err: "field"},
		"half-a-line-end":  {text: "HTTP/1.1 200 \n\r\nContent-Length: 1\r\n\r\n0", err: "half an end"},
		"old":              {text: "HTTP/1.0 200 OK\r\n\r\n", err: "status line"},
		"preliminary":      {text: "HTTP/1.1 100 Continue\r\n\r\n", err: "status line"},
		"no-code":          {text: "HTTP/1.1 2x0 OK\r\n\r\n", err: "status line"},
		"long-code":        {text: "HTTP/1.1 2000 OK\r\n\r\n", err: "status line"},
		"endless-head":     {text: ok + strings.Repeat("x", maxReplyHead), err: "a head of more"},
	} {
		t.Run(name, func(t *testing.T) {
			got, whole, err := parseReply([]byte(tc.text))
			if tc.err != "" {
				if err == nil || !strings.Contains(err.Error(), tc.err) {
					t.Errorf("error %v, want one with %q", err, tc.err)
				}
				return
			}
			if err != nil || got != tc.want || whole != tc.whole {
				t.Errorf("%+v, whole: %v, %v; want %+v, %v", got, whole, err, tc.want, tc.whole)
			}
		})
	}
}

// FuzzParseReply holds the parser to net/http: what it takes for a whole answer is one there, with the same
// code and length, and every beginning of it is neither whole nor wrong.
func FuzzParseReply(f *testing.F) {
	f.Add("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
	f.Add("HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nConnection: close\r\nContent-Length: 1\r\n\r\nx")
	f.Add("HTTP/1.1 204 No Content\r\n\r\n")
	f.Add("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")
	f.Fuzz(func(t *testing.T, text string) {
		r, whole, err := parseReply([]byte(text))
		if err != nil || !whole {
			return
		}
		resp, err := http.ReadResponse(bufio.NewReader(strings.NewReader(text)), nil)
		if err != nil {
			t.Skip("net/http is stricter about names and values of fields")
		}
		body, err := io.ReadAll(resp.Body)
		if err != nil || resp.StatusCode != r.code || len(body) != r.length || !strings.HasSuffix(text, string(body)) {
			t.Errorf("%q: %+v; net/http reads %d with %d bytes, %v", text, r, resp.StatusCode, len(body), err)
		}
		for n := range len(text) {
			if _, whole, err := parseReply([]byte(text[:n])); whole || err != nil {
				t.Errorf("the first %d bytes of %q: whole: %v, %v", n, text, whole, err)
			}
		}
	})
}

// talker is a server of one connection after the other that says the same to every request, in these parts,
// and then hangs up if it is to.
func talker(t *testing.T, hangsUp bool, parts ...string) (addr string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			r := bufio.NewReader(conn)
			for {
				if _, err := http.ReadRequest(r); err != nil {
					break
				}
				for _, p := range parts {
					_, _ = io.WriteString(conn, p) // the generator may have hung up
				}
				if hangsUp {
					break
				}
			}
			_ = conn.Close()
		}
	}()
	t.Cleanup(func() { _ = ln.Close(); <-done })
	return ln.Addr().String()
}

// TestBenchLoadJudgesAnswers: what is not exactly an answer is a failure, each request is counted once, and
// the next one is sent all the same.
func TestBenchLoadJudgesAnswers(t *testing.T) {
	const ok = "HTTP/1.1 200 OK\r\n"
	for name, tc := range map[string]struct {
		hangsUp bool
		parts   []string
		failure string // "" = answered
	}{
		"whole":            {parts: []string{ok + "Content-Length: 2\r\n\r\n{}"}},
		"in-parts":         {parts: []string{ok + "Conte", "nt-Length: 2\r\n\r\n", "{", "}"}},
		"large":            {parts: []string{ok + "Content-Length: 3000000\r\n\r\n", strings.Repeat("x", 3_000_000)}},
		"closed-and-said":  {hangsUp: true, parts: []string{ok + "Connection: close\r\nContent-Length: 2\r\n\r\n{}"}},
		"nothing":          {hangsUp: true, failure: "in the middle of a request"},
		"short":            {hangsUp: true, parts: []string{ok + "Content-Length: 3\r\n\r\n{}"}, failure: "in the middle of a request"},
		"long":             {hangsUp: true, parts: []string{ok + "Content-Length: 1\r\n\r\n{}"}, failure: "1 bytes more"},
		"without-a-length": {hangsUp: true, parts: []string{ok + "\r\n{}"}, failure: "without a length"},
		"rubbish":          {hangsUp: true, parts: []string{"what?\r\n\r\n"}, failure: "status line"},
		"other-code":       {parts: []string{"HTTP/1.1 500 Oh\r\nContent-Length: 2\r\n\r\noh"}, failure: "HTTP 500: oh"},
	} {
		t.Run(name, func(t *testing.T) {
			plan := loadPlan{Addr: talker(t, tc.hangsUp, tc.parts...), Rate: 100, Connections: 1, Duration: 50 * time.Millisecond,
				Requests: [][]byte{request("GET", "/", "test", nil)}}
			r, err := plan.send(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			answered, failed := 5, 0
			if tc.failure != "" {
				answered, failed = 0, 5
			}
			if r.Accepted.Count != answered || r.Failed != failed || r.Late.Count != 5 || !strings.Contains(r.FirstFailure, tc.failure) {
				t.Errorf("%d answered, %d failed (%s), %d timed; want %d, %d (%s), 5", r.Accepted.Count, r.Failed, r.FirstFailure, r.Late.Count,
					answered, failed, tc.failure)
			}
		})
	}
}

// TestBenchLoadGetsNoConnection: a server that is not there makes requests fail and nothing else.
func TestBenchLoadGetsNoConnection(t *testing.T) {
	plan := loadPlan{Addr: deadAddr, Rate: 100, Connections: 2, Duration: 50 * time.Millisecond, Requests: [][]byte{request("GET", "/", "test", nil)}}
	r, err := plan.send(t.Context())
	if err != nil || r.Failed != 5 || r.sent() != 5 || !strings.Contains(r.FirstFailure, "connect to "+deadAddr) {
		t.Errorf("%v; %+v; want 5 failures to connect", err, r)
	}
}

// TestBenchLoadSaturates asks as fast as it is answered, over IPv6 where there is any, until the context ends.
func TestBenchLoadSaturates(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	asked := 0
	ln, err := net.Listen("tcp", "[::1]:0")
	if err != nil {
		t.Skip("there is no IPv6 here")
	}
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if asked++; asked == 100 {
			cancel()
		}
	})}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(ln) }()
	plan := loadPlan{Addr: ln.Addr().String(), Connections: 1, Duration: time.Hour, Requests: [][]byte{request("GET", "/", "test", nil)}}
	r, err := plan.send(ctx)
	if err != nil || r.Failed != 0 || r.Accepted.Count < 100 || r.Late.Count != 0 {
		t.Errorf("%v; %+v; want 100 answers or more and no rate", err, r)
	}
	_ = srv.Close()
	<-served
}

// TestArrivalIsBetweenSendingAndReading holds the system's note of an arrival to the clock of this program:
// after the request was sent, by the one clock, and before its answer was read, by the other.
func TestArrivalIsBetweenSendingAndReading(t *testing.T) {
	l, err := newEpollLoad(&loadPlan{Addr: talker(t, false, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"), Connections: 1, Duration: time.Hour,
		Requests: [][]byte{request("GET", "/", "test", nil)}})
	if err != nil {
		t.Fatal(err)
	}
	defer l.close()
	const (
		apart  = 50 * time.Millisecond // by which the clock on the wall may be set meanwhile
		enough = 200
	)
	arrived, read := &l.accepted.arrived, &l.accepted.read
	for begin := time.Now(); len(*arrived) < enough; { // the system begins to note times a moment after it is asked to
		if len(*arrived) == 0 && time.Since(begin) > 10*time.Second {
			t.Skip("this system does not tell when something arrived")
		}
		before := len(*arrived)
		l.next()
		for len(l.idle) == 0 && l.failed == 0 && t.Context().Err() == nil {
			if err := l.receive(lookEvery); err != nil {
				t.Fatal(err)
			}
		}
		if l.failed > 0 || len(*read) == 0 {
			t.Fatal(l.firstErr)
		}
		if len(*arrived) == before {
			continue
		}
		if at, seen := (*arrived)[before], (*read)[len(*read)-1]; at < -apart || at > seen+apart {
			t.Fatalf("an answer arrived %v after its request was sent and was read after %v", at, seen)
		}
	}
}

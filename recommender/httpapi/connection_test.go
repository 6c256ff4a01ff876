package httpapi_test

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/sartorhq/sartor/features"
	"github.com/sartorhq/sartor/recommender"
	"github.com/sartorhq/sartor/recommender/httpapi"
	"github.com/sartorhq/sartor/streams"
)

func TestShutdownAnswersWhatIsUnderWay(t *testing.T) {
	entered, release := make(chan struct{}), make(chan struct{})
	s := serve(t, func(o *httpapi.Options) {
		o.Events = writerFunc(func(ctx context.Context) error {
			close(entered)
			<-release
			return ctx.Err() // of the server's own context, which must still be good
		})
	})
	status := make(chan int, 1)
	go func() {
		resp, err := http.Post(s.url+"/v1/events", "application/json",
			strings.NewReader(`{"event_id":"e","type":"view","time":"2026-10-23T11:00:00Z","user_id":"u1","item_id":"sku-1"}`))
		if err != nil {
			status <- 0
			return
		}
		resp.Body.Close()
		status <- resp.StatusCode
	}()
	<-entered
	stopped := make(chan error, 1)
	go func() { stopped <- s.http.Shutdown(context.WithoutCancel(t.Context())) }()
	waitUntil(t, func() bool { // no new connection is taken
		conn, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
		if err == nil {
			conn.Close()
		}
		return err != nil
	})
	close(release)
	if got := <-status; got != http.StatusAccepted {
		t.Errorf("the request under way got %d, want 202", got)
	}
	if err := <-stopped; err != nil {
		t.Error(err)
	}
}

type writerFunc func(context.Context) error

func (f writerFunc) Write(ctx context.Context, _ ...streams.Event) error { return f(ctx) }

// waitUntil polls a condition until it holds or the test's time is up.
func waitUntil(t *testing.T, cond func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for !cond() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatal("the condition did not come true in time")
		}
	}
}

// raw sends bytes as they are and returns the first line of the answer.
func (s *service) raw(t *testing.T, request string) string {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(conn, request); err != nil {
		t.Fatal(err)
	}
	answer, _ := io.ReadAll(conn) // a reset after the answer is fine
	line, _, _ := strings.Cut(string(answer), "\r\n")
	return line
}

func TestBrokenHTTP(t *testing.T) {
	s := serve(t, func(o *httpapi.Options) { o.ReadTimeout, o.IdleTimeout = 2*time.Second, time.Minute })
	const head = "POST /v1/recommend HTTP/1.1\r\nHost: x\r\n"
	for name, tc := range map[string]struct{ request, want string }{
		"length-and-chunked":    {head + "Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n", " 400 "},
		"chunked-and-length":    {head + "Transfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n2\r\n{}\r\n0\r\n\r\n", " 400 "},
		"two-lengths":           {head + "Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}", " 400 "},
		"no-host":               {"GET /livez HTTP/1.1\r\n\r\n", " 400 "},
		"huge-header":           {"GET /livez HTTP/1.1\r\nHost: x\r\nX: " + strings.Repeat("y", 16<<10) + "\r\n\r\n", " 431 "},
		"slow-body":             {head + "Content-Length: 2\r\n\r\n{", " 408 "},
		"rubbish":               {"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\r\n\r\n", " 400 "},
		"chunked-alone-is-fine": {head + "Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n2\r\n{}\r\n0\r\n\r\n", " 200 "},
	} {
		t.Run(name, func(t *testing.T) {
			if got := s.raw(t, tc.request); !strings.Contains(got, tc.want) {
				t.Errorf("answer %q, want%s", got, tc.want)
			}
		})
	}
	if resp, _ := s.do(t, "GET", "/livez", "", nil); resp.StatusCode != 200 {
		t.Errorf("afterwards /livez answers %d", resp.StatusCode)
	}
}

// TestSlowClientsAreCut: connections that drip a header or a body, a byte now and then for ever, or that say
// nothing at all, are ended by the server, and nobody else waits for them.
func TestSlowClientsAreCut(t *testing.T) {
	s := serve(t, func(o *httpapi.Options) { o.ReadTimeout, o.IdleTimeout = 2*time.Second, 2*time.Second })
	const head = "POST /v1/recommend HTTP/1.1\r\nHost: x\r\n"
	kinds := map[string]string{
		"header": head + "X: ",
		"body":   head + "Content-Length: 100000\r\n\r\n{",
		"chunks": head + "Transfer-Encoding: chunked\r\n\r\n",
		"silent": "",
		"idle":   "GET /livez HTTP/1.1\r\nHost: x\r\n\r\n",
	}
	var slow sync.WaitGroup
	for kind, begin := range kinds {
		for range 40 {
			conn, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := io.WriteString(conn, begin); err != nil {
				t.Fatal(err)
			}
			slow.Go(func() {
				defer conn.Close()
				ended := make(chan struct{})
				go func() { // reads until the server ends the connection
					defer close(ended)
					_, _ = io.Copy(io.Discard, conn)
				}()
				drip := time.NewTicker(50 * time.Millisecond)
				defer drip.Stop()
				limit := time.NewTimer(time.Minute)
				defer limit.Stop()
				for {
					select {
					case <-ended:
						return
					case <-drip.C:
						if kind != "silent" && kind != "idle" {
							_, _ = io.WriteString(conn, "x")
						}
					case <-limit.C:
						t.Errorf("a slow client (%s) is still served", kind)
						conn.Close()
						<-ended
						return
					}
				}
			})
		}
	}
	for range 50 {
		if resp, _ := s.do(t, "POST", "/v1/recommend", `{}`, nil); resp.StatusCode != http.StatusOK {
			t.Errorf("beside slow clients: %d", resp.StatusCode)
		}
	}
	slow.Wait()
	if resp, _ := s.do(t, "GET", "/livez", "", nil); resp.StatusCode != http.StatusOK {
		t.Errorf("afterwards: %d", resp.StatusCode)
	}
}

// TestConnectionsOfOneAddress: one address gets as many connections as it may, and more when it closes some.
func TestConnectionsOfOneAddress(t *testing.T) {
	s := serve(t, func(o *httpapi.Options) { o.ConnsPerIP = 3 })
	const request = "GET /livez HTTP/1.1\r\nHost: x\r\n\r\n"
	ask := func() (conn net.Conn, status string) {
		conn, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		if err := conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(conn, request) // a refused connection may be closed already
		line := make([]byte, 12)
		n, _ := io.ReadFull(conn, line)
		return conn, string(line[:n])
	}
	var open []net.Conn
	for range 3 {
		conn, status := ask()
		if open = append(open, conn); status != "HTTP/1.1 200" {
			t.Fatalf("within the limit: %q", status)
		}
	}
	conn, status := ask()
	if conn.Close(); status == "HTTP/1.1 200" {
		t.Error("beyond the limit a connection is answered")
	}
	for _, conn := range open {
		conn.Close()
	}
	waitUntil(t, func() bool { conn, status := ask(); conn.Close(); return status == "HTTP/1.1 200" })
}

// TestDrainAnswersAndSendsAway: a server that drains says so to whoever asks whether to send, answers those
// who send all the same, a refusal and an unknown path too, and keeps none of their connections.
func TestDrainAnswersAndSendsAway(t *testing.T) {
	s := serve(t, nil)
	ask := func(method, path, body string, want int, closes bool) {
		t.Helper()
		resp, text := s.do(t, method, path, body, nil)
		if resp.StatusCode != want || resp.Close != closes {
			t.Errorf("%s %s: HTTP %d, closed: %v; want %d, %v: %s", method, path, resp.StatusCode, resp.Close, want, closes, text)
		}
	}
	const user = `{"user_id":"u1","scenario":"home"}`
	ask("GET", "/readyz", "", http.StatusOK, false)
	ask("POST", "/v1/recommend", user, http.StatusOK, false)
	s.http.Drain()
	ask("GET", "/readyz", "", http.StatusServiceUnavailable, true)
	ask("GET", "/livez", "", http.StatusOK, true)
	ask("POST", "/v1/recommend", user, http.StatusOK, true)
	ask("POST", "/v1/recommend", `{"count":-1}`, http.StatusUnprocessableEntity, true)
	ask("GET", "/nowhere", "", http.StatusNotFound, true)
}

// TestShutdownAtOnce: a stop that comes before the first connection is accepted is not lost.
func TestShutdownAtOnce(t *testing.T) {
	for range 20 {
		s := httpapi.New(httpapi.Options{Recommender: recommender.New(recommender.Options{Schema: features.Default()})})
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan error, 1)
		go func() { done <- s.Serve(ln) }()
		if err := s.Shutdown(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
}

// full is a listener that has no file descriptor left for a while.
type full struct {
	net.Listener
	mu   sync.Mutex
	left int
}

func (f *full) Accept() (net.Conn, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.left > 0 {
		f.left--
		return nil, &net.OpError{Op: "accept", Net: "tcp", Err: os.NewSyscallError("accept4", syscall.EMFILE)}
	}
	return f.Listener.Accept()
}

// TestOutOfFileDescriptors: a server without room for one more connection waits, and goes on when there is.
func TestOutOfFileDescriptors(t *testing.T) {
	s := serve(t, nil) // lends its recommender
	var logged strings.Builder
	reg := prometheus.NewRegistry()
	server := httpapi.New(httpapi.Options{Recommender: s.rec, Registerer: reg, Logger: slog.New(slog.NewTextHandler(&logged, nil))})
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- server.Serve(&full{Listener: ln, left: 4}) }()
	resp, err := http.Get("http://" + ln.Addr().String() + "/livez")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	http.DefaultClient.CloseIdleConnections()
	if err := server.Shutdown(context.WithoutCancel(t.Context())); err != nil {
		t.Error(err)
	}
	if err := <-done; err != nil {
		t.Errorf("the server ended with %v", err)
	}
	if n := strings.Count(logged.String(), "ulimit"); n != 1 {
		t.Errorf("said %d times: %s", n, logged.String())
	}
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == "sartor_http_accept_errors_total" && f.GetMetric()[0].GetCounter().GetValue() != 4 {
			t.Errorf("counted %v", f.GetMetric()[0].GetCounter().GetValue())
		}
	}
}

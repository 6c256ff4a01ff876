package httpapi_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/gofiber/fiber/v2"

	"github.com/sartorhq/sartor/recommender/httpapi"
)

// BenchmarkHTTP measures one keep-alive connection: an empty Fiber handler as the limit, the
// server's cheapest route, and a recommendation.
func BenchmarkHTTP(b *testing.B) {
	s := serve(b, func(*httpapi.Options) {})
	empty := fiber.New(fiber.Config{DisableStartupMessage: true})
	empty.Post("/", func(c *fiber.Ctx) error { return c.SendString("{}") })
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- empty.Listener(ln) }()
	defer func() {
		if err := empty.Shutdown(); err != nil {
			b.Error(err)
		}
		<-done
	}()
	body := `{"user_id":"u1","scenario":"home","count":10,"context":{"country":"DE"}}`
	post := func(path, body string) string {
		return fmt.Sprintf("POST %s HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", path, len(body), body)
	}
	ours := strings.TrimPrefix(s.url, "http://")
	b.Run("empty-fiber", func(b *testing.B) { roundTrips(b, ln.Addr().String(), post("/", body)) })
	b.Run("livez", func(b *testing.B) { roundTrips(b, ours, "GET /livez HTTP/1.1\r\nHost: x\r\n\r\n") })
	b.Run("recommend-3-items", func(b *testing.B) { roundTrips(b, ours, post("/v1/recommend", body)) })
}

func roundTrips(b *testing.B, addr, request string) {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close()
	in := bufio.NewReader(conn)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := io.WriteString(conn, request); err != nil {
			b.Fatal(err)
		}
		length := 0
		for {
			line, err := in.ReadString('\n')
			if err != nil {
				b.Fatal(err)
			}
			if line == "\r\n" {
				break
			}
			if v, ok := strings.CutPrefix(line, "Content-Length: "); ok {
				if _, err := fmt.Sscan(v, &length); err != nil {
					b.Fatal(err)
				}
			}
		}
		if _, err := in.Discard(length); err != nil {
			b.Fatal(err)
		}
	}
}

// TestTracingOffCostsNothing counts what a request costs with and without the hook for traces: without it,
// less than with one that only marks its context.
func TestTracingOffCostsNothing(t *testing.T) {
	if testing.CoverMode() != "" || raceEnabled {
		t.Skip("coverage and the race detector count their own")
	}
	measure := func(trace func(context.Context, httpapi.Incoming) (context.Context, func(int))) func() float64 {
		s := serve(t, func(o *httpapi.Options) { o.Trace = trace })
		conn, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		body := `{"user_id":"u1","count":3}`
		request := fmt.Sprintf("POST /v1/recommend HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
		answer := make([]byte, 16<<10)
		return func() float64 {
			return testing.AllocsPerRun(200, func() {
				if _, err := io.WriteString(conn, request); err != nil {
					t.Fatal(err)
				}
				if _, err := conn.Read(answer); err != nil {
					t.Fatal(err)
				}
			})
		}
	}
	without := measure(nil)
	with := measure(func(ctx context.Context, _ httpapi.Incoming) (context.Context, func(int)) {
		return context.WithValue(ctx, traceValue{}, 1), func(int) {}
	})
	off, on := without(), with()
	for range 4 { // the least of several: whatever else runs in the process is counted, too
		off, on = min(off, without()), min(on, with())
	}
	if off >= on {
		t.Errorf("without a trace a request costs %v allocations, with one %v", off, on)
	}
}

type traceValue struct{}

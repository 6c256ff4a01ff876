//go:build unix

package httpapi_test

import (
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/sartorhq/sartor/recommender/httpapi"
)

// TestTenThousandSlowConnections holds ten thousand connections that never finish their request and asks
// meanwhile. All that is asked is answered, the slow ones are ended by the server; what the crowd costs the
// others is printed.
//
//	SARTOR_SOAK=1 go test ./recommender/httpapi -run TenThousand -v
func TestTenThousandSlowConnections(t *testing.T) {
	if os.Getenv("SARTOR_SOAK") == "" {
		t.Skip("a long form: SARTOR_SOAK=1")
	}
	const asked = 2_000
	crowd := 10_000 // two file descriptors each, in this process
	var files syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files); err == nil && int(files.Cur) < 2*crowd+200 {
		crowd = (int(files.Cur) - 200) / 2
	}
	s := serve(t, func(o *httpapi.Options) { o.ReadTimeout, o.IdleTimeout = 5*time.Second, time.Minute })
	ask := func(stop <-chan struct{}) (p50, p99 time.Duration, n int) {
		var took []time.Duration
		for len(took) < asked {
			select {
			case <-stop:
				return quantile(took, 0.5), quantile(took, 0.99), len(took)
			default:
			}
			begin := time.Now()
			resp, body := s.do(t, "POST", "/v1/recommend", `{"user_id":"u1"}`, nil)
			took = append(took, time.Since(begin))
			if resp.StatusCode != http.StatusOK {
				t.Fatalf("%d %s", resp.StatusCode, body)
			}
		}
		return quantile(took, 0.5), quantile(took, 0.99), len(took)
	}
	p50, p99, n := ask(nil)
	t.Logf("alone:                %5d requests, p50 %v, p99 %v", n, p50, p99)

	conns := make([]net.Conn, 0, crowd)
	for range crowd {
		conn, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
		if err != nil {
			t.Fatalf("after %d connections: %v (ulimit -n?)", len(conns), err)
		}
		if _, err := io.WriteString(conn, "POST /v1/recommend HTTP/1.1\r\nHost: x\r\nX: "); err != nil {
			t.Fatal(err)
		}
		conns = append(conns, conn)
	}
	ended := make(chan struct{})
	var cut sync.WaitGroup
	for _, conn := range conns {
		cut.Go(func() {
			defer conn.Close()
			if err := conn.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
				t.Error(err)
			}
			if _, err := io.Copy(io.Discard, conn); err != nil && os.IsTimeout(err) {
				t.Error("a slow connection is still served")
			}
		})
	}
	go func() { cut.Wait(); close(ended) }()
	p50, p99, n = ask(ended)
	t.Logf("beside %d slow: %5d requests, p50 %v, p99 %v", crowd, n, p50, p99)
	<-ended
}

func quantile(took []time.Duration, q float64) time.Duration {
	if len(took) == 0 {
		return 0
	}
	slices.Sort(took)
	return took[min(int(q*float64(len(took))), len(took)-1)].Round(time.Microsecond)
}

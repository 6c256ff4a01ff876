//go:build unix

package main

import (
	"log/slog"
	"net/http"
	"os/exec"
	"regexp"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// TestServeDrains tells a process to stop that is to drain for an hour. It says that nothing more should be
// sent, answers what is sent, and ends at once when it is told again.
func TestServeDrains(t *testing.T) {
	sartor, err := exec.LookPath("sartor") // TestMain has put this binary there
	if err != nil {
		t.Fatal(err)
	}
	p := launch(t, nil, nil, sartor, "serve", "--addr", "127.0.0.1:0", "--set", "http.drain=1h", "--set", "log.format=text",
		"--set", "data.dir="+t.TempDir())
	var url string
	eventually(t, "the process to say where it serves", func() bool {
		at := regexp.MustCompile(`addr=(127\.0\.0\.1:\d+)`).FindStringSubmatch(p.out.String())
		if at != nil {
			url = "http://" + at[1]
		}
		return at != nil
	})
	ready := func(want int) func() bool {
		return func() bool { code, _ := get(t, http.MethodGet, url+"/readyz", ""); return code == want }
	}
	eventually(t, "readiness", ready(http.StatusOK))
	p.signal(syscall.SIGTERM)
	eventually(t, "the news that it drains", ready(http.StatusServiceUnavailable))
	if code, body := get(t, http.MethodPost, url+"/v1/recommend", `{"user_id":"u1"}`); code != http.StatusOK {
		t.Errorf("while it drains a request got HTTP %d: %s", code, body)
	}
	eventually(t, "the second signal to be told", func() bool { // the first one's handler goes away a moment after it
		if !p.ended() {
			_ = p.cmd.Process.Signal(syscall.SIGTERM) // it may have ended by now
		}
		return p.ended()
	})
	if status, ok := p.cmd.ProcessState.Sys().(syscall.WaitStatus); !ok || !status.Signaled() || status.Signal() != syscall.SIGTERM {
		t.Errorf("it ended by %v, want the second signal\n%s", p.err, p.tail())
	}
}

// TestServeEndsAfterDrain has one that drains briefly end by itself, as without a delay.
func TestServeEndsAfterDrain(t *testing.T) {
	a := &app{config: defaultConfig(), logger: slog.New(slog.DiscardHandler), metrics: prometheus.NewRegistry()}
	a.config.HTTP.Drain = time.Millisecond
	url, stop := serveHere(t, a)
	eventually(t, "readiness", func() bool { code, _ := get(t, http.MethodGet, url+"/readyz", ""); return code == http.StatusOK })
	stop() // fails the test if it does not end, or with an error
}

//go:build unix

package main

import (
	"encoding/json"
	"net/http"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"
)

// TestDevFullSizeWithoutRedis starts 'sartor dev' as it is, of full size, on a machine where there is no
// redis-server, and asks for a personal list: what a newcomer does first. How long it takes is told and
// not judged; the limit says "broken".
func TestDevFullSizeWithoutRedis(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: takes a minute")
	}
	sartor, err := exec.LookPath("sartor") // TestMain has put this binary there
	if err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	empty := t.TempDir()
	p := launch(t, []string{"PATH=" + empty}, nil, sartor, "dev", "--addr", "127.0.0.1:0", "--data", t.TempDir(), "--train-time", "20s")
	limit := time.After(6 * time.Minute)
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for !p.said("Ctrl-C stops it.") {
		select {
		case <-p.done:
			t.Fatalf("'sartor dev' has ended: %v\n%s", p.err, p.tail())
		case <-limit:
			t.Fatalf("'sartor dev' is not ready after %s\n%s", time.Since(begin), p.tail())
		case <-tick.C:
		}
	}
	ready := time.Since(begin)
	if !p.said("miniredis") {
		t.Errorf("another Redis than the in-process one was used:\n%s", p.out.String())
	}
	url := regexp.MustCompile(`http://127\.0\.0\.1:\d+`).FindString(p.out.String())
	client := &http.Client{Timeout: deadline}
	defer client.CloseIdleConnections()
	resp, err := client.Post(url+"/v1/recommend", "application/json", strings.NewReader(`{"user_id":"u1","scenario":"home","count":10}`))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var got answer
	if err := json.NewDecoder(resp.Body).Decode(&got); err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("HTTP %d, %v", resp.StatusCode, err)
	}
	if got.ServedBy != "model" || len(got.Items) != 10 {
		t.Errorf("the answer is not a personal list of ten: served by %s, %d items, degraded %v", got.ServedBy, len(got.Items), got.Degraded)
	}
	t.Logf("ready after %.0fs: %s", ready.Seconds(), strings.Join(regexp.MustCompile(`(?m)^.*(?:history|ingest).*$`).FindAllString(p.out.String(), -1), "; "))
}

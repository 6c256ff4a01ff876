package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/sartorhq/sartor/deploy/devstack"
	"github.com/sartorhq/sartor/features"
	"github.com/sartorhq/sartor/streams"
	"github.com/sartorhq/sartor/streams/kafka"
)

// buffer is an io.Writer that may be read while others write.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// devRunning is a 'sartor dev' in this process.
type devRunning struct {
	out, errOut buffer
	stop        context.CancelFunc
	ended       chan int // the exit code
}

// startDev runs 'sartor dev' with a small shop and waits until it is ready.
func startDev(t *testing.T, args ...string) *devRunning {
	t.Helper()
	d := &devRunning{ended: make(chan int, 1)}
	ctx, stop := context.WithCancel(t.Context())
	d.stop = stop
	t.Cleanup(stop)
	args = append([]string{"dev", "--addr", "127.0.0.1:0", "--users", "80", "--items", "60", "--days", "7", "--train-time", "6s"}, args...)
	a := &app{stdin: strings.NewReader(""), stdout: &d.out, stderr: &d.errOut}
	go func() { d.ended <- a.execute(ctx, args) }()
	eventually(t, "'sartor dev' to be ready", func() bool {
		return strings.Contains(d.out.String(), "Ctrl-C stops it.") || len(d.ended) > 0
	})
	if len(d.ended) > 0 {
		t.Fatalf("'sartor dev' has ended:\n%s%s", d.out.String(), d.errOut.String())
	}
	return d
}

// end stops it as Ctrl-C does.
func (d *devRunning) end(t *testing.T) {
	t.Helper()
	d.stop()
	select {
	case code := <-d.ended:
		if code != exitOK {
			t.Errorf("exit code %d", code)
		}
		if warned := d.errOut.String(); warned != "" { // a busy machine has time-outs, which it recovers from
			t.Logf("warnings:\n%s", warned)
		}
	case <-time.After(deadline):
		t.Fatal("'sartor dev' does not stop")
	}
}

var curlLine = regexp.MustCompile(`(?m)^  curl -s (http://\S+) -H 'Content-Type: application/json' -d '(.+)'$`)

// TestDev starts 'sartor dev' twice in one folder. The three commands it prints must work as they
// are, the second start must resume, and after it nothing may have been counted twice or lost.
func TestDev(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: takes some seconds")
	}
	leaks := []goleak.Option{goleak.IgnoreCurrent(),
		// fasthttp has a clock for all servers, and a pool that notices its end within ten seconds.
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.updateServerDate.func1"),
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*workerPool).Start.func2")}
	dir := filepath.Join(t.TempDir(), "data")
	client := &http.Client{Transport: &http.Transport{}, Timeout: deadline}
	d := startDev(t, "--data", dir, "--in-process-redis")
	commands := curlLine.FindAllStringSubmatch(d.out.String(), -1)
	if len(commands) != 3 {
		t.Fatalf("%d commands are printed, want three:\n%s", len(commands), d.out.String())
	}
	var answers []string
	for _, c := range commands {
		resp, err := client.Post(c[1], "application/json", strings.NewReader(c[2]))
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		if err := errors.Join(err, resp.Body.Close()); err != nil || resp.StatusCode/100 != 2 {
			t.Fatalf("%s: HTTP %d, %v: %s", c[0], resp.StatusCode, err, body)
		}
		answers = append(answers, string(body))
	}
	var first answer
	if err := json.Unmarshal([]byte(answers[0]), &first); err != nil || first.ServedBy != "model" || len(first.Items) != 5 {
		t.Errorf("the first answer is not a personal list of five (%v): %s", err, answers[0])
	}
	if !strings.Contains(answers[2], `"explain":`) {
		t.Errorf("the third answer explains nothing: %s", answers[2])
	}
	d.end(t)

	again := startDev(t, "--data", dir, "--in-process-redis", "--set", "http.admin_addr=127.0.0.1:0")
	for _, name := range []string{"state", "metrics"} { // are at the operators' listener, and only there
		at := regexp.MustCompile(name + ` +(http://[^/]+)(/\S+)`).FindStringSubmatch(again.out.String())
		api := regexp.MustCompile(`api +(http://[^/]+)/`).FindStringSubmatch(again.out.String())
		if at == nil || api == nil || at[1] == api[1] {
			t.Fatalf("no listener of operators:\n%s", again.out.String())
		}
		for base, status := range map[string]int{at[1]: http.StatusOK, api[1]: http.StatusNotFound} {
			resp, err := client.Get(base + at[2])
			if err != nil {
				t.Fatal(err)
			}
			if _, err := io.Copy(io.Discard, resp.Body); err != nil || resp.Body.Close() != nil || resp.StatusCode != status {
				t.Errorf("%s%s: HTTP %d, want %d", base, at[2], resp.StatusCode, status)
			}
		}
	}
	if strings.Contains(again.out.String(), "history") || strings.Contains(again.out.String(), "train") {
		t.Errorf("the second start has begun afresh:\n%s", again.out.String())
	}
	again.end(t)
	client.CloseIdleConnections()
	eventually(t, "all goroutines to end", func() bool {
		left := goleak.Find(leaks...)
		if left != nil {
			t.Log(left)
		}
		return left == nil
	})
	checkOrders(t, dir)
}

// checkOrders compares the orders of each user in the log of a folder with what its Redis says.
func checkOrders(t *testing.T, dir string) {
	t.Helper()
	a := stackApp(startStack(t, devstack.Options{Dir: dir, NoRedisServer: true}))
	store := openStore(t, a)
	stop := background(t, a.ingest) // the events that came in while the first one was stopping
	defer stop()
	opts, err := a.kafkaOptions()
	if err != nil {
		t.Fatal(err)
	}
	opts.Registerer = nil
	want, total := map[string]int{}, 0
	if err := kafka.ReadAll(t.Context(), opts, []streams.Stream{streams.Orders}, func(r streams.Record) error {
		if r.Event.Type == streams.Order {
			want[r.Event.Subject()]++
			total++
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if total == 0 { // how many there are depends on the time of day
		t.Fatal("no orders in the log")
	}
	for user, n := range want {
		count := func() int {
			state, err := store.User(t.Context(), user)
			if err != nil {
				t.Fatal(err)
			}
			orders, ok := features.Default().User(user, state, nil, time.Now()).Env["orders"].(int)
			if !ok {
				t.Fatal("orders is not a number")
			}
			return orders
		}
		eventually(t, user+"'s orders", func() bool { return count() >= n })
		if got := count(); got != n {
			t.Errorf("%s has %d orders in Redis and %d in the log", user, got, n)
		}
	}
}

// TestDevRefusesEarly has what a user can mend said in one line, before anything is done.
func TestDevRefusesEarly(t *testing.T) {
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	t.Run("busy-port", func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "data")
		code, out, errOut := runHere(t, "dev", "--data", dir, "--addr", busy.Addr().String())
		want := "sartor: address " + busy.Addr().String() + " is in use by another program: stop it, or choose another with --addr\n"
		if code != exitFailed || errOut != want || out != "" {
			t.Errorf("exit code %d, output %q, error %q; want 1 and %q", code, out, errOut, want)
		}
		if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
			t.Error("a folder was made all the same")
		}
	})
	t.Run("locked-folder", func(t *testing.T) {
		stack := startStack(t, devstack.Options{NoRedisServer: true})
		code, out, errOut := runHere(t, "dev", "--data", stack.Dir(), "--addr", "127.0.0.1:0")
		if code != exitFailed || out != "" || strings.Count(errOut, "\n") != 1 || !strings.Contains(errOut, "is in use by another sartor") || !strings.Contains(errOut, stack.Dir()) {
			t.Errorf("exit code %d, output %q, error %q; want 1 and one line that names the folder", code, out, errOut)
		}
	})
	t.Run("production", func(t *testing.T) {
		code, _, errOut := runHere(t, "dev", "--set", "profile=production", "--data", t.TempDir(), "--addr", "127.0.0.1:0")
		if code != exitFailed || !strings.Contains(errOut, "refuses embedded servers") {
			t.Errorf("exit code %d, error %q; want a refusal", code, errOut)
		}
	})
}

func TestDropUnfinished(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"kafka", "redis", "models", "rules"} {
		if err := os.MkdirAll(filepath.Join(dir, name, "x"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	left := func() []string {
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, e := range entries {
			names = append(names, e.Name())
		}
		return names
	}
	state := shopState{Seed: 7, Produced: true}
	all := []string{"kafka", "models", "redis", "rules", "shop.json"}
	if err := errors.Join(state.write(dir), dropUnfinished(dir)); err != nil || !slices.Equal(left(), all) {
		t.Errorf("a finished folder was touched: %v, error %v", left(), err)
	}
	state.Produced = false
	if err := errors.Join(state.write(dir), dropUnfinished(dir)); err != nil || !slices.Equal(left(), []string{"rules"}) {
		t.Errorf("of an unfinished folder %v is left (error %v), want the rules", left(), err)
	}
	if err := dropUnfinished(dir); err != nil {
		t.Errorf("an empty folder: %v", err)
	}
	if err := os.WriteFile(filepath.Join(dir, shopFile), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := dropUnfinished(dir); err == nil || !strings.Contains(err.Error(), "delete the data folder") {
		t.Errorf("a damaged file: error = %v, want advice", err)
	}
}

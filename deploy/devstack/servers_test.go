package devstack

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestRedisThatEndsIsNoticed kills redis-server under the stack: whoever waits for it is told.
func TestRedisThatEndsIsNoticed(t *testing.T) {
	if findRedisServer() == "" {
		t.Skip("no redis-server")
	}
	s := start(t, Options{Dir: t.TempDir()})
	defer stop(t, s)
	select {
	case <-s.RedisStopped():
		t.Fatal("stopped while it runs")
	default:
	}
	lines := strings.Join(s.Describe(), "\n")
	if !strings.Contains(lines, s.Brokers()[0]+" (embedded broker") || !strings.Contains(lines, "redis-server 7") && !strings.Contains(lines, "redis-server 8") || !strings.Contains(lines, "the next start resumes") {
		t.Errorf("description:\n%s", lines)
	}
	if err := s.redis.(*childRedis).cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	select {
	case <-s.RedisStopped():
	case <-testContext(t).Done():
		t.Fatal("nobody is told")
	}
}

// program puts a redis-server of ours on PATH.
func program(t *testing.T, script string) {
	t.Helper()
	if os.PathSeparator != '/' {
		t.Skip("needs a shell")
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "redis-server"), []byte("#!/bin/sh\n"+script), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+string(os.PathListSeparator)+os.Getenv("PATH"))
}

// TestRedisThatDoesNotStart: what a redis-server said last is in the error, and nothing is left running.
func TestRedisThatDoesNotStart(t *testing.T) {
	program(t, `[ "$1" = --version ] && exit 1
echo "a long story"; echo "Fatal: the moon is full" >&2; exit 3`)
	dir := t.TempDir()
	_, err := Start(testContext(t), Options{Dir: dir})
	if err == nil || !strings.Contains(err.Error(), "redis-server ended at once") || !strings.HasSuffix(err.Error(), "the moon is full") {
		t.Errorf("error = %v, want what redis-server said", err)
	}
	stop(t, start(t, Options{Dir: dir, NoRedisServer: true})) // neither lock nor port is held
}

// TestRedisThatNeverAnswers is stopped when the context ends.
func TestRedisThatNeverAnswers(t *testing.T) {
	program(t, `[ "$1" = --version ] && echo "Redis server v=9.9.9" && exit 0
trap 'exit 0' INT TERM
while :; do sleep 0.05; done`)
	ctx, cancel := context.WithCancel(testContext(t))
	asked := make(chan struct{})
	go func() { <-asked; cancel() }()
	opts := Options{Dir: t.TempDir(), Prepare: func(string) error { close(asked); return nil }}
	if _, err := Start(ctx, opts); !errors.Is(err, context.Canceled) {
		t.Errorf("error = %v, want the context's", err)
	}
}

// TestLongFoldersHaveAShortSocket: a socket's path has a limit that folders do not have.
func TestLongFoldersHaveAShortSocket(t *testing.T) {
	if findRedisServer() == "" {
		t.Skip("no redis-server")
	}
	long := filepath.Join(t.TempDir(), strings.Repeat("long", 30))
	temp, err := os.MkdirTemp("/tmp", "ds")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(temp)
	t.Setenv("TMPDIR", temp)
	s := start(t, Options{Dir: long})
	socket := s.RedisAddrs()[0]
	if len(socket) > maxSocketPath || !strings.HasPrefix(socket, temp) {
		t.Errorf("the socket is %s", socket)
	}
	stop(t, s)
	if left, err := os.ReadDir(temp); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v (%v)", left, err)
	}
}

// TestDamagedSnapshotIsPutAside: the in-process Redis starts empty, says so, and keeps the file.
func TestDamagedSnapshotIsPutAside(t *testing.T) {
	dir, said := t.TempDir(), &strings.Builder{}
	if err := os.WriteFile(filepath.Join(dir, "redis.snapshot"), []byte("no snapshot"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := start(t, Options{Dir: dir, NoRedisServer: true, SnapshotEvery: time.Hour, Logger: slog.New(slog.NewTextHandler(said, nil))})
	defer stop(t, s)
	if data, err := os.ReadFile(filepath.Join(dir, "redis.snapshot.broken")); err != nil || string(data) != "no snapshot" {
		t.Errorf("kept: %q, %v", data, err)
	}
	if !strings.Contains(said.String(), "starting empty") {
		t.Errorf("said: %s", said)
	}
	if n, err := client(t, s).DBSize(testContext(t)).Result(); n != 0 || err != nil {
		t.Errorf("%d keys, %v", n, err)
	}
	if lines := strings.Join(s.Describe(), "\n"); !strings.Contains(lines, "in-process miniredis") || s.RedisStopped() != nil {
		t.Errorf("description:\n%s", lines)
	}
}

// TestFoldersThatCannotBe: each says what is in the way.
func TestFoldersThatCannotBe(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		dir  func(t *testing.T) string
		want string
	}{
		"a-file":        {func(*testing.T) string { return file }, "create the data folder"},
		"a-port-folder": {func(t *testing.T) string { return withFolder(t, "broker.port") }, "broker.port"},
		"a-kafka-file":  {func(t *testing.T) string { return withFile(t, "kafka") }, "start the embedded broker"},
		"a-lock-folder": {func(t *testing.T) string { return withFolder(t, "lock") }, "open the lock of the data folder"},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := Start(testContext(t), Options{Dir: tc.dir(t), NoRedisServer: true})
			if err == nil {
				t.Fatalf("started in spite of it: %v", s.Close(t.Context()))
			}
			if !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error = %v, want %q in it", err, tc.want)
			}
		})
	}
}

func withFolder(t *testing.T, name string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, name), 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

func withFile(t *testing.T, name string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, name), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

// TestPortsAreNotOfThoseThatAreGivenAway: the port that is remembered must be free at the next start.
func TestPortsAreNotOfThoseThatAreGivenAway(t *testing.T) {
	seen := map[int]bool{}
	for range 20 {
		path := filepath.Join(t.TempDir(), "broker.port")
		port, err := rememberedPort(path)
		if err != nil || port < 20_000 || port >= 32_000 {
			t.Fatalf("port %d, %v", port, err)
		}
		if again, err := rememberedPort(path); again != port || err != nil {
			t.Errorf("port %d, then %d, %v", port, again, err)
		}
		if data, err := os.ReadFile(path); err != nil || strings.TrimSpace(string(data)) != strconv.Itoa(port) {
			t.Error(fmt.Sprintf("%q", data), err)
		}
		seen[port] = true
	}
	if len(seen) < 10 {
		t.Errorf("only %d ports in 20 choices", len(seen))
	}
}

//go:build unix

package main

import (
	"context"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"
)

// chaosRedis is one redis-server behind one address, which loses what real ones lose.
type chaosRedis struct {
	t         *testing.T
	bin       string
	addr      string
	port, dir string
	proc      *process
	admin     *redis.Client
}

func newChaosRedis(t *testing.T) *chaosRedis {
	t.Helper()
	bin, err := exec.LookPath("redis-server")
	if err != nil {
		t.Skip("no redis-server on PATH")
	}
	r := &chaosRedis{t: t, bin: bin, dir: t.TempDir()}
	r.addr, r.port = freeAddr(t)
	r.admin = adminOf(t, r.addr)
	r.start("yes")
	return r
}

// adminOf returns a client that never tries twice.
func adminOf(t *testing.T, addr string) *redis.Client {
	c := redis.NewClient(&redis.Options{Addr: addr, MaxRetries: -1, DialerRetries: 1})
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// spawn starts a server and waits until it has loaded its data.
func (r *chaosRedis) spawn(port, dir string, args ...string) *process {
	r.t.Helper()
	args = append(args, "--port", port, "--dir", dir, "--bind", "127.0.0.1", "--save", "", "--daemonize", "no", "--loglevel", "warning",
		"--auto-aof-rewrite-percentage", "0", "--repl-diskless-sync-delay", "0")
	p := launch(r.t, nil, nil, r.bin, args...)
	c := adminOf(r.t, "127.0.0.1:"+port)
	eventually(r.t, "redis-server", func() bool {
		if p.ended() {
			r.t.Fatalf("redis-server has ended: %s", p.tail())
		}
		return c.Ping(context.Background()).Err() == nil
	})
	return p
}

func (r *chaosRedis) start(appendonly string) {
	r.t.Helper()
	r.proc = r.spawn(r.port, r.dir, "--appendonly", appendonly, "--appendfsync", "everysec")
}

// must runs a command that has to succeed.
func (r *chaosRedis) must(c *redis.Client, args ...any) {
	r.t.Helper()
	if err := c.Do(r.t.Context(), args...).Err(); err != nil {
		r.t.Fatalf("redis %v: %v", args, err)
	}
}

func (r *chaosRedis) appendDir() string { return filepath.Join(r.dir, "appendonlydir") }

// cut takes the last n bytes, or what there is, off the append-only file of a server that is down.
func (r *chaosRedis) cut(n int64) {
	r.t.Helper()
	files, err := filepath.Glob(filepath.Join(r.appendDir(), "*.incr.aof"))
	if err != nil || len(files) == 0 {
		r.t.Fatalf("no append-only file: %v", err)
	}
	last := files[len(files)-1]
	info, err := os.Stat(last)
	if err != nil {
		r.t.Fatal(err)
	}
	if err := os.Truncate(last, max(info.Size()-n, 0)); err != nil {
		r.t.Fatal(err)
	}
}

// copyAppendOnly copies the append-only folder of a server that runs, and returns how to put it back.
func (r *chaosRedis) copyAppendOnly() (restore func()) {
	r.t.Helper()
	saved := filepath.Join(r.t.TempDir(), "aof")
	copyFolder(r.t, r.appendDir(), saved)
	return func() {
		if err := os.RemoveAll(r.appendDir()); err != nil {
			r.t.Fatal(err)
		}
		copyFolder(r.t, saved, r.appendDir())
	}
}

// copyFolder copies a folder of files.
func copyFolder(t *testing.T, from, to string) {
	t.Helper()
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
}

// snapshot writes an RDB file, and returns how to start a killed server from it.
func (r *chaosRedis) snapshot() (startFromIt func()) {
	r.t.Helper()
	r.must(r.admin, "SAVE")
	return func() {
		if err := os.RemoveAll(r.appendDir()); err != nil {
			r.t.Fatal(err)
		}
		r.start("no")
		r.must(r.admin, "CONFIG", "SET", "appendonly", "yes")
		r.awaitRewrite()
	}
}

// awaitRewrite waits for the end of a rewrite of the append-only file, without which a kill finds none.
func (r *chaosRedis) awaitRewrite() {
	r.t.Helper()
	eventually(r.t, "the append-only file to be rewritten", func() bool {
		text := r.admin.Info(r.t.Context(), "persistence").Val()
		return strings.Contains(text, "aof_rewrite_in_progress:0") && strings.Contains(text, "aof_rewrite_scheduled:0") &&
			strings.Contains(text, "aof_enabled:1")
	})
}

// tidy has the append-only file rewritten when it has become long: every restart reads all of it.
func (r *chaosRedis) tidy() {
	r.t.Helper()
	var size int64
	if err := filepath.WalkDir(r.appendDir(), func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err == nil {
			size += info.Size()
		}
		return err
	}); err != nil {
		r.t.Fatal(err)
	}
	if size < 64<<20 {
		return
	}
	r.must(r.admin, "BGREWRITEAOF")
	r.awaitRewrite()
}

// replica starts a replica and waits until it has everything.
func (r *chaosRedis) replica() (detach, promote func()) {
	r.t.Helper()
	addr, port := freeAddr(r.t)
	dir := r.t.TempDir()
	p := r.spawn(port, dir, "--appendonly", "no", "--replicaof", "127.0.0.1 "+r.port)
	c := adminOf(r.t, addr)
	eventually(r.t, "the replica to be in step", func() bool {
		return strings.Contains(c.Info(r.t.Context(), "replication").Val(), "master_link_status:up")
	})
	// From here on it lags: what its master writes does not reach it any more.
	detach = func() { r.must(c, "REPLICAOF", "NO", "ONE") }
	// The master is dead; the replica takes its address, as a virtual IP or Sentinel would give it.
	promote = func() {
		r.must(c, "CONFIG", "SET", "port", r.port)
		r.proc, r.dir = p, dir
		eventually(r.t, "the promoted replica", func() bool { return r.admin.Ping(r.t.Context()).Err() == nil })
		r.must(r.admin, "CONFIG", "SET", "appendonly", "yes")
		r.awaitRewrite()
	}
	return detach, promote
}

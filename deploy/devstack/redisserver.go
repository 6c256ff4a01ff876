package devstack

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

const (
	// maxSocketPath is the shortest limit on the path of a unix socket among the systems we run on.
	maxSocketPath = 100
	// redisStartTime bounds the wait for redis-server, which may have an append-only file to read.
	redisStartTime = 60 * time.Second
	redisPoll      = 10 * time.Millisecond
	// logTail is how much of redis-server's output an error quotes.
	logTail = 300
)

// findRedisServer returns the path of redis-server, or "" when it is not installed.
func findRedisServer() string {
	path, err := exec.LookPath("redis-server")
	if err != nil || runtime.GOOS == "windows" {
		return ""
	}
	return path
}

// childRedis is a redis-server that lives and dies with this process.
type childRedis struct {
	cmd     *exec.Cmd
	socket  string
	tempDir string // of the socket, when the data folder's path is too long for one
	version string
	ended   chan struct{} // closed when the process is gone
}

// startRedisServer runs redis-server on a unix socket with its append-only file in dir.
func startRedisServer(ctx context.Context, path, dir string) (*childRedis, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	r := &childRedis{socket: filepath.Join(dir, "redis.sock"), ended: make(chan struct{}), version: redisVersion(ctx, path)}
	if len(r.socket) > maxSocketPath {
		temp, err := os.MkdirTemp("", "sartor-redis-")
		if err != nil {
			return nil, fmt.Errorf("find a folder for the socket: %w", err)
		}
		r.tempDir, r.socket = temp, filepath.Join(temp, "redis.sock")
	}
	logPath := filepath.Join(dir, "redis.log")
	logFile, err := os.Create(logPath)
	if err != nil {
		return nil, err
	}
	r.cmd = exec.Command(path, "--port", "0", "--unixsocket", r.socket, "--unixsocketperm", "700", "--dir", dir,
		"--appendonly", "yes", "--appendfsync", "everysec", "--save", "", "--daemonize", "no")
	r.cmd.Stdout, r.cmd.Stderr = logFile, logFile
	r.cmd.SysProcAttr = childAttributes()
	if err := errors.Join(r.run(), logFile.Close()); err != nil {
		return nil, fmt.Errorf("run %s: %w", path, err)
	}
	if err := r.ready(ctx, logPath); err != nil {
		return nil, errors.Join(err, r.close(context.WithoutCancel(ctx)))
	}
	return r, nil
}

// run starts the child and a goroutine that waits for it. The goroutine keeps its thread: Linux
// sends the parent-death signal when the *thread* that started the child ends.
func (r *childRedis) run() error {
	started := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := r.cmd.Start()
		started <- err
		if err == nil {
			_ = r.cmd.Wait() // however it ended, it is gone; its log says why
			close(r.ended)
		}
	}()
	return <-started
}

// ready waits until the server answers.
func (r *childRedis) ready(ctx context.Context, logPath string) error {
	ctx, cancel := context.WithTimeout(ctx, redisStartTime)
	defer cancel()
	tick := time.NewTicker(redisPoll)
	defer tick.Stop()
	for {
		if pong("unix", r.socket) {
			return nil
		}
		select {
		case <-tick.C:
		case <-r.ended:
			return fmt.Errorf("redis-server ended at once: %s", tail(logPath))
		case <-ctx.Done():
			return fmt.Errorf("redis-server does not answer: %w", context.Cause(ctx))
		}
	}
}

// pong tells whether a Redis answers a ping and is not loading.
func pong(network, addr string) bool {
	conn, err := net.DialTimeout(network, addr, time.Second)
	if err != nil {
		return false
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(time.Second)); err != nil {
		return false
	}
	if _, err := io.WriteString(conn, "PING\r\n"); err != nil {
		return false
	}
	reply := make([]byte, len("+PONG"))
	_, err = io.ReadFull(conn, reply)
	return err == nil && string(reply) == "+PONG"
}

func redisVersion(ctx context.Context, path string) string {
	out, err := exec.CommandContext(ctx, path, "--version").Output()
	if err != nil {
		return ""
	}
	for field := range strings.FieldsSeq(string(out)) {
		if v, ok := strings.CutPrefix(field, "v="); ok {
			return " " + v
		}
	}
	return ""
}

func tail(path string) string {
	data, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	text := strings.TrimSpace(string(data))
	return text[max(0, len(text)-logTail):]
}

func (r *childRedis) network() string          { return "unix" }
func (r *childRedis) addrs() []string          { return []string{r.socket} }
func (r *childRedis) stopped() <-chan struct{} { return r.ended }
func (r *childRedis) describe() string {
	return fmt.Sprintf("unix socket %s (redis-server%s found on PATH, append-only file)", r.socket, r.version)
}

// close asks the server to save and end, and insists when ctx is over.
func (r *childRedis) close(ctx context.Context) error {
	var errs []error
	if err := r.cmd.Process.Signal(os.Interrupt); err != nil && !errors.Is(err, os.ErrProcessDone) {
		errs = append(errs, fmt.Errorf("stop redis-server: %w", err))
	}
	select {
	case <-r.ended:
	case <-ctx.Done():
		errs = append(errs, fmt.Errorf("redis-server did not stop in time: %w", context.Cause(ctx)), r.cmd.Process.Kill())
		<-r.ended
	}
	if r.tempDir != "" {
		errs = append(errs, os.RemoveAll(r.tempDir))
	}
	return errors.Join(errs...)
}

//go:build unix

package main

import (
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// process is a real one that a test may treat badly.
type process struct {
	t    *testing.T
	cmd  *exec.Cmd
	out  buffer
	done chan struct{} // closed when it has ended
	err  error         // how; valid after done
}

// launch starts a program with more environment. It dies with the test, and with the thread of it.
func launch(t *testing.T, env []string, stdin io.Reader, name string, args ...string) *process {
	t.Helper()
	p := &process{t: t, cmd: exec.Command(name, args...), done: make(chan struct{})}
	p.cmd.Env = append(plainEnviron(), env...)
	p.cmd.Stdin, p.cmd.Stdout, p.cmd.Stderr = stdin, &p.out, &p.out
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	dieWithParent(p.cmd.SysProcAttr)
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.done)
	}()
	t.Cleanup(p.kill)
	return p
}

// plainEnviron is the environment without what tells the tests what to do: sartor knows no such settings.
func plainEnviron() []string {
	return slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, envPrefix) })
}

// kill ends it without warning. It may be called again.
func (p *process) kill() {
	_ = p.cmd.Process.Kill() // an error only says that it has ended
	<-p.done
}

// signal sends a signal to a process that runs.
func (p *process) signal(s syscall.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.t.Fatalf("%s: signal %v: %v\n%s", filepath.Base(p.cmd.Path), s, err, p.tail())
	}
}

// ended tells whether it has.
func (p *process) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// wait waits for its end within the guard.
func (p *process) wait(ctx context.Context, what string) {
	p.t.Helper()
	select {
	case <-p.done:
	case <-time.After(deadline):
		p.t.Fatalf("waited in vain for %s\n%s", what, p.tail())
	case <-ctx.Done():
		p.t.Fatal(ctx.Err())
	}
}

// killed tells whether it has ended by SIGKILL.
func (p *process) killed() bool {
	status, ok := p.cmd.ProcessState.Sys().(syscall.WaitStatus)
	return ok && status.Signaled() && status.Signal() == syscall.SIGKILL
}

// said tells whether the process has written a text.
func (p *process) said(text string) bool { return strings.Contains(p.out.String(), text) }

// tail returns its last lines.
func (p *process) tail() string {
	text := p.out.String()
	return text[max(0, len(text)-3000):]
}

// chaosBroker is the broker: ours on its data folder, or the one that SARTOR_KAFKA names.
type chaosBroker struct {
	t       *testing.T
	addrs   []string
	restart string // shell command that kills a given broker and starts it again; "" = it is ours
	dir     string
	port    string
	proc    *process
	stdin   io.Closer
}

func newChaosBroker(t *testing.T) *chaosBroker {
	t.Helper()
	b := &chaosBroker{t: t}
	if given := os.Getenv("SARTOR_KAFKA"); given != "" {
		b.addrs, b.restart = strings.Split(given, ","), os.Getenv("SARTOR_KAFKA_RESTART")
		return b
	}
	addr, port := freeAddr(t)
	b.addrs, b.port, b.dir = []string{addr}, port, t.TempDir()
	b.start()
	return b
}

// mayDie tells whether the broker can be killed.
func (b *chaosBroker) mayDie() bool { return b.dir != "" || b.restart != "" }

func (b *chaosBroker) start() {
	b.t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		b.t.Fatal(err)
	}
	b.stdin = w
	b.t.Cleanup(func() { _ = w.Close() })
	b.proc = launch(b.t, nil, r, brokerCommand, b.port, b.dir)
	_ = r.Close()
	eventually(b.t, "the broker", func() bool {
		if b.proc.ended() {
			b.t.Fatalf("the broker has ended: %s", b.proc.tail())
		}
		return b.proc.said("ready")
	})
}

// killAndRestart ends the broker without warning and, after a while, starts it on what it has written.
func (b *chaosBroker) killAndRestart(meanwhile func()) {
	b.t.Helper()
	if b.dir == "" {
		if out, err := exec.Command("sh", "-c", b.restart).CombinedOutput(); err != nil {
			b.t.Fatalf("%s: %v\n%s", b.restart, err, out)
		}
		return
	}
	b.proc.kill()
	_ = b.stdin.Close()
	meanwhile()
	b.start()
}

// buildSartor compiles the program with the fault points that production does not have.
func buildSartor(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "sartor")
	if out, err := exec.Command("go", "build", "-tags", "faults", "-o", path, ".").CombinedOutput(); err != nil {
		t.Fatalf("go build -tags faults: %v\n%s", err, out)
	}
	return path
}

package devstack

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

// victimDir, when set in the environment, turns TestKilledParent into the process that is killed.
const victimDir = "SARTOR_TEST_VICTIM_DIR"

// TestKilledParent shows that a SIGKILL of this process, which it cannot answer, leaves no
// redis-server behind and a folder that the next start can use.
func TestKilledParent(t *testing.T) {
	if dir := os.Getenv(victimDir); dir != "" {
		s := start(t, Options{Dir: dir})
		fmt.Println("socket", s.RedisAddrs()[0])
		<-t.Context().Done() // never: the parent kills this process
	}
	if runtime.GOOS != "linux" || findRedisServer() == "" {
		t.Skip("needs redis-server, and Linux's parent-death signal")
	}
	dir := t.TempDir()
	victim := exec.Command(os.Args[0], "-test.run=^TestKilledParent$")
	victim.Env = append(os.Environ(), victimDir+"="+dir)
	out, err := victim.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := victim.Start(); err != nil {
		t.Fatal(err)
	}
	socket := ""
	for lines := bufio.NewScanner(out); socket == "" && lines.Scan(); {
		socket, _ = strings.CutPrefix(lines.Text(), "socket ")
	}
	if err := victim.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := victim.Wait(); err == nil || socket == "" {
		t.Fatalf("the victim ended with %v, having said %q", err, socket)
	}
	waitFor(t, "redis-server to end with its parent", func() bool { return !pong("unix", socket) })
	stop(t, start(t, Options{Dir: dir}))
}

func TestSnapshotNowAndThen(t *testing.T) {
	dir := t.TempDir()
	s := start(t, Options{Dir: dir, NoRedisServer: true, SnapshotEvery: 5 * time.Millisecond})
	defer stop(t, s)
	if err := client(t, s).Set(testContext(t), "k", "v", 0).Err(); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "a snapshot without a shutdown", func() bool {
		_, err := os.Stat(filepath.Join(dir, "redis.snapshot"))
		return err == nil
	})
}

// waitFor polls a condition that something else makes true.
func waitFor(t *testing.T, what string, ok func() bool) {
	t.Helper()
	ctx := testContext(t)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

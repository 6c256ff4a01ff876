package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func clientsDir(t *testing.T) string {
	t.Helper()
	return filepath.Join(moduleRoot(t), "deploy", "clients")
}

// TestClientsAreUpToDate holds the committed document to the one that is served, and the generated code to the
// checksums that generating it left behind: made from this document, and not edited since.
func TestClientsAreUpToDate(t *testing.T) {
	served, err := openAPIDocument("3.1")
	if err != nil {
		t.Fatal(err)
	}
	committed, err := os.ReadFile(filepath.Join(clientsDir(t), "openapi.json"))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(served, committed) {
		t.Error("deploy/clients/openapi.json is not what the server serves: run 'make clients'")
	}
	sums, err := os.ReadFile(filepath.Join(clientsDir(t), "CHECKSUMS"))
	if err != nil {
		t.Fatal(err)
	}
	checked := 0
	for line := range strings.Lines(string(sums)) {
		want, name, ok := strings.Cut(strings.TrimSpace(line), "  ")
		if !ok {
			t.Fatalf("CHECKSUMS has the line %q", line)
		}
		data, err := os.ReadFile(filepath.Join(clientsDir(t), filepath.FromSlash(name)))
		if err != nil {
			t.Fatal(err)
		}
		if sum := sha256.Sum256(data); hex.EncodeToString(sum[:]) != want {
			t.Errorf("deploy/clients/%s has changed since it was generated: run 'make clients'", name)
		}
		checked++
	}
	if checked != 3 {
		t.Errorf("%d files are checked, want 3", checked)
	}
}

// TestClientsAsk runs each client's own smoke test against a running server. What a client needs from its
// registry is there after 'make clients'.
func TestClientsAsk(t *testing.T) {
	w := newWorld(t, nil)
	ask := func(t *testing.T, dir, name string, args ...string) {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), name, args...)
		cmd.Dir = filepath.Join(clientsDir(t), dir)
		cmd.Env = append(os.Environ(), "SARTOR_URL="+w.url, "GOPROXY=off", "GOWORK=off", "GOFLAGS=-mod=mod")
		out, err := cmd.CombinedOutput()
		if err != nil {
			if bytes.Contains(out, []byte("GOPROXY=off")) {
				t.Skipf("the module of the Go client is not here: run 'make clients'")
			}
			t.Fatalf("%v\n%s", err, out)
		}
		if bytes.Contains(out, []byte("no test files")) || bytes.Contains(out, []byte("skipped")) {
			t.Errorf("nothing was asked:\n%s", out)
		}
		t.Logf("%s", out)
	}
	t.Run("go", func(t *testing.T) {
		if _, err := exec.LookPath("go"); err != nil {
			t.Skip("no go on PATH")
		}
		ask(t, "go", "go", "test", "-count=1", "-run", "Smoke", "-v", ".")
	})
	t.Run("typescript", func(t *testing.T) {
		if _, err := exec.LookPath("npm"); err != nil {
			t.Skip("no npm on PATH")
		}
		if _, err := os.Stat(filepath.Join(clientsDir(t), "typescript", "node_modules")); err != nil {
			t.Skip("the packages of the TypeScript client are not here: run 'make clients'")
		}
		ask(t, "typescript", "npm", "test", "--silent")
	})
}

func TestOpenAPICommand(t *testing.T) {
	for version, want := range map[string]string{"3.1": `"openapi": "3.1.0"`, "3.0": `"openapi": "3.0.3"`} {
		code, out, errOut := runHere(t, "serve", "openapi", "--version", version)
		if code != exitOK || !strings.Contains(out, want) {
			t.Errorf("%s: exit %d, %s", version, code, errOut)
		}
	}
	if code, _, errOut := runHere(t, "serve", "openapi", "--version", "2"); code != exitUsage || !strings.Contains(errOut, "there are 3.1 and 3.0") {
		t.Errorf("exit %d, %s", code, errOut)
	}
}

package main

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// minimums are versions below which something we rely on is broken or unsafe.
var minimums = map[string]struct{ version, why string }{
	"github.com/segmentio/kafka-go": {"v0.4.51", "older ones fail on Kafka 4 (KIP-896)"},
	"github.com/expr-lang/expr":     {"v1.17.8", "older ones have no node and memory budgets"},
	"github.com/gofiber/fiber/v2":   {"v2.52.15", "older ones have known vulnerabilities"},
	"github.com/valyala/fasthttp":   {"v1.77.0", "Fiber v2 alone would ask for a vulnerable one"},
	"github.com/twmb/franz-go":      {"v1.22.2", "kfake does not compile with less"},
}

func TestModuleFile(t *testing.T) {
	data, err := os.ReadFile(filepath.Join(moduleRoot(t), "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	required := map[string]string{}
	for line := range strings.Lines(string(data)) {
		line, _, _ = strings.Cut(line, "//")
		fields := strings.Fields(strings.TrimPrefix(strings.TrimSpace(line), "require "))
		if strings.HasPrefix(strings.TrimSpace(line), "replace") {
			t.Errorf("go.mod: %q: a replace is ignored by everyone who installs the program", line)
		}
		if len(fields) == 2 && strings.HasPrefix(fields[1], "v") {
			required[fields[0]] = fields[1]
		}
	}
	for module, min := range minimums {
		got, ok := required[module]
		switch {
		case !ok:
			t.Errorf("go.mod does not require %s (>= %s: %s)", module, min.version, min.why)
		case olderThan(t, got, min.version):
			t.Errorf("go.mod requires %s %s, want >= %s: %s", module, got, min.version, min.why)
		}
	}
}

func TestOlderThan(t *testing.T) {
	for _, tc := range []struct {
		a, b string
		want bool
	}{{"v1.9.0", "v1.10.0", true}, {"v1.10.0", "v1.9.9", false}, {"v2.0.0", "v2.0.0", false}, {"v0.4.50", "v0.4.51", true}, {"v1.2.3-rc1", "v1.2.3", false}} {
		if got := olderThan(t, tc.a, tc.b); got != tc.want {
			t.Errorf("olderThan(%s, %s) = %v, want %v", tc.a, tc.b, got, tc.want)
		}
	}
}

// olderThan compares major, minor and patch; a pre-release counts as its release.
func olderThan(t *testing.T, a, b string) bool {
	t.Helper()
	x, y := versionNumbers(t, a), versionNumbers(t, b)
	for i := range x {
		if x[i] != y[i] {
			return x[i] < y[i]
		}
	}
	return false
}

func versionNumbers(t *testing.T, version string) [3]int {
	t.Helper()
	core, _, _ := strings.Cut(strings.TrimPrefix(version, "v"), "-")
	var out [3]int
	for i, part := range strings.SplitN(core, ".", 3) {
		n, err := strconv.Atoi(part)
		if err != nil {
			t.Fatalf("version %q: %v", version, err)
		}
		out[i] = n
	}
	return out
}

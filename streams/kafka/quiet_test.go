package kafka

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"time"
)

func TestQuietSaysAComplaintOnceAMinute(t *testing.T) {
	var out bytes.Buffer
	now := time.Unix(0, 0)
	q := newQuiet(slog.New(slog.NewTextHandler(&out, nil)))
	q.now = func() time.Time { return now }
	complain := q.printf(slog.LevelWarn, "kafka producer: ")
	lines := func() []string {
		text := out.String()
		out.Reset()
		return strings.Split(strings.TrimSpace(text), "\n")
	}
	for n := range 600 { // ten a second for a minute
		complain("error writing to %s (partition %d)", "orders", n)
		now = now.Add(100 * time.Millisecond)
	}
	if got := lines(); len(got) != 1 || !strings.Contains(got[0], "kafka producer: error writing to orders (partition 0)") || strings.Contains(got[0], "times_meanwhile") {
		t.Fatalf("in the first minute: %q", got)
	}
	complain("error writing to %s (partition %d)", "orders", 600)
	complain("error writing to %s (partition %d)", "orders", 601)
	q.say(slog.LevelWarn, "something else", "error", "x")
	if got := lines(); len(got) != 2 || !strings.Contains(got[0], "times_meanwhile=599") || !strings.Contains(got[1], "something else") {
		t.Fatalf("in the second minute: %q", got)
	}
}

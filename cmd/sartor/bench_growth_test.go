package main

import (
	"regexp"
	"testing"
	"time"
)

// TestBenchGrowth runs the table as small as it gets: every figure must be there, none is judged.
func TestBenchGrowth(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: takes some seconds")
	}
	for name, more := range map[string][]string{"as-it-comes": nil, "in-process": {"--in-process-redis"}} {
		t.Run(name, func(t *testing.T) {
			code, out, errOut := runHere(t, append([]string{"bench", "growth", "--users", "50,100", "--partitions", "1,3", "--events", "1000", "--items", "20", "--per-user", "2"}, more...)...)
			if code != exitOK {
				t.Fatalf("exit code %d: %s\n%s", code, errOut, out)
			}
			for _, row := range []string{` 50 +1 `, ` 50 +3 `, ` 100 +1 `, ` 100 +3 `} {
				want := row + `+[\d,]+ +[\d.]+ +([\d.]+|-) +([\d,]+|-) +\d+us +\d+us\n`
				if !regexp.MustCompile(want).MatchString(out) {
					t.Errorf("the output lacks %s:\n%s", want, out)
				}
			}
		})
	}
	if code, _, _ := runHere(t, "bench", "growth", "--users", "0"); code != exitUsage {
		t.Errorf("--users 0: exit code %d, want 2", code)
	}
}

// TestBenchFreshness does the same for the time from a post to an answer.
func TestBenchFreshness(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: takes some seconds")
	}
	for name, more := range map[string][]string{"as-it-comes": nil, "in-process": {"--in-process-redis"}} {
		t.Run(name, func(t *testing.T) {
			code, out, errOut := runHere(t, append([]string{"bench", "freshness", "--rate", "100", "--batch", "10", "--duration", "1s", "--users", "40", "--items", "40"}, more...)...)
			if code != exitOK {
				t.Fatalf("exit code %d: %s\n%s", code, errOut, out)
			}
			for _, want := range []string{
				`FRESHNESS  100 events/s in posts of 10 for 1s, 4 partitions, 10 of them followed\n`,
				`accepted +100 of 100 events, [\d,]+/s\n`,
				`post due to accepted \(durable\)( +[\d.]+ms){4}\n`,
				`post due to visible in an answer( +[\d.]+ms){4}\n`,
				`accepted to visible in an answer( +[\d.]+ms){4}\n`,
				`goal: p99 under 1s, nothing refused: (met|missed) \(0 never seen, `,
			} {
				if !regexp.MustCompile(want).MatchString(out) {
					t.Errorf("the output lacks %s:\n%s", want, out)
				}
			}
		})
	}
	if code, _, _ := runHere(t, "bench", "freshness", "--batch", "5000"); code != exitUsage {
		t.Errorf("--batch 5000: exit code %d, want 2", code)
	}
}

func TestRedisFigure(t *testing.T) {
	var f redisFigure
	f.read("# Memory\r\nused_memory:1234567\r\nused_memory_human:1.18M\r\n")
	f.read("# CPU\r\nused_cpu_sys:1.500000\r\nused_cpu_user:2.25\r\nused_cpu_sys_children:9\r\n")
	if f.memory != 1234567 || f.cpu != 3750*time.Millisecond {
		t.Errorf("got %+v", f)
	}
}

package main

import (
	"regexp"
	"testing"
)

// TestBench runs the benchmark as small as it gets: every figure must be there, none is judged.
func TestBench(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: takes some seconds")
	}
	code, out, errOut := runHere(t, "bench", "--events", "1000", "--items", "40", "--duration", "200ms", "--newcomers", "3", "--connections", "2")
	if code != exitOK {
		t.Fatalf("exit code %d: %s\n%s", code, errOut, out)
	}
	for _, want := range []string{
		`produce, acks=all +[\d,]+ `,
		`read only \(the limit of the client\) +[\d,]+ +\d+ MB/s\n`,
		`apply nothing +[\d,]+ +\d+ % of reading only\n`,
		`write plainly \(may count twice\) +[\d,]+ +\d+ % of applying nothing\n`,
		`apply to Redis +[\d,]+ +\d+ % of applying nothing, \d+ % of reading only, [\d.]+ x plain writes\n`,
		`consume \(broker and client\) +[\d.]+\n`, `decode, in a group +-?[\d.]+\n`, `fold +-?[\d.]+\n`,
		`apply +-?[\d.]+( +[\d.]+)?\n`, `plain writes in place of apply +-?[\d.]+( +[\d.]+)?\n`, `all of it +[\d.]+( +[\d.]+)?\n`,
		`reading a user, one after the other: p50 [\d.]+ms, p99 [\d.]+ms \(2000 reads\)\n`,
		`empty HTTP handler \(limit\) +[\d,]+ +[\d.]+ms +[\d.]+ms +[\d.]+ms\n`,
		`one user read from Redis \(limit\) +[\d,]+ +[\d.]+ms +[\d.]+ms +[\d.]+ms\n`,
		`POST /v1/recommend +[\d,]+ +[\d.]+ms +[\d.]+ms +[\d.]+ms\n`,
		`in the next answer: p50 [\d.]+ms, p99 [\d.]+ms \(3 users\)\n`,
	} {
		if !regexp.MustCompile(want).MatchString(out) {
			t.Errorf("the output lacks %s:\n%s", want, out)
		}
	}
	if code, _, _ := runHere(t, "bench", "--events", "5"); code != exitUsage {
		t.Errorf("--events 5: exit code %d, want 2", code)
	}
}

package main

import (
	"fmt"
	"regexp"
	"testing"

	"github.com/sartorhq/sartor/streams"
)

// TestBenchServe runs the benchmark as small as it gets: every figure must be there, none is judged.
func TestBenchServe(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: takes some seconds")
	}
	code, out, errOut := runHere(t, "bench", "serve", "--items", "5000", "--rules", "0,10", "--factors", "16", "--users", "20",
		"--connections", "2", "--duration", "100ms", "--overload", "300ms")
	if code != exitOK {
		t.Fatalf("exit code %d: %s\n%s", code, errOut, out)
	}
	const figures = ` +[\d,]+ +\d+us +[\d.]+ms +[\d.]+ms +[\d.]+ms\n`
	for _, want := range []string{
		`empty Fiber handler` + figures, `one PING of Redis` + figures, `one read of a user` + figures,
		`recommend, 0 rules` + figures, `recommend, 10 rules` + figures,
		`the first request under them +[\d.]+ms\n`,
		`scanning the codes +[\d.]+ms +\d+ % of that bandwidth\n`,
		`goal scan at 90 % of the bandwidth +(reached|MISSED): \d+ %\n`,
		`0.5 % +[\d.]+ms +[\d.]+ms +\d+\n`,
		`goal no filter slower than none by more than 20 % +(reached|MISSED): `,
		`start to ready from local files +[\d.]+m?s +CPU [\d.]+m?s: catalogue after [\d.]+m?s, model read after [\d.]+m?s and indexed after [\d.]+m?s, first answer in `,
		`3 times the capacity: answered +[\d,]+ /s`,
		`refused with 503 +\d+, p50 [\d.]+ms, p99 [\d.]+ms\n`,
		`until the refusal arrived +\d+, p50 [\d.]+ms, p99 [\d.]+ms\n`,
		`sent after they were due, by +\d+, p50 [\d.]+ms, p99 [\d.]+ms\n`,
		`until the server reads a request +[1-9]\d*, p50 [\d.]+ms, p99 [\d.]+ms\n`,
		`from there until the answer is written +[1-9]\d*, p50`, `from there until the refusal is written +\d+, p50`,
		`processors used +[\d.]+ server, [\d.]+ generator; [\d.]+ and [\d.]+ at the plateau\n`,
		`answers for the same time of the server +\d+ % of those at the plateau\n`,
		`goal goodput 90 % of the plateau +(reached|MISSED): \d+ %, 0 failed\n`,
	} {
		if !regexp.MustCompile(want).MatchString(out) {
			t.Errorf("the output lacks %s:\n%s", want, out)
		}
	}
	code, out, errOut = runHere(t, "bench", "serve", "--items", "5000", "--factors", "16", "--users", "20", "--only", "index")
	if want := `100 % allowed( +[\d.]+ms){4}   [01]\.\d+, [01]\.\d+\n`; code != exitOK || !regexp.MustCompile(want).MatchString(out) {
		t.Errorf("exit code %d: %s\n%s\nlacks %s", code, errOut, out, want)
	}
	for _, bad := range [][]string{{"--items", "5"}, {"--rules", "-1"}, {"--factors", "9"}, {"--only", "nothing"}, {"--users", "0"}} {
		if code, _, _ := runHere(t, append([]string{"bench", "serve"}, bad...)...); code != exitUsage {
			t.Errorf("%v: exit code %d, want 2", bad, code)
		}
	}
}

// TestBenchServeRecording measures answers to the users of a recording, under the starter rules.
func TestBenchServeRecording(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: takes some seconds")
	}
	var events []streams.Event
	for i := range 40 {
		events = append(events, streams.Event{ID: fmt.Sprintf("item-%d", i), Type: streams.ItemUpsert, Time: trainStart,
			Items: []streams.Line{{ItemID: fmt.Sprint("i", i)}}, Attributes: map[string]any{"title": fmt.Sprint("Item ", i)}})
	}
	path := writeEvents(t, append(events, twoTastes(30, 40, 20)...))
	code, out, errOut := runHere(t, "bench", "serve", "--data", "ndjson:"+path, "--factors", "16", "--users", "20", "--connections", "2", "--duration", "100ms")
	if code != exitOK {
		t.Fatalf("exit code %d: %s\n%s", code, errOut, out)
	}
	for _, want := range []string{
		`\nNDJSON: 600 events of 30 users on 40 items; 20 of its users ask`,
		`recommend, model als +[\d,]+ +\d+us +[\d.]+ms +[\d.]+ms +[\d.]+ms\n +served by the model +100%\n +asked by a process of its own +[\d,]+   CPU each: server \d+us, Redis \d+us, generator \d+us\n`,
		`recommend, model lae`,
	} {
		if !regexp.MustCompile(want).MatchString(out) {
			t.Errorf("the output lacks %s:\n%s", want, out)
		}
	}
	for _, bad := range []string{"ndjson:" + path + "-not", "nothing:" + path} {
		if code, _, errOut := runHere(t, "bench", "serve", "--data", bad); code == exitOK || errOut == "" {
			t.Errorf("%s: exit code %d, %q", bad, code, errOut)
		}
	}
}

package kafka

import (
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// names returns the first groups of a pattern's matches, each once.
func names(pattern, text string) []string {
	found := map[string]bool{}
	for _, m := range regexp.MustCompile(pattern).FindAllStringSubmatch(text, -1) {
		found[m[1]] = true
	}
	return slices.Sorted(maps.Keys(found))
}

// TestFaultPointsAreTheSameEverywhere: in the code, in the list of those that can be armed, in FAULTS.md, and
// in the soak that kills at each of them.
func TestFaultPointsAreTheSameEverywhere(t *testing.T) {
	read := func(path string) string {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	code := ""
	for _, f := range files {
		if !strings.HasSuffix(f, "_test.go") {
			code += read(f)
		}
	}
	want := names(`\.reach\("([a-z-]+)"\)`, code)
	if len(want) < 10 {
		t.Fatalf("only %v", want)
	}
	_, list, _ := strings.Cut(read("faults_on.go"), "func faultPoints()")
	if got := names(`(?m)^\t\t"([a-z-]+)",`, list); !slices.Equal(got, want) {
		t.Errorf("faults_on.go lists %v, the code has %v", got, want)
	}
	_, table, _ := strings.Cut(read("FAULTS.md"), "|---|---|")
	table, _, _ = strings.Cut(table, "\n\n")
	var rows []string
	for line := range strings.Lines(table) {
		cells := strings.SplitN(line, "|", 3)
		if len(cells) == 3 {
			rows = append(rows, cells[1])
		}
	}
	if got := names("`([a-z-]+)`", strings.Join(rows, " ")); !slices.Equal(got, want) {
		t.Errorf("FAULTS.md tells of %v, the code has %v", got, want)
	}
	soak := read("../../cmd/sartor/chaos_faults_test.go") + read("../../cmd/sartor/soak_mend_test.go")
	for _, point := range want {
		if !strings.Contains(soak, `"`+point+`"`) {
			t.Errorf("the soak does not kill at %s", point)
		}
	}
}

package archive

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/sartorhq/sartor/streams"
	"github.com/sartorhq/sartor/streams/codec"
)

// python returns an interpreter that has the module: SARTOR_PYTHON or python3.
func python(t *testing.T, module string) string {
	t.Helper()
	for _, name := range []string{os.Getenv("SARTOR_PYTHON"), "python3"} {
		if name != "" && exec.Command(name, "-c", "import "+module).Run() == nil {
			return name
		}
	}
	t.Skipf("no Python with %s: 'pip install %s', and name the interpreter in SARTOR_PYTHON", module, module)
	return ""
}

// query runs testdata/query.py.
func query(t *testing.T, tool, module, dir, sql string) string {
	t.Helper()
	cmd := exec.Command(python(t, module), "testdata/query.py", tool, dir)
	cmd.Stdin = strings.NewReader(sql)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s: %v\n%s", tool, err, errs.String())
	}
	return out.String()
}

// blocks returns the blocks of ARCHIVE.md with that language.
func blocks(t *testing.T, language string) []string {
	t.Helper()
	data, err := os.ReadFile("ARCHIVE.md")
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, m := range regexp.MustCompile("(?s)```"+language+"\n(.*?)```").FindAllStringSubmatch(string(data), -1) {
		out = append(out, m[1])
	}
	return out
}

// documented archives the events of ARCHIVE.md.
func documented(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	a, err := Open(t.Context(), dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	p, err := a.Partition(t.Context(), "orders", 0)
	if err != nil {
		t.Fatal(err)
	}
	n := int64(0)
	for text := range strings.Lines(blocks(t, "events")[0]) {
		e, err := codec.Decode([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		if err := p.Apply(t.Context(), []streams.Record{{Position: streams.Position{Topic: "orders", Offset: n}, Event: e}}, n); err != nil {
			t.Fatal(err)
		}
		n++
	}
	if err := p.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestDocumentedFiles(t *testing.T) {
	dir := documented(t)
	var got []string
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			rel, _ := filepath.Rel(dir, path)
			got = append(got, filepath.ToSlash(rel))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile("ARCHIVE.md")
	if err != nil || len(got) != 3 {
		t.Fatal(got, err)
	}
	for _, name := range got {
		if !strings.Contains(string(data), "\n"+name+"\n") {
			t.Errorf("ARCHIVE.md does not show %s", name)
		}
	}
	for _, m := range regexp.MustCompile(`parquet:"([a-z_]+)`).FindAllStringSubmatch(source(t, "row.go"), -1) {
		if !strings.Contains(string(data), m[1]) {
			t.Errorf("ARCHIVE.md does not explain the column %s", m[1])
		}
	}
}

func source(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestDuckDBReadsTheExamples(t *testing.T) {
	dir := documented(t)
	queries, results := blocks(t, "sql"), blocks(t, "result")
	if len(queries) == 0 || len(queries) != len(results) {
		t.Fatalf("%d queries, %d results", len(queries), len(results))
	}
	for i := range queries {
		if got := query(t, "duckdb", "duckdb", dir, queries[i]); got != results[i] {
			t.Errorf("query %d: got\n%swant\n%s", i+1, got, results[i])
		}
	}
}

func TestArrowReadsTheExamples(t *testing.T) {
	got := query(t, "pyarrow", "pyarrow", filepath.Join(documented(t), "orders"), "")
	if want := "3\nlist<element: struct<item_id: string not null, quantity: int64 not null, price_minor: int64 not null, position: int32 not null> not null>\ntimestamp[ms, tz=UTC]\n"; got != want {
		t.Errorf("got %swant %s", got, want)
	}
}

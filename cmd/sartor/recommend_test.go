package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/parquet-go/parquet-go"

	"github.com/sartorhq/sartor/recommender"
)

// mailed is one line of the output.
type mailed struct {
	UserID         string `json:"user_id"`
	Scenario       string `json:"scenario"`
	Recommendation answer `json:"recommendation"`
}

// mail runs the command on a world's servers, as another process would.
func (w *world) mail(args ...string) (code int, stdout, stderr string) {
	w.t.Helper()
	var out, errOut bytes.Buffer
	a := &app{stdin: strings.NewReader("ann\n"), stdout: &out, stderr: &errOut}
	args = append([]string{"recommend", "--log-level", "error", "--set", "redis.addrs=" + strings.Join(w.app.config.Redis.Addrs, ","), "--set", fmt.Sprintf("redis.shards=%d", w.app.config.Redis.Shards),
		"--rules", w.app.config.Rules.Dir, "--models", w.app.config.Models.Dir}, args...)
	return a.execute(w.t.Context(), args), out.String(), errOut.String()
}

// TestMailing writes the lists of a file of users, and they are what the API answers.
func TestMailing(t *testing.T) {
	w := newWorld(t, nil)
	w.rule(strings.ReplaceAll(buryLamps, "scenarios: [home]", "scenarios: [email]"))
	w.post(object{"type": "cart-add", "user_id": "ann", "item_id": "tent-00"})
	eventually(t, "ann to have a list of her own", func() bool { return w.ask("ann", "").ServedBy == "model" })

	dir := t.TempDir()
	users := filepath.Join(dir, "users.txt")
	text := "ann\r\n\n"
	for n := range 30 {
		text += fmt.Sprintf("%s-buyer-%02d\n", goodsKinds[n%3], n/3)
	}
	text += `{"user_id":"ben","context":{"country":"DE"},"exclude":["tent-01"]}` + "\n"
	if err := os.WriteFile(users, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(dir, "lists.ndjson")
	code, _, errOut := w.mail("--users", users, "--out", out, "--count", "4", "--fields", "category", "--workers", "3")
	if code != exitOK || !strings.Contains(errOut, "32 users") {
		t.Fatalf("exit %d: %s", code, errOut)
	}
	lists := readMailed(t, out)
	if len(lists) != 32 || lists[0].UserID != "ann" || lists[31].UserID != "ben" || lists[1].UserID != "lamp-buyer-00" || lists[2].UserID != "shoe-buyer-00" {
		t.Fatalf("%d lists in another order than the users", len(lists))
	}
	var api answer
	w.call("POST", "/v1/recommend", object{"user_id": "ann", "scenario": "email", "count": 4, "include_fields": []string{"category"}}, &api)
	if got := lists[0].Recommendation; strings.Join(got.ids(), " ") != strings.Join(api.ids(), " ") || got.ServedBy != "model" {
		t.Errorf("ann gets %v by mail and %v over HTTP", got.ids(), api.ids())
	}
	if strings.Contains(strings.Join(lists[31].Recommendation.ids(), " "), "tent-01") {
		t.Error("what a user excludes is in the list")
	}

	parquetOut := filepath.Join(dir, "lists.parquet")
	if code, _, errOut := w.mail("--users", users, "--out", parquetOut, "--count", "4", "--fields", "category"); code != exitOK {
		t.Fatalf("exit %d: %s", code, errOut)
	}
	rows, err := parquet.ReadFile[listRow](parquetOut)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, list := range lists {
		for i, id := range list.Recommendation.ids() {
			if n >= len(rows) {
				t.Fatalf("only %d rows", len(rows))
			}
			row := rows[n]
			if row.UserID != list.UserID || row.ItemID != id || row.Position != int32(i+1) || row.Scenario != "email" || row.RecommendationID == "" || !strings.Contains(row.Fields, `"category":"`) {
				t.Errorf("row %d is %+v, want %s at %d for %s", n, row, id, i+1, list.UserID)
			}
			n++
		}
	}
	if n != len(rows) {
		t.Errorf("%d rows, want %d", len(rows), n)
	}
	if code, stdout, _ := w.mail("--users", "-", "--out", "-"); code != exitOK || !strings.HasPrefix(stdout, `{"user_id":"ann","scenario":"email","recommendation":{"recommendation_id":"`) {
		t.Errorf("exit %d, %s", code, stdout)
	}
	left(t, dir, "lists.ndjson", "lists.parquet", "users.txt")

	t.Run("fails-whole", func(t *testing.T) { failsWhole(t, w) })
	t.Run("resumes", func(t *testing.T) { resumes(t, w) })
}

// failsWhole: a run that cannot be whole leaves what was there before, and says where the fault is.
func failsWhole(t *testing.T, w *world) {
	dir := t.TempDir()
	users, out := filepath.Join(dir, "users"), filepath.Join(dir, "old.ndjson")
	if err := os.WriteFile(out, []byte("yesterday's\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(dir+".ndjson", 0o700); err != nil { // beside it, in the test's own folder
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		users string
		args  []string
		code  int
		want  string
	}{
		"long-id":        {"ann\n" + strings.Repeat("x", 129) + "\n", nil, exitFailed, "users:2: invalid request: user_id: longer than 128 bytes"},
		"not-a-user":     {"ann\n\n{\"user\": 1}\n", nil, exitFailed, "users:3: not a user"},
		"two-on-a-line":  {`{"user_id":"a"} {"user_id":"b"}`, nil, exitFailed, "users:1: more than one user"},
		"nobody":         {`{"context":{}}`, nil, exitFailed, "users:1: user_id is missing"},
		"unknown-fact":   {`{"user_id":"a","context":{"mood":"good"}}`, nil, exitFailed, "users:1: invalid request: context.mood"},
		"bad-filter":     {"ann\n", []string{"--filter", "item.nothing > 1"}, exitUsage, "--filter: unknown field"},
		"bad-field":      {"ann\n", []string{"--fields", "category,catgory"}, exitUsage, "--fields[1]: is not an item field of the schema; did you mean category?"},
		"bad-scenario":   {"", []string{"--scenario", "A B"}, exitUsage, "--scenario: must be 1 to 63 of a-z"},
		"compressed":     {"\x1f\x8b\x08ann\n", nil, exitFailed, "users: the file is compressed: give what zcat "},
		"a-folder":       {"ann\n", []string{"--out", dir + ".ndjson"}, exitFailed, "is a folder: name a file in it"},
		"bad-count":      {"ann\n", []string{"--count", "0"}, exitUsage, "--count 0: must be between 1 and 100"},
		"no-workers":     {"ann\n", []string{"--workers", "0"}, exitUsage, "--workers"},
		"model-is-gone":  {"ann\n", []string{"--models", t.TempDir()}, exitFailed, "load the model"},
		"no-rules":       {"ann\n", []string{"--rules", ""}, exitFailed, "every list would lack something: no_rules"},
		"redis-is-gone":  {"ann\n", []string{"--set", "redis.addrs=" + deadAddr}, exitFailed, "reach Redis"},
		"no-such-folder": {"ann\n", []string{"--out", filepath.Join(dir, "nowhere", "x.ndjson")}, exitFailed, "--out"},
		"odd-name":       {"ann\n", []string{"--out", filepath.Join(dir, "lists.csv")}, exitUsage, "must end in .ndjson"},
		"no-such-users":  {"ann\n", []string{"--users", filepath.Join(dir, "nobody")}, exitFailed, "--users"},
	} {
		t.Run(name, func(t *testing.T) {
			if err := os.WriteFile(users, []byte(tc.users), 0o600); err != nil {
				t.Fatal(err)
			}
			code, _, errOut := w.mail(append([]string{"--users", users, "--out", out}, tc.args...)...)
			if code != tc.code || !strings.Contains(errOut, tc.want) {
				t.Errorf("exit %d, want %d with %q: %s", code, tc.code, tc.want, errOut)
			}
			left(t, dir, "old.ndjson", "users")
			if data, err := os.ReadFile(out); err != nil || string(data) != "yesterday's\n" {
				t.Errorf("the old file is %q, %v", data, err)
			}
		})
	}
	if err := os.WriteFile(users, []byte("ann\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, _, errOut := w.mail("--users", users, "--out", out, "--models", t.TempDir(), "--accept-degraded"); code != exitOK || !strings.Contains(errOut, "without no model") {
		t.Errorf("exit %d: %s", code, errOut)
	}
}

// left holds a folder to the names that may be in it.
func left(t *testing.T, dir string, want ...string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range entries {
		got = append(got, e.Name())
	}
	if strings.Join(got, " ") != strings.Join(want, " ") {
		t.Errorf("the folder holds %v, want %v", got, want)
	}
}

func readMailed(t *testing.T, name string) (out []mailed) {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		var m mailed
		if err := json.Unmarshal(lines.Bytes(), &m); err != nil {
			t.Fatal(err)
		}
		out = append(out, m)
	}
	return out
}

// TestParquetInManyGroups: memory holds one group of rows, the file all of them.
func TestParquetInManyGroups(t *testing.T) {
	name := filepath.Join(t.TempDir(), "lists.parquet")
	l, err := createLists(name, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	items := make([]recommender.Item, 100)
	const users = 2*parquetGroup/100 + 3
	for n := range users {
		for i := range items {
			items[i].ItemID = fmt.Sprintf("i%d", n+i)
		}
		if err := l.write(mailingUser{UserID: fmt.Sprint(n)}, "email", &recommender.Response{Items: items}); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.finish(); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	file, err := parquet.OpenFile(f, info.Size())
	if err != nil {
		t.Fatal(err)
	}
	if file.NumRows() != users*100 || len(file.RowGroups()) != 3 {
		t.Errorf("%d rows in %d groups", file.NumRows(), len(file.RowGroups()))
	}
}

func FuzzUserFile(f *testing.F) {
	f.Add("ann\n\n{\"user_id\":\"b\",\"context\":{\"country\":\"DE\"}}\r\n")
	f.Add("\ufeffann\n{}\n{\"user_id\"")
	f.Fuzz(func(t *testing.T, text string) {
		in := newUserFile("users", strings.NewReader(text), nil, -1)
		for range len(text) + 1 {
			u, err := in.next()
			if errors.Is(err, io.EOF) {
				return
			}
			if err == nil && u.UserID == "" && u.AnonymousID == "" || err != nil && !strings.HasPrefix(err.Error(), "users:") {
				t.Fatalf("%+v, %v", u, err)
			}
		}
		t.Fatal("the file does not end")
	})
}

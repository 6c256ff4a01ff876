package httpapi_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sartorhq/sartor/features"
	"github.com/sartorhq/sartor/recommender/httpapi"
	"github.com/sartorhq/sartor/recommender/identity"
	"github.com/sartorhq/sartor/rules/rulestore"
)

// staff are people by token.
type staff map[string]identity.Person

func (s staff) Verify(_ context.Context, token string) (identity.Person, error) {
	p, ok := s[token]
	if !ok {
		return p, identity.ErrToken
	}
	return p, nil
}

// away is an archive that cannot be reached.
type away struct{}

func (away) Latest(context.Context) (*rulestore.Archive, error) {
	return nil, errors.New("dial tcp 10.0.0.7: secret")
}
func (away) Change(context.Context, func(*rulestore.Archive) error) error {
	return errors.New("dial tcp 10.0.0.7: secret")
}

const goodRules = `apiVersion: rules/v1
kind: RuleSet
name: home
description: d
owner: o
scope: {scenarios: [home]}
rules:
  - id: ID
    match: item.stock == 0
    then: [exclude: {reason: none left}]
`

// desk is the admin listener over an archive, and what each of the staff sends to it.
type desk struct {
	t     *testing.T
	admin http.Handler
}

func newDesk(t *testing.T, archive httpapi.RuleArchive) desk {
	t.Helper()
	tokens := staff{"t.vera": {Subject: "vera", Role: identity.Viewer}, "t.ed": {Subject: "ed", Role: identity.Editor},
		"t.pat": {Subject: "pat", Role: identity.Publisher}, "t.paul": {Subject: "paul", Role: identity.Publisher}, "t.ada": {Subject: "ada", Role: identity.Admin}}
	s := serve(t, func(o *httpapi.Options) {
		o.Admin, o.People, o.RuleArchive = true, tokens, archive
		o.RuleReplicas = func(context.Context) ([]httpapi.RuleReplica, error) {
			return []httpapi.RuleReplica{{Name: "a", Revision: "000001-x"}, {Name: "b", OK: true, At: time.Unix(0, 0).UTC()}}, nil
		}
	})
	return desk{t, s.http.AdminHandler()}
}

// send returns the status and the decoded answer.
func (d desk) send(who, method, path, body string) (int, map[string]any) {
	d.t.Helper()
	req := httptest.NewRequestWithContext(d.t.Context(), method, path, strings.NewReader(body))
	req.Header.Set("Authorization", "Bearer t."+who)
	w := httptest.NewRecorder()
	d.admin.ServeHTTP(w, req)
	out := map[string]any{}
	if err := json.Unmarshal(w.Body.Bytes(), &out); err != nil {
		d.t.Fatalf("%s %s: %d %q: %v", method, path, w.Code, w.Body, err)
	}
	if problem := strings.HasPrefix(w.Header().Get("Content-Type"), "application/problem+json"); problem != (w.Code >= 400) {
		d.t.Errorf("%s %s: %d as %q", method, path, w.Code, w.Header().Get("Content-Type"))
	}
	return w.Code, out
}

func (d desk) want(status int, who, method, path, body string) map[string]any {
	d.t.Helper()
	got, out := d.send(who, method, path, body)
	if got != status {
		d.t.Fatalf("%s: %s %s %s: %d, want %d: %v", who, method, path, body, got, status, out)
	}
	return out
}

func draftBody(id, message string) string {
	data, _ := json.Marshal(map[string]any{"files": map[string]string{"home.yaml": strings.ReplaceAll(goodRules, "ID", id)}, "message": message})
	return string(data)
}

func newDeskOverFolder(t *testing.T) desk {
	archive := rulestore.NewArchive(filepath.Join(t.TempDir(), "rules"), features.Default(), rulestore.ArchiveOptions{})
	return newDesk(t, rulestore.Alone{Archive: archive})
}

// TestRulesByAPI takes a rule from nothing to the live one, with four eyes, and back.
func TestRulesByAPI(t *testing.T) {
	d := newDeskOverFolder(t)
	if out := d.want(200, "vera", "GET", "/v1/rules/revisions", ""); out["current"] != "" || len(out["revisions"].([]any)) != 0 {
		t.Errorf("before anything: %v", out)
	}
	d.want(200, "ada", "PUT", "/v1/rules/policy", `{"approvals":1,"message":"four eyes"}`)
	one := d.want(201, "ed", "POST", "/v1/rules/revisions", draftBody("one", "the first"))
	id, _ := one["id"].(string)
	if one["author"] != "ed" || one["state"] != "draft" || !strings.HasPrefix(id, "000001-") {
		t.Fatalf("submitted %v", one)
	}
	d.want(200, "ed", "POST", "/v1/rules/revisions/1/check", "{}")
	if out := d.want(409, "pat", "POST", "/v1/rules/revisions/1/publish", ""); !strings.Contains(out["detail"].(string), "has 0 of 1 approvals") {
		t.Errorf("published alone: %v", out)
	}
	if out := d.want(200, "pat", "POST", "/v1/rules/revisions/1/approve", `{"comment":"fine"}`); out["state"] != "approved" {
		t.Errorf("approved: %v", out)
	}
	d.want(403, "pat", "POST", "/v1/rules/revisions/1/approve", "")
	d.want(200, "pat", "POST", "/v1/rules/revisions/1/publish", "")
	if out := d.want(200, "vera", "GET", "/v1/rules/revisions/current", ""); out["id"] != id || !strings.Contains(out["files"].(map[string]any)["home.yaml"].(string), "id: one") {
		t.Errorf("live: %v", out)
	}
	d.want(409, "ed", "POST", "/v1/rules/revisions", draftBody("one", "again"))
	d.want(201, "pat", "POST", "/v1/rules/revisions", draftBody("two", "the second"))
	d.want(200, "pat", "POST", "/v1/rules/revisions/2/check", "")
	if out := d.want(403, "pat", "POST", "/v1/rules/revisions/2/approve", ""); !strings.Contains(out["detail"].(string), "four eyes") {
		t.Errorf("the author approves: %v", out)
	}
	d.want(200, "paul", "POST", "/v1/rules/revisions/2/approve", "")
	d.want(200, "paul", "POST", "/v1/rules/revisions/2/publish", "")
	d.want(200, "paul", "POST", "/v1/rules/revisions/1/rollback", `{"message":"two sells nothing"}`)
	if out := d.want(200, "vera", "GET", "/v1/rules/revisions", ""); !strings.HasPrefix(out["current"].(string), "000003-") || out["approvals"] != 1.0 {
		t.Errorf("at the end: %v", out)
	}
	if out := d.want(200, "vera", "GET", "/v1/rules/audit", ""); out["verified"] != true {
		t.Errorf("audit: %v", out)
	}
	if out := d.want(200, "vera", "GET", "/v1/rules/replicas", ""); out["on_current"] != 0.0 || len(out["replicas"].([]any)) != 2 {
		t.Errorf("replicas: %v", out)
	}
}

// TestRulesByAPIRefuse: wrong input has an answer that says what to do, and changes nothing.
func TestRulesByAPIRefuse(t *testing.T) {
	d := newDeskOverFolder(t)
	d.want(201, "ed", "POST", "/v1/rules/revisions", draftBody("one", "the first"))
	broken := strings.ReplaceAll(draftBody("bad", "typo"), "item.stock", "item.stokc")
	d.want(201, "ed", "POST", "/v1/rules/revisions", broken)
	for _, c := range []struct {
		status                  int
		who, method, path, body string
		want                    string
	}{
		{403, "vera", "POST", "/v1/rules/revisions", draftBody("x", "m"), "role editor"},
		{403, "ed", "POST", "/v1/rules/revisions/1/publish", "", "role publisher"},
		{403, "pat", "PUT", "/v1/rules/policy", `{"approvals":0,"message":"m"}`, "role admin"},
		{401, "nobody", "GET", "/v1/rules/revisions", "", "not valid"},
		{404, "vera", "GET", "/v1/rules/revisions/77", "", "no such revision"},
		{404, "pat", "POST", "/v1/rules/revisions/77/publish", "", "no such revision"},
		{409, "pat", "POST", "/v1/rules/revisions/1/approve", "", "only what is checked"},
		{409, "pat", "POST", "/v1/rules/revisions/1/rollback", `{"message":"m"}`, "was never live"},
		{422, "pat", "POST", "/v1/rules/revisions/1/rollback", "", "why?"},
		{422, "ed", "POST", "/v1/rules/revisions", "", "all files of the set"},
		{422, "ed", "POST", "/v1/rules/revisions", `{"files":{"a.yaml":""},"message":"m","author":"boss"}`, "unknown field; there are base, files, message"},
		{422, "ed", "POST", "/v1/rules/revisions", `{"files":{"../a.yaml":""},"message":"m"}`, "outside of the folder"},
		{400, "ed", "POST", "/v1/rules/revisions", `{"files":`, "ends in the middle"},
		{400, "ed", "POST", "/v1/rules/revisions", `files`, "not JSON: invalid character"},
		{422, "ed", "POST", "/v1/rules/revisions", `{"files":7}`, "must be an object"},
		{422, "ed", "POST", "/v1/rules/revisions", `{"file":{}}`, "did you mean files?"},
		{422, "ed", "POST", "/v1/rules/revisions", draftBody("x", "m") + "{}", "follows"},
		{409, "ed", "POST", "/v1/rules/revisions", strings.Replace(draftBody("x", "m"), "{", `{"base":"000009-zz",`, 1), "take its changes over"},
		{422, "ada", "PUT", "/v1/rules/policy", "{}", "how many"},
		{422, "ada", "PUT", "/v1/rules/policy", `{"approvals":99,"message":"m"}`, "from 0 to 9"},
		{422, "pat", "POST", "/v1/rules/revisions/2/publish", "", "did you mean"},
	} {
		out := d.want(c.status, c.who, c.method, c.path, c.body)
		if text, _ := json.Marshal(out); !strings.Contains(string(text), c.want) {
			t.Errorf("%s %s %s: %s, want %q", c.who, c.method, c.path, text, c.want)
		}
	}
	if out := d.want(200, "vera", "GET", "/v1/rules/revisions", ""); out["current"] != "" || len(out["revisions"].([]any)) != 2 {
		t.Errorf("after all of this: %v", out)
	}
	report := d.want(422, "pat", "POST", "/v1/rules/revisions/2/publish", "")["report"].(map[string]any)
	first := report["problems"].([]any)[0].(map[string]any)
	if first["line"] != 9.0 || first["path"] != "home.yaml" || first["code"] != "R001" {
		t.Errorf("problem %v", first)
	}
}

func TestRulesAway(t *testing.T) {
	d := newDesk(t, away{})
	for _, c := range [][2]string{{"GET", "/v1/rules/revisions"}, {"GET", "/v1/rules/revisions/1"}, {"GET", "/v1/rules/audit"}, {"GET", "/v1/rules/replicas"},
		{"POST", "/v1/rules/revisions/1/publish"}, {"POST", "/v1/rules/revisions/1/check"}} {
		out := d.want(503, "ada", c[0], c[1], "")
		if text, _ := json.Marshal(out); strings.Contains(string(text), "secret") {
			t.Errorf("%s tells what it should not: %s", c[1], text)
		}
	}
}

// Without an archive there are no such routes.
func TestNoRuleArchive(t *testing.T) {
	newDesk(t, nil).want(404, "ada", "GET", "/v1/rules/revisions", "")
}

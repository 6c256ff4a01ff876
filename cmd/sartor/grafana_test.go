package main

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"go.yaml.in/yaml/v3"

	"github.com/sartorhq/sartor/features/redisstore"
	"github.com/sartorhq/sartor/recommender/httpapi"
	"github.com/sartorhq/sartor/streams/kafka"
)

const grafanaDir = "../../deploy/grafana"

// ours finds the names of our metrics in a query.
var ours = regexp.MustCompile(`\bsartor_[a-z0-9_]+`)

// described returns the names of all metrics that serving and ingest register, histograms with their
// parts, and the labels of each.
func described(t *testing.T) map[string]string {
	t.Helper()
	a := &app{config: defaultConfig(), logger: slog.New(slog.DiscardHandler), metrics: prometheus.NewRegistry()}
	a.config.Rules.Dir, a.config.Models.Dir = t.TempDir(), t.TempDir()
	a.config.Kafka.Brokers, a.config.Redis.Addrs = []string{"127.0.0.1:1"}, []string{"127.0.0.1:1"}
	a.config.HTTP.KeysFile = filepath.Join(t.TempDir(), "keys.yaml")
	_, hash := httpapi.NewKey("ops")
	keys := fmt.Sprintf("keys: [{id: ops, sha256: %x, scopes: [admin]}]", hash)
	if err := os.WriteFile(a.config.HTTP.KeysFile, []byte(keys), 0o600); err != nil {
		t.Fatal(err)
	}
	w, err := a.newWiring()
	if err != nil {
		t.Fatal(err)
	}
	parts := servingParts{store: redisstore.New(w.redis, w.schema), producer: kafka.NewProducer(w.kafka)}
	newServing(w, parts)
	kafka.NewConsumer(w.kafka, kafka.ConsumerOptions{Group: "g", Streams: consumed()})
	t.Cleanup(func() {
		if err := parts.close(); err != nil {
			t.Error(err)
		}
	})
	descs := make(chan *prometheus.Desc, 1000)
	a.metrics.Describe(descs)
	close(descs)
	text := regexp.MustCompile(`fqName: "([^"]+)".*variableLabels: \{([^}]*)\}`)
	out := map[string]string{}
	for d := range descs {
		m := text.FindStringSubmatch(d.String())
		if m == nil {
			t.Fatalf("cannot read %s", d)
		}
		for _, part := range []string{"", "_bucket", "_sum", "_count"} {
			out[m[1]+part] = m[2]
		}
	}
	return out
}

// grafanaQueries returns every query of the dashboard and of the alerts by where it stands.
func grafanaQueries(t *testing.T) map[string]string {
	t.Helper()
	read := func(name string) []byte {
		data, err := os.ReadFile(filepath.Join(grafanaDir, name))
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	var board struct {
		Panels []struct {
			Title   string
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal(read("sartor.json"), &board); err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for _, p := range board.Panels {
		for i, q := range p.Targets {
			out["panel "+p.Title+"/"+string(rune('A'+i))] = q.Expr
		}
	}
	var file struct {
		Groups []struct {
			Name  string `yaml:"name"`
			Rules []struct {
				Alert       string            `yaml:"alert"`
				Expr        string            `yaml:"expr"`
				For         string            `yaml:"for"`
				Labels      map[string]string `yaml:"labels"`
				Annotations map[string]string `yaml:"annotations"`
			} `yaml:"rules"`
		} `yaml:"groups"`
	}
	dec := yaml.NewDecoder(strings.NewReader(string(read("alerts.yaml"))))
	dec.KnownFields(true)
	if err := dec.Decode(&file); err != nil && err != io.EOF {
		t.Fatal(err)
	}
	for _, g := range file.Groups {
		for _, r := range g.Rules {
			if !slices.Contains([]string{"page", "ticket"}, r.Labels["severity"]) || r.Annotations["summary"] == "" || r.Annotations["action"] == "" {
				t.Errorf("alert %s lacks a severity, a summary or an action", r.Alert)
			}
			out["alert "+r.Alert] = r.Expr
		}
	}
	return out
}

func TestGrafanaNamesOnlyMetricsThatExist(t *testing.T) {
	there, queries := described(t), grafanaQueries(t)
	if len(queries) < 30 {
		t.Errorf("only %d queries were found", len(queries))
	}
	by := regexp.MustCompile(`by \(([^)]*)\)`)
	for where, query := range queries {
		if strings.Count(query, "(") != strings.Count(query, ")") || strings.Count(query, "{") != strings.Count(query, "}") {
			t.Errorf("%s: unbalanced: %s", where, query)
		}
		var labels []string
		for _, name := range ours.FindAllString(query, -1) {
			known, ok := there[name]
			if !ok {
				t.Errorf("%s: there is no metric %s", where, name)
			}
			labels = append(labels, strings.Split(known, ",")...)
		}
		for _, m := range by.FindAllStringSubmatch(query, -1) {
			for label := range strings.SplitSeq(m[1], ",") {
				if label = strings.TrimSpace(label); label != "le" && !slices.Contains(labels, label) {
					t.Errorf("%s: no metric of it has the label %s: %s", where, label, query)
				}
			}
		}
	}
}

// TestGrafanaAlertsFire runs the unit tests of the alert rules as Prometheus itself would.
func TestGrafanaAlertsFire(t *testing.T) {
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		t.Skip("no promtool on PATH: Debian's package prometheus has it")
	}
	for _, args := range [][]string{{"check", "rules", "alerts.yaml"}, {"test", "rules", "alerts_test.yaml"}} {
		cmd := exec.CommandContext(t.Context(), promtool, args...)
		cmd.Dir = grafanaDir
		out, err := cmd.CombinedOutput()
		if err != nil || !strings.Contains(string(out), "SUCCESS") {
			t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
}

// TestGrafanaAlertsHaveTests: each alert has a unit test in which it fires, whether or not promtool is here.
func TestGrafanaAlertsHaveTests(t *testing.T) {
	data, err := os.ReadFile(filepath.Join(grafanaDir, "alerts_test.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Tests []struct {
			Cases []struct {
				Alert string `yaml:"alertname"`
				Fires []any  `yaml:"exp_alerts"`
			} `yaml:"alert_rule_test"`
		} `yaml:"tests"`
	}
	if err := yaml.Unmarshal(data, &file); err != nil {
		t.Fatal(err)
	}
	fires := map[string]bool{}
	for _, test := range file.Tests {
		for _, c := range test.Cases {
			fires["alert "+c.Alert] = fires["alert "+c.Alert] || len(c.Fires) > 0
		}
	}
	for where := range grafanaQueries(t) {
		if strings.HasPrefix(where, "alert ") && !fires[where] {
			t.Errorf("no unit test has the %s fire", where)
		}
	}
}

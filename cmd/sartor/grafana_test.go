package main

import (
	"encoding/json"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"go.yaml.in/yaml/v3"

	"github.com/sartorhq/sartor/features/redisstore"
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

package eval

import (
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"
)

func testReport() *Report {
	base, better := []Measures{{Recall: 0, NDCG: 0.1}, {Recall: 1, NDCG: 0.3, Hit: 1}}, []Measures{{Recall: 1, NDCG: 0.5, Hit: 1}, {Recall: 1, NDCG: 0.7, Hit: 1}}
	r := &Report{Title: "A <test>", Notes: []string{"a & b"}, K: 20, Users: 2, Items: 9,
		Models: []Figures{NewFigures("popularity", base, nil, 1), NewFigures("LAE", better, base, 1)}}
	r.Models = append(r.Models, NewFigures("ALS", base, base, 1))
	r.AddDifferences([][]Measures{base, better, base}, 1)
	r.Models[1].OverChampion = &Interval{Mean: 0.1, Low: 0.05, High: 0.15}
	r.AddSlice("new users", "at most 5 events", [][]Measures{base[:1], better[:1], base[:1]}, 1)
	return r
}

func TestFiguresAndSlices(t *testing.T) {
	r := testReport()
	near(t, "gain", r.Models[1].Gain.Mean, 0.4)
	near(t, "recall", r.Models[0].Recall.Mean, 0.5)
	s := r.Slices[0]
	near(t, "slice", s.NDCG[1].Mean, 0.5)
	near(t, "slice gain", s.Gain[1].Mean, 0.4)
	near(t, "slice recall", s.Share[1], 1)
	if s.Users != 1 {
		t.Errorf("%d users", s.Users)
	}
}

func TestReportFormats(t *testing.T) {
	r := testReport()
	var md, js, html strings.Builder
	for _, err := range []error{r.WriteMarkdown(&md), r.WriteJSON(&js), r.WriteHTML(&html)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, want := range []string{"# A <test>", "| LAE | 1.0000 [1.0000, 1.0000] | 0.6000", "LAE less champion: NDCG 0.1000 [0.0500, 0.1500].", "| new users: at most 5 events | 1 | 0.1000",
		"| ALS less LAE | -0.5000 [-1.0000, 0.0000] | -0.4000 [-0.4000, -0.4000] |"} {
		if !strings.Contains(md.String(), want) {
			t.Errorf("Markdown lacks %q\n%s", want, md.String())
		}
	}
	var back Report
	if err := json.Unmarshal([]byte(js.String()), &back); err != nil || back.Models[1].Gain != r.Models[1].Gain {
		t.Errorf("JSON: %v", err)
	}
	for _, want := range []string{"<h1>A &lt;test&gt;</h1>", "a &amp; b", `aria-label="NDCG@20, new users (1 users)"`, "0.4000 [0.4000, 0.4000]"} {
		if !strings.Contains(html.String(), want) {
			t.Errorf("HTML lacks %q", want)
		}
	}
	for _, never := range []string{"<script", "http://", "https://", "ZgotmplZ", "NaN"} {
		if strings.Contains(html.String(), never) {
			t.Errorf("HTML holds %q", never)
		}
	}
	// Every element is closed but those that HTML leaves open.
	dec := xml.NewDecoder(strings.NewReader(html.String()))
	dec.Strict, dec.AutoClose, dec.Entity = false, xml.HTMLAutoClose, xml.HTMLEntity
	for {
		if _, err := dec.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
}

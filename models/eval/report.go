package eval

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"html/template"
	"io"
	"strings"
)

// Report is an evaluation for people and programs: all models on the same users, beside a baseline.
type Report struct {
	Title string   `json:"title"`
	Notes []string `json:"notes"` // protocol and remarks, a sentence each
	K     int      `json:"k"`
	Users int      `json:"users"`
	Items int      `json:"items"`
	// Models are in the order of the tables; the first is the baseline of the differences.
	Models []Figures `json:"models"`
	Slices []Slice   `json:"slices"`
	// Differences are those of the models behind the baseline, pair by pair.
	Differences []Difference `json:"differences,omitempty"`
}

// Difference is the figure of one model less that of another, paired by user.
type Difference struct {
	Model  string   `json:"model"`
	Less   string   `json:"less"`
	Recall Interval `json:"recall"`
	NDCG   Interval `json:"ndcg"`
}

// AddDifferences appends the differences of all pairs behind the baseline; measures[model] are those of
// Models[model].
func (r *Report) AddDifferences(measures [][]Measures, seed uint64) {
	for b := 2; b < len(measures); b++ {
		for a := 1; a < b; a++ {
			recallA, ndcgA, _, _, _ := Columns(measures[a])
			recallB, ndcgB, _, _, _ := Columns(measures[b])
			r.Differences = append(r.Differences, Difference{Model: r.Models[b].Name, Less: r.Models[a].Name,
				Recall: Paired(recallB, recallA, seed), NDCG: Paired(ndcgB, ndcgA, seed)})
		}
	}
}

// Figures are what one model reached. Means are over users with 95 % intervals.
type Figures struct {
	Name   string   `json:"name"`
	Recall Interval `json:"recall"`
	NDCG   Interval `json:"ndcg"`
	Hit    Interval `json:"hit_rate"`
	MRR    Interval `json:"mrr"`
	MAP    Interval `json:"map"`
	// Gain is the NDCG less that of the baseline, paired by user; 0 for the baseline itself.
	Gain Interval `json:"ndcg_less_baseline"`
	// OverChampion is the NDCG less that of the champion, paired by user; nil without one.
	OverChampion   *Interval `json:"ndcg_less_champion,omitempty"`
	Coverage       float64   `json:"coverage"`         // share of the items that anybody was shown
	Novelty        float64   `json:"novelty_bits"`     // see Novelty
	Diversity      float64   `json:"diversity"`        // see Diversity
	Popular        float64   `json:"popularity_share"` // mean place of the shown items by popularity: 1 = the most popular
	Gini           float64   `json:"gini"`             // see Gini
	Miscalibration float64   `json:"miscalibration"`   // see Miscalibration
	Fallbacks      int       `json:"fallbacks"`        // users whom the model could not encode
	Seconds        float64   `json:"seconds"`          // of training
}

// Slice is a part of the users or of what was to be found.
type Slice struct {
	Name  string     `json:"name"`
	About string     `json:"about"`
	Users int        `json:"users"`
	NDCG  []Interval `json:"ndcg"`   // by model
	Gain  []Interval `json:"gain"`   // NDCG less that of the baseline, paired by user
	Share []float64  `json:"recall"` // mean recall by model
}

// Columns returns the measures of every user as one slice each of recall, NDCG, hit, MRR and average
// precision.
func Columns(all []Measures) (recall, ndcg, hit, mrr, ap []float64) {
	for _, m := range all {
		recall, ndcg, hit = append(recall, m.Recall), append(ndcg, m.NDCG), append(hit, m.Hit)
		mrr, ap = append(mrr, m.MRR), append(ap, m.AP)
	}
	return recall, ndcg, hit, mrr, ap
}

// NewFigures fills in what follows from the measures alone; baseline is nil for the baseline itself.
func NewFigures(name string, all, baseline []Measures, seed uint64) Figures {
	recall, ndcg, hit, mrr, ap := Columns(all)
	f := Figures{Name: name, Recall: Bootstrap(recall, seed), NDCG: Bootstrap(ndcg, seed), Hit: Bootstrap(hit, seed),
		MRR: Bootstrap(mrr, seed), MAP: Bootstrap(ap, seed)}
	if baseline != nil {
		_, base, _, _, _ := Columns(baseline)
		f.Gain = Paired(ndcg, base, seed)
	}
	return f
}

// AddSlice appends a slice of the users; measures[model] holds those of the slice's users in one order.
func (r *Report) AddSlice(name, about string, measures [][]Measures, seed uint64) {
	s := Slice{Name: name, About: about, Users: len(measures[0])}
	_, base, _, _, _ := Columns(measures[0])
	for _, all := range measures {
		_, ndcg, _, _, _ := Columns(all)
		s.NDCG = append(s.NDCG, Bootstrap(ndcg, seed))
		s.Gain = append(s.Gain, Paired(ndcg, base, seed))
		s.Share = append(s.Share, Mean(all).Recall)
	}
	r.Slices = append(r.Slices, s)
}

// WriteJSON writes the report for programs.
func (r *Report) WriteJSON(w io.Writer) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(r)
}

// WriteMarkdown writes the report as text with tables.
func (r *Report) WriteMarkdown(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "# %s\n\n", r.Title)
	for _, n := range r.Notes {
		fmt.Fprintf(&b, "- %s\n", n)
	}
	fmt.Fprintf(&b, "\n| model | Recall@%[1]d | NDCG@%[1]d | HitRate@%[1]d | MRR@%[1]d | MAP@%[1]d | NDCG less baseline |\n|---|---|---|---|---|---|---|\n", r.K)
	for i, m := range r.Models {
		gain := ""
		if i > 0 {
			gain = m.Gain.String()
		}
		fmt.Fprintf(&b, "| %s | %v | %v | %v | %v | %v | %s |\n", m.Name, m.Recall, m.NDCG, m.Hit, m.MRR, m.MAP, gain)
	}
	b.WriteString("\n| model | coverage | novelty, bits | diversity | popularity of the shown | Gini | miscalibration | fallbacks | training, s |\n|---|---|---|---|---|---|---|---|---|\n")
	for _, m := range r.Models {
		fmt.Fprintf(&b, "| %s | %.1f %% | %.2f | %.3f | %.3f | %.3f | %.3f | %d | %.1f |\n", m.Name, 100*m.Coverage, m.Novelty, m.Diversity,
			m.Popular, m.Gini, m.Miscalibration, m.Fallbacks, m.Seconds)
	}
	for _, m := range r.Models {
		if m.OverChampion != nil {
			fmt.Fprintf(&b, "\n%s less champion: NDCG %v.\n", m.Name, *m.OverChampion)
		}
	}
	if len(r.Differences) > 0 {
		fmt.Fprintf(&b, "\n| difference, paired by user | Recall@%[1]d | NDCG@%[1]d |\n|---|---|---|\n", r.K)
		for _, d := range r.Differences {
			fmt.Fprintf(&b, "| %s less %s | %v | %v |\n", d.Model, d.Less, d.Recall, d.NDCG)
		}
	}
	if len(r.Slices) > 0 {
		fmt.Fprintf(&b, "\n## Slices, NDCG@%d\n\n| slice | users |", r.K)
		for _, m := range r.Models {
			fmt.Fprintf(&b, " %s |", m.Name)
		}
		fmt.Fprintf(&b, "\n|---|---|%s\n", strings.Repeat("---|", len(r.Models)))
		for _, s := range r.Slices {
			fmt.Fprintf(&b, "| %s: %s | %d |", s.Name, s.About, s.Users)
			for _, n := range s.NDCG {
				fmt.Fprintf(&b, " %v |", n)
			}
			b.WriteString("\n")
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

//go:embed report.html
var page string

// WriteHTML writes the report as one page that needs nothing else: no script, no other file.
func (r *Report) WriteHTML(w io.Writer) error {
	t, err := template.New("report").Funcs(template.FuncMap{
		"percent": func(x float64) string { return fmt.Sprintf("%.1f %%", 100*x) },
		"digits":  func(x float64) string { return fmt.Sprintf("%.3f", x) },
		"chart":   chart,
	}).Parse(page)
	if err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	return t.Execute(w, struct {
		*Report
		Charts []bars
	}{r, r.charts()})
}

// bars is a chart: a bar for each model with its interval.
type bars struct {
	Title string
	Rows  []bar
}

// bar is one bar, in pixels.
type bar struct {
	Name             string
	Y, Width         float64
	Low, High, Label float64
	Text             string
}

func (r *Report) charts() []bars {
	out := []bars{r.bars(fmt.Sprintf("NDCG@%d", r.K), func(f Figures) Interval { return f.NDCG }),
		r.bars(fmt.Sprintf("Recall@%d", r.K), func(f Figures) Interval { return f.Recall })}
	for _, s := range r.Slices {
		i := -1
		out = append(out, r.bars(fmt.Sprintf("NDCG@%d, %s (%d users)", r.K, s.Name, s.Users), func(Figures) Interval { i++; return s.NDCG[i] }))
	}
	return out
}

// bars lays out one chart; of is called once for each model, in order.
func (r *Report) bars(title string, of func(Figures) Interval) bars {
	values, most := make([]Interval, len(r.Models)), 1e-9
	for i, m := range r.Models {
		values[i] = of(m)
		most = max(most, values[i].High)
	}
	b := bars{Title: title}
	const left, wide = 160, 420
	for i, v := range values {
		at := func(x float64) float64 { return left + wide*x/most }
		b.Rows = append(b.Rows, bar{Name: r.Models[i].Name, Y: float64(8 + 28*i), Width: wide * v.Mean / most,
			Low: at(v.Low), High: at(v.High), Label: at(v.High) + 8, Text: v.String()})
	}
	return b
}

// chart returns the height of a chart in pixels.
func chart(b bars) int { return 16 + 28*len(b.Rows) }

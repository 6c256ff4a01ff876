package eval

import (
	"compress/gzip"
	"encoding/csv"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"testing"
)

// impression is one row of the Open Bandit Dataset.
type impression struct {
	item, position int
	click, p       float64
}

func openBandit(t *testing.T, name string) []impression {
	t.Helper()
	dir := os.Getenv("SARTOR_DATA")
	if dir == "" {
		dir = filepath.Join("..", "..", "..", "shared", "data")
	}
	f, err := os.Open(filepath.Join(dir, "obd-small-men", name))
	if err != nil {
		t.Skipf("no data: %v", err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	rows, err := csv.NewReader(z).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	column := map[string]int{}
	for i, name := range rows[0] {
		column[name] = i
	}
	number := func(row []string, name string) float64 {
		v, err := strconv.ParseFloat(row[column[name]], 64)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	var out []impression
	for _, row := range rows[1:] {
		out = append(out, impression{item: int(number(row, "item_id")), position: int(number(row, "position")),
			click: number(row, "click"), p: number(row, "propensity_score")})
	}
	return out
}

// clickRates is a direct model: the click rate of each item in the log, drawn to the mean.
func clickRates(log []impression) []float64 {
	shown, clicks, all := make([]float64, 34), make([]float64, 34), 0.0
	for _, x := range log {
		shown[x.item]++
		clicks[x.item] += x.click
		all += x.click
	}
	mean := all / float64(len(log))
	for i := range clicks {
		clicks[i] = (clicks[i] + 200*mean) / (shown[i] + 200)
	}
	return clicks
}

func clickRate(log []impression) Interval {
	var clicks []float64
	for _, x := range log {
		clicks = append(clicks, x.click)
	}
	return Bootstrap(clicks, 1)
}

// The shop showed both policies at once, so the value of each was measured: what the log of one says about
// the other must agree with it, within what both samples leave open.
func TestOffPolicyOnTheOpenBanditDataset(t *testing.T) {
	random, bts := openBandit(t, "random.csv.gz"), openBandit(t, "bts.csv.gz")
	// The policy that was learned, as its log says it: the mean probability of an item in a position.
	policy, seen := map[[2]int]float64{}, map[[2]int]float64{}
	for _, x := range bts {
		policy[[2]int{x.item, x.position}] += x.p
		seen[[2]int{x.item, x.position}]++
	}
	for key := range policy {
		policy[key] /= seen[key]
	}
	total := map[int]float64{}
	for key, p := range policy {
		total[key[1]] += p
	}
	rates := clickRates(random)
	direct := map[int]float64{}
	for position := 1; position <= 3; position++ {
		for item := range 34 {
			direct[position] += policy[[2]int{item, position}] / total[position] * rates[item]
		}
	}
	var log []Logged
	for _, x := range random {
		log = append(log, Logged{Reward: x.click, Propensity: x.p, Target: policy[[2]int{x.item, x.position}] / total[x.position],
			Predicted: rates[x.item], Direct: direct[x.position]})
	}
	compareWithTruth(t, "learned policy from the random log", log, clickRate(bts))

	rates, log = clickRates(bts), nil
	mean := 0.0
	for _, r := range rates {
		mean += r / 34
	}
	for _, x := range bts {
		log = append(log, Logged{Reward: x.click, Propensity: x.p, Target: 1.0 / 34, Predicted: rates[x.item], Direct: mean})
	}
	compareWithTruth(t, "random policy from the learned log", log, clickRate(random))
}

func compareWithTruth(t *testing.T, what string, log []Logged, truth Interval) {
	t.Helper()
	if err := CheckLogged(log); err != nil {
		t.Fatal(err)
	}
	p := EstimatePolicy(log, 0, 1)
	t.Logf("%s: truth %v; IPS %v, SNIPS %v, DR %v, DM %v; effective %.0f of %d, largest weight %.1f",
		what, truth, p.IPS, p.SNIPS, p.DoublyRobust, p.DirectMethod, p.Effective, len(log), p.Largest)
	for name, i := range map[string]Interval{"IPS": p.IPS, "SNIPS": p.SNIPS, "DR": p.DoublyRobust} {
		// The two samples are independent: their half-widths add up as squares.
		if open := math.Hypot(i.High-i.Low, truth.High-truth.Low) / 2; math.Abs(i.Mean-truth.Mean) > open {
			t.Errorf("%s: %s %v is further than %.4f from the truth %v", what, name, i, open, truth)
		}
	}
}

package rules

import (
	"strings"
	"testing"
)

// The three rules that started the project.

func seedFile() File {
	f := rulesOf(
		mk("new-big-buyer-without-details", priority(90), when(`user.is_new and user.orders_90d >= 10 and not has("user.last_items")`),
			then(act("replace", "strategy", "hot", "by", "context.country", "keep_model", "30%"))),
		mk("vip-sees-hottest", priority(50), when(`user.spend_90d > params.vip_spend`),
			then(act("inject", "source", "hot", "window", "24h", "count", "4"))),
		mk("best-seller-first", priority(40), match(`item.sales_7d > params.hot_sales`),
			then(act("pin", "position", "1", "order_by", "item.sales_7d desc", "max", "1"))),
	)
	f.Params = []Param{{Name: "vip_spend", Type: "number", Default: "500", Min: "0", Max: "10000"},
		{Name: "hot_sales", Type: "int", Default: "1000", Min: "1"}}
	return f
}

func TestSeedBigSpenderGetsTheHottest(t *testing.T) {
	s := compiled(t, seedFile())
	for _, c := range []struct {
		spend float64
		want  int
	}{{500, 0}, {500.01, 1}} {
		env := at(map[string]any{"spend_90d": c.spend}, nil)
		p := s.Plan(env)
		if len(p.Inject) != c.want {
			t.Fatalf("spend %v: injects %+v, want %d", c.spend, p.Inject, c.want)
		}
		if c.want == 0 {
			continue
		}
		if f := p.Inject[0]; f.Source != SourceHot || f.Window != "24h" || f.Count != 4 || f.Rule != "vip-sees-hottest" {
			t.Errorf("fetch is %+v", f)
		}
		r := s.Apply(env, p, rank(thing("m", 0.5, nil), from(thing("h", 0.9, nil), SourceHot)), 2, true)
		if ids(r) != "h m" || strings.Join(r.Items[0].Reasons, " ") != "vip-sees-hottest" || firedIDs(r.Trace.Fired) != "vip-sees-hottest" {
			t.Errorf("got %s, %+v", ids(r), r)
		}
	}
}

func TestSeedBestSellerGoesFirst(t *testing.T) {
	s := compiled(t, seedFile())
	in := rank(thing("a", 0.9, nil), thing("b", 0.8, map[string]any{"sales_7d": 1000}), thing("c", 0.2, map[string]any{"sales_7d": 4000}),
		thing("d", 0.1, map[string]any{"sales_7d": 1001}))
	r := s.Apply(at(nil, nil), nil, in, 10, true)
	if got := ids(r); got != "c a b d" {
		t.Fatalf("order %s", got)
	}
	var detail string
	for _, e := range r.Trace.Items[0].Effects {
		detail = e.Detail
	}
	if detail != "Moved from 3 to 1 by best-seller-first: item.sales_7d 4000" {
		t.Errorf("detail %q", detail)
	}
	if got := strings.Join(r.Items[0].Reasons, " "); got != "best-seller-first" {
		t.Errorf("reasons %q", got)
	}
}

func TestSeedNewBigBuyerGetsHotInCountry(t *testing.T) {
	s := compiled(t, seedFile())
	env := at(map[string]any{"is_new": true, "orders_90d": 12}, map[string]any{"country": "DE"})
	p := s.Plan(env)
	if p.Replace == nil || p.Replace.Source != SourceHot || p.Replace.By != "country" || p.Replace.Value != "DE" || p.KeepModel != 0.3 {
		t.Fatalf("plan %+v", p)
	}
	in := []Candidate{}
	for i, id := range strings.Fields("m1 m2 m3 m4 m5 m6") {
		in = append(in, thing(id, 0.9-float64(i)/100, nil))
	}
	for i, id := range strings.Fields("h1 h2 h3 h4 h5 h6 h7 h8") {
		in = append(in, from(thing(id, 0.5-float64(i)/100, nil), SourceHot))
	}
	r := s.Apply(env, p, rank(in...), 10, true)
	if got := ids(r); got != "h1 h2 h3 m1 h4 h5 m2 h6 h7 m3" {
		t.Errorf("list %s", got)
	}
	if r.Trace.Strategy != "hot" || firedIDs(r.Trace.Fired) != "new-big-buyer-without-details" {
		t.Errorf("trace %+v", r.Trace)
	}
	knowing := at(map[string]any{"is_new": true, "orders_90d": 12, "last_items": []string{"x"}}, nil)
	if s.Plan(knowing).Replace != nil {
		t.Error("order details are known: the rule must not fire")
	}
}

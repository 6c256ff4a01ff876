package rulefile

import (
	"strings"
	"testing"

	"github.com/sartorhq/sartor/features"
	"github.com/sartorhq/sartor/rules"
)

// meaningMistakes are well-formed files that say something wrong: the compiler finds these, at places
// that the positions of this package make possible.
var meaningMistakes = []mistake{
	{"unknown_field", inRule("    when: user.◆oders_90d > 3\n"), "R001", "user.orders_90d"},
	{"unknown_field_in_block", inRule("    when: |\n      user.is_new\n      and user.◆oders_90d > 3\n"), "R001", "user.orders_90d"},
	{"unknown_field_quoted", inRule("    when: 'user.◆oders_90d > 3'\n"), "R001", "user.orders_90d"},
	{"unknown_field_after_umlaut", inRule("    match: item.title == \"Mäntel\" and item.◆prise > 3\n"), "R001", "item.price"},
	{"unknown_object", inRule("    when: ◆usr.is_new\n"), "R001", "user"},
	{"number_and_text", inRule("    when: user.tier == ◆1\n"), "R002", "\"1\""},
	{"text_and_number", inRule("    match: item.stock > ◆\"5\"\n"), "R002", "5"},
	{"single_equals", inRule("    when: user.tier ◆= \"gold\"\n"), "R003", "=="},
	{"bare_word", inRule("    when: user.tier == ◆gold\n"), "R004", "\"gold\""},
	{"contains_on_list", inRule("    match: item.tags ◆contains \"sale\"\n"), "R005", "\"sale\" in item.tags"},
	{"not_yes_no", inRule("    match: item.price ◆+ 5\n"), "R006", "yes"},
	{"refused_map", inRule("    match: ◆map(item.tags, lower(#)) == item.tags\n"), "R007", "any("},
	{"refused_let", inRule("    match: let ◆x = 5; x > item.stock\n"), "R007", "params"},
	{"refused_range", inRule("    match: item.stock in 1◆..5\n"), "R007", "between(x, 1, 5)"},
	{"duration", inRule("    match: age(item.created_at) < ◆duration(\"7d\")\n"), "R022", "days(7)"},
	{"open_bracket", inRule("    match: (item.stock > 5◆\n"), "R023", "bracket"},
	{"and_and", inRule("    when: user.is_new and ◆and user.orders > 3\n"), "R023", ""},
	{"percent_literal", inRule("    match: item.margin < ◆5%\n"), "R023", "0.05"},
	{"unit", inRule("    match: item.price < ◆50 EUR\n"), "R023", "write `50`"},
	{"decimal_comma", inRule("    match: item.price < ◆49,90\n"), "R023", "`49.90`"},
	{"multiply_by_percent", inAction("      - boost: {multiply: ◆20%}\n"), "R023", "multiply by 1.2"},
	{"wildcard", inRule("    match: item.brand == ◆\"nik*\"\n"), "R017", "item.brand startsWith \"nik\""},
	{"curly_quotes", inRule("    match: item.brand == ◆“nike”\n"), "R023", "straight quotes"},
	{"date_in_condition", inRule("    match: item.created_at > 2026-10◆-01\n"), "R002", "`schedule:`"},
	{"date_as_text", inRule("    match: item.created_at > ◆\"2026-10-01\"\n"), "R002", "age(item.created_at)"},
	{"infix_between", inRule("    match: ◆item.price between 10 and 50\n"), "R023", "`between(item.price, 10, 50)`"},
	{"is_empty", inRule("    match: ◆item.brand is empty\n"), "R023", "not has(\"item.brand\")"},
	{"round_list", inRule("    match: item.brand ◆in (\"nike\", \"puma\")\n"), "R023", "in [\"first\", \"second\"]"},
	{"capitals", inRule("    match: ◆Item.brand == \"nike\"\n"), "R001", "`item`"},
	{"span_without_unit", inRule("    match: age(item.created_at) < ◆14\n"), "R002", "`days(14)`"},
	{"span_in_short", inRule("    match: age(item.created_at) < ◆14d\n"), "R023", "`days(14)`"},
	{"did_without_span", inRule("    match: ◆did(\"order\")\n"), "R002", "did(\"order\", days(90))"},
	{"did_something_else", inRule("    match: did(◆\"bought\", days(9))\n"), "R014", "`order`"},
	{"sql_unequal", inRule("    match: item.stock ◆<> 3\n"), "R023", "`!=`"},
	{"sql_like", inRule("    match: item.brand ◆like \"nik\"\n"), "R023", "`contains`"},
	{"if_in_condition", inRule("    when: ◆if user.is_new\n"), "R023", "the question alone"},
	{"capital_and", inRule("    match: item.stock > 0 ◆AND item.price > 5\n"), "R023", "small letters"},
	{"source_in_words", inRequest("      - inject: {source: ◆best sellers}\n"), "R014", "`hot`"},
	{"first_place_is_zero", inAction("      - pin: {position: ◆0}\n"), "R013", "from 1 to 1000"},
	{"place_by_word", inAction("      - pin: {position: ◆top}\n"), "R024", "`position: 3`"},
	{"cap_without_max", inAction("      - ◆cap: {by: item.brand}\n"), "R024", "`cap: {max: 2}`"},
	{"holdout_of_a_guard", "apiVersion: rules/v1\nkind: RuleSet\nname: home\nowner: m\ndescription: d\nrules:\n  - id: one\n    description: d\n    hard: true\n    holdout: ◆5%\n    match: item.stock < 1\n    then: [exclude: {}]\n", "R025", "`hard: true`"},
	{"holdout_of_all", inRule("    holdout: ◆80%\n"), "R013", "`holdout: 5%`"},
	{"similarity_of_fields", inRule("    match: ◆similarity(item.brand, user.tier) > 0.5\n"), "R002", "`similarity(item, user)`"},
	{"segment_without_order", inRequest("      - ◆inject: {source: segment, match: item.stock > 3}\n"), "R024", "order_by: item.sales_7d desc"},
	{"unknown_function", inRule("    match: ◆agee(item.created_at) < days(3)\n"), "R001", "age"},
	{"unknown_param", inRule("    when: user.orders > params.◆limit\n"), "R001", "params"},
	{"unknown_list", inRule("    match: item.id in lists.◆recaled\n"), "R014", "lists"},
	{"user_in_has", inRule("    when: not has(◆\"user.last_item\")\n"), "R001", "user.last_items"},
	{"item_in_when", inRule("    when: ◆item.stock > 3\n"), "R001", "match"},
	{"division", inRule("    match: item.price ◆/ item.cost > 2\n"), "R021", "ratio("},
	{"unknown_source", inAction("      - inject: {source: ◆hott, count: 3}\n"), "R014", "hot"},
	{"unknown_strategy", inRequest("      - fill: {◆strategy: [topp, popular]}\n"), "R014", "popular"},
	{"unknown_window", inAction("      - inject: {source: hot, window: ◆2h, count: 3}\n"), "R014", "24h"},
	{"unknown_cap_field", inAction("      - cap: {by: ◆item.brnad, max: 2}\n"), "R001", "item.brand"},
	{"bury_with_boost_factor", inAction("      - bury: {multiply: ◆1.5}\n"), "R013", "boost"},
	{"boost_with_bury_factor", inAction("      - boost: {multiply: ◆0.5}\n"), "R013", "bury"},
	{"boost_of_nothing", inAction("      - ◆boost: {}\n"), "R024", "multiply"},
	{"position_is_text", inAction("      - pin: {position: ◆first}\n"), "R024", "digits"},
	{"keep_model_too_large", inRule("")[:0] + "apiVersion: rules/v1\nkind: RuleSet\nname: home\nowner: m\ndescription: d\nrules:\n  - id: one\n    description: d\n    then: [replace: {strategy: hot, keep_model: ◆130%}]\n", "R013", "30%"},
	{"order_by_unknown", inAction("      - pin: {position: 1, order_by: item.◆sales_7 desc}\n"), "R001", "item.sales_7d"},
	{"html_in_badge", inAction("      - badge: {text: ◆<b>New</b>}\n"), "R007", "plain text"},
	{"schedule_inverted", inRule("    schedule: {from: 2027-02-01, until: ◆2027-01-01}\n"), "R012", ""},
	{"schedule_bad_date", inRule("    schedule: {from: ◆01.02.2027}\n"), "R012", "write 2027-02-01"},
	{"schedule_bad_day", inRule("    schedule: {days: ◆[friday]}\n"), "R012", "write `fri`"},
	{"schedule_bad_hours", inRule("    schedule: {hours: ◆18-24}\n"), "R012", "18:00-24:00"},
	{"unknown_timezone", inFile("timezone: ◆Europe/Berlino\n"), "R012", ""},
	{"param_default_outside", inFile("params:\n  ◆x: {type: int, default: 50, max: 9}\n"), "R013", ""},
	{"param_default_type", inFile("params:\n  ◆x: {type: int, default: many}\n"), "R013", ""},
	{"rollout_by_unknown", inRule("    rollout: {percent: 5, by: ◆user.idd}\n"), "R001", "user.id"},
	{"match_with_inject_only", "apiVersion: rules/v1\nkind: RuleSet\nname: home\nowner: m\ndescription: d\nrules:\n  - id: one\n    description: d\n    match: ◆item.stock > 1\n    then: [inject: {source: hot, count: 3}]\n", "R025", "when"},
}

func TestSeededMeaningMistakes(t *testing.T) {
	placed, hinted := 0, 0
	schema := features.Default()
	for _, m := range meaningMistakes {
		data, line, column := seed(m.text)
		f, read := Parse("home.yaml", []byte(data))
		_, compiled := rules.Compile([]rules.File{f}, schema, rules.Options{})
		problems := Merge(read, compiled)
		i := 0 // the first error, or the first problem that is no lint of the surroundings
		for i < len(problems) && problems[i].Code != m.code {
			i++
		}
		if i == len(problems) {
			t.Logf("%s: want %s, got\n%s", m.name, m.code, rendered(problems))
			continue
		}
		p := problems[i]
		if p.Line == line && p.Column == column {
			placed++
		} else {
			t.Logf("%s: at %d:%d, want %d:%d\n%s", m.name, p.Line, p.Column, line, column, rendered(problems))
		}
		if strings.Contains(p.Hint+" "+p.Message, m.hint) {
			hinted++
		} else {
			t.Logf("%s: want the hint %q\n%s", m.name, m.hint, rendered(problems))
		}
	}
	all := len(meaningMistakes)
	t.Logf("%d mistakes of meaning: %d %% at the right place, %d %% with the right hint", all, 100*placed/all, 100*hinted/all)
	if placed*100 < 95*all || hinted*100 < 90*all {
		t.Errorf("below 95 %% places or 90 %% hints")
	}
}

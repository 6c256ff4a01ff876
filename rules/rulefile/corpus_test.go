package rulefile

import (
	"bytes"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/sartorhq/sartor/rules"
)

// mistake is one seeded mistake: ◆ stands where the problem must be reported.
type mistake struct {
	name, text string
	code       string
	hint       string // must be in the hint or the message
}

// inRule puts lines into an otherwise correct rule.
func inRule(lines string) string {
	return "apiVersion: rules/v1\nkind: RuleSet\nname: home\nowner: me@example.com\ndescription: d\nrules:\n  - id: one\n    description: d\n" + lines +
		"    then: [boost: {multiply: 1.2}]\n  - id: two\n    description: d\n    match: item.stock < 1\n    then: [exclude: {}]\n"
}

func inAction(then string) string {
	return "apiVersion: rules/v1\nkind: RuleSet\nname: home\nowner: me@example.com\ndescription: d\nrules:\n  - id: one\n    description: d\n    match: item.stock > 1\n    then:\n" + then
}

func inRequest(then string) string {
	return strings.Replace(inAction(then), "    match: item.stock > 1\n", "", 1)
}

func inFile(lines string) string {
	return "apiVersion: rules/v1\nkind: RuleSet\nname: home\nowner: me@example.com\ndescription: d\n" + lines +
		"rules:\n  - id: one\n    description: d\n    match: item.stock < 1\n    then: [exclude: {}]\n"
}

var shapeMistakes = []mistake{
	{"tag_eats_condition", inRule("    when: ◆!user.is_new\n"), "R032", "write `not user.is_new`"},
	{"tag_with_space", inRule("    when: ◆! user.is_new\n"), "R032", "write `not user.is_new`"},
	{"tag_with_call", inRule("    when: ◆!has(\"user.tier\")\n"), "R032", "write `not has(\"user.tier\")`"},
	{"tag_with_brackets", inRule("    when: ◆!(user.is_new or user.orders > 3)\n"), "R032", "write `not (user.is_new or user.orders > 3)`"},
	{"tag_on_value", inRule("    priority: ◆!!int 5\n"), "R032", "quotes"},
	{"comment_eats_condition", inRule("    when: any(user.last_items, ◆# == \"x\")\n"), "R011", "own line after `when: |`"},
	{"comment_eats_all", inRule("    when: ◆# user.is_new\n"), "R011", "own line after `when: |`"},
	{"comment_after_operator", inRule("    match: item.price > ◆# 5\n"), "R011", "own line after `match: |`"},
	{"quote_start_double", inRule("    match: ◆\"vip\" in item.tags\n"), "R030", "'\"vip\" in item.tags'"},
	{"quote_start_single", inRule("    match: ◆'vip' in item.tags\n"), "R030", "`match: |`"},
	{"colon_inside", inRule("    when: user.is_new ? 1 ◆: 2\n"), "R030", "`when: |`"},
	{"colon_in_text", inRule("    match: item.title == \"a◆: b\"\n"), "R030", "`match: |`"},
	{"list_start", inRule("    match: ◆[\"a\", \"b\"] == item.tags\n"), "R030", "`match: |`"},
	{"map_start", inRule("    when: ◆{a: 1}.a\n"), "R030", "`when: |`"},
	{"condition_is_list", inRule("    match: ◆[item.stock, 1]\n"), "R034", "`match: |`"},
	{"condition_is_map", inRule("    match: ◆{item.stock: 1}\n"), "R034", "`match: |`"},
	{"backtick_start", inRule("    match: ◆`vip` in item.tags\n"), "R030", "`match: |`"},
	{"percent_start", inRule("    match: ◆%x\n"), "R030", "`match: |`"},
	{"greater_start", inRule("    match: ◆> 5\n"), "R030", "`match: |`"},
	{"empty_condition", inRule("    when:◆\n"), "R011", "delete the line"},
	{"quoted_empty_condition", inRule("    when: ◆\"\"\n"), "R011", "delete the line"},
	{"empty_block", inRule("    when: ◆|\n"), "R011", "delete the line"},
	{"key_twice", inRule("    priority: 1\n    ◆priority: 2\n"), "R031", "line 9 and on line 10"},
	{"top_key_twice", inFile("◆name: other\n"), "R031", "line 3 and on line 6"},
	{"tab_indent", inRule("◆\tpriority: 1\n"), "R030", "sartor rules fmt"},
	{"tab_after_spaces", inRule("  ◆\t  priority: 1\n"), "R030", "sartor rules fmt"},
	{"anchor", inRule("    priority: ◆&p 5\n"), "R032", "params:"},
	{"alias", inRule("    priority: ◆*p\n"), "R032", "params:"},
	{"merge_key", inRule("    ◆<<: {priority: 1}\n"), "R032", "write the keys out"},
	{"unknown_rule_key", inRule("    ◆pririty: 5\n"), "R009", "`priority`"},
	{"unknown_rule_key_case", inRule("    ◆When: user.is_new\n"), "R009", "`when`"},
	{"unknown_top_key", inFile("◆onwer: me\n"), "R009", "`owner`"},
	{"unknown_scope_key", inFile("scope: {◆scenario: [home]}\n"), "R009", "`scenarios`"},
	{"unknown_param_key", inFile("params:\n  x: {type: int, ◆defualt: 3}\n"), "R009", "`default`"},
	{"unknown_list_key", inFile("lists:\n  x: {◆value: [a]}\n"), "R009", "`values`"},
	{"unknown_schedule_key", inRule("    schedule: {◆form: 2026-01-01}\n"), "R009", "`from`"},
	{"unknown_rollout_key", inRule("    rollout: {◆percentage: 5}\n"), "R009", "percent"},
	{"rule_key_on_top", inFile("◆priority: 5\n"), "R009", "indent it under"},
	{"unknown_action", inAction("      - ◆bost: {multiply: 2}\n"), "R009", "`boost`"},
	{"synonym_action", inAction("      - ◆hide: {}\n"), "R009", "`exclude:`"},
	{"unknown_action_field", inAction("      - boost: {◆multipy: 2}\n"), "R009", "`multiply`"},
	{"field_beside_action", inAction("      - boost:\n        ◆multiply: 1.2\n"), "R034", "indent it two spaces more"},
	{"two_actions_in_one", inAction("      - boost: {multiply: 1.2}\n        ◆badge: {text: Hi}\n"), "R034", "`- badge:`"},
	{"then_is_mapping", inAction("      ◆exclude: {}\n"), "R034", "start each action with `- `"},
	{"action_with_text", inAction("      - boost: ◆1.3\n"), "R034", "multiply"},
	{"if_then_else", inRule("    ◆if: item.price > 1\n"), "R009", "`match`"},
	{"enabled", inRule("    ◆enabled: false\n"), "R009", "`disabled`"},
	{"boost_by_percent", inAction("      - boost: ◆20%\n"), "R034", "`boost: {multiply: 1.2}`"},
	{"bury_by_percent", inAction("      - bury: ◆30%\n"), "R034", "`bury: {multiply: 0.7}`"},
	{"badge_text", inAction("      - badge: ◆New for you\n"), "R034", "`badge: {text: New for you}`"},
	{"conditions_as_list", inRule("    match:\n      ◆- item.price > 10\n      - item.stock > 0\n"), "R034", "`match: item.price > 10 and item.stock > 0`"},
	{"share_in_words", inRule("    rollout: ◆half\n"), "R034", "`rollout: 20%`"},
	{"holdout_in_words", inRule("    holdout: ◆5 percent\n"), "R034", "`holdout: 20%`"},
	{"no_then", "apiVersion: rules/v1\nkind: RuleSet\nname: home\nrules:\n  - ◆id: one\n    match: item.stock < 1\n", "R035", "then:"},
	{"empty_then", inAction("")[:len(inAction(""))-len("    then:\n")] + "    ◆then:\n", "R034", "start each action"},
	{"no_id", "apiVersion: rules/v1\nkind: RuleSet\nname: home\nrules:\n  - ◆match: item.stock < 1\n    then: [exclude: {}]\n", "R035", "id:"},
	{"no_kind", "◆apiVersion: rules/v1\nname: home\nrules:\n  - id: one\n    then: [exclude: {}]\n", "R035", "kind: RuleSet"},
	{"wrong_kind", "apiVersion: rules/v1\nkind: ◆Ruleset\nname: home\nrules:\n  - id: one\n    then: [exclude: {}]\n", "R034", "kind: RuleSet"},
	{"wrong_version", "apiVersion: ◆rules/v2\nkind: RuleSet\nname: home\nrules:\n  - id: one\n    then: [exclude: {}]\n", "R034", "rules/v1"},
	{"id_with_spaces", "apiVersion: rules/v1\nkind: RuleSet\nname: home\nrules:\n  - id: ◆Best Seller First\n    then: [exclude: {}]\n", "R034", "`best-seller-first`"},
	{"id_twice", inFile("") + "  - id: ◆one\n    then: [exclude: {}]\n", "R010", "line 7 and on line 11"},
	{"priority_is_text", inRule("    priority: ◆high\n"), "R034", "whole number"},
	{"priority_too_large", inRule("    priority: ◆5000\n"), "R034", "between -1000 and 1000"},
	{"priority_zero_padded", inRule("    priority: ◆007\n"), "R034", "whole number"},
	{"bool_by_word", inRule("    disabled: ◆YES\n"), "R034", "`disabled: true`"},
	{"percent_too_large", inRule("    rollout: {percent: ◆150%}\n"), "R034", "between 0 and 100"},
	{"comma_in_flow", inRule("    schedule: {from: 2026-01-01, hours: any(x, ◆y)}\n"), "R009", "put the whole condition in quotes"},
	{"missing_space_after_colon", inRule("    priority:◆5\n"), "R030", "`priority: 5`"},
	{"missing_colon", inRule("    ◆priority 5\n"), "R030", "`priority:`"},
	{"indent_too_deep", inRule("      ◆priority: 5\n"), "R030", "line up"},
	{"indent_too_shallow", inRule("   ◆priority: 5\n"), "R030", "line up"},
	{"quote_not_closed", inRule("    group: ◆\"autumn\n"), "R030", "end the text with"},
	{"bracket_not_closed", inFile("tags: ◆[a, b\n"), "R030", "close it"},
	{"list_file_outside", inFile("lists:\n  x: {file: ◆../secret.txt}\n"), "R036", "folder"},
	{"list_file_absolute", inFile("lists:\n  x: {file: ◆/etc/passwd}\n"), "R036", "folder"},
	{"list_file_missing", inFile("lists:\n  x: {file: ◆none.txt}\n"), "R036", "one value a line"},
	{"list_source", inFile("lists:\n  x: {source: ◆recalled}\n"), "R036", "`source: redis:recalled`"},
	{"list_source_and_values", inFile("lists:\n  x: {values: [a], ◆source: redis:x}\n"), "R034", "delete one of them"},
	{"list_not_mapping", inFile("lists:\n  x: ◆[a, b]\n"), "R034", "values: [first, second]"},
	{"param_not_mapping", inFile("params:\n  x: ◆5\n"), "R034", "{type: number, default: 5}"},
	{"param_type", inFile("params:\n  x: {type: ◆integer, default: 5}\n"), "R034", "number, int"},
	{"param_name", inFile("params:\n  ◆my-param: {type: int, default: 5}\n"), "R034", "`my_param`"},
	{"two_documents", inFile("") + "---\n◆name: second\n", "R032", "its own file"},
	{"hard_without_exclude", inRule("    hard: true\n")[:0] + "apiVersion: rules/v1\nkind: RuleSet\nname: home\nrules:\n  - ◆id: one\n    hard: true\n    then: [boost: {multiply: 2}]\n", "R034", "exclude: {}"},
	{"nul_byte", inRule("    group: a◆\x00b\n"), "R033", "delete it"},
	{"line_separator", inRule("    group: a◆\u2028b\n"), "R033", "press Enter"},
	{"nbsp_indent", inRule("  ◆\u00a0 priority: 5\n"), "R030", "ordinary spaces"},
	{"empty_file", "◆", "R035", "apiVersion"},
	{"only_comment", "◆# nothing here\n", "R035", "apiVersion"},
	{"rules_is_mapping", "apiVersion: rules/v1\nkind: RuleSet\nname: home\nrules:\n  ◆one: {then: [exclude: {}]}\n", "R034", "- id:"},
	{"dash_without_space", "apiVersion: rules/v1\nkind: RuleSet\nname: home\nrules:\n  ◆-id: one\n", "R034", "- id:"},
}

// seed splits the text of a mistake into the file and the place of its problem.
func seed(text string) (data string, line, column int) {
	at := strings.Index(text, "◆")
	before := text[:at]
	line = strings.Count(before, "\n") + 1
	column = utf8.RuneCountInString(before[strings.LastIndex(before, "\n")+1:]) + 1
	return strings.Replace(text, "◆", "", 1), line, column
}

func TestSeededShapeMistakes(t *testing.T) {
	placed, hinted := 0, 0
	for _, m := range shapeMistakes {
		t.Run(m.name, func(t *testing.T) {
			data, line, column := seed(m.text)
			_, problems := Parse("home.yaml", []byte(data))
			if len(problems) == 0 {
				t.Fatalf("no problem in:\n%s", data)
			}
			p := problems[0]
			if p.Line == line && p.Column == column && p.Code == m.code {
				placed++
			} else {
				t.Errorf("at %d:%d %s, want %d:%d %s", p.Line, p.Column, p.Code, line, column, m.code)
			}
			if strings.Contains(p.Hint+" "+p.Message, m.hint) {
				hinted++
			} else {
				t.Errorf("hint %q does not hold %q", p.Hint, m.hint)
			}
			if len(problems) > 1 {
				t.Errorf("one mistake, %d problems", len(problems))
			}
			if t.Failed() {
				t.Logf("in:\n%s\ngot:\n%s", data, rendered(problems))
			}
		})
	}
	t.Logf("%d mistakes: %d %% at the right place, %d %% with the right hint", len(shapeMistakes),
		100*placed/len(shapeMistakes), 100*hinted/len(shapeMistakes))
}

func rendered(problems []rules.Problem) string {
	var b bytes.Buffer
	if err := Render(&b, problems, "text"); err != nil {
		return err.Error()
	}
	return b.String()
}

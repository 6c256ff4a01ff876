package rules

import "strings"

// CodeInfo explains one code of Problem for people: what it means, and an example that gives it. The
// example is rules as they stand under `rules:`, or a whole file.
type CodeInfo struct {
	Code, Title, Meaning, Example string
}

// Catalogue lists every code that files can get, by number. ERRORS.md is made of it.
func Catalogue() []CodeInfo {
	return append(append([]CodeInfo{}, meaningCodes...), shapeCodes...)
}

// meaningCodes are what the compiler finds.
var meaningCodes = []CodeInfo{
	{CodeUnknownField, "a name that does not exist", "The feature schema has no such field, or there is no such parameter or function. The nearest name is offered. Fields are named with what they belong to: `user.`, `item.`, `request.`, `context.`.",
		"- id: sold-out\n  match: item.stok <= 0\n  then: [exclude: {}]\n"},
	{CodeTypeMismatch, "two things that cannot be compared", "Text is compared with text (in quotes), numbers with numbers (without), times by their age, and functions take what their example shows.",
		"- id: gold\n  when: user.tier == 1\n  then: [inject: {source: hot}]\n"},
	{CodeSingleEquals, "`=` instead of `==`", "One `=` sets a value in other languages; a condition asks with two.",
		"- id: gold\n  when: user.tier = \"gold\"\n  then: [inject: {source: hot}]\n"},
	{CodeBareWord, "text without quotes", "A word without quotes is the name of something, and there is none of that name.",
		"- id: gold\n  when: user.tier == gold\n  then: [inject: {source: hot}]\n"},
	{CodeListContains, "a list is asked like a text", "`contains` looks inside a text; a list is asked with `in`, from the element to the list.",
		"- id: on-sale\n  match: item.tags contains \"sale\"\n  then: [boost: {multiply: 1.2}]\n"},
	{CodeNotYesNo, "a condition that is not yes or no", "`when` and `match` are questions. A number or a text alone is no answer to one.",
		"- id: dear\n  match: item.price\n  then: [bury: {multiply: 0.5}]\n"},
	{CodeRefused, "something that rules may not do", "Conditions cannot run for ever, build texts and lists, or call out. The message says what to use instead; texts for shoppers hold no HTML.",
		"- id: fresh\n  match: item.stock in 1..5\n  then: [boost: {multiply: 1.2}]\n"},
	{CodeTooCostly, "too long, too deep or too much work", "An expression has at most 2,000 bytes, 200 parts and 32 brackets inside each other, a file 500 rules, and a loop may cost 5,000: the longest list times the work on each element. The message shows the part that costs most.",
		"- id: busy\n  match: |\n    any(user.last_items, # matches \"a\" or # matches \"b\" or # matches \"c\")\n  then: [boost: {multiply: 1.2}]\n"},
	{CodeUnknownKey, "a key or action that does not exist", "Every key is known; a slip is an error and never silence.",
		"- id: sold-out\n  match: item.stock <= 0\n  then: [hide: {}]\n"},
	{CodeDuplicate, "a name used twice", "Reports, statistics and explanations go by names, so the ids of all rules differ, in all files of a set. Lists of one name in two files should hold the same.",
		"- id: sold-out\n  match: item.stock <= 0\n  then: [exclude: {}]\n- id: sold-out\n  match: item.stock < 0\n  then: [exclude: {}]\n"},
	{CodeEmpty, "an empty condition", "Nothing stands there, or YAML took it for a comment.",
		"- id: bulk\n  when: any(user.last_items, # startsWith \"bulk-\")\n  then: [inject: {source: hot}]\n"},
	{CodeSchedule, "a schedule that cannot be", "A date that is none, an end before the start, a zone that nobody knows; or, as a warning, a schedule that is over.",
		"- id: autumn\n  match: item.category == \"coats\"\n  schedule: {from: 2026-11-01, until: 2026-10-01}\n  then: [boost: {multiply: 1.2}]\n"},
	{CodeOutOfBounds, "a number outside its bounds", "A boost never lowers and a bury never raises; positions, counts, shares and parameters have bounds.",
		"- id: dear\n  match: item.price > 100\n  then: [boost: {multiply: 0.5}]\n"},
	{CodeUnknownName, "an unknown list, source, window or event", "Lists are declared in the file that uses them; sources, windows and events are those that the message lists.",
		"- id: hits\n  then: [inject: {source: bestsellers}]\n"},
	{CodePinConflict, "two pins for one place", "Both rules can be on at once. The higher priority gets the place, the other one the next free one, and the answer says so.",
		"- id: ours\n  match: item.brand == \"ours\"\n  then: [pin: {position: 1}]\n- id: cheap\n  match: item.price < 5\n  then: [pin: {position: 1}]\n"},
	{CodeQuota, "a quota that cannot be met", "It asks for more items than there are places, or than a cap lets in.",
		"- id: own-brand\n  then: [quota: {match: '\"own\" in item.tags', min: 5, within: 3}]\n"},
	{CodeConstant, "always or never true", "A condition that decides nothing is mostly a slip: `and` where `or` was meant, a value that a field never has, a star in a comparison.",
		"- id: odd\n  match: item.price > 100 and item.price < 50\n  then: [exclude: {}]\n"},
	{CodeShadowed, "a rule or row that another one hides", "What it would do is always done, or undone, by another rule, of this file or of another one in the same place: it can never count.",
		"- id: no-coats\n  match: item.category == \"coats\"\n  then: [exclude: {}]\n- id: coat-first\n  match: item.category == \"coats\" and item.price < 50\n  then: [pin: {position: 1}]\n"},
	{CodeUnused, "a parameter or list that nothing uses", "Either something is missing that should use it, or it can go.",
		"apiVersion: rules/v1\nkind: RuleSet\nname: unused\ndescription: An example\nowner: you@example.com\nlists:\n  recalled: {values: [sku-1]}\nrules:\n  - id: sold-out\n    match: item.stock <= 0\n    then: [exclude: {}]\n"},
	{CodeUndocumented, "no owner or description", "Somebody will ask why this rule is there.",
		"apiVersion: rules/v1\nkind: RuleSet\nname: orphan\nrules:\n  - id: sold-out\n    match: item.stock <= 0\n    then: [exclude: {}]\n"},
	{CodeZeroDivision, "a division that may be by zero", "For an item on which it is, the action is skipped. `ratio` has an answer for that case.",
		"- id: rate\n  match: item.sales_7d / item.views_7d > 0.1\n  then: [boost: {multiply: 1.2}]\n"},
	{CodeDurationText, "`duration(...)`", "Time spans are numbers with a unit.",
		"- id: fresh\n  match: age(item.created_at) < duration(\"7d\")\n  then: [boost: {multiply: 1.2}]\n"},
	{CodeSyntax, "a condition that cannot be read", "A bracket or a quote is not closed, a word stands where none may, or it is written as in SQL, a spreadsheet or a sentence.",
		"- id: middle\n  match: item.price between 10 and 50\n  then: [boost: {multiply: 1.2}]\n"},
	{CodeActionField, "a field that is missing or cannot be read", "Each action has fields that it cannot do without.",
		"- id: variety\n  then: [cap: {by: item.brand}]\n"},
	{CodeMisplaced, "a key that has no meaning here", "A condition on items beside an action on the whole request, a guard that does something else than exclude, a hold-out of a guard.",
		"- id: hits\n  match: item.stock > 5\n  then: [inject: {source: hot}]\n"},
	{CodeOpposed, "two rules that pull both ways", "Every item that one rule raises is lowered by another one of the same file. The message says what comes of it.",
		"- id: coats-up\n  match: item.category == \"coats\"\n  then: [boost: {multiply: 1.5}]\n- id: dear-coats-down\n  match: item.category == \"coats\" and item.price > 200\n  then: [bury: {multiply: 0.5}]\n"},
}

// shapeCodes are what reading the file finds.
var shapeCodes = []CodeInfo{
	{"R030", "the text is not YAML", "A value that starts with a quote, a tab, a colon inside of a condition, a bracket that is not closed, lines that do not line up. A condition on its own lines after `|` always works.",
		"- id: on-sale\n  match: \"sale\" in item.tags\n  then: [boost: {multiply: 1.2}]\n"},
	{"R031", "a key written twice", "YAML would silently take one of them.",
		"- id: gold\n  when: user.is_new\n  when: user.tier == \"gold\"\n  then: [inject: {source: hot}]\n"},
	{"R032", "a part of YAML that rule files do not have", "Tags (`!`), anchors, aliases, merge keys and several documents in one file: `params` and `lists` do what they are used for.",
		"- id: known\n  when: !user.is_new\n  then: [inject: {source: hot}]\n"},
	{"R033", "too large, too deep, or no plain text", "A rule file has at most 1 MiB, is UTF-8, and holds no control characters. Brackets nest at most 64 deep.",
		"- id: deep\n  match: item.stock in " + strings.Repeat("[", 65) + "1" + strings.Repeat("]", 65) + "\n  then: [exclude: {}]\n"},
	{"R034", "a value of the wrong shape", "A list where a single value belongs, text where a number does, a name with spaces.",
		"- id: discount\n  match: item.price < 50\n  then: [boost: 20%]\n"},
	{"R035", "a key that is missing", "A file needs `apiVersion`, `kind`, `name` and rules; a rule needs `id` and `then`.",
		"- match: item.stock <= 0\n  then: [exclude: {}]\n"},
	{"R036", "a list file that cannot be read", "It has to lie in the rule file's folder, or below it: one value a line.",
		"apiVersion: rules/v1\nkind: RuleSet\nname: listed\ndescription: An example\nowner: you@example.com\nlists:\n  recalled: {file: recalled.txt}\nrules:\n  - id: recalled\n    hard: true\n    match: item.id in lists.recalled\n    then: [exclude: {}]\n"},
	{"R040", "a rule that no test names", "`sartor rules lint` only: nobody would notice if it did something else tomorrow. Name it under `fired:`, `not_fired:` or `removed:` of a case.",
		"- id: sold-out\n  match: item.stock <= 0\n  then: [exclude: {reason: sold out}]\n"},
}

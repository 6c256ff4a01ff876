package rules

import (
	"math"
	"testing"
	"time"
)

// The public vectors of GrowthBook's second hash version.
func TestBucketVectors(t *testing.T) {
	for _, c := range []struct {
		seed, id string
		want     int
	}{{"seed", "a", 505}, {"seed", "b", 2696}, {"89123klj", "8952klfjas09ujkasdf", 1240}, {"90850943850283058242805", "123", 7516}, {"()**(%$##$%#$#", "___)((*\":&", 128}} {
		if got := bucket(c.seed, c.id); got != c.want {
			t.Errorf("%q %q: %d, want %d", c.seed, c.id, got, c.want)
		}
	}
}

func zone(t *testing.T, name string) *time.Location {
	t.Helper()
	z, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return z
}

func TestLocalTimesThatClocksSkipOrRepeat(t *testing.T) {
	for _, c := range []struct{ zone, local, want string }{
		{"Europe/Berlin", "2026-10-25T02:30", "2026-10-25T00:30:00Z"}, // twice: the first
		{"Europe/Berlin", "2026-10-25T02:00", "2026-10-25T00:00:00Z"},
		{"Europe/Berlin", "2026-10-25T03:00", "2026-10-25T02:00:00Z"},
		{"Europe/Berlin", "2027-03-28T02:30", "2027-03-28T01:00:00Z"}, // never: after the gap
		{"Europe/Berlin", "2027-03-28T02:00", "2027-03-28T01:00:00Z"},
		{"Europe/Berlin", "2027-03-28T03:00", "2027-03-28T01:00:00Z"},
		{"Europe/Berlin", "2027-03-28T01:59", "2027-03-28T00:59:00Z"},
		{"Pacific/Kiritimati", "2026-01-01", "2025-12-31T10:00:00Z"},        // UTC+14
		{"Pacific/Apia", "2011-12-30T12:00", "2011-12-30T10:00:00Z"},        // a whole day was skipped
		{"Australia/Lord_Howe", "2026-10-04T02:15", "2026-10-03T15:30:00Z"}, // a gap of half an hour
		{"America/New_York", "2026-11-01T01:30", "2026-11-01T05:30:00Z"},
		{"UTC", "2028-02-29", "2028-02-29T00:00:00Z"},
		{"UTC", "2026-10-01 18:00:30", "2026-10-01T18:00:30Z"},
		{"Europe/Berlin", "2026-10-01T18:00:00+00:00", "2026-10-01T18:00:00Z"},
	} {
		f := rulesOf()
		r := reporter{file: &f}
		var got time.Time
		if !r.moment(&Schedule{}, "from", c.local, zone(t, c.zone), &got) {
			t.Errorf("%+v: %v", c, r.problems)
		}
		if got.Format(time.RFC3339) != c.want {
			t.Errorf("%s %s: %s, want %s", c.zone, c.local, got.Format(time.RFC3339), c.want)
		}
	}
}

func TestSchedules(t *testing.T) {
	for _, c := range []struct {
		name     string
		zone     string
		schedule Schedule
		on, off  []string
	}{
		{"half-open dates", "Europe/Berlin", Schedule{From: "2026-10-01", Until: "2026-11-01"},
			[]string{"2026-09-30T22:00:00Z", "2026-10-31T22:59:59Z"}, []string{"2026-09-30T21:59:59Z", "2026-10-31T23:00:00Z"}},
		{"days", "Europe/Berlin", Schedule{Days: []string{"sat", "sun"}},
			[]string{"2026-10-23T22:00:00Z", "2026-10-25T22:59:00Z"}, []string{"2026-10-23T21:59:00Z", "2026-10-25T23:00:00Z"}},
		{"evening", "Europe/Berlin", Schedule{Days: []string{"fri"}, Hours: "18:00-24:00"},
			[]string{"2026-10-23T16:00:00Z", "2026-10-23T21:59:00Z"}, []string{"2026-10-23T15:59:00Z", "2026-10-23T22:00:00Z", "2026-10-24T17:00:00Z"}},
		{"past midnight belongs to the starting day", "UTC", Schedule{Days: []string{"fri"}, Hours: "22:00-02:00"},
			[]string{"2026-10-23T22:00:00Z", "2026-10-24T01:59:00Z"}, []string{"2026-10-23T01:00:00Z", "2026-10-24T02:00:00Z", "2026-10-24T22:00:00Z"}},
		{"hours in the night that has one more", "Europe/Berlin", Schedule{Hours: "02:30-03:00"},
			[]string{"2026-10-25T00:30:00Z", "2026-10-25T01:45:00Z"}, []string{"2026-10-25T00:29:00Z", "2026-10-25T02:00:00Z"}},
		{"hours in the night that has one less", "Europe/Berlin", Schedule{Hours: "02:30-03:30"},
			[]string{"2027-03-28T01:00:00Z", "2027-03-28T01:29:00Z"}, []string{"2027-03-28T00:59:00Z", "2027-03-28T01:30:00Z"}},
		{"the furthest east", "Pacific/Kiritimati", Schedule{Days: []string{"mon"}, Hours: "00:00-01:00"},
			[]string{"2026-10-25T10:00:00Z"}, []string{"2026-10-25T11:00:00Z", "2026-10-26T10:00:00Z"}},
		{"leap day", "UTC", Schedule{From: "2028-02-29", Until: "2028-03-01"},
			[]string{"2028-02-29T23:59:59Z"}, []string{"2028-02-28T23:59:59Z", "2028-03-01T00:00:00Z"}},
		{"always", "UTC", Schedule{}, []string{"2026-01-01T00:00:00Z"}, nil},
	} {
		f := rulesOf()
		r := reporter{file: &f}
		s := r.schedule(&c.schedule, zone(t, c.zone), time.Time{})
		if len(r.problems) > 0 {
			t.Fatalf("%s: %v", c.name, r.problems)
		}
		for want, moments := range map[bool][]string{true: c.on, false: c.off} {
			for _, m := range moments {
				now, err := time.Parse(time.RFC3339, m)
				if err != nil {
					t.Fatal(err)
				}
				if s.live(now) != want {
					t.Errorf("%s: at %s live is %v", c.name, m, !want)
				}
			}
		}
	}
}

func TestAScheduleThatIsOverIsAWarning(t *testing.T) {
	f := rulesOf(Rule{ID: "r", Schedule: &Schedule{Until: "2026-10-01"}, Then: []Action{act("badge", "text", "x")}})
	s, problems := Compile([]File{f}, schema(), Options{Now: friday})
	if s == nil || len(problems) != 1 || problems[0].Code != CodeSchedule || problems[0].Severity != SeverityWarning {
		t.Errorf("%+v", problems)
	}
	if _, problems = Compile([]File{f}, schema(), Options{}); len(problems) != 0 {
		t.Errorf("without a clock: %+v", problems)
	}
}

func TestLocalTime(t *testing.T) {
	f := rulesOf(mk("r", when(`local.hour == 19 and local.weekday == "fri" and local.date == "2026-10-23" and local.month == 10`), then(act("inject", "source", "hot"))))
	f.Timezone = "Europe/Berlin"
	if p := compiled(t, f).Plan(at(nil, nil)); len(p.Inject) != 1 {
		t.Error("19:00 in Berlin was not recognised")
	}
	f.Timezone = "UTC"
	if p := compiled(t, f).Plan(at(nil, nil)); len(p.Inject) != 0 {
		t.Error("17:00 in UTC was taken for 19:00")
	}
}

func TestRolloutIsStableAndGrows(t *testing.T) {
	share := func(percent float64) map[string]bool {
		s := compiled(t, rulesOf(Rule{ID: "r", Rollout: &Rollout{Percent: percent, By: "user.id"}, Then: []Action{act("inject", "source", "hot")}}))
		in := map[string]bool{}
		for i := 0; i < 4000; i++ {
			id := "user-" + string(rune('a'+i%26)) + time.Duration(i).String()
			if len(s.Plan(&Env{Now: friday, User: visitor2(id)}).Inject) == 1 {
				in[id] = true
			}
		}
		return in
	}
	ten, thirty := share(10), share(30)
	for id := range ten {
		if !thirty[id] {
			t.Fatalf("%s left the rollout when it grew", id)
		}
	}
	for want, got := range map[float64]int{400: len(ten), 1200: len(thirty)} {
		if math.Abs(float64(got)-want) > 4*math.Sqrt(want) {
			t.Errorf("%d users, want about %v", got, want)
		}
	}
	if got := share(0); len(got) != 0 {
		t.Errorf("0%%: %d users", len(got))
	}
}

func TestVersion(t *testing.T) {
	a, b := rulesOf(mk("r", match("item.stock > 0"), then(act("exclude")))), rulesOf(mk("s", then(act("boost", "multiply", "params.x"))))
	b.Name, b.Path, b.Params = "other", "other.yaml", []Param{{Name: "x", Type: "number", Default: "1.5"}}
	base := compiled(t, a, b)
	if len(base.Version()) != 64 || base.Version() != compiled(t, b, a).Version() {
		t.Error("the order of files changes the version")
	}
	moved := a
	moved.Path, moved.Lines, moved.Pos = "x/y.yaml", []string{"# comment"}, Pos{3, 1}
	if compiled(t, moved, b).Version() != base.Version() {
		t.Error("the place of a file changes the version")
	}
	changed, problems := Compile([]File{a, b}, schema(), Options{Params: map[string]map[string]any{"other": {"x": 2}}})
	if changed == nil || changed.Version() == base.Version() {
		t.Errorf("an override does not change the version: %v", problems)
	}
	edited := rulesOf(mk("r", match("item.stock > 1"), then(act("exclude"))))
	if compiled(t, edited, b).Version() == base.Version() {
		t.Error("another condition has the same version")
	}
	if got := base.Names(); len(got) != 2 || got[0] != "home" || got[1] != "other" {
		t.Errorf("names %v", got)
	}
	if got := base.RuleIDs(); len(got) != 2 || got[0] != "r" {
		t.Errorf("ids %v", got)
	}
}

func TestOverridesObeyTypesAndBounds(t *testing.T) {
	f := rulesOf(mk("r", when("user.orders > params.n and user.tier == params.t and params.b and days(1) < params.d"), then(act("boost", "multiply", "params.x"))))
	f.Params = []Param{{Name: "n", Type: "int", Default: "3", Min: "1", Max: "5"}, {Name: "x", Type: "number", Default: "1.5"}, {Name: "t", Type: "text", Default: "gold"},
		{Name: "b", Type: "bool", Default: "true"}, {Name: "d", Type: "duration", Default: "7d", Max: "30d"}}
	for _, c := range []struct {
		name string
		to   any
		code string
	}{{"n", 5, ""}, {"n", 6, "R013"}, {"n", 2.0, ""}, {"n", 2.5, "R002"}, {"n", "4", ""}, {"x", 2, ""}, {"x", "two", "R002"}, {"x", math.Inf(1), "R002"}, {"t", "silver", ""}, {"t", 1, "R002"},
		{"b", false, ""}, {"b", "false", ""}, {"d", 48 * time.Hour, ""}, {"d", "31d", "R013"}, {"d", true, "R002"}, {"y", 1, "R009"}} {
		s, problems := Compile([]File{f}, schema(), Options{Params: map[string]map[string]any{"home": {c.name: c.to}}})
		code := ""
		for _, p := range problems {
			if p.Severity == SeverityError {
				code = p.Code
			}
		}
		if code != c.code || (s == nil) != (code != "") {
			t.Errorf("%s = %v: %q, want %q: %+v", c.name, c.to, code, c.code, problems)
		}
	}
	if _, problems := Compile([]File{f}, schema(), Options{Params: map[string]map[string]any{"hone": {"n": 1}}}); len(problems) != 1 || problems[0].Hint != "did you mean `home`?" {
		t.Errorf("unknown set: %+v", problems)
	}
}

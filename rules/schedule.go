package rules

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	_ "time/tzdata" // rules mean the same on a machine without zone files
)

var weekdayNames = [...]string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"}

// schedule says when a rule is live. The zero bounds are open.
type schedule struct {
	zone        *time.Location
	from, until time.Time
	daily       bool // days or hours are limited
	days        [7]bool
	open, close int // minutes of the local day; close <= open means past midnight
}

// live tells whether the rule is on at a moment: half-open, in the file's time zone.
func (s *schedule) live(now time.Time) bool {
	if s == nil {
		return true
	}
	if !s.from.IsZero() && now.Before(s.from) || !s.until.IsZero() && !now.Before(s.until) {
		return false
	}
	if !s.daily {
		return true
	}
	y, m, d := now.In(s.zone).Date()
	for _, day := range []int{d, d - 1} { // hours past midnight belong to the day they start on
		start := time.Date(y, m, day, 0, 0, 0, 0, time.UTC)
		if !s.days[start.Weekday()] {
			continue
		}
		end := s.close
		if end <= s.open {
			end += 24 * 60
		}
		from := s.instant(start, s.open)
		until := s.instant(start, end)
		if !now.Before(from) && now.Before(until) {
			return true
		}
	}
	return false
}

func (s *schedule) instant(day time.Time, minute int) time.Time {
	return localInstant(day.Add(time.Duration(minute)*time.Minute), s.zone)
}

// localInstant is the moment when clocks in the zone show wall (given as if it were UTC). A time
// that clocks skip means the first moment after the gap; one they show twice, its first occurrence.
func localInstant(wall time.Time, zone *time.Location) time.Time {
	guess := time.Date(wall.Year(), wall.Month(), wall.Day(), wall.Hour(), wall.Minute(), wall.Second(), 0, zone)
	var found time.Time
	for _, near := range []time.Duration{-25 * time.Hour, 0, 25 * time.Hour} {
		_, offset := guess.Add(near).Zone()
		t := wall.Add(-time.Duration(offset) * time.Second)
		_, real := t.In(zone).Zone()
		if real == offset && (found.IsZero() || t.Before(found)) {
			found = t
		}
	}
	if !found.IsZero() {
		return found.UTC()
	}
	_, before := guess.Add(-25 * time.Hour).Zone() // read with the old offset, a skipped time lies just after the gap
	start, _ := wall.Add(-time.Duration(before) * time.Second).In(zone).ZoneBounds()
	return start.UTC()
}

// schedule reads a rule's schedule.
func (r *reporter) schedule(s *Schedule, zone *time.Location, now time.Time) *schedule {
	if s == nil {
		return nil
	}
	out := &schedule{zone: zone}
	ok := r.moment(s, "from", s.From, zone, &out.from)
	ok = r.moment(s, "until", s.Until, zone, &out.until) && ok
	ok = r.days(s, out) && ok
	ok = r.hours(s, out) && ok
	if !ok {
		return out
	}
	out.daily = len(s.Days) > 0 || s.Hours != ""
	switch {
	case !out.from.IsZero() && !out.until.IsZero() && !out.from.Before(out.until):
		r.error(s.At("until"), CodeSchedule, "the schedule ends before it starts", "`from` is the first moment, `until` the first moment after it")
	case !out.until.IsZero() && !now.IsZero() && !now.Before(out.until):
		r.warn(s.At("until"), CodeSchedule, "the schedule is over since "+s.Until, "remove the rule, or move `until`")
	}
	return out
}

var momentLayouts = []string{"2006-01-02", "2006-01-02T15:04", "2006-01-02 15:04", "2006-01-02T15:04:05", "2006-01-02 15:04:05"}

func (r *reporter) moment(s *Schedule, name, text string, zone *time.Location, into *time.Time) bool {
	if text == "" {
		return true
	}
	if t, err := time.Parse(time.RFC3339, text); err == nil {
		*into = t.UTC()
		return true
	}
	for _, layout := range momentLayouts {
		if t, err := time.Parse(layout, text); err == nil {
			*into = localInstant(t, zone)
			return true
		}
	}
	hint := "write 2026-10-01 or 2026-10-01T18:00"
	for _, layout := range []string{"2.1.2006", "2.1.06"} { // as most of Europe writes; with slashes nobody knows what is the month
		if t, err := time.Parse(layout, text); err == nil {
			hint = "write " + t.Format(time.DateOnly)
		}
	}
	r.error(s.At(name), CodeSchedule, "`"+name+": "+text+"` is not a date", hint)
	return false
}

func (r *reporter) days(s *Schedule, out *schedule) bool {
	if len(s.Days) == 0 {
		out.days = [7]bool{true, true, true, true, true, true, true}
		return true
	}
	ok := true
	for _, name := range s.Days {
		found := false
		for i, day := range weekdayNames {
			if day == name {
				out.days[i], found = true, true
			}
		}
		if !found {
			hint := "use mon, tue, wed, thu, fri, sat, sun"
			if short := strings.ToLower(name); len(short) > 2 && contains(weekdayNames[:], short[:3]) {
				hint = "write `" + short[:3] + "`"
			}
			r.error(s.At("days"), CodeSchedule, "`"+name+"` is not a day", hint)
			ok = false
		}
	}
	return ok
}

func (r *reporter) hours(s *Schedule, out *schedule) bool {
	out.open, out.close = 0, 24*60
	if s.Hours == "" {
		return true
	}
	from, until, found := strings.Cut(s.Hours, "-")
	open, okOpen := clock(from)
	end, okEnd := clock(until)
	if !found || !okOpen || !okEnd || open == 24*60 || open == end {
		r.error(s.At("hours"), CodeSchedule, fmt.Sprintf("`hours: %s` cannot be read", s.Hours), `write "18:00-24:00"; "22:00-02:00" goes past midnight`)
		return false
	}
	out.open, out.close = open, end
	return true
}

// clock reads "18:30" as minutes since midnight; 24:00 is the end of the day.
func clock(text string) (int, bool) {
	h, m, found := strings.Cut(strings.TrimSpace(text), ":")
	hour, err1 := strconv.Atoi(h)
	minute, err2 := strconv.Atoi(m)
	ok := found && err1 == nil && err2 == nil && len(m) == 2 && hour >= 0 && minute >= 0 && minute < 60
	return hour*60 + minute, ok && hour*60+minute <= 24*60
}

package httpapi

import (
	"encoding/json"
	"testing"
	"time"
)

// TestLooseTime: a client's number is milliseconds or seconds, by its size, and any year is one. Exports are
// read otherwise: streams/file has a time of its own.
func TestLooseTime(t *testing.T) {
	for in, want := range map[string]string{
		`"2022-02-24"`:                         "2022-02-24T00:00:00Z",
		`"2022/02/24"`:                         "2022-02-24T00:00:00Z",
		`" 2022-02-24 10:11:12 "`:              "2022-02-24T10:11:12Z",
		`"2022-02-24T10:00:00+02:00"`:          "2022-02-24T08:00:00Z",
		`"2022-02-24 10:11:12.5 +0000 UTC"`:    "2022-02-24T10:11:12.5Z",
		`1645660800000`:                        "2022-02-24T00:00:00Z",
		`"1645660800"`:                         "2022-02-24T00:00:00Z",
		`1645660800.5`:                         "2022-02-24T00:00:00.5Z",
		`"1960-01-01"`:                         "1960-01-01T00:00:00Z",
		`-315619200`:                           "1960-01-01T00:00:00Z",
		`""`:                                   "",
		`null`:                                 "",
		`"soon"`:                               "error",
		`2022`:                                 "error", // a year is no count of seconds
		`1e300`:                                "error",
		`["2022-02-24"]`:                       "error",
		`"2022-02-24T10:00:00 in the morning"`: "error",
	} {
		var got looseTime
		text := ""
		if err := json.Unmarshal([]byte(in), &got); err != nil {
			text = "error"
		} else if !got.IsZero() {
			text = got.Format(time.RFC3339Nano)
		}
		if text != want {
			t.Errorf("%s is %q, want %q", in, text, want)
		}
	}
}

package file

import (
	"encoding/json"
	"testing"
	"time"
)

// TestLooseTime: an export's number is milliseconds, and what is not after 1970 is absent. Requests of
// clients are read otherwise: recommender/httpapi has a time of its own.
func TestLooseTime(t *testing.T) {
	for in, want := range map[string]string{
		`"2022-02-24"`:                "2022-02-24T00:00:00Z",
		`"2022-02-24 10:11:12"`:       "2022-02-24T10:11:12Z",
		`"2022-02-24T10:00:00+02:00"`: "2022-02-24T08:00:00Z",
		`1645660800000`:               "2022-02-24T00:00:00Z",
		`"1645660800000"`:             "2022-02-24T00:00:00Z",
		`1645660800`:                  "1970-01-20T01:07:40.8Z", // never seconds
		`"0001-01-01T00:00:00Z"`:      "", `0`: "", `-5`: "", `""`: "", `null`: "",
		`"soon"`: "error", `1e12`: "error", `"2022/02/24"`: "error",
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

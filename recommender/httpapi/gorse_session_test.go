package httpapi

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/sartorhq/sartor/streams/foreign"
)

// TestSessionOf: the newest items count, each once; what was put back is seen and speaks for nothing.
func TestSessionOf(t *testing.T) {
	var rows []string
	for i := range 12 {
		rows = append(rows, fmt.Sprintf(`{"FeedbackType":"read","ItemId":"i%02d","Timestamp":"2026-10-23T10:%02d:00Z"}`, i, i))
	}
	rows = append(rows, `{"FeedbackType":"star","ItemId":"i03","Timestamp":"2026-10-23T09:00:00Z"}`, `{"FeedbackType":"refund","ItemId":"back","Timestamp":"2026-10-23T11:00:00Z"}`)
	var in []foreign.GorseFeedback[looseTime]
	if err := json.Unmarshal([]byte("["+strings.Join(rows, ",")+"]"), &in); err != nil {
		t.Fatal(err)
	}
	var wrong []fieldError
	liked, seen := sessionOf(in, &wrong)
	if want := strings.Fields("i11 i10 i09 i08 i07 i06 i05 i04 i03 i02"); !reflect.DeepEqual(liked, want) {
		t.Errorf("liked %v, want %v", liked, want)
	}
	if want := strings.Fields("back i11 i10 i09 i08 i07 i06 i05 i04 i03 i02 i01 i00"); !reflect.DeepEqual(seen, want) || wrong != nil {
		t.Errorf("seen %v, want %v; %v", seen, want, wrong)
	}
}

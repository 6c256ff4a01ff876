package rulestore

import (
	"bytes"
	"encoding/json"
	"testing"
	"time"
)

// FuzzReadAudit reads whatever stands in a log: what it accepts is, byte for byte, what was written.
func FuzzReadAudit(f *testing.F) {
	one := Entry{Seq: 1, Time: time.Unix(1000, 0).UTC(), Action: ActionDraft, Revision: "000001-a", Author: "jane"}.seal()
	two := Entry{Seq: 2, Time: time.Unix(2000, 0).UTC(), Action: ActionPublish, Revision: "000001-a", Prev: one.Hash}.seal()
	var b bytes.Buffer
	for _, e := range []Entry{one, two} {
		if err := json.NewEncoder(&b).Encode(e); err != nil {
			f.Fatal(err)
		}
	}
	f.Add(b.Bytes())
	f.Add([]byte("{}\n"))
	f.Add([]byte("\n\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		entries, err := readAudit(data)
		if err != nil {
			return
		}
		var again bytes.Buffer
		for _, e := range entries {
			line, err := json.Marshal(e)
			if err != nil {
				t.Fatal(err)
			}
			again.Write(append(line, '\n'))
		}
		if !bytes.Equal(again.Bytes(), data) {
			t.Errorf("%d bytes were accepted, %d stand for them", len(data), again.Len())
		}
	})
}

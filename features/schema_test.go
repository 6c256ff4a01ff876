package features

import "testing"

func TestDefaultParses(t *testing.T) {
	s := Default()
	if s.Version() == "" || len(s.UserFields()) == 0 {
		t.Fatal("empty default schema")
	}
}

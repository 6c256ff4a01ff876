package rulefile

import (
	"bytes"
	"os"
	"testing"

	"github.com/sartorhq/sartor/rules"
)

func TestParseAutumn(t *testing.T) {
	data, err := os.ReadFile("testdata/autumn.yaml")
	if err != nil {
		t.Fatal(err)
	}
	f, problems := Parse("testdata/autumn.yaml", data)
	if len(problems) > 0 {
		var b bytes.Buffer
		Render(&b, problems, "text")
		t.Fatal(b.String())
	}
	t.Logf("%+v", f.Rules[5])
	_ = rules.Pos{}
}

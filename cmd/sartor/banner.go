package main

import (
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"time"
)

// banner says what runs, where its files are, and what to try first. The commands work as printed.
func (d *devRun) banner(out io.Writer, base string, try planted) error {
	var b strings.Builder
	fmt.Fprintf(&b, "\nSartor is ready.\n\n")
	fmt.Fprintf(&b, "  api     %s/v1/recommend   reference %s/openapi.json\n", base, base)
	operators := base
	if d.parts.admin != nil {
		operators = "http://" + d.parts.admin.Addr().String()
	}
	fmt.Fprintf(&b, "  state   %s/v1/status      metrics   %s/metrics\n", operators, operators)
	fmt.Fprintf(&b, "  rules   %s: edit and save, a good file is live a second later\n", filepath.Join(d.wiring.config.Rules.Dir, "home.yaml"))
	fmt.Fprintf(&b, "  model   %s\n", d.describeModel())
	for _, line := range d.stack.Describe() {
		fmt.Fprintf(&b, "  %s\n", line)
	}
	ask := fmt.Sprintf(`{"user_id":"%s","scenario":"home","count":5%%s}`, try.user)
	fmt.Fprintf(&b, "\n%s likes %s of %s. Ask for %s, let %s put something else (%s) into the cart, ask again:\n\n",
		try.user, strings.Join(try.taste.Categories, ", "), strings.Join(try.taste.Brands, ", "), try.user, try.user, try.truth.Category)
	curl(&b, base+"/v1/recommend", fmt.Sprintf(ask, ""))
	curl(&b, base+"/v1/events", fmt.Sprintf(`{"event_id":"try-%d","type":"cart-add","time":"%s","user_id":"%s","item_id":"%s"}`,
		time.Now().Unix(), time.Now().UTC().Format(time.RFC3339), try.user, try.item))
	curl(&b, base+"/v1/recommend", fmt.Sprintf(ask, `,"explain":true`))
	fmt.Fprintf(&b, "\nCtrl-C stops it.\n")
	_, err := io.WriteString(out, b.String())
	return err
}

func curl(b *strings.Builder, url, body string) {
	fmt.Fprintf(b, "  curl -s %s -H 'Content-Type: application/json' -d '%s'\n", url, body)
}

// describeModel says what the model is and how well it foresaw what it had not seen.
func (d *devRun) describeModel() string {
	st := d.serving.rec.Status()
	text := fmt.Sprintf("%s, %s items", st.Versions.Model, thousands(int64(st.Vectors)))
	if recall, ok := st.Model.Metrics["recall@20"]; ok {
		text += fmt.Sprintf("; recall@20 %.3f (popularity alone: %.3f)", recall, st.Model.Metrics["popularity.recall@20"])
	}
	return text
}

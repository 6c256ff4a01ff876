package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sartorhq/sartor/models"
)

func TestTrainPublishesABlendWithChosenWeights(t *testing.T) {
	path, dir := writeEvents(t, twoTastes(40, 20, 20)), filepath.Join(t.TempDir(), "models")
	code, out, errs := runHere(t, "train", "--model", "blend", "--dim", "8", "--epochs", "6", "--k", "5", "--from-file", "ndjson:"+path, "--models", dir)
	for _, want := range []string{"weight ", " of the parts after the first, popularity weight ", "(the best of 60 for Blend", "Published blend-"} {
		if code != exitOK || !strings.Contains(out, want) {
			t.Errorf("exit code %d, no %q\n%s%s", code, want, out, errs)
		}
	}
	m, err := current(dir)
	if err != nil {
		t.Fatal(err)
	}
	blend, ok := m.(*models.Blend)
	if !ok || len(blend.Parts()) != 2 || blend.Parts()[0].Model.Meta().Kind != models.KindLAE || blend.Parts()[1].Model.Meta().Kind != models.KindALS {
		t.Fatalf("published %+v", m.Meta())
	}
	if meta := m.Meta(); meta.Metrics["ndcg@5"] <= meta.Metrics["popularity.ndcg@5"] || meta.Metrics["popularity.ndcg@5"] <= 0 {
		t.Errorf("metrics %v", meta.Metrics)
	}
}

func TestTrainABlendWithGivenWeights(t *testing.T) {
	path := writeEvents(t, twoTastes(40, 20, 20))
	call := []string{"train", "--model", "blend", "--dim", "8", "--epochs", "4", "--k", "5", "--kappa", "0", "--eval-only", "--from-file", "ndjson:" + path}
	code, out, errs := runHere(t, append(call, "--of", "lae,lae,als", "--mix", "1,0.5")...)
	if code != exitOK || !strings.Contains(out, "Blend") || strings.Contains(out, "Chosen on the newest") {
		t.Errorf("exit code %d\n%s%s", code, out, errs)
	}
	for want, flags := range map[string][]string{
		"need numbers separated by commas":    {"--mix", "1,heavy"},
		"2 models with 2 weights":             {"--mix", "1,2"},
		"the weight of a part is -1":          {"--mix", "-1"},
		`"item-knn" cannot be a part`:         {"--of", "lae,item-knn"},
		"a blend of 1 models with 1 weights:": {"--of", "lae"},
	} {
		if code, _, errs := runHere(t, append(call, flags...)...); code != exitUsage || !strings.Contains(errs, want) {
			t.Errorf("%v: exit code %d, %q, want %q", flags, code, errs, want)
		}
	}
}

// With an encoder among its parts, and the last event of each user held out, a blend is judged by the training
// that chose its constants; without one it is trained again.
func TestABlendWithAnEncoderIsTrainedOnceForTheLastEvent(t *testing.T) {
	path := writeEvents(t, twoTastes(40, 20, 20))
	for of, again := range map[string]bool{"encoder,lae": false, "lae,als": true} {
		history := filepath.Join(t.TempDir(), "history.jsonl")
		call := []string{"train", "--model", "blend", "--of", of, "--split", "last", "--dim", "8", "--epochs", "2", "--k", "5", "--eval-only", "--history", history,
			"--from-file", "ndjson:" + path}
		if !again {
			call = append(call, "--hidden", "8", "--inner", "8")
		}
		code, out, errs := runHere(t, call...)
		if code != exitOK {
			t.Fatalf("%s: exit code %d\n%s%s", of, code, out, errs)
		}
		text, err := os.ReadFile(history)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(text), `"phase":"choose"`) || strings.Contains(string(text), `"phase":"evaluate"`) != again {
			t.Errorf("%s: trained again to be judged should be %v:\n%s", of, again, text)
		}
	}
}

package main

import (
	"log/slog"
	"os"
	"testing"
	"time"

	"github.com/sartorhq/sartor/features"
	"github.com/sartorhq/sartor/recommender"
	"github.com/sartorhq/sartor/recommender/httpapi"
)

// TestOverload asks for three times what the server could do a moment ago: every request is answered or
// refused with 503, and none fails. The long form, with SARTOR_SOAK set, lasts a minute and judges too that
// some are refused, the goodput and the memory, which on a machine that others use means nothing.
func TestOverload(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: takes some seconds")
	}
	schema := features.Default()
	rec := recommender.New(recommender.Options{Schema: schema, Budget: devBudget, RulesBudget: devBudget, Workers: networkThread()})
	t.Cleanup(ushered(t.Context(), rec, slog.New(slog.DiscardHandler))) // as in 'sartor serve'
	if err := rec.Refresh(t.Context(), benchCatalogue{schema, 3000, time.Now()}); err != nil {
		t.Fatal(err)
	}
	set, err := benchRules(schema, 20)
	if err != nil {
		t.Fatal(err)
	}
	rec.SetRules(set)
	calm, long, soak := 300*time.Millisecond, 1500*time.Millisecond, os.Getenv("SARTOR_SOAK") != ""
	if soak {
		calm, long = 3*time.Second, time.Minute
	}
	got, err := overloaded(t.Context(), httpapi.New(httpapi.Options{Recommender: rec, MaxReads: 16}), asks(benchUsers(20)), 8, calm, long)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%.0f/s alone; of %.0f/s asked for, %.0f/s answered (p99 %s); %d refused (p99 %s, when they arrived %s); memory %s, then %s", got.plateau, got.asked, got.goodput,
		millis(got.Accepted.P99), got.Refused.Count, millis(got.Refused.P99), millis(got.refusal()), bytesText(int64(got.heldBefore)), bytesText(int64(got.heldAt)))
	if got.Failed > 0 {
		t.Errorf("%d requests were neither answered nor refused, the first: %s", got.Failed, got.FirstFailure)
	}
	if got.Accepted.Count == 0 {
		t.Error("nothing was answered")
	}
	if soak && got.Refused.Count == 0 {
		t.Error("nothing was refused")
	}
	if grown := int64(got.heldAt) - int64(got.heldBefore); soak && grown > 256<<20 {
		t.Errorf("memory grew by %s", bytesText(grown))
	}
	if soak && got.goodput < goalGoodput*got.plateau {
		t.Errorf("goodput %.0f/s, want %.0f %% of %.0f/s", got.goodput, 100*goalGoodput, got.plateau)
	}
}

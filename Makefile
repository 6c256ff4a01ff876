# One line each; 'make help' prints them. Only Go is needed for run, build, test, race, lint and fuzz.
STATICCHECK = honnef.co/go/tools/cmd/staticcheck@v0.8.2
FUZZTIME   ?= 10s

.DEFAULT_GOAL := help
.PHONY: run build test race lint integration fuzz bench bench-quality e2e soak figures clients help

run:         ## everything in one process with a synthetic shop: http://127.0.0.1:8080
	go run -tags nocloud ./cmd/sartor dev $(ARGS)

build:       ## bin/sartor
	go build -trimpath -o bin/sartor ./cmd/sartor

test:        ## all tests that need only Go
	go test -timeout 20m ./...

race:        ## the same under the race detector
	go test -race ./...

lint:        ## gofmt, go vet and staticcheck
	test -z "$$(gofmt -l . | tee /dev/stderr)" && go vet ./... && go run $(STATICCHECK) ./...

integration: ## suites against real Kafka and real Redis (needs Java 17, Maven and redis-server)
	./.ci/run integration

fuzz:        ## every fuzz target for FUZZTIME (10s)
	grep -rl --include=*_test.go '^func Fuzz' . | xargs -n1 dirname | sort -u | while read d; do for f in $$(grep -ho '^func Fuzz[A-Za-z0-9_]*' $$d/*_test.go | cut -c6-); do go test -run '^$$' -fuzz "^$$f\$$" -fuzztime $(FUZZTIME) $$d || exit 1; done; done

bench:       ## events/s, requests/s and latencies, each beside its limit of the same run
	go run ./cmd/sartor bench $(ARGS)

bench-quality: ## models on public data sets, each beside the published figure; ARGS=--all for those that take minutes
	go run ./cmd/sartor evaluate quality $(ARGS)

e2e:         ## the whole road in one process, with its figures
	go test -count=1 -v -run '^TestE2E' ./cmd/sartor

soak:        ## the long forms: 200 rounds of faults on the write path, reloads, swaps and random cases by the thousand, then the race detector ten times over
	SARTOR_SOAK=1 go test -count=1 -timeout 120m -v -run '^TestSoak$$' ./cmd/sartor
	SARTOR_SOAK=1 go test -count=1 -v -run OrderIndependence ./streams/kafka ./features/redisstore
	SARTOR_SOAK=1 go test -count=1 -timeout 60m -skip '^TestSoak$$' ./streams/archive ./rules/... ./recommender/... ./cmd/sartor
	go test -race -count=10 -timeout 60m ./streams/... ./features/... ./recommender/... ./rules/rulestore/... ./deploy/...
	go test ./rules -count=1 -run 'Naive|Explain|Facts|Analysis|Agree|Reference' -rapid.checks=10000

figures:     ## what rules/FIGURES.md says, measured on this machine
	SARTOR_FIGURES=1 go test ./rules -count=1 -v -run 'TestFigures|Bombs|NoAllocationPerCandidate|AcrossManyFiles'
	go test ./rules/rulefile ./rules/value -count=1 -v -run 'Seeded|Intervals'

clients:     ## Go and TypeScript clients from the OpenAPI document (needs npm)
	deploy/clients/generate.sh

help:        ## this list
	@grep -E '^[a-z0-9-]+: +##' Makefile | sed -E 's/: +## /\t/' | expand -t 14

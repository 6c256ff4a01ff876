#!/usr/bin/env bash
# Generates the clients from the document that the server serves: 'make clients'. It needs Go, npm and their
# registries. The last lines of its work are CHECKSUMS, by which a test knows that nothing here is out of date
# or edited by hand.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
readonly OAPI_CODEGEN=github.com/oapi-codegen/oapi-codegen/v2/cmd/oapi-codegen@v2.8.2

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
go build -C ../.. -o "$work/sartor" ./cmd/sartor
"$work/sartor" serve openapi >"$work/openapi.json"
"$work/sartor" serve openapi --version 3.0 >"$work/openapi-3.0.json" # the Go generator does not know 3.1
cp "$work/openapi.json" openapi.json

(cd go && go run "$OAPI_CODEGEN" -config oapi-codegen.yaml "$work/openapi-3.0.json" && gofmt -w sartor.gen.go && go build ./...)
(cd typescript && npm ci --silent --no-audit --no-fund && npm run --silent generate && npm run --silent build)

sha256sum openapi.json go/sartor.gen.go typescript/src/schema.ts >CHECKSUMS

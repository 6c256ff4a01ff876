#!/bin/sh
# Writes ../kernels_amd64.s and its Go declarations. Called by 'go generate ./models/kernel'.
set -e
cd "$(dirname "$0")"
go run . -out ../kernels_amd64.s -stubs ../stubs_amd64.go -pkg kernel
# Without noescape every pointer argument would move its array to the heap.
sed -i 's#^func #//go:noescape\nfunc #' ../stubs_amd64.go
gofmt -w ../stubs_amd64.go
if grep -qE '\b[YX](1[6-9]|2[0-9]|3[01])\b|Z[0-9]' ../kernels_amd64.s; then
	echo "gen: the output uses AVX-512 registers" >&2
	exit 1
fi
# The kernels of training have one tile of AVX-512; everything else in them keeps to AVX2.
go run ./learn -out ../learn_amd64.s -stubs ../learn_stubs_amd64.go -pkg kernel
sed -i 's#^func #//go:noescape\nfunc #' ../learn_stubs_amd64.go
gofmt -w ../learn_stubs_amd64.go
if grep -qE '\b[YX](1[6-9]|2[0-9]|3[01])\b' ../learn_amd64.s; then
	echo "gen: the output of learn uses AVX-512 registers outside its tile" >&2
	exit 1
fi
go run ./layers -out ../layers_amd64.s -stubs ../layers_stubs_amd64.go -pkg kernel
sed -i 's#^func #//go:noescape\nfunc #' ../layers_stubs_amd64.go
gofmt -w ../layers_stubs_amd64.go
if grep -qE '\b[YX](1[6-9]|2[0-9]|3[01])\b|Z[0-9]' ../layers_amd64.s; then
	echo "gen: the output of layers uses AVX-512 registers" >&2
	exit 1
fi
# The AVX-512 forms of least squares.
go run ./wide -out ../wide_amd64.s -stubs ../wide_stubs_amd64.go -pkg kernel
sed -i 's#^func #//go:noescape\nfunc #' ../wide_stubs_amd64.go
gofmt -w ../wide_stubs_amd64.go

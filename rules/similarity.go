package rules

import (
	"math"

	"github.com/expr-lang/expr/ast"
)

// similarityVar is the name that expressions know similarity(item, user) by; no author can write it.
const similarityVar = "the similarity"

// bySimilarity is what `diversify` names to compare items by their vectors.
const bySimilarity = "similarity"

// similarity types similarity(item, user): how near the model sees the two. It is the one call that
// takes whole objects, since nothing else can be asked of their vectors.
func (t *typer) similarity(n *ast.CallNode) *node {
	usage := "write `similarity(item, user)`, for instance `" + helpers["similarity"].usage + "`"
	names := map[string]bool{}
	for _, a := range n.Arguments {
		if id, ok := a.(*ast.IdentifierNode); ok {
			names[id.Value] = true
		}
	}
	if len(n.Arguments) != 2 || !names["item"] || !names["user"] {
		return t.fail(n, CodeTypeMismatch, "`similarity` compares the item with the user and takes nothing else", usage)
	}
	if t.place != placeMatch {
		return t.misplaced(n, "similarity(item, user)")
	}
	t.layout.vectors = true
	out := t.variable(n, variable{name: similarityVar, kind: kindNumber, deps: depScore, own: ref{item: true, at: atSimilarity}})
	out.text = "similarity(item, user)"
	return out
}

// compareVectors notes how near each candidate is to the user, from 0 to 1: half of one plus the cosine
// of the angle, and 0 where the user or the item has no vector.
func (r *run) compareVectors() {
	taste := length(r.env.Taste)
	for j := range r.cands {
		c := &r.cands[j]
		c.similarity = 0
		if product := taste * length(c.Vector); product > 0 && len(c.Vector) == len(r.env.Taste) {
			c.similarity = min(max((1+cosine(r.env.Taste, c.Vector, product))/2, 0), 1)
		}
	}
}

// cosine is the cosine of the angle between two vectors, given the product of their lengths; 0 when it
// says nothing.
func cosine(a, b []float32, product float64) float64 {
	if !(product > 0) || len(a) != len(b) {
		return 0
	}
	sum := float32(0)
	for i, x := range a {
		sum += float32(x * b[i]) // rounded here: one answer on every machine
	}
	return float64(sum) / product
}

func length(v []float32) float64 {
	sum := float32(0)
	for _, x := range v {
		sum += float32(x * x)
	}
	if l := math.Sqrt(float64(sum)); finite(l) {
		return l
	}
	return 0
}

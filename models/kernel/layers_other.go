//go:build !amd64 || purego

package kernel

// None of these is called: accelerated is false here.

func sigmoidFast(y, x []float32, scale float32)                                   {}
func mulFast(z, x, y []float32)                                                   {}
func swishBackFast(d, x, s []float32, scale float32)                              {}
func decayFast(h, last, a, lambda, gamma []float32)                               {}
func decayBackFast(d, last, a, lambda, gamma, carry, byGamma, byLambda []float32) {}
func dropFast(x []float32, place, limit uint32, scale float32)                    {}
func normFast(y, x, scale, shift []float32) float32                               { return 0 }
func normBackFast(d, x, scale, byScale, byShift []float32, inverse float32)       {}
func maxSumFast(x, y []float32) float32                                           { return 0 }
func expSumFast(x, y []float32, shift float32) float32                            { return 0 }
func squareSumFast(x []float32) float64                                           { return 0 }

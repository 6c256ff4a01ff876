//go:build !unix

package train

import "testing"

// processor returns 0: the time of the processor is measured on Unix only.
func processor(*testing.B) float64 { return 0 }

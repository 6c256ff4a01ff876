//go:build !unix

package main

import "time"

// processCPU returns the CPU time that this process has used; 0 where the system does not say.
func processCPU() time.Duration { return 0 }

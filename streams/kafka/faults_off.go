//go:build !faults

package kafka

// faults are the places at which a process that is built with -tags faults can be told to die; see
// faults_on.go. In any other build they are nothing.
type faults struct{}

func (faults) reach(string) {}

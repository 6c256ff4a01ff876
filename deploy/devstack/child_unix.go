//go:build unix && !linux

package devstack

import "syscall"

// childAttributes puts the child into a process group of its own, so that Ctrl-C reaches only this
// process and it can stop the child in order. A killed parent leaves the child running here.
func childAttributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

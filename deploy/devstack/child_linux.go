package devstack

import "syscall"

// childAttributes puts the child into a process group of its own, so that Ctrl-C reaches only this
// process and it can stop the child in order, and has the kernel stop the child when this process
// is killed.
func childAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
}

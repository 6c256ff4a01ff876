package main

import "syscall"

// dieWithParent has the kernel end a child whose test is gone.
func dieWithParent(a *syscall.SysProcAttr) { a.Pdeathsig = syscall.SIGKILL }

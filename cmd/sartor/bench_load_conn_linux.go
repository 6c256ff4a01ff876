package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"golang.org/x/sys/unix"
)

// dial opens a connection that tells when what it receives has arrived. On the loopback it takes no time
// worth doing something else in.
func (l *epollLoad) dial(i int) error {
	addr := l.addr.Addr().Unmap()
	family, to := unix.AF_INET6, unix.Sockaddr(&unix.SockaddrInet6{Port: int(l.addr.Port()), Addr: addr.As16()})
	if addr.Is4() {
		family, to = unix.AF_INET, &unix.SockaddrInet4{Port: int(l.addr.Port()), Addr: addr.As4()}
	}
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	err = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
	// A system that does not know of it tells no times of arrival.
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1)
	if err == nil {
		err = unix.Connect(fd, to)
	}
	if errors.Is(err, unix.EINPROGRESS) {
		err = connected(fd)
	}
	if err == nil {
		err = unix.EpollCtl(l.ep, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(i)})
	}
	if err != nil {
		return errors.Join(err, unix.Close(fd))
	}
	l.conns[i].fd = fd
	return nil
}

// connected waits until a connection is open.
func connected(fd int) error {
	const patience = 5 * time.Second
	for begin := time.Now(); ; {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT}}, 100)
		if n > 0 {
			code, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ERROR)
			if err == nil && code != 0 {
				err = unix.Errno(code)
			}
			return err
		}
		if err != nil && !errors.Is(err, unix.EINTR) {
			return err
		}
		if time.Since(begin) > patience {
			return unix.ETIMEDOUT
		}
	}
}

// hangUp closes a connection that is open.
func (l *epollLoad) hangUp(i int) {
	c := &l.conns[i]
	if c.fd >= 0 {
		_ = unix.Close(c.fd) // which takes it from epoll too; there is nothing in it that counts
	}
	c.fd, c.part = -1, c.part[:0]
}

// fail ends a request, if one is under way, and its connection.
func (l *epollLoad) fail(i int, err error) {
	l.failed++
	l.firstErr = firstOf(l.firstErr, err)
	l.hangUp(i)
	l.rest(i)
}

// rest lets a connection wait for its next request.
func (l *epollLoad) rest(i int) {
	if c := &l.conns[i]; c.busy {
		c.busy = false
		l.idle = append(l.idle, i)
	}
}

// expire gives up the requests that have waited too long for their answers.
func (l *epollLoad) expire(now time.Time) {
	for i := range l.conns {
		if c := &l.conns[i]; c.busy && now.Sub(c.at) > replyTimeout {
			l.fail(i, fmt.Errorf("no whole answer within %v", replyTimeout))
		}
	}
}

// doze sleeps, without Go's timers, which would need a thread beside this one.
func doze(d time.Duration) error {
	limit := unix.NsecToTimespec(int64(d))
	if _, err := unix.Ppoll(nil, &limit, nil); err != nil && !errors.Is(err, unix.EINTR) {
		return fmt.Errorf("sleep: %w", err)
	}
	return nil
}

// receive reads what has arrived, and waits for something at most so long, in whole milliseconds.
func (l *epollLoad) receive(wait time.Duration) error {
	n, err := unix.EpollWait(l.ep, l.events, int(wait.Milliseconds()))
	if err != nil && !errors.Is(err, unix.EINTR) {
		return fmt.Errorf("wait for answers: %w", err)
	}
	for _, e := range l.events[:max(n, 0)] {
		l.read(int(e.Fd))
	}
	return nil
}

// read takes what a connection has received.
func (l *epollLoad) read(i int) {
	c := &l.conns[i]
	n, oobn, _, _, err := unix.Recvmsg(c.fd, l.buf, l.oob, 0)
	now := time.Now()
	switch {
	case errors.Is(err, unix.EAGAIN), errors.Is(err, unix.EINTR):
		return
	case err != nil && c.busy:
		l.fail(i, fmt.Errorf("receive: %w", err))
		return
	case n == 0 && c.busy:
		l.fail(i, fmt.Errorf("in the middle of a request: %w", io.ErrUnexpectedEOF))
		return
	case err != nil || n == 0: // the server may close what nobody uses
		l.hangUp(i)
		return
	case !c.busy:
		l.fail(i, fmt.Errorf("an answer that nobody asked for: %q", l.buf[:min(n, 100)]))
		return
	}
	got := l.buf[:n]
	if len(c.part) > 0 {
		c.part = append(c.part, got...)
		got = c.part
	}
	r, whole, err := parseReply(got)
	switch {
	case err != nil:
		l.fail(i, err)
	case !whole && len(c.part) == 0:
		c.part = append(c.part, got...)
	case whole:
		l.answered(i, r, got, now, arrival(l.oob[:oobn]))
	}
}

// answered notes a whole answer, which arrived when the system says if it says so.
func (l *epollLoad) answered(i int, r reply, whole []byte, now, arrived time.Time) {
	c, t := &l.conns[i], &l.accepted
	switch {
	case r.code == http.StatusServiceUnavailable:
		t = &l.refused
	case r.code > 299:
		l.fail(i, &errStatus{r.code, string(whole[len(whole)-r.length:])})
		return
	}
	t.read = append(t.read, now.Sub(c.at))
	if !arrived.IsZero() {
		t.arrived = append(t.arrived, arrived.Sub(c.at)) // by the clock on the wall, which the system notes
	}
	c.part = c.part[:0]
	if r.close {
		l.hangUp(i)
	}
	l.rest(i)
}

// arrival is when the system received the last byte of what was read; zero when it does not say so.
func arrival(oob []byte) time.Time {
	for len(oob) > 0 {
		head, data, rest, err := unix.ParseOneSocketControlMessage(oob)
		if err != nil {
			return time.Time{}
		}
		if head.Level == unix.SOL_SOCKET && head.Type == unix.SCM_TIMESTAMPNS && len(data) == 16 { // of 64 bits each
			return time.Unix(int64(binary.NativeEndian.Uint64(data)), int64(binary.NativeEndian.Uint64(data[8:])))
		}
		oob = rest
	}
	return time.Time{}
}

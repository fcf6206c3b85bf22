package simnet

import (
	"net"
	"net/netip"
	"os"
	"sync"
	"time"
)

// deadline is a read or write deadline. Guarded by Net.mu.
type deadline struct {
	at    time.Time // zero = none
	timer *time.Timer
}

// set changes the deadline and wakes the waiters of cond now and when it passes.
func (d *deadline) set(t time.Time, cond *sync.Cond) {
	d.at = t
	if d.timer != nil {
		d.timer.Stop()
	}
	cond.Broadcast()
	if t.IsZero() || !time.Now().Before(t) {
		return
	}
	if d.timer == nil {
		d.timer = time.AfterFunc(time.Until(t), func() {
			cond.L.Lock()
			cond.Broadcast()
			cond.L.Unlock()
		})
		return
	}
	d.timer.Reset(time.Until(t))
}

func (d *deadline) expired() bool { return !d.at.IsZero() && !time.Now().Before(d.at) }

func (d *deadline) stop() {
	if d.timer != nil {
		d.timer.Stop()
	}
}

// opError builds the error that package net would return.
func opError(op, network string, local, remote net.Addr, err error) error {
	return &net.OpError{Op: op, Net: network, Source: local, Addr: remote, Err: err}
}

// sysError names the system call in an errno, as package net does.
func sysError(call string, err error) error { return os.NewSyscallError(call, err) }

func tcpAddr(a netip.AddrPort) *net.TCPAddr { return net.TCPAddrFromAddrPort(a) }
func udpAddr(a netip.AddrPort) *net.UDPAddr { return net.UDPAddrFromAddrPort(a) }

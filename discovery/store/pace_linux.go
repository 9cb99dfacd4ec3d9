package store

import (
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// A moment of the machine's monotonic clock, in nanoseconds.
type moment int64

func clock() moment {
	var t unix.Timespec
	if unix.ClockGettime(unix.CLOCK_MONOTONIC, &t) != nil {
		return 0
	}
	return moment(t.Nano())
}

// A timer of the kernel's is exact where Go's are not and, being a file, is waited
// for by the poller: thousands may wait, and none of them keeps a thread.
type timer struct {
	fd   int
	file *os.File // closes fd when nobody has the timer any more
}

// timers are those nobody waits for.
var timers = sync.Pool{New: func() any {
	fd, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK|unix.TFD_CLOEXEC)
	if err != nil {
		return (*timer)(nil) // no descriptor is left
	}
	return &timer{fd, os.NewFile(uintptr(fd), "timer")}
}}

// wait sleeps until whole milliseconds after m.
func (m moment) wait() {
	const step = moment(time.Millisecond)
	until := unix.ItimerSpec{Value: unix.NsecToTimespec(int64(m + ((clock()-m)/step+1)*step))}
	t := timers.Get().(*timer)
	if t == nil || unix.TimerfdSettime(t.fd, unix.TFD_TIMER_ABSTIME, &until, nil) != nil {
		<-time.After(time.Millisecond)
		return
	}
	var expirations [8]byte
	if _, err := t.file.Read(expirations[:]); err == nil {
		timers.Put(t)
	}
}

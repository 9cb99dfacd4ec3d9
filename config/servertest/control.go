package servertest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A Control is a server that a test may kill, start again, pause and resume. Its
// port and its folder stay what they were, so it comes back as it would after a
// crash of its machine. It is for one goroutine at a time, the test's own: what
// fails ends the test.
type Control struct {
	t    testing.TB
	name string // for messages
	as   command

	dir string
	p   *process // nil while the server is not running
}

// A command is how a server is started, as often as need be.
type command struct {
	argv  []string
	env   []string
	stop  string                      // the signal that ends it in good order
	who   *syscall.Credential         // nil: whom we are ourselves
	probe func(context.Context) error // nil once it answers
}

// removal waits like watch and then removes the folder of a server that may have
// been dead by then.
const removal = `cat <&3 >/dev/null; rm -rf "$1"`

// control starts a server in dir, which it owns from then on. The error is for
// callers that can try another port.
func control(t testing.TB, name, dir string, as command) (*Control, error) {
	reader, writer, err := os.Pipe() // while its writing end is open the folder stays
	if err != nil {
		return nil, err
	}
	defer reader.Close()
	remover := exec.Command("/bin/sh", "-c", removal, "servertest", dir)
	remover.ExtraFiles = []*os.File{reader}
	remover.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Credential: as.who}
	if err := remover.Start(); err != nil {
		writer.Close()
		return nil, err
	}
	c := &Control{t: t, name: name, as: as, dir: dir}
	end := func() {
		if c.p != nil {
			c.p.stop() // wakes it when it is paused
		}
		writer.Close()
		_ = remover.Wait()
	}
	if err := c.start(); err != nil {
		end()
		return nil, err
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("%s wrote:\n%s", name, tail(dir))
		}
		end()
	})
	return c, nil
}

func (c *Control) start() error {
	p, err := start(c.dir, c.as.stop, c.as.who, c.as.env, c.as.argv...)
	if err != nil {
		return err
	}
	if err := p.ready(c.as.probe); err != nil {
		p.leash.Close()
		<-p.ended
		return err
	}
	c.p = p
	return nil
}

// Start starts a killed server again and returns when it answers.
func (c *Control) Start() {
	c.t.Helper()
	if c.p != nil {
		return
	}
	// What the killed server held may be given back a moment after its end.
	var err error
	for range attempts {
		if err = c.start(); err == nil {
			return
		}
	}
	c.t.Fatalf("servertest: starting %s again: %v", c.name, err)
}

// Kill ends the server and every process it started with SIGKILL, and returns
// when it is gone.
func (c *Control) Kill() {
	c.t.Helper()
	if c.p == nil {
		return
	}
	c.signal(syscall.SIGKILL)
	<-c.p.ended
	c.p.leash.Close()
	c.p = nil
}

// Pause stops the server where it is: connections stay open, new ones are
// accepted by the kernel, and nothing answers.
// Some of its threads may go on for a moment after Pause has returned.
func (c *Control) Pause() {
	c.t.Helper()
	c.signal(syscall.SIGSTOP)
	pid, err := c.p.pid()
	deadline := time.Now().Add(patience)
	for stopped := false; !stopped && err == nil; {
		stopped, err = isStopped(pid)
		if !stopped && time.Now().After(deadline) {
			err = errors.New("it does not stop")
		}
	}
	if err != nil {
		c.t.Fatalf("servertest: pausing %s: %v", c.name, err)
	}
}

// isStopped asks ps whether SIGSTOP has reached a process: kill does not wait.
func isStopped(pid int) (bool, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, "ps", "-o", "stat=", "-p", strconv.Itoa(pid)).Output()
	return strings.HasPrefix(strings.TrimSpace(string(out)), "T"), err
}

// Resume ends a Pause.
func (c *Control) Resume() { c.t.Helper(); c.signal(syscall.SIGCONT) }

// signal reaches the server and its descendants. The server comes first so that
// it cannot replace what is taken from it.
func (c *Control) signal(s syscall.Signal) {
	c.t.Helper()
	if c.p == nil {
		c.t.Fatalf("servertest: %s is not running", c.name)
	}
	pid, err := c.p.pid()
	if err != nil {
		c.t.Fatalf("servertest: %s: %v", c.name, err)
	}
	family, err := descendants(pid)
	if err != nil {
		c.t.Fatalf("servertest: %s: %v", c.name, err)
	}
	for _, pid := range append([]int{pid}, family...) {
		if err := syscall.Kill(pid, s); err != nil && !errors.Is(err, syscall.ESRCH) {
			c.t.Fatalf("servertest: %v for %s: %v", s, c.name, err)
		}
	}
}

// pid is the server's own, not its shell's.
func (p *process) pid() (int, error) {
	text, err := os.ReadFile(filepath.Join(p.dir, "pid"))
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(strings.TrimSpace(string(text)))
}

// descendants asks ps, which every Unix has, for the children of a process and
// theirs.
func descendants(of int) ([]int, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, "ps", "-A", "-o", "pid=,ppid=").Output()
	if err != nil {
		return nil, fmt.Errorf("ps: %w", err)
	}
	children := map[int][]int{}
	for line := range strings.Lines(string(out)) {
		var pid, parent int
		if _, err := fmt.Sscan(line, &pid, &parent); err == nil {
			children[parent] = append(children[parent], pid)
		}
	}
	family := slices.Clone(children[of])
	for i := 0; i < len(family); i++ {
		family = append(family, children[family[i]]...)
	}
	return family, nil
}

package e2e

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// binary builds the real thing, once.
var binary = sync.OnceValues(func() (string, error) {
	path := suite.folder("domicile")
	args := []string{"build", "-o", path}
	if raced {
		args = append(args, "-race")
	}
	cmd := exec.Command("go", append(args, "../../domicile")...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building the binary: %w\n%s", err, out)
	}
	return path, nil
})

func domicile(t testing.TB) string {
	t.Helper()
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// run runs a command to its end and returns what it printed.
func run(t testing.TB, args ...string) string {
	t.Helper()
	path := domicile(t) // building it may take longer than any command
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, args...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		t.Fatalf("domicile %s: %v\n%s%s", strings.Join(args, " "), err, &out, &errs)
	}
	return out.String()
}

// A server is the binary at work.
type server struct {
	t     testing.TB
	name  string
	cmd   *exec.Cmd
	ended chan struct{}

	mu   sync.Mutex
	text bytes.Buffer // both outputs
	grew chan struct{}
}

// Write takes what the server prints.
func (s *server) Write(p []byte) (int, error) {
	s.mu.Lock()
	s.text.Write(p)
	s.mu.Unlock()
	select {
	case s.grew <- struct{}{}:
	default:
	}
	return len(p), nil
}

// printed is everything so far.
func (s *server) printed() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

// tail is the end of it, short enough to read in the output of a test.
func (s *server) tail() string {
	return strings.Join(last(30, strings.Split(strings.TrimRight(s.printed(), "\n"), "\n")), "\n")
}

// serve starts the binary and waits until it prints sign.
func serve(t testing.TB, name, sign string, args ...string) *server {
	t.Helper()
	s := &server{t: t, name: name, ended: make(chan struct{}), grew: make(chan struct{}, 1)}
	s.cmd = exec.Command(domicile(t), args...)
	s.cmd.Env = append(os.Environ(), "TMPDIR="+temporary(t))
	s.cmd.Stdout, s.cmd.Stderr = s, s
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = s.cmd.Wait()
		close(s.ended)
	}()
	suite.enlist(s)
	t.Cleanup(func() {
		s.kill()
		suite.dismiss(s)
		if t.Failed() {
			t.Logf("%s printed last:\n%s", name, s.tail())
		}
	})
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	for !strings.Contains(s.printed(), sign) {
		select {
		case <-s.grew:
		case <-s.ended:
			t.Fatalf("%s ended at once:\n%s", name, s.printed())
		case <-deadline.C:
			t.Fatalf("%s: no %q in %v:\n%s", name, sign, patience, s.printed())
		}
	}
	return s
}

// temporary is where a server's own temporary files go.
func temporary(t testing.TB) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "tmp")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	return dir
}

// kill ends the server without warning, as a power cut does.
func (s *server) kill() {
	_ = s.cmd.Process.Kill()
	<-s.ended
	s.check()
}

// stop ends the server as an operator does, and it must end well.
func (s *server) stop() {
	s.t.Helper()
	_ = s.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-s.ended:
	case <-time.After(patience):
		s.t.Errorf("%s did not stop in %v:\n%s", s.name, patience, s.tail())
		return
	}
	if code := s.cmd.ProcessState.ExitCode(); code != 0 {
		s.t.Errorf("%s ended with %d:\n%s", s.name, code, s.tail())
	}
	s.check()
}

// check looks through the log for what must never be there.
func (s *server) check() {
	s.t.Helper()
	log := s.printed()
	for _, bad := range []string{"DATA RACE", "panic:", "goroutine "} {
		if at := strings.Index(log, bad); at >= 0 {
			s.t.Errorf("%s printed %q:\n%s", s.name, bad, log[at:min(len(log), at+8000)])
			return
		}
	}
}

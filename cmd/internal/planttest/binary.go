package planttest

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

// built builds the real thing, once.
var built = sync.OnceValues(func() (string, error) {
	path := Folder("domicile")
	args := []string{"build", "-o", path}
	if Raced {
		args = append(args, "-race")
	}
	cmd := exec.Command("go", append(args, "github.com/domicile-sso/domicile/cmd/domicile")...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building the binary: %w\n%s", err, out)
	}
	return path, nil
})

// Binary is the path of the binary, with the race detector where the tests have
// it.
func Binary(t testing.TB) string {
	t.Helper()
	path, err := built()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// Run runs a command to its end and returns what it printed.
func Run(t testing.TB, args ...string) string {
	t.Helper()
	Binary(t)
	out, err := Try(t, args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// Try is Run for a command that may fail.
func Try(t testing.TB, args ...string) (string, error) {
	t.Helper()
	path := Binary(t) // building it may take longer than any command
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, args...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("domicile %s: %w\n%s%s", strings.Join(args, " "), err, &out, &errs)
	}
	return out.String(), nil
}

// A Server is the binary at work.
type Server struct {
	Name  string // for messages
	Cmd   *exec.Cmd
	Ended chan struct{} // closed at its end

	t testing.TB

	mu   sync.Mutex
	text bytes.Buffer // both outputs
	grew chan struct{}
}

// Write takes what the server prints.
func (s *Server) Write(p []byte) (int, error) {
	s.mu.Lock()
	s.text.Write(p)
	s.mu.Unlock()
	select {
	case s.grew <- struct{}{}:
	default:
	}
	return len(p), nil
}

// Printed is everything so far.
func (s *Server) Printed() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

// Tail is the end of it, short enough to read in the output of a test.
func (s *Server) Tail() string {
	lines := strings.Split(strings.TrimRight(s.Printed(), "\n"), "\n")
	return strings.Join(lines[max(0, len(lines)-30):], "\n")
}

// Serve starts the binary and waits until it prints sign.
func Serve(t testing.TB, name, sign string, args ...string) *Server {
	t.Helper()
	s := &Server{t: t, Name: name, Ended: make(chan struct{}), grew: make(chan struct{}, 1)}
	s.Cmd = exec.Command(Binary(t), args...)
	s.Cmd.Env = append(os.Environ(), "TMPDIR="+temporary(t))
	s.Cmd.Stdout, s.Cmd.Stderr = s, s
	if err := s.Cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = s.Cmd.Wait()
		close(s.Ended)
	}()
	suite.enlist(s)
	t.Cleanup(func() {
		s.Kill()
		suite.dismiss(s)
		if t.Failed() {
			t.Logf("%s printed last:\n%s", name, s.Tail())
		}
	})
	deadline := time.NewTimer(Patience)
	defer deadline.Stop()
	for !strings.Contains(s.Printed(), sign) {
		select {
		case <-s.grew:
		case <-s.Ended:
			t.Fatalf("%s ended at once:\n%s", name, s.Printed())
		case <-deadline.C:
			t.Fatalf("%s: no %q in %v:\n%s", name, sign, Patience, s.Printed())
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

// Kill ends the server without warning, as a power cut does.
func (s *Server) Kill() {
	_ = s.Cmd.Process.Kill()
	<-s.Ended
	s.check()
}

// Stop ends the server as an operator does, and it must end well.
func (s *Server) Stop() {
	s.t.Helper()
	_ = s.Cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-s.Ended:
	case <-time.After(Patience):
		s.t.Errorf("%s did not stop in %v:\n%s", s.Name, Patience, s.Tail())
		return
	}
	if code := s.Cmd.ProcessState.ExitCode(); code != 0 {
		s.t.Errorf("%s ended with %d:\n%s", s.Name, code, s.Tail())
	}
	s.check()
}

// check looks through the log for what must never be there.
func (s *Server) check() {
	s.t.Helper()
	log := s.Printed()
	for _, bad := range []string{"DATA RACE", "panic:", "goroutine "} {
		if at := strings.Index(log, bad); at >= 0 {
			s.t.Errorf("%s printed %q:\n%s", s.Name, bad, log[at:min(len(log), at+8000)])
			return
		}
	}
}

// enlist adds a server to those at work.
func (s *shared) enlist(v *Server) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.servers = append(s.servers, v)
}

// dismiss takes it off again.
func (s *shared) dismiss(v *Server) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, w := range s.servers {
		if w == v {
			s.servers = append(s.servers[:i:i], s.servers[i+1:]...)
			return
		}
	}
}

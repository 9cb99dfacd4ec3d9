// Package servertest starts real servers for tests: PostgreSQL, Redis, Consul,
// Chromium, and two identity providers that none of us wrote. Programs that only
// look at files, such as systemd's checker of units, are found here as well.
//
// Each server is a process on a free loopback port with its files in a
// temporary folder. It ends with the test that asked for it; PostgreSQL, which
// takes a second to set up, is shared by all tests of one process and each call
// gets a database of its own.
//
// Where a server is not installed the test is skipped, aloud, so that a laptop
// without PHP can still run the rest. Where CI=true it fails instead: a check
// that quietly stops running is worse than none. This package is the only place
// that skips.
package servertest

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"
)

// patience bounds how long a server may take to answer for the first time. It
// is generous because two cores may be running every package's tests at once.
const patience = 60 * time.Second

// absent ends the test because something is not installed.
func absent(t testing.TB, what string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatalf("servertest: %s, and CI=true: run .ci/setup", what)
	}
	t.Skipf("servertest: SKIPPED, %s; `make setup` installs what tests need", what)
}

// find looks for an executable on PATH and then at the patterns, which may be
// globs; of several matches it takes the last, which is the newest version.
func find(name string, patterns ...string) (string, bool) {
	if path, err := exec.LookPath(name); err == nil {
		return path, true
	}
	for _, p := range patterns {
		matches, _ := filepath.Glob(p)
		if len(matches) > 0 {
			return matches[len(matches)-1], true
		}
	}
	return "", false
}

// A process is a server under the watch of a small shell. The shell holds the
// reading end of a pipe: when this process closes the other end, or dies in
// whatever way (a panic, a time limit, SIGKILL), the shell stops the server and
// removes its folder. A deferred call could not promise that.
type process struct {
	dir   string
	leash *os.File
	cmd   *exec.Cmd
	ended chan struct{} // closed when the server is gone
}

// watch takes the folder, the signal to stop the server with, and the server's
// command line. Asynchronous commands of a shell ignore SIGINT and SIGQUIT
// unless, as PostgreSQL does, they install their own handlers. A server may be
// paused, and then hears of its end only when it goes on. Once it has ended the
// watcher must not signal whoever has its number next.
const watch = `
dir=$1 stop=$2; shift 2
cd "$dir" || exit 1
"$@" </dev/null >>log 2>&1 3<&- &
server=$!
echo $server >pid
{ cat <&3 >/dev/null; : >stopping; kill "-$stop" $server && kill -CONT $server; } 2>/dev/null &
watcher=$!
exec 3<&-
wait $server
[ -e stopping ] && cd / && rm -rf "$dir"
kill $watcher 2>/dev/null
exit 0
`

// start runs argv in dir, which it owns from then on.
func start(dir, stop string, as *syscall.Credential, env []string, argv ...string) (*process, error) {
	reader, leash, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer reader.Close()
	cmd := exec.Command("/bin/sh", append([]string{"-c", watch, "servertest", dir, stop}, argv...)...)
	cmd.Dir = dir
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "TMPDIR=" + dir, "LC_ALL=C", "TZ=UTC"}, env...)
	cmd.ExtraFiles = []*os.File{reader}
	// A group of its own: Ctrl-C at the terminal must reach us, not the shell.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Credential: as}
	if err := cmd.Start(); err != nil {
		leash.Close()
		return nil, err
	}
	p := &process{dir: dir, leash: leash, cmd: cmd, ended: make(chan struct{})}
	go func() {
		_ = cmd.Wait()
		close(p.ended)
	}()
	return p, nil
}

// stop ends the server and removes its folder.
func (p *process) stop() {
	p.leash.Close()
	<-p.ended
	os.RemoveAll(p.dir)
}

// ready waits until probe succeeds. It fails at once when the server ends, and
// then shows the server's own words.
func (p *process) ready(probe func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := probe(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-p.ended:
			return fmt.Errorf("the server ended at once:\n%s", p.log())
		case <-ctx.Done():
			return fmt.Errorf("no answer in %v: %w\n%s", patience, err, p.log())
		case <-tick.C:
		}
	}
}

// log is what the server wrote, its end when that is long.
func (p *process) log() string { return tail(p.dir) }

func tail(dir string) string {
	text, err := os.ReadFile(filepath.Join(dir, "log"))
	if err != nil {
		return err.Error()
	}
	const most = 4 << 10
	if len(text) > most {
		text = text[len(text)-most:]
	}
	return string(text)
}

// freePort asks the system for a port nobody listens on. Somebody else may take
// it before our server does; then the server ends and start's caller tries again.
func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

// attempts is how often a server is started when its port was taken meanwhile.
const attempts = 3

// onFreePort calls launch with a free port until it succeeds.
func onFreePort(launch func(port int) error) error {
	var err error
	for range attempts {
		var port int
		if port, err = freePort(); err != nil {
			return err
		}
		if err = launch(port); err == nil {
			return nil
		}
	}
	return err
}

// answers probes a TCP port.
func answers(addr string) func(context.Context) error {
	return func(ctx context.Context) error {
		var d net.Dialer
		c, err := d.DialContext(ctx, "tcp", addr)
		if err != nil {
			return err
		}
		return c.Close()
	}
}

// named is a site on a port of this machine, by a name: browsers trust
// "localhost" further than they trust 127.0.0.1, and so do the policies of our
// own pages.
func named(port int) string { return "http://localhost:" + strconv.Itoa(port) }

func loopback(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

// unprivileged is whom a server is run as that refuses to run as root, or nil
// when we are not root ourselves.
func unprivileged() (*syscall.Credential, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err := strconv.ParseUint(u.Uid, 10, 32)
		if err != nil {
			return nil, err
		}
		gid, err := strconv.ParseUint(u.Gid, 10, 32)
		if err != nil {
			return nil, err
		}
		return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
	}
	return nil, fmt.Errorf("we are root, and neither postgres nor nobody exists")
}

// folder makes a temporary folder that belongs to as.
func folder(name string, as *syscall.Credential) (string, error) {
	dir, err := os.MkdirTemp("", "domicile-"+name+"-")
	if err != nil {
		return "", err
	}
	if as != nil {
		if err := os.Chown(dir, int(as.Uid), int(as.Gid)); err != nil {
			os.RemoveAll(dir)
			return "", err
		}
	}
	return dir, nil
}

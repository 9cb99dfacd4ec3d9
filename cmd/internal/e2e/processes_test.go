package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/domicile-sso/domicile/cmd/internal/planttest"
)

// TestProcesses walks through the life of a front door and two regions: sign-in
// across them, a front door that is killed, a region that restarts while people
// are signing in, and a stop that waits for whoever is being served.
func TestProcesses(t *testing.T) {
	f := ship(t).sail()
	const own = "a-password-of-Ians-own-7"

	// One after the other: each takes up where the one before left off.
	t.Run("across both regions", func(t *testing.T) { f.across(t, own) })
	t.Run("probes", f.probes)
	t.Run("without the front door", func(t *testing.T) { f.alone(t, own) })
	t.Run("a region restarts", func(t *testing.T) { f.restarts(t, own) })
	t.Run("graceful stop", func(t *testing.T) { f.drains(t, own) })
	t.Run("logs", func(t *testing.T) { f.logs(t, own) })
}

func (f *fleet) across(t *testing.T, own string) {
	temporary := f.us.invited("initech", ian)
	v := visit(t).open(f.url+"/").enter(ian).at(f.initech, "/login/password")
	v.firstTime(temporary, own).home(f.initech, ian, "US")

	v = visit(t).open(f.url+"/").enter(ada).atSAML(f, atTheirs).home(f.acme, ada, "EU")
	v.submit("Sign out").open(f.acme+"/").at(f.acme, "/login")

	visit(t).open(f.url+"/").enter(gus).atOpenID(f, atTheirs).home(f.globex, gus, "US")
	visit(t).open(f.url+"/").enter(uma).click("Domain").atSAML(f, atTheirs).home(f.umbrella, uma, "EU")
	visit(t).open(f.url+"/").enter("nobody@nowhere.example").sees(http.StatusOK, "We cannot take you further from here")

	// One session, one portal: the other region's has never heard of it.
	v = visit(t).open(f.initech + "/").enter(ian)
	v.submit("Sign in", "password", own).home(f.initech, ian, "US")
	v.open(f.globex+"/").at(f.globex, "/login")
}

// probes: what a load balancer asks, of every process, in public and in private.
func (f *fleet) probes(t *testing.T) {
	private := []string{f.probe, planttest.Loopback(f.eu.probe), planttest.Loopback(f.us.probe)}
	public := []string{strings.TrimPrefix(f.url, "http://"), planttest.Loopback(f.eu.port), planttest.Loopback(f.us.port)}
	for i := range private {
		for _, path := range []string{"/healthz", "/readyz"} {
			for _, at := range []string{private[i], public[i]} {
				if code, body := fetch(t, "http://"+at+path); code != http.StatusOK || body != "ok\n" {
					t.Errorf("%s%s: %d %q", at, path, code, body)
				}
			}
		}
		if code, body := fetch(t, "http://"+private[i]+"/metrics"); code != http.StatusOK || !strings.Contains(body, "domicile_http_requests_total") {
			t.Errorf("%s: metrics %d", private[i], code)
		}
	}
	sites := []string{f.url, f.claims, f.acme, f.globex, "http://" + public[0], "http://" + public[1]}
	for _, site := range sites {
		for _, path := range []string{"/metrics", "/debug/pprof/", "/debug/pprof/heap"} {
			code, body := fetch(t, site+path)
			if code != http.StatusNotFound && code != http.StatusMisdirectedRequest || strings.Contains(body, "go_goroutines") {
				t.Errorf("%s%s in public: %d", site, path, code)
			}
		}
	}
	if code, _ := fetch(t, f.url+"/claims"); code != http.StatusNotFound {
		t.Errorf("claims are taken in public: %d", code)
	}
}

// fetch gets a document, whatever it is.
func fetch(t testing.TB, url string) (int, string) {
	t.Helper()
	res, err := client(t).Get(url)
	if err != nil {
		return 0, err.Error()
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(text)
}

// alone: the front door is gone from one moment to the next, and neither region
// cares (law 7).
func (f *fleet) alone(t *testing.T, own string) {
	// This one was on the way when it happened.
	half := visit(t).open(f.url + "/").enter(gus)
	f.front.Kill()

	half.atOpenID(f, atTheirs).home(f.globex, gus, "US")
	visit(t).open(f.acme+"/account").enter(ada).atSAML(f, atTheirs).at(f.acme, "/account/profile").sees(http.StatusOK, ada)
	visit(t).open(f.globex+"/").enter(gus).atOpenID(f, atTheirs).home(f.globex, gus, "US")
	visit(t).open(f.initech+"/").enter(ian).submit("Sign in", "password", own).home(f.initech, ian, "US")
	for _, r := range []*region{f.eu, f.us} {
		if code, why := fetch(t, "http://"+planttest.Loopback(r.probe)+"/readyz"); code != http.StatusOK {
			t.Errorf("%s is not ready without the front door: %s", r.name, why)
		}
	}

	f.startFront()
	visit(t).open(f.url+"/").enter(ada).atSAML(f, atTheirs).home(f.acme, ada, "EU")
	visit(t).open(f.url+"/").enter(ian).submit("Sign in", "password", own).home(f.initech, ian, "US")
}

// restarts: a region goes away in the middle of attempts and comes back. Who was
// half-way goes on, who was in stays in, what was spent stays spent; meanwhile
// nobody is sent to another region (law 8).
func (f *fleet) restarts(t *testing.T, own string) {
	in := visit(t).open(f.initech+"/").enter(ian).submit("Sign in", "password", own)
	in.home(f.initech, ian, "US")
	password := visit(t).open(f.initech+"/account").enter(ian).at(f.initech, "/login/password")
	federated := visit(t).open(f.url + "/").enter(gus)
	early := visit(t)
	early.open(f.url + "/")
	unopened := early.peek(early.filled("Next", "email", ian)) // a ticket in hand, not yet used
	code := visit(t).open(f.globex + "/").enter(gus)
	answer := code.peek(code.filled("Sign in", "password", atTheirs)) // signed in there, not yet back
	once := visit(t)
	once.open(f.url + "/")
	spent := once.peek(once.filled("Next", "email", ian))
	once.open(spent).at(f.initech, "/login/password")

	f.us.Kill()
	if err := password.exchange(password.filled("Sign in", "password", own), f.initech); err == nil {
		t.Fatalf("a region that is dead answers %d", password.status)
	}
	v := visit(t)
	v.open(f.url + "/")
	if to := v.peek(v.filled("Next", "email", ian)); !strings.HasPrefix(to, f.initech+"/login?") {
		t.Errorf("while its region is down, %q is sent to %s", "ian", to)
	}
	visit(t).open(f.url+"/").enter(ada).atSAML(f, atTheirs).home(f.acme, ada, "EU")
	f.startRegion(f.us)

	// The person presses the button once more, on the page still before them.
	password.submit("Sign in", "password", own).at(f.initech, "/account/profile").sees(http.StatusOK, ian)
	federated.atOpenID(f, atTheirs).home(f.globex, gus, "US")
	early.open(unopened).at(f.initech, "/login/password").submit("Sign in", "password", own).home(f.initech, ian, "US")
	code.open(answer).home(f.globex, gus, "US")
	in.open(f.initech+"/").home(f.initech, ian, "US")

	// A ticket and a code that were spent before the crash are spent after it.
	again := visit(t).open(spent)
	again.at(f.initech, "/login").sees(http.StatusForbidden, "This link can no longer be used", "Reference")
	again.enter(ian).submit("Sign in", "password", own).home(f.initech, ian, "US")
	visit(t).open(answer).sees(http.StatusForbidden)
}

// drains: SIGTERM first makes a process unready, then lets whoever is being
// served finish, and ends with 0.
func (f *fleet) drains(t *testing.T, own string) {
	v := visit(t).open(f.initech + "/").enter(ian)
	r := v.filled("Sign in", "password", own)
	whole, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	// A slow line: half of the form arrives before the stop, half after it.
	body, rest := io.Pipe()
	r.Body, r.ContentLength = body, int64(len(whole))
	arrived := make(chan error, 1)
	go func() { arrived <- v.exchange(r, f.initech) }()
	if _, err := rest.Write(whole[:len(whole)/2]); err != nil {
		t.Fatal(err)
	}
	planttest.Until(t, "the request being under way", func() bool {
		_, metrics := fetch(t, "http://"+planttest.Loopback(f.us.probe)+"/metrics")
		return strings.Contains(metrics, `domicile_http_requests_in_flight{site="portal"} 1`)
	})
	if err := f.us.Cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	planttest.Until(t, "the region being unready", func() bool {
		code, why := fetch(t, "http://"+planttest.Loopback(f.us.probe)+"/readyz")
		return code == http.StatusServiceUnavailable && strings.Contains(why, "stopping")
	})
	if code, _ := fetch(t, "http://"+planttest.Loopback(f.us.probe)+"/healthz"); code != http.StatusOK {
		t.Errorf("a region that is stopping is said to be dead: %d", code)
	}
	planttest.Until(t, "the region taking no more", func() bool {
		c, err := net.Dial("tcp", planttest.Loopback(f.us.port))
		if err == nil {
			_ = c.Close()
		}
		return err != nil
	})
	if _, err := rest.Write(whole[len(whole)/2:]); err != nil {
		t.Fatal(err)
	}
	_ = rest.Close()
	if err := <-arrived; err != nil || v.status != http.StatusSeeOther || v.cookies[v.url.Host]["__Host-session"] == nil {
		t.Errorf("whoever was being served got %d (%v), and not a session", v.status, err)
	}
	planttest.Until(t, "the region's end", func() bool {
		select {
		case <-f.us.Ended:
			return true
		default:
			return false
		}
	})
	if code := f.us.Cmd.ProcessState.ExitCode(); code != 0 {
		t.Errorf("a region that was told to stop ends with %d", code)
	}
	f.startRegion(f.us)
	v.open(f.initech+"/").home(f.initech, ian, "US")

	// A port that is taken, a file that is not there, a command nobody knows.
	if code := exit(t, "serve", "portal", "--config", f.us.config); code != 1 {
		t.Errorf("a second server on the same port ends with %d", code)
	}
	if code := exit(t, "serve", "discovery", "--config", f.path("missing.yaml")); code != 1 {
		t.Errorf("no configuration: %d", code)
	}
	if code := exit(t, "serve", "portal", "--config", f.path("front.yaml")); code != 1 {
		t.Errorf("the other role's configuration: %d", code)
	}
	if code := exit(t, "serve", "portal", "--colour"); code != 2 {
		t.Errorf("an unknown flag: %d", code)
	}
	f.front.Stop()
	f.eu.Stop()
}

// exit is the code a command ends with.
func exit(t *testing.T, args ...string) int {
	t.Helper()
	path := planttest.Binary(t)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	err := exec.CommandContext(ctx, path, args...).Run()
	var ended *exec.ExitError
	if err != nil && !errors.As(err, &ended) {
		t.Fatal(err)
	}
	if ended == nil {
		return 0
	}
	return ended.ExitCode()
}

// logs: at debug level, each line is an object that says when, how bad and what,
// and nothing in it is about a person.
func (f *fleet) logs(t *testing.T, own string) {
	for _, s := range []*planttest.Server{f.front, f.eu.Server, f.us.Server} {
		requests := 0
		for line := range strings.Lines(s.Printed()) {
			var entry struct {
				Time            time.Time
				Level, Msg      string
				Role, Reference string
			}
			if err := json.Unmarshal([]byte(line), &entry); err != nil || entry.Time.IsZero() || entry.Level == "" || entry.Msg == "" {
				t.Errorf("%s logs what is no entry (%v): %s", s.Name, err, line)
				continue
			}
			if entry.Role == "" {
				t.Errorf("%s does not say which role it is: %s", s.Name, line)
			}
			if entry.Msg == "request" {
				requests++
				if entry.Reference == "" {
					t.Errorf("a request without a reference: %s", line)
				}
			}
		}
		if requests == 0 {
			t.Errorf("%s logged no request", s.Name)
		}
		for _, mark := range []string{ada, gus, ian, uma, "nobody@", "Given", "Family", own, atTheirs, "?ticket="} {
			if strings.Contains(s.Printed(), mark) {
				t.Errorf("%s logged %q:\n%s", s.Name, mark, linesWith(s.Printed(), mark))
			}
		}
	}
}

func linesWith(text, mark string) string {
	var found []string
	for line := range strings.Lines(text) {
		if strings.Contains(line, mark) {
			found = append(found, line)
		}
	}
	return fmt.Sprint(len(found), " lines, the first: ", found[0])
}

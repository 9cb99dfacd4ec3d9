package e2e

import (
	"os"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/domicile-sso/domicile/cmd/internal/planttest"
)

// A demo is a running `domicile demo`, as its own words describe it.
type demo struct {
	*planttest.Server
	t         testing.TB
	url       string            // of the front door
	mail, idp string            // sites
	portals   map[string]string // "Acme Corporation" → site
	passwords map[string]string // by address
}

// startDemo starts a demo for one test.
func startDemo(t testing.TB, args ...string) *demo {
	t.Helper()
	d := &demo{t: t, portals: map[string]string{}, passwords: map[string]string{}}
	d.Server = planttest.Serve(t, "the demo", "Ctrl-C ends the demo", append([]string{"demo", "--addr", "127.0.0.1:0", "--verbose"}, args...)...)
	said := d.Printed()
	d.url = site(t, said, `Domicile is open at (\S+)`)
	d.mail = site(t, said, `All mail arrives at (\S+)`)
	d.idp = strings.Replace(d.mail, "//mail.", "//idp.", 1)
	for _, line := range strings.Split(said, "\n") {
		cells := regexp.MustCompile(`\s{3,}`).Split(strings.TrimSpace(line), -1)
		switch {
		case len(cells) == 3 && strings.Contains(cells[0], "@"):
			d.passwords[cells[0]] = cells[1]
		case len(cells) == 3 && strings.HasPrefix(cells[1], "http"):
			d.portals[cells[0]] = cells[1]
		}
	}
	if len(d.portals) < 4 || len(d.passwords) < 5 {
		t.Fatalf("the demo does not say who and what there is:\n%s", said)
	}
	return d
}

func site(t testing.TB, text, pattern string) string {
	t.Helper()
	m := regexp.MustCompile(pattern).FindStringSubmatch(text)
	if m == nil {
		t.Fatalf("no %s in:\n%s", pattern, text)
	}
	return m[1]
}

func (d *demo) portal(name string) string {
	d.t.Helper()
	url, ok := d.portals[name]
	if !ok {
		d.t.Fatalf("the demo has no portal %q", name)
	}
	return url
}

// TestDemoLeavesNothingBehind ends the demo as Ctrl-C does.
func TestDemoLeavesNothingBehind(t *testing.T) {
	d := startDemo(t)
	var tmp string
	for _, v := range d.Cmd.Env {
		if rest, ok := strings.CutPrefix(v, "TMPDIR="); ok {
			tmp = rest
		}
	}
	if err := d.Cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	<-d.Ended
	if code := d.Cmd.ProcessState.ExitCode(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	left, err := os.ReadDir(tmp)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range left {
		t.Errorf("left behind: %s", f.Name())
	}
}

package e2e

import (
	"net/http"
	"strings"
	"testing"

	"github.com/domicile-sso/domicile/cmd/internal/planttest"
)

// startedAlone: the front door is killed and its database goes away; a region that
// is started meanwhile signs people in by itself, and the front door that is
// started from what it kept leads domains on. Nothing is restarted when the
// database is back (N04, laws 5 to 7).
func (f *fleet) startedAlone(t *testing.T, toDirectory *planttest.Gate, guest string) {
	for _, c := range []struct {
		name        string
		leave, back func()
	}{
		{"refuses", toDirectory.Shut, func() { toDirectory.Open(t) }},
		{"jammed", toDirectory.Stick, toDirectory.Free},
	} {
		t.Run(c.name, func(t *testing.T) {
			f.front.Kill()
			c.leave()
			f.us.Stop()
			f.startRegion(f.us)
			visit(t).open(f.globex+"/").enter(gus).atOpenID(f, atTheirs).home(f.globex, gus, "US")

			f.startFront()
			if !strings.Contains(f.front.Printed(), "starting from the snapshot") {
				t.Error("it does not say what it started from")
			}
			f.byRoute(t, ada, "Acme Corporation", "").atSAML(f, atTheirs).home(f.acme, ada, "EU")
			f.unsure(t, guest)
			f.unsure(t, stranger(4))
			if code, say := fetch(t, "http://"+f.probe+"/readyz"); code != http.StatusOK || !strings.Contains(say, "degraded: database: away since") {
				t.Errorf("the operator is told %d %s", code, say)
			}
			late := c.name + "@elsewhere.example"
			f.us.do("account", "invite", late, "--portal", "globex")
			f.unsure(t, late)

			c.back()
			f.knows(late, "globex")
			f.knows(guest, "globex")
			f.unknown(t, stranger(4))
			visit(t).open(f.url+"/").enter(ada).atSAML(f, atTheirs).home(f.acme, ada, "EU")
			if code, say := fetch(t, "http://"+f.probe+"/readyz"); code != http.StatusOK || say != "ok\n" {
				t.Errorf("the operator is told %d %s", code, say)
			}
		})
	}
}

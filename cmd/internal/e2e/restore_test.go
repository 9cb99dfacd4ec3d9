package e2e

import (
	"net/http"
	"strings"
	"testing"

	"github.com/domicile-sso/domicile/cmd/internal/planttest"
	"github.com/domicile-sso/domicile/config/servertest"
)

// TestRestore is the drill of the handbook: backups beside running servers, a
// region's database lost, and then another's, and the directory's; each restored
// into the other kind of database. People sign in again, and what was used
// between backup and restore stays used.
func TestRestore(t *testing.T) {
	f := ship(t).sail()
	const own = "a-password-of-Ians-own-7"
	temporary := f.us.invited("initech", ian)
	in := visit(t).open(f.url+"/").enter(ian).firstTime(temporary, own).home(f.initech, ian, "US")
	adas := visit(t).open(f.url+"/").enter(ada).atSAML(f, atTheirs).home(f.acme, ada, "EU")

	planttest.Run(t, "region", "keygen", "backup", "--out", f.path("offline"))
	for _, name := range []string{"front", "eu-central", "us-east"} {
		planttest.Run(t, "backup", "--config", f.path(name+".yaml"), "--recipient", f.path("offline", "backup.pub"), "--out", f.path(name+".backup"))
	}

	// One after the other: each takes up where the one before left off.
	t.Run("a region on SQLite", func(t *testing.T) { f.restoreEU(t, adas) })
	t.Run("a region on PostgreSQL", func(t *testing.T) { f.restoreUS(t, in, temporary, own) })
	t.Run("the directory", func(t *testing.T) { f.restoreDirectory(t) })
}

// restore puts the backup of a configuration into a new, empty database.
func (f *fleet) restore(name, old, database string) {
	f.t.Helper()
	f.rewrite(name+".yaml", old, database)
	planttest.Run(f.t, "migrate", "up", f.path(name+".yaml"))
	said := planttest.Run(f.t, "restore", "--config", f.path(name+".yaml"), "--identity", f.path("offline", "backup.key"), f.path(name+".backup"))
	if !strings.Contains(said, "restored ") {
		f.t.Errorf("restore of %s says %s", name, said)
	}
}

func (f *fleet) restoreEU(t *testing.T, adas *visitor) {
	// After the backup: a response of the IdP is used, and somebody new arrives.
	v := visit(t).open(f.url+"/").enter(uma).click("Domain").submit("Sign in", "password", atTheirs)
	response, idp := v.page, v.url
	v.submit("Continue").home(f.umbrella, uma, "EU")

	f.eu.Kill()
	f.write("eu-central/database", "%s", servertest.Postgres(f.t))
	f.restore("eu-central", "database: sqlite:eu-central/region.db", "database_file: eu-central/database")
	f.startRegion(f.eu)

	v.page, v.url = response, idp
	v.submit("Continue")
	if v.status != http.StatusForbidden {
		t.Errorf("a response that was used before the restore gets %d", v.status)
	}
	adas.open(f.acme+"/").at(f.acme, "/login")
	visit(t).open(f.acme+"/").enter(ada).atSAML(f, atTheirs).home(f.acme, ada, "EU")
	visit(t).open(f.umbrella+"/").enter(uma).click("Domain").atSAML(f, atTheirs).home(f.umbrella, uma, "EU")
	f.chains(t, f.eu)
}

func (f *fleet) restoreUS(t *testing.T, in *visitor, temporary, own string) {
	// After the backup: a ticket, a reset link and an invitation are used.
	spent := visit(t)
	spent.open(f.url + "/")
	ticket := spent.peek(spent.filled("Next", "email", ian))
	spent.open(ticket).at(f.initech, "/login/password")
	half := visit(t).open(f.initech+"/").enter(ian).at(f.initech, "/login/password")
	forgetful := visit(t).open(f.initech + "/password/forgot")
	forgetful.submit("Send the link", "email", ian).sees(http.StatusOK)
	link := letter{text: f.smtp.Letter(t, ian, "new password")}.links()[0]
	f.us.do("account", "invite", consultant, "--portal", "initech")
	f.knows(consultant, "initech")

	f.us.Kill()
	f.restore("us-east", "database_file: us-east/database", "database: sqlite:us-east/restored.db")
	f.startRegion(f.us)
	f.chains(t, f.us)

	visit(t).open(ticket).at(f.initech, "/login").sees(http.StatusForbidden, "This link can no longer be used")
	visit(t).open(link).sees(http.StatusForbidden)
	in.open(f.initech+"/").at(f.initech, "/login")
	half.submit("Sign in", "password", own)
	if half.url.Path == "/" {
		t.Error("a sign-in from before the restore was finished after it")
	}
	visit(t).open(f.initech+"/").enter(ian).submit("Sign in", "password", temporary).at(f.initech, "/login/password")
	visit(t).open(f.initech+"/").enter(ian).submit("Sign in", "password", own).home(f.initech, ian, "US")
	visit(t).open(f.globex+"/").enter(gus).atOpenID(f, atTheirs).home(f.globex, gus, "US")
	// A front door's clock may be ahead: only tickets of a while later count.
	planttest.Until(t, "a ticket made after the restore", func() bool {
		v := visit(t).open(f.url + "/").enter(ian)
		return v.url.Path == "/login/password" && v.status == http.StatusOK
	})
	// Who came after the backup is forgotten, here and at the front door.
	planttest.Until(t, "the directory hearing of the restore", func() bool {
		found, err := f.discover(consultant)
		return err == nil && len(found) == 0
	})
	f.knows(ian, "initech")
	f.knows(ada, "acme")
}

func (f *fleet) restoreDirectory(t *testing.T) {
	// After the backup: somebody the backup does not know.
	f.us.do("account", "invite", consultant, "--portal", "globex")
	f.knows(consultant, "globex")
	f.front.Kill()
	f.write("front/database", "%s", servertest.Postgres(f.t))
	f.restore("front", "database: sqlite:front/directory.db", "database_file: front/database")
	f.startFront()
	// What was in the backup is found at once; what was not is never denied.
	for _, known := range []string{ian, ada, gus} {
		if found, err := f.discover(known); err != nil || len(found) != 1 {
			t.Errorf("somebody of the backup leads to %q, %v", found, err)
		}
	}
	planttest.Until(t, "the regions publishing again", func() bool {
		found, err := f.discover(consultant)
		if err == nil && len(found) == 0 {
			t.Fatal("somebody with an account was told there is none")
		}
		return err == nil && len(found) == 1 && found[0] == "globex"
	})
	visit(t).open(f.url+"/").enter(ada).atSAML(f, atTheirs).home(f.acme, ada, "EU")
}

// chains: the audit log of a restored region holds together, and says so.
func (f *fleet) chains(t *testing.T, r *region) {
	t.Helper()
	r.do("audit", "--verify")
	log := r.do("audit", "--limit", "1000")
	for _, action := range []string{"portal.created", "database.restored"} {
		if !strings.Contains(log, action) {
			t.Errorf("the audit log has no %s:\n%s", action, log)
		}
	}
}

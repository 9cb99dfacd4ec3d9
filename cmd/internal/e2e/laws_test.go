package e2e

import (
	"crypto/ed25519"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/domicile-sso/domicile/cmd/internal/planttest"
	"github.com/domicile-sso/domicile/config"
	"github.com/domicile-sso/domicile/config/servertest"
	"github.com/domicile-sso/domicile/config/sqldb"
	"github.com/domicile-sso/domicile/regions"
)

// unsure insists that the front door says "not known now" about an address, in
// both forms, and not that there is nobody (law 5).
func (f *fleet) unsure(t *testing.T, address string) {
	t.Helper()
	v := visit(t).open(f.url + "/")
	v.submit("Next", "email", address).sees(http.StatusServiceUnavailable, "try again")
	f.dull(t, v.header, v.text)
	if strings.Contains(v.text, "cannot take you further") {
		t.Errorf("an error reads as the neutral page:\n%s", v.page.Text("main"))
	}

	code, header, body := f.question(t, address)
	if code != http.StatusServiceUnavailable || header.Get("Content-Type") != "application/problem+json" {
		t.Errorf("to a program: %d %s", code, body)
	}
	f.dull(t, header, body)
}

func (f *fleet) dull(t *testing.T, header http.Header, body string) {
	t.Helper()
	if n, err := strconv.Atoi(header.Get("Retry-After")); err != nil || n < 1 || n > 60 {
		t.Errorf("Retry-After: %q", header.Get("Retry-After"))
	}
	if to := header.Get("Location"); to != "" {
		t.Errorf("and yet it leads to %s", to)
	}
	for _, reason := range []string{"postgres", "sqlite", "SQL", "127.0.0.1", "dial", "no such table", "entries", "eu-central", "us-east"} {
		if strings.Contains(body, reason) {
			t.Errorf("the answer tells %q:\n%s", reason, body)
		}
	}
}

// question asks as a program does and returns all of the answer.
func (f *fleet) question(t *testing.T, address string) (int, http.Header, string) {
	t.Helper()
	v := visit(t)
	body, err := json.Marshal(map[string]string{"email": address})
	if err != nil {
		t.Fatal(err)
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, f.url+"/v1/discover", strings.NewReader(string(body)))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	if err := v.exchange(r, ""); err != nil {
		t.Fatal(err)
	}
	return v.status, v.header, v.text
}

// stranger is an address that nobody has asked about, so that no cache knows it.
func stranger(n int) string { return "stranger" + strconv.Itoa(n) + "@nowhere.example" }

// unknown insists on the neutral page: nobody, and sure of it.
func (f *fleet) unknown(t *testing.T, address string) {
	t.Helper()
	visit(t).open(f.url+"/").enter(address).sees(http.StatusOK, "We cannot take you further from here")
}

// byRoute insists that a domain leads on although accounts cannot be looked up,
// with a word that there may be more (law 6).
func (f *fleet) byRoute(t *testing.T, address, name, site string) *visitor {
	t.Helper()
	v := visit(t).open(f.url + "/").enter(address)
	v.at(f.url, "/").sees(http.StatusOK, name, "may be missing here")
	v.submit(name)
	if origin(v.url) == f.url {
		t.Errorf("choosing %s leads to %s (%d)", name, v.url, v.status)
	}
	if site != "" && origin(v.url) != site {
		t.Errorf("choosing %s leads to %s", name, v.url)
	}
	return v
}

// TestDirectory is about what the front door knows, and what becomes of people
// when it does not. Making a fleet takes longer than any of this, so the tests
// share one and follow one another.
func TestDirectory(t *testing.T) {
	f := ship(t)
	own, err := os.ReadFile(f.path("us-east", "database"))
	if err != nil {
		t.Fatal(err)
	}
	toRegion, database := planttest.Before(t, string(own))
	f.write("us-east/database", "%s", database)
	f.sail()
	t.Run("published soon", f.soon)
	t.Run("published after an outage", f.published)
	t.Run("broken", f.broken)
	t.Run("its database gone", func(t *testing.T) { f.databaseGone(t, toRegion) })
	t.Run("a record ends", f.recordEnds)
}

// databaseGone: a database stops answering, is jammed, and comes back. The front
// door's first, which is a PostgreSQL from now on, and fills by itself: domains
// still lead on from the snapshot. Then a region's.
func (f *fleet) databaseGone(t *testing.T, toRegion *planttest.Gate) {
	toDirectory, directory := planttest.Before(f.t, servertest.Postgres(f.t))
	f.write("front/database", "%s", directory)
	f.rewrite("front.yaml", "database: sqlite:front/directory.db", "database_file: front/database")
	planttest.Run(t, "migrate", "up", f.path("front.yaml"))
	f.startFront()
	// Regions look after the directory every 15 seconds, and whenever they have
	// something to tell it.
	f.eu.do("account", "invite", "first@elsewhere.example", "--portal", "acme")
	f.us.do("account", "invite", "second@elsewhere.example", "--portal", "globex")
	f.knows(ada, "acme")
	f.knows(gus, "globex")
	const guest, later = "guest@elsewhere.example", "later@elsewhere.example"
	f.us.invited("globex", guest)
	f.knows(guest, "globex")

	t.Run("the directory's is gone", func(t *testing.T) {
		toDirectory.Shut()
		f.unsure(t, stranger(2))
		f.byRoute(t, "new.here@acme.example", "Acme Corporation", "")
		f.byRoute(t, "new.here@initech.example", "Initech", f.initech)
		if code, _ := fetch(t, f.url+"/readyz"); code != http.StatusOK {
			t.Errorf("a front door that leads people on is not ready: %d", code)
		}
		if code, _ := fetch(t, f.url+"/healthz"); code != http.StatusOK {
			t.Errorf("and not healthy: %d", code)
		}
		f.us.do("account", "invite", later, "--portal", "globex")
		f.unsure(t, later)

		toDirectory.Open(t)
		f.knows(later, "globex") // "not known" was not remembered, and the claim not lost
		f.unknown(t, stranger(2))
	})
	t.Run("the directory's is jammed", func(t *testing.T) {
		toDirectory.Stick()
		began := time.Now()
		code, header, body := f.question(t, stranger(3))
		if code != http.StatusServiceUnavailable {
			t.Errorf("a directory that says nothing reads as %d %s", code, body)
		}
		f.dull(t, header, body)
		t.Logf("that took %v", time.Since(began).Round(time.Millisecond))
		toDirectory.Free()
		planttest.Until(t, "the directory's recovery", func() bool {
			ids, err := f.discover(stranger(3))
			return err == nil && len(ids) == 0
		})
		visit(t).open(f.url+"/").enter(ada).atSAML(f, atTheirs).home(f.acme, ada, "EU")
	})
	t.Run("started without the directory's", func(t *testing.T) { f.startedAlone(t, toDirectory, guest) })
	t.Run("a region's is gone", func(t *testing.T) {
		const secret = "a-password-of-Ians-own-7"
		visit(t).open(f.initech+"/").enter(ian).at(f.initech, "/login/password")
		in := visit(t).open(f.initech + "/").enter(ian)
		in.firstTime(f.us.invited("initech", ian), secret)
		in.home(f.initech, ian, "US")
		half := visit(t).open(f.initech + "/").enter(ian)
		federated := visit(t).open(f.globex + "/").enter(gus)

		toRegion.Shut()
		for _, v := range []*visitor{
			half.submit("Sign in", "password", secret),
			visit(t).open(f.initech + "/"),
			in.open(f.initech + "/"),
		} {
			v.sees(http.StatusServiceUnavailable, "try again")
			f.dull(t, v.header, v.text)
		}
		if in.cookies[in.url.Host]["__Host-session"] == nil {
			t.Error("a session was thrown away because it could not be looked up")
		}
		probe := "http://" + planttest.Loopback(f.us.probe)
		if code, why := fetch(t, probe+"/readyz"); code != http.StatusServiceUnavailable || !strings.Contains(why, "database") {
			t.Errorf("a region without its database is ready: %d %s", code, why)
		}
		if code, body := fetch(t, f.initech+"/readyz"); code != http.StatusServiceUnavailable || body != "not ready\n" {
			t.Errorf("in public: %d %q", code, body)
		}
		if code, _ := fetch(t, probe+"/healthz"); code != http.StatusOK {
			t.Errorf("the region is said to be dead: %d", code)
		}
		visit(t).open(f.url+"/").enter(ada).atSAML(f, atTheirs).home(f.acme, ada, "EU")

		toRegion.Open(t)
		planttest.Until(t, "the region being ready again", func() bool {
			code, _ := fetch(t, probe+"/readyz")
			return code == http.StatusOK
		})
		in.open(f.initech+"/").home(f.initech, ian, "US")
		half.back().submit("Sign in", "password", secret).home(f.initech, ian, "US")
		federated.atOpenID(f, atTheirs).home(f.globex, gus, "US")
	})
}

// broken: the front door's SQLite file is there, and no longer what it was.
func (f *fleet) broken(t *testing.T) {
	db, err := sqldb.Open(t.Context(), "sqlite:"+f.path("front", "directory.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.ExecContext(t.Context(), "ALTER TABLE entries RENAME TO hidden"); err != nil {
		t.Fatal(err)
	}
	f.unsure(t, stranger(1))
	f.byRoute(t, "new.here@acme.example", "Acme Corporation", "")
	if _, err := db.ExecContext(t.Context(), "ALTER TABLE hidden RENAME TO entries"); err != nil {
		t.Fatal(err)
	}
	f.unknown(t, stranger(1))
	visit(t).open(f.url+"/").enter(ada).atSAML(f, atTheirs).home(f.acme, ada, "EU")

	// A front door whose database is not there yet does not start, and says so;
	// what it was started with before is of no use to it then.
	f.front.Stop()
	hidden := f.path("front", "elsewhere")
	if err := os.Mkdir(hidden, 0o700); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(f.path("front", "directory.db*"))
	if err != nil || len(files) == 0 {
		t.Fatal(err)
	}
	for _, name := range files {
		if err := os.Rename(name, filepath.Join(hidden, filepath.Base(name))); err != nil {
			t.Fatal(err)
		}
	}
	if code := exit(t, "serve", "discovery", "--config", f.path("front.yaml")); code != 1 {
		t.Errorf("a front door without its tables ends with %d", code)
	}
}

// recordEnds: a region whose record expires is out of rotation, and
// nobody of its portals is sent anywhere else (law 8); the other goes on.
func (f *fleet) recordEnds(t *testing.T) {
	f.eu.do("account", "invite", consultant, "--portal", "acme")
	f.us.do("account", "invite", consultant, "--portal", "initech")
	f.us.do("account", "invite", "guest@elsewhere.example", "--portal", "globex")
	planttest.Until(t, "the chooser", func() bool {
		ids, err := f.discover(consultant)
		return err == nil && len(ids) == 2
	})
	f.knows("guest@elsewhere.example", "globex")

	// Out of the file is not out of the catalogue: a carrier that withholds a
	// record must not take a region away.
	lines := f.catalogue(t)
	f.keepOnly(t, lines, f.eu)
	f.rereads(t)
	f.knows(ian, "initech")

	for life := 3 * time.Second; ; life *= 2 {
		ends := f.resign(t, lines, f.us, life)
		planttest.Until(t, "the record's end", func() bool { return time.Now().After(ends) })
		if code, _, _ := f.question(t, ian); code != http.StatusOK {
			break
		}
		if life > time.Minute {
			t.Fatal("an expired record is still believed")
		}
	}
	f.unsure(t, ian)
	f.unsure(t, "guest@elsewhere.example")
	f.unsure(t, "new.here@globex.example")
	v := visit(t).open(f.url + "/").enter(consultant)
	v.at(f.url, "/").sees(http.StatusOK, "Acme Corporation", "may be missing here")
	if strings.Contains(v.text, "Initech") {
		t.Error("a portal whose region has no record is offered")
	}
	visit(t).open(f.url+"/").enter(ada).atSAML(f, atTheirs).home(f.acme, ada, "EU")
	f.unknown(t, stranger(4))
	if code, _ := fetch(t, f.url+"/readyz"); code != http.StatusOK {
		t.Errorf("one region without a record makes the front door unready: %d", code)
	}
	// The region itself goes on.
	visit(t).open(f.globex+"/").enter(gus).atOpenID(f, atTheirs).home(f.globex, gus, "US")

	// A restart believes nothing that has expired; a new signature brings it back.
	f.front.Kill()
	f.startFront()
	f.unsure(t, ian)
	f.resign(t, lines, f.us, time.Hour)
	f.knows(ian, "initech")
	f.knows("guest@elsewhere.example", "globex")

	// The last region goes: no region is left, and that is "not ready".
	for life := 3 * time.Second; ; life *= 2 {
		f.resign(t, lines, f.eu, life)
		ends := f.resign(t, lines, f.us, life)
		planttest.Until(t, "the records' end", func() bool { return time.Now().After(ends) })
		if code, _ := fetch(t, f.url+"/readyz"); code == http.StatusServiceUnavailable {
			break
		}
		if life > time.Minute {
			t.Fatal("a front door that knows no region is ready")
		}
	}
	if code, why := fetch(t, "http://"+f.probe+"/readyz"); code != http.StatusServiceUnavailable || !strings.Contains(why, "catalogue") {
		t.Errorf("in private: %d %s", code, why)
	}
	f.unsure(t, ada)
}

func (f *fleet) catalogue(t *testing.T) map[string]string {
	t.Helper()
	all, err := regions.ReadFile(f.path("catalogue"))
	if err != nil {
		t.Fatal(err)
	}
	lines := map[string]string{}
	for _, signed := range all {
		r, err := regions.Inspect(signed, []ed25519.PublicKey{f.root(t).Public().(ed25519.PublicKey)})
		if err != nil {
			t.Fatal(err)
		}
		lines[r.Region] = signed
	}
	return lines
}

func (f *fleet) keepOnly(t *testing.T, lines map[string]string, r *region) {
	t.Helper()
	if err := regions.WriteFile(f.path("catalogue"), []string{lines[r.name]}); err != nil {
		t.Fatal(err)
	}
}

// root is the operator's key, which signs for shorter than the command does.
func (f *fleet) root(t *testing.T) ed25519.PrivateKey {
	t.Helper()
	text, err := os.ReadFile(f.path("root", "root.key"))
	if err != nil {
		t.Fatal(err)
	}
	seed, err := config.DecodeKey(config.RootKey, string(text))
	if err != nil {
		t.Fatal(err)
	}
	return ed25519.NewKeyFromSeed(seed)
}

// resign puts the next version of a region's record into the catalogue, and has
// the front door read it.
func (f *fleet) resign(t *testing.T, lines map[string]string, r *region, life time.Duration) (ends time.Time) {
	t.Helper()
	root := f.root(t)
	record, err := regions.Inspect(lines[r.name], []ed25519.PublicKey{root.Public().(ed25519.PublicKey)})
	if err != nil {
		t.Fatal(err)
	}
	record.Version++
	record.Issued = time.Now().Truncate(time.Second)
	record.Expires = record.Issued.Add(life)
	if lines[r.name], err = regions.Sign(record, root); err != nil {
		t.Fatal(err)
	}
	if err := regions.WriteFile(f.path("catalogue"), []string{lines[f.eu.name], lines[f.us.name]}); err != nil {
		t.Fatal(err)
	}
	f.rereads(t)
	return record.Expires
}

// rereads has the front door read the catalogue now.
func (f *fleet) rereads(t *testing.T) {
	t.Helper()
	done := func() int { return strings.Count(f.front.Printed(), `"msg":"read again"`) }
	before := done()
	if err := f.front.Cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	planttest.Until(t, "the catalogue being read again", func() bool { return done() > before })
}

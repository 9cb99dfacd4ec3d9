package e2e

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/domicile-sso/domicile/cmd/internal/planttest"
	"github.com/domicile-sso/domicile/config/servertest"
)

// TestCanary: a marked person signs in in every way, and the front door's
// database, files, log, metrics and URLs hold nothing of them (N01).
func TestCanary(t *testing.T) {
	canary := servertest.Person{Email: "canary-7f3a@acme.example", Password: "canary-secret-91", GivenName: "Canarygiven", FamilyName: "Canaryfamily"}
	const guest = "canary-guest-5c@elsewhere.example"
	c := found(t, canary)

	b := browser(t, true)
	b.open(c.url + "/")
	b.fill("email", canary.Email)
	b.press("Next")
	atPHP(b, c.saml, canary)
	b.arrived(c.acme, home{canary.Email, "Acme Corporation", "EU", "SAML"})
	session, ok := b.cookie("__Host-session")
	if !ok {
		t.Fatal("no session")
	}

	c.eu.do("account", "invite", guest, "--portal", "initech", "--given-name", "Canarygiven")
	temporary := planttest.TemporaryPassword(c.smtp.Letter(t, guest, "Your temporary password"))
	c.knows(guest, "initech")
	g := browser(t, true)
	g.open(c.url + "/")
	g.fill("email", guest)
	g.press("Next")
	ticket := g.url() // already clean
	g.fill("password", temporary)
	g.press("Sign in")
	g.fill("temporary", temporary)
	g.fill("new", better)
	g.fill("confirm", better)
	g.press("Save and sign in")
	g.press("Remember this portal")
	g.press("Yes, remember it")

	for _, wrong := range []string{"canary-nobody@nowhere.example", "canary bad@", strings.Repeat("canary", 100) + "@x.example"} {
		w := browser(t, true)
		w.open(c.url + "/")
		w.fill("email", wrong)
		w.press("Next")
	}
	if ids, err := c.discover("canary-json@nowhere.example"); err != nil || len(ids) > 0 {
		t.Fatalf("nobody is found at %v (%v)", ids, err)
	}
	metrics := get(t, "http://"+c.probe+"/metrics")
	c.front.Stop()

	places := map[string][]byte{"metrics": metrics, "log": []byte(c.front.Printed()), "URL of the sign-in page": []byte(ticket.String())}
	for _, tab := range []*tab{b, g} {
		for _, raw := range tab.visited() {
			// What a region and an identity provider say to one another is theirs.
			if u, err := url.Parse(raw); err == nil && "http://"+u.Host == c.url {
				places["URL "+raw] = []byte(raw)
			}
		}
	}
	err := filepath.WalkDir(c.path("front"), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		places[path], err = os.ReadFile(path)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := places[c.path("front", "directory.db")]; !ok {
		t.Fatal("the front door's database is not where it was looked for")
	}
	marks := []string{"canary", session.Value, temporary, better, canary.Password}
	for place, text := range places {
		for _, mark := range marks {
			for _, form := range forms(mark) {
				if bytes.Contains(bytes.ToLower(text), bytes.ToLower([]byte(form))) {
					t.Errorf("%s holds %q, a form of %q", place, form, mark)
				}
			}
		}
	}
	// The search can find something: the domain is the front door's to know.
	if !bytes.Contains(places[c.path("front", "directory.db")], []byte("acme.example")) &&
		!bytes.Contains(places[c.path("front", "directory.db-wal")], []byte("acme.example")) {
		t.Error("not even the domain was found in the database")
	}
}

// forms are the ways a text may have been written down.
func forms(s string) []string {
	all := []string{s, url.QueryEscape(s), hex.EncodeToString([]byte(s))}
	// Base64 of a text within a longer one depends on where it begins.
	for shift := range 3 {
		padded := append(make([]byte, shift), s...)
		code := base64.RawStdEncoding.EncodeToString(padded)
		if from, to := (shift*8+5)/6, len(padded)*8/6; to > from+5 {
			all = append(all, code[from:to], strings.NewReplacer("+", "-", "/", "_").Replace(code[from:to]))
		}
	}
	return all
}

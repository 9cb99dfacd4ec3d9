package attacks

import (
	"bytes"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/domicile-sso/domicile/portal"
	"github.com/domicile-sso/domicile/portal/web"
)

// What is marked, so that it is found wherever it ends up.
const (
	canary         = "kanarienvogel@acme-cloud.example" // password, in Europe
	canaryName     = "Zeisigwald"
	canaryPassword = "kanarien sitzen auf drei leitungen"
	canaryLater    = "zeisige sitzen auf vier leitungen"
)

// A witness is a browser that notes what everybody on the way would see.
type witness struct {
	*browser
	seen []*answer
}

func (v *witness) see(a *answer) *answer {
	v.seen = append(v.seen, a)
	for a.Status == http.StatusSeeOther && strings.HasSuffix(mustParse(a.Header.Get("Location"), a.URL).Host, ".domicile.example") {
		a = v.follow(a)
		v.seen = append(v.seen, a)
	}
	return a
}

func mustParse(to string, base *url.URL) *url.URL {
	u, err := base.Parse(to)
	if err != nil {
		panic(err)
	}
	return u
}

// TestCanary leads a marked person through everything there is, and then looks
// for them: LOG-02 in every log, metric and trace, REG-01 in everything that lies or
// leaks outside their region, REG-02 for what could be tried out, REG-04 in every
// URL and header on the way.
func TestCanary(t *testing.T) {
	w, traces := tracedWorld(t)
	w.published(t)
	v := &witness{browser: w.named(t, "203.0.113.201")}
	secrets := w.marked(t, v)
	ada := w.IdPs.Person(t, "acme.example")
	ada.GivenName, ada.FamilyName, ada.Subject = canaryName, canaryName, "subject-"+canaryName
	trip := v.departWith(acme, "acme-saml", ada.Address, "/account")
	response := trip.assertion(ada)
	if in := v.see(trip.deliver(response)); v.signedIn(acme) != ada.Address {
		t.Fatalf("not signed in: %d", in.Status)
	}
	v.see(trip.deliver(response))                          // a second time
	v.see(trip.deliver(response[:len(response)-40]))       // and spoilt
	v.see(v.crossGet(trip.acs() + "?SAMLResponse=broken")) // by GET
	secrets = append(secrets, response, trip.State, v.cookie(acme, web.SessionCookie))
	gus := w.IdPs.Person(t, "acme-oidc.example")
	leg := v.departWith(acme, "acme-oidc", gus.Address, "/")
	back := leg.authorise(gus)
	secrets = append(secrets, back.Query().Get("code"), leg.State)
	v.crossGet(back.String())
	v.crossGet(back.String())
	secrets = append(secrets, v.cookie(acme, web.SessionCookie), v.cookie(acme, ssoCookie), v.cookie(acme, browserCookie))
	w.published(t)

	people := []string{canary, strings.Split(canary, "@")[0], canaryName, ada.Address, ada.Subject, gus.Address, gus.Subject}
	for _, who := range []string{canary, ada.Address, gus.Address} {
		people = append(people, guesses(who)...)
	}
	secrets = append(secrets, canaryPassword, canaryLater, secretOfClient)

	t.Run("LOG-02 logs and metrics", func(t *testing.T) {
		absent(t, "log", []byte(w.Log.Since(0)), people, secrets)
		for name, addr := range map[string]string{"front door": w.Front.Addr("private"), europe: w.Regions[europe].Addr("private"), america: w.Regions[america].Addr("private")} {
			absent(t, "metrics of "+name, []byte(w.metrics(t, addr)), people, secrets)
		}
	})
	t.Run("LOG-02 N01 traces", func(t *testing.T) { traces.untold(t, w, people, secrets, []string{"203.0.113.201"}) })
	t.Run("REG-01 REG-02 what lies elsewhere", func(t *testing.T) {
		files, err := filepath.Glob(filepath.Join(w.dir, "*"))
		if err != nil {
			t.Fatal(err)
		}
		var looked, home int
		for _, name := range files {
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			base := filepath.Base(name)
			if strings.HasPrefix(base, europe) {
				// Their own region knows who they are, and no more than a digest of
				// what they hold.
				home += bytes.Count(text, []byte(canary))
				absent(t, base, text, nil, secrets)
				continue
			}
			looked++
			absent(t, base, text, people, secrets)
		}
		if looked < 4 || home == 0 {
			t.Errorf("looked into %d files, and found the person %d times at home: %v", looked, home, files)
		}
	})
	t.Run("REG-04 what is seen on the way", func(t *testing.T) {
		if len(v.seen) < 30 {
			t.Fatalf("only %d answers", len(v.seen))
		}
		for _, a := range v.seen {
			to := mustParse(a.Header.Get("Location"), a.URL)
			h := a.Header.Clone()
			if !strings.HasSuffix(to.Host, "domicile.example") {
				h.Del("Location") // to their own provider, which is told whom to expect
			}
			h.Del("Set-Cookie") // the browser's own
			var text strings.Builder
			text.WriteString(a.URL.String())
			_ = h.Write(&text)
			absent(t, a.Request.Method+" "+a.URL.Path, []byte(text.String()), people, []string{canaryPassword, canaryLater})
			if a.Header.Get("Referrer-Policy") != "no-referrer" {
				t.Errorf("%s: a referrer would be sent", a.URL)
			}
			for _, in := range a.page().All("input[type=hidden]") {
				for _, attr := range in.Attr {
					absent(t, "hidden field of "+a.URL.Path, []byte(attr.Val), people, nil)
				}
			}
		}
	})
}

// marked leads the person with the password through everything, and returns what
// they were given on the way.
func (w *world) marked(t *testing.T, v *witness) (secrets []string) {
	t.Helper()
	if _, err := w.store(acme).Invite(t.Context(), portal.Visitor{}, portal.Invitation{Portal: "acme", Address: addressOf(canary),
		GivenName: canaryName, FamilyName: canaryName}); err != nil {
		t.Fatal(err)
	}
	letters := w.mailed(t, acme, canary)
	token, temporary := tokenIn(letters, "/invitation"), temporaryIn(letters)
	v.see(v.get(acme + "/invitation?token=" + token))
	for _, temp := range []string{"wrong " + temporary, temporary} {
		v.see(v.post(acme+"/invitation", url.Values{"token": {token}, "temporary": {temp}, "new": {canaryPassword}, "confirm": {canaryPassword}}))
	}
	secrets = append(secrets, token, temporary, v.cookie(acme, web.SessionCookie))
	if v.signedIn(acme) != canary {
		t.Fatal("not signed in")
	}
	for _, path := range []string{"/", "/account", "/account/password", "/logout", "/nowhere/" + canaryName, "/login/x"} {
		if !strings.Contains(path, canaryName) { // whoever types a name into a URL
			v.see(v.get(acme + path))
		}
	}
	v.see(v.post(acme+"/account/password", url.Values{"old": {"not " + canaryPassword}, "new": {canaryLater}, "confirm": {canaryLater}}))
	v.see(v.post(acme+"/logout", url.Values{}))
	w.published(t)

	// By the front door: found, unknown, limited, misspelt, as JSON, as WebFinger.
	a := v.see(v.post(frontDoor+"/", url.Values{"email": {canary}}))
	secrets = append(secrets, a.URL.Query().Get("ticket"))
	handle := a.page().Attr("input[name=attempt]", "value")
	for _, secret := range []string{"not " + canaryPassword, canaryPassword + " ", canaryPassword} {
		v.see(v.post(acme+"/login/password", url.Values{"attempt": {handle}, "password": {secret}}))
	}
	secrets = append(secrets, handle, v.cookie(acme, web.SessionCookie))
	v.see(v.get(acme + "/remember"))
	for _, odd := range []string{canary + ".", "\"" + canary + "\"", canary + "\r\nBcc: " + canary, canaryName} {
		v.see(v.post(frontDoor+"/", url.Values{"email": {odd}}))
		v.see(v.post(acme+"/login", url.Values{"email": {odd}}))
		v.ask(email(odd))
	}
	v.ask(email(canary))
	v.ask(`{"email":"` + canary + `","` + canary + `":1}`)
	v.get(frontDoor + "/.well-known/webfinger?resource=acct:" + canary)
	v.get(frontDoor + "/.well-known/webfinger?resource=" + canary)
	v.see(v.post(frontDoor+"/choose", url.Values{"choice": {canary}}))
	v.see(v.post(frontDoor+"/remember", url.Values{"proof": {canary}}))

	// Forgotten.
	v.see(v.post(acme+"/password/forgot", url.Values{"email": {canary}}))
	reset := tokenIn(w.mailed(t, acme, canary), "/password/reset")
	v.see(v.get(acme + "/password/reset?token=" + reset))
	v.see(v.post(acme+"/password/reset", url.Values{"token": {reset}, "new": {canary}, "confirm": {canary}}))
	v.see(v.post(acme+"/password/reset", url.Values{"token": {reset}, "new": {canaryLater}, "confirm": {canaryLater}}))
	v.see(v.get(acme + "/password/reset?token=" + reset))
	if reset == "" || v.signedIn(acme) != "" {
		t.Fatal("the reset did not happen")
	}
	return append(secrets, reset)
}

// guesses are the forms under which somebody with a dictionary would look for an
// address.
func guesses(who string) []string {
	s256, s1, m5 := sha256.Sum256([]byte(who)), sha1.Sum([]byte(who)), md5.Sum([]byte(who))
	list := []string{url.QueryEscape(who), strings.ToUpper(who), string(s256[:]), string(s1[:]), string(m5[:]), hex.EncodeToString(s256[:]), hex.EncodeToString(s1[:]), hex.EncodeToString(m5[:]),
		base64.RawURLEncoding.EncodeToString(s256[:])}
	for shift := range 3 { // base64 of it at each alignment, without the edges
		text := base64.RawStdEncoding.EncodeToString([]byte(strings.Repeat("x", shift) + who))
		list = append(list, text[4:len(text)-3])
	}
	return list
}

func absent(t testing.TB, where string, text []byte, lists ...[]string) {
	t.Helper()
	for _, list := range lists {
		for _, s := range list {
			if len(s) < 6 {
				continue
			}
			if i := bytes.Index(text, []byte(s)); i >= 0 {
				t.Errorf("%s has %.60q: …%.300q…", where, s, text[max(0, i-150):min(len(text), i+150)])
			}
		}
	}
}

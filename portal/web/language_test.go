package web

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/domicile-sso/domicile/discovery/page"
)

// speaks makes a browser that asks for a language with every request.
func (w *world) speaks(host, accept string) *browser {
	b := w.browser(host)
	b.accept = accept
	return b
}

// A person signs in with a wrong and then the right password and reads, at every
// step, their own language. F11.
func TestF11SigningInByLanguage(t *testing.T) {
	w := newWorld(t)
	for _, tt := range []struct{ accept, lang, address, password, wrong, home, data string }{
		{"", "en", "Sign in to Initech", "Enter your password", "The address or the password is not right.", "Welcome, Ian", "Your data is kept in"},
		{"fr-BE,fr;q=0.8", "fr", "Se connecter à Initech", "Saisissez votre mot de passe", "L’adresse ou le mot de passe est incorrect.", "Bienvenue, Ian", "Lieu de conservation de vos données"},
		{"de", "de", "Bei Initech anmelden", "Geben Sie Ihr Passwort ein", "Die Adresse oder das Passwort ist nicht richtig.", "Willkommen, Ian", "Datenstandort"},
	} {
		b := w.speaks(initech, tt.accept)
		a := b.get("/login")
		a.want(t, http.StatusOK, tt.address)
		if a.page.Attr("html", "lang") != tt.lang || a.Header.Get("Content-Language") != tt.lang {
			t.Errorf("%q: the page says it is in %q", tt.accept, a.page.Attr("html", "lang"))
		}
		a = b.follow(b.submit(a, url.Values{"email": {"ian@initech.example"}}))
		a.want(t, http.StatusOK, tt.password)
		a = b.submit(a, url.Values{"password": {"not this one at all"}})
		a.want(t, http.StatusForbidden, tt.password)
		if got := a.page.Text(".summary li"); got != tt.wrong {
			t.Errorf("%q: %q", tt.accept, got)
		}
		a = b.follow(b.submit(a, url.Values{"password": {goodPassword}}))
		a.want(t, http.StatusOK, tt.home)
		if !strings.Contains(a.page.Text("main"), tt.data) {
			t.Errorf("%q: home says %q", tt.accept, a.page.Text("main"))
		}
	}
}

// The order: the account's choice, the browser's cookie, what it accepts, what
// the portal speaks, English.
func TestF11WhoDecides(t *testing.T) {
	w := newWorld(t)
	lang := func(b *browser, path string) string {
		t.Helper()
		return b.get(path).page.Attr("html", "lang")
	}
	b := w.speaks(initech, "")
	if got := lang(b, "/login"); got != "en" {
		t.Errorf("nobody has said anything: %q", got)
	}
	w.portalSpeaks("initech", "de")
	if got := lang(b, "/login"); got != "de" {
		t.Errorf("the portal speaks German: %q", got)
	}
	if got := lang(b, "/nowhere"); got != "de" {
		t.Errorf("and says in German that a page is not there: %q", got)
	}
	b.accept = "fr"
	if got := lang(b, "/login"); got != "fr" {
		t.Errorf("the browser asks for French: %q", got)
	}
	a := b.post("/language", url.Values{"language": {"en"}, "then": {"/login?edit=1"}})
	if a.StatusCode != http.StatusSeeOther || a.Header.Get("Location") != "/login?edit=1" {
		t.Errorf("%d to %q", a.StatusCode, a.Header.Get("Location"))
	}
	if got := lang(b, "/login"); got != "en" {
		t.Errorf("the person chose English: %q", got)
	}
	b.signIn("ian@initech.example", goodPassword)
	w.accountSpeaks("initech", "ian@initech.example", "fr")
	for _, path := range []string{"/", "/admin/users"} { // the second is refused, in French
		if got := lang(b, path); got != "fr" {
			t.Errorf("%s: the account reads French: %q", path, got)
		}
	}
}

// The form below every page leads back to it, and nowhere else.
func TestF11LanguageLeadsBack(t *testing.T) {
	w := newWorld(t)
	b := w.browser(initech)
	a := b.follow(b.submit(b.get("/login"), url.Values{"email": {"ian@initech.example"}}))
	then := a.page.Attr("form.languages input", "value")
	if !strings.HasPrefix(then, "/login/password?attempt=") {
		t.Fatalf("the form of the password page leads to %q", then)
	}
	a = b.follow(b.post("/language", url.Values{"language": {"de"}, "then": {then}}))
	a.want(t, http.StatusOK, "Geben Sie Ihr Passwort ein")
	if got := a.page.Attr("#username", "value"); got != "ian@initech.example" {
		t.Errorf("the attempt is lost: %q", got)
	}
	for _, then := range []string{"https://evil.example/", "//evil.example", "/\\evil.example", "/%2f/evil.example", "/login/initech", "/logout?x=//evil", "/oidc/x/callback?code=1", "/nowhere", "", "javascript:alert(1)"} {
		a := b.post("/language", url.Values{"language": {"fr"}, "then": {then}})
		to := a.Header.Get("Location")
		if a.StatusCode != http.StatusSeeOther || to != "/" && to != "/logout?x=//evil" {
			t.Errorf("%q leads to %q", then, to)
		}
	}
	for name, form := range map[string]url.Values{
		"none": {"then": {"/"}}, "unknown": {"language": {"xx"}}, "long": {"language": {strings.Repeat("d", 200)}}, "another field": {"language": {"de"}, "x": {"y"}},
	} {
		a := b.post("/language", form)
		if a.StatusCode != http.StatusBadRequest || a.Header.Get("Set-Cookie") != "" {
			t.Errorf("%s: %d, cookie %q", name, a.StatusCode, a.Header.Get("Set-Cookie"))
		}
	}
}

// Every page in every shape says nothing in English to who reads another
// language, but for names.
func TestF11PagesAreTranslated(t *testing.T) {
	w := newWorld(t)
	for _, lang := range []string{"fr", "de"} {
		for _, path := range []string{"/login", "/password/forgot", "/logout", "/password/reset", "/invitation", "/nowhere"} {
			a := w.speaks(initech, lang).get(path)
			if a.page.Attr("html", "lang") != lang {
				t.Errorf("%s in %s: %q", path, lang, a.page.Attr("html", "lang"))
			}
			for _, english := range []string{" the ", " your ", " with ", " this ", "Error"} {
				if strings.Contains(" "+a.page.Text("body")+" ", english) || strings.Contains(a.page.Text("title"), english) {
					t.Errorf("%s in %s says %q: %s", path, lang, english, a.page.Text("body"))
				}
			}
		}
	}
}

// A cookie that is no language is none.
func TestF11GarbageInTheCookie(t *testing.T) {
	w := newWorld(t)
	for _, garbage := range []string{"xx", "fr-FR", strings.Repeat("f", 4000), "\"fr\" x"} {
		r := httptest.NewRequest(http.MethodGet, "/login", nil)
		r.Header.Set("Cookie", page.LanguageCookie+"="+garbage)
		r.Header.Set("Accept-Language", "de")
		if got := w.browser(initech).do(r).page.Attr("html", "lang"); got != "de" {
			t.Errorf("%.10q: %q", garbage, got)
		}
	}
}

func (w *world) portalSpeaks(portalID, lang string) {
	w.t.Helper()
	if _, err := w.db.Exec(`UPDATE settings SET language = $1 WHERE portal = $2`, lang, portalID); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) accountSpeaks(portalID, who, lang string) {
	w.t.Helper()
	a, _, err := w.store.AccountByAddress(w.t.Context(), portalID, address(w.t, who))
	if err != nil {
		w.t.Fatal(err)
	}
	if _, err := w.db.Exec(`UPDATE accounts SET language = $1 WHERE id = $2`, lang, a.ID); err != nil {
		w.t.Fatal(err)
	}
}

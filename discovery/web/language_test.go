package web_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/domicile-sso/domicile/discovery/page"
	"github.com/domicile-sso/domicile/discovery/page/pagetest"
)

func postBody(path, body string) *http.Request {
	r := httptest.NewRequest(http.MethodPost, frontDoor+path, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return r
}

// The front page, what is said of a bad address, and the page for an unknown one,
// as a browser of each country is answered. F11.
func TestF11LanguagesOfTheFrontDoor(t *testing.T) {
	d := newDoor(t)
	d.populate()
	for _, tt := range []struct{ accept, lang, heading, label, wrong, neutral string }{
		{"", "en", "Sign in", "Your e-mail address", "Please enter the whole address, such as name@company.com.", "We cannot take you further from here"},
		{"ja", "en", "Sign in", "Your e-mail address", "Please enter the whole address, such as name@company.com.", "We cannot take you further from here"},
		{"fr-CA,fr;q=0.9,en;q=0.8", "fr", "Se connecter", "Votre adresse e-mail", "Veuillez saisir l’adresse complète, par exemple nom@entreprise.fr.", "Nous ne pouvons pas vous mener plus loin d’ici"},
		{"de-CH", "de", "Anmelden", "Ihre E-Mail-Adresse", "Bitte geben Sie die vollständige Adresse ein, zum Beispiel name@firma.de.", "Von hier aus geht es nicht weiter"},
	} {
		get := func(r *http.Request, status int) pagetest.Page {
			t.Helper()
			r.Header.Set("Accept-Language", tt.accept)
			res := d.status(d.do(r), status)
			if got := res.Header.Get("Content-Language"); got != tt.lang || !strings.Contains(strings.Join(res.Header.Values("Vary"), ", "), "Accept-Language, Cookie") {
				t.Errorf("%q: Content-Language %q, Vary %q", tt.accept, got, res.Header.Values("Vary"))
			}
			p := d.page(res)
			if got := p.Attr("html", "lang"); got != tt.lang {
				t.Errorf("%q: the page says it is in %q", tt.accept, got)
			}
			if got := p.Attr("button.language[aria-current]", "value"); got != tt.lang {
				t.Errorf("%q: the form below says it is in %q", tt.accept, got)
			}
			return p
		}
		p := get(httptest.NewRequest("GET", frontDoor+"/", nil), http.StatusOK)
		if p.Text("h1") != tt.heading || p.Text("label[for=email]") != tt.label {
			t.Errorf("%q: %q, %q", tt.accept, p.Text("h1"), p.Text("label[for=email]"))
		}
		if p = get(postBody("/", "email=ada"), http.StatusBadRequest); p.Text(".summary a") != tt.wrong || !strings.HasSuffix(p.Text("#email-error"), tt.wrong) {
			t.Errorf("%q: %q, %q", tt.accept, p.Text(".summary"), p.Text("#email-error"))
		}
		if p = get(postBody("/", "email=nobody@nowhere.example"), http.StatusOK); p.Text("h1") != tt.neutral {
			t.Errorf("%q: %q", tt.accept, p.Text("h1"))
		}
	}
}

// A program is told in its language, too; what it goes by are the status and the
// field.
func TestF11ProblemDocuments(t *testing.T) {
	d := newDoor(t)
	r := httptest.NewRequest(http.MethodPost, frontDoor+"/v1/discover", strings.NewReader(`{"email":"ada"}`))
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Accept-Language", "fr")
	res := d.status(d.do(r), http.StatusBadRequest)
	if text := body(t, res); !strings.Contains(text, "Veuillez saisir l’adresse complète") || res.Header.Get("Content-Language") != "fr" {
		t.Errorf("%v %s", res.Header, text)
	}
}

// The form below every page: it sets a cookie that goes before Accept-Language,
// and leads back to the page.
func TestF11ChoosingALanguage(t *testing.T) {
	d := newDoor(t)
	p := d.page(d.do(httptest.NewRequest("GET", frontDoor+"/?utm=x", nil)))
	buttons := map[string]string{}
	for _, b := range p.All("form.languages button") {
		if pagetest.Attr(b, "lang") != pagetest.Attr(b, "value") {
			t.Errorf("the button %q is marked as %q", pagetest.Text(b), pagetest.Attr(b, "lang"))
		}
		buttons[pagetest.Attr(b, "value")] = pagetest.Text(b)
	}
	if len(buttons) != 3 || buttons["fr"] != "Français" || buttons["de"] != "Deutsch" || buttons["en"] != "English" {
		t.Errorf("buttons %v", buttons)
	}
	res := d.status(d.do(postBody("/language", url.Values{"language": {"de"}, "then": {p.Attr("form.languages input", "value")}}.Encode())), http.StatusSeeOther)
	if res.Header.Get("Location") != "/" {
		t.Errorf("leads to %q", res.Header.Get("Location"))
	}
	var chosen *http.Cookie
	for _, c := range res.Cookies() {
		if c.Name == page.LanguageCookie {
			chosen = c
		}
	}
	if chosen == nil || chosen.Value != "de" || !chosen.Secure || !chosen.HttpOnly || chosen.Path != "/" || chosen.SameSite != http.SameSiteLaxMode {
		t.Fatalf("cookie %v", chosen)
	}
	r := httptest.NewRequest("GET", frontDoor+"/", nil)
	r.Header.Set("Accept-Language", "fr")
	r.AddCookie(chosen)
	if got := d.page(d.do(r)).Text("h1"); got != "Anmelden" {
		t.Errorf("chosen German, got %q", got)
	}
	for _, garbage := range []string{"xx", "de-DE", "<script>", strings.Repeat("d", 4000), ""} {
		r := httptest.NewRequest("GET", frontDoor+"/", nil)
		r.Header.Set("Accept-Language", "fr")
		r.Header.Set("Cookie", page.LanguageCookie+"="+garbage)
		if got := d.page(d.do(r)).Attr("html", "lang"); got != "fr" {
			t.Errorf("cookie %.10q: %q", garbage, got)
		}
	}
}

func TestF11LanguageLeadsNowhereElse(t *testing.T) {
	d := newDoor(t)
	for _, then := range []string{"https://evil.example/", "//evil.example", "/\\evil.example", "/%5cevil.example", "\t//evil.example", "/nowhere", "/choose", "/v1/discover",
		"javascript:alert(1)", "/remember/../../x", "/ /evil", "/#x", strings.Repeat("/a", 3000)} {
		res := d.status(d.do(postBody("/language", url.Values{"language": {"fr"}, "then": {then}}.Encode())), http.StatusSeeOther)
		if got := res.Header.Get("Location"); got != "/" {
			t.Errorf("%.30q leads to %q", then, got)
		}
	}
	for _, body := range []string{"language=xx", "language=", "then=/", "language=fr&language=de", "language=%ff"} {
		res := d.status(d.do(postBody("/language", body)), http.StatusBadRequest)
		if res.Header.Get("Set-Cookie") != "" {
			t.Errorf("%s: a cookie", body)
		}
	}
	d.status(d.do(httptest.NewRequest("GET", frontDoor+"/language", nil)), http.StatusMethodNotAllowed)
}

// The busiest door pays nothing for languages as long as it has nothing to say.
func TestDiscoverAllocatesNothingForLanguages(t *testing.T) {
	d := newDoor(t)
	d.populate()
	cost := func(accept string) float64 {
		return testing.AllocsPerRun(50, func() {
			r := httptest.NewRequest(http.MethodPost, frontDoor+"/v1/discover", strings.NewReader(`{"email":"ada@acme.example"}`))
			r.Header.Set("Content-Type", "application/json")
			r.Header.Set("Accept-Language", accept)
			d.site.ServeHTTP(httptest.NewRecorder(), r)
		})
	}
	if none, many := cost(""), cost("fr-CH, fr;q=0.9, en;q=0.8, de;q=0.7, *;q=0.5"); many > none+1 {
		t.Errorf("%v allocations without a language, %v with five", none, many)
	}
}

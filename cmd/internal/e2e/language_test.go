package e2e

import (
	"testing"

	"github.com/chromedp/cdproto/network"
)

// speaking makes the browser ask for languages, as its settings would.
func (b *tab) speaking(accept string) {
	b.t.Helper()
	b.do("asking for "+accept, call(network.SetExtraHTTPHeaders, network.SetExtraHTTPHeadersParams{
		Headers: network.Headers{"Accept-Language": accept}}))
}

// in checks the language that a page says it is in, and looks at the page under
// the name it has in that language.
func (b *tab) in(lang, name string) {
	b.t.Helper()
	if got, err := eval[string](b, `document.documentElement.lang`); err != nil || got != lang {
		b.t.Errorf("%s: the page says it is in %q (%v), want %q", name, got, err, lang)
	}
	b.look(name + "." + lang)
}

// TestF11Languages: the pages follow the browser's language, and the choice below
// every page goes before it.
func TestF11Languages(t *testing.T) {
	d := startDemo(t)
	site := d.portal("Initech")
	both(t, func(t *testing.T, scripts bool) {
		b := browser(t, scripts)
		b.speaking("fr-BE,fr;q=0.9,en;q=0.5")
		b.open(d.url + "/")
		b.sees("Saisissez votre adresse")
		b.in("fr", "front")
		b.fill("email", "nobody@nowhere.example")
		b.press("Suivant")
		b.sees("Nous ne pouvons pas vous mener plus loin d’ici")
		b.in("fr", "neutral")
		b.fill("email", "ian@initech.example")
		b.press("Essayer cette adresse")
		b.sees("Saisissez votre mot de passe")
		b.in("fr", "password")

		b.press("Deutsch") // and the attempt goes on
		b.sees("Geben Sie Ihr Passwort ein")
		b.in("de", "password")
		b.fill("password", "not this one at all")
		b.press("Anmelden")
		b.sees("Die Adresse oder das Passwort ist nicht richtig.")
		b.in("de", "password-wrong")
		b.fill("password", d.passwords["ian@initech.example"])
		b.press("Anmelden")
		b.sees("Sie sind bei Initech angemeldet.")
		b.in("de", "home")
		b.press("Français")
		b.sees("Vous êtes connecté à Initech.")
		b.in("fr", "home")
		b.press("Se déconnecter")
		b.sees("Vous êtes déconnecté")
		b.in("fr", "signedout")

		b.open(site + "/password/forgot")
		b.sees("Choisissez un nouveau mot de passe")
		b.in("fr", "forgot")
		b.open(site + "/nowhere")
		b.sees("Cette page n’existe pas")
		b.in("fr", "notfound")
		b.open(d.url + "/") // the front door has a cookie of its own
		b.press("Deutsch")
		b.sees("Ihre E-Mail-Adresse")
		b.in("de", "front")
	})
}

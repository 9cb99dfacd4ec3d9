package locale_test

import (
	"testing"
	"testing/fstest"
	"time"

	"github.com/domicile-sso/domicile/discovery/page/locale"
)

var texts = fstest.MapFS{
	"locales/en/a.json": {Data: []byte(`{"%d users": {"one": "%d user", "other": "%d users"}}`)},
	"locales/fr/a.json": {Data: []byte(`{"Hello": "Bonjour", "100% sure": "sûr à 100 %",
		"Sign in to %s": "Se connecter à %s", "%s has %d users": {"one": "%[1]s a %[2]d utilisateur", "other": "%s a %d utilisateurs"}}`)},
	"locales/fr/b.json": {Data: []byte(`{"%d users": {"=0": "personne", "one": "%d utilisateur", "other": "%d utilisateurs"}}`)},
	"locales/de/a.json": {Data: []byte(`{"%d users": {"one": "%d Person", "other": "%d Personen"}, "%s at %s": "bei %[2]s: %[1]s"}`)},
}

func TestT(t *testing.T) {
	book, err := locale.Load(texts)
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		lang, key string
		args      []any
		want      string
	}{
		{"en", "Hello", nil, "Hello"},
		{"fr", "Hello", nil, "Bonjour"},
		{"de", "Hello", nil, "Hello"}, // not yet said in German
		{"xx", "Hello", nil, "Hello"},
		{"en", "100% sure", nil, "100% sure"},
		{"fr", "100% sure", nil, "sûr à 100 %"},
		{"de", "50% or %s", nil, "50% or %s"},
		{"en", "Sign in to %s", []any{"100%d"}, "Sign in to 100%d"},
		{"fr", "Sign in to %s", []any{"100%d"}, "Se connecter à 100%d"},
		{"de", "Sign in to %s", []any{"Acme"}, "Sign in to Acme"},
		{"de", "%s at %s", []any{"Ada", "Acme"}, "bei Acme: Ada"},
		{"en", "%d users", []any{1}, "1 user"},
		{"en", "%d users", []any{0}, "0 users"},
		{"en", "%d users", []any{12345}, "12,345 users"},
		{"fr", "%d users", []any{0}, "personne"},
		{"fr", "%d users", []any{1}, "1 utilisateur"},
		{"fr", "%d users", []any{int64(2)}, "2 utilisateurs"},
		{"fr", "%d users", []any{1000000}, "1\u00a0000\u00a0000 utilisateurs"},
		{"de", "%d users", []any{12345}, "12.345 Personen"},
		{"fr", "%s has %d users", []any{"Acme", 1}, "Acme a 1 utilisateur"},
		{"fr", "%s has %d users", []any{"Acme", 3}, "Acme a 3 utilisateurs"},
	} {
		if got := book.Printer(tc.lang).T(tc.key, tc.args...); got != tc.want {
			t.Errorf("%s %q %v: got %q, want %q", tc.lang, tc.key, tc.args, got, tc.want)
		}
	}
}

func TestLoadRefuses(t *testing.T) {
	for name, body := range map[string]string{
		"no object": `["a"]`, "twice": `{"a": "b", "a": "c"}`, "number": `{"a": 1}`, "rest": `{"a": "b"} x`,
		"cut off": `{"a": "b"`, "no count": `{"a": {"other": "b"}}`, "no other": `{"%d": {"one": "b"}}`, "odd form": `{"%d": {"some": "b", "other": "c"}}`,
	} {
		if _, err := locale.Load(fstest.MapFS{"locales/fr/x.json": {Data: []byte(body)}}); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestCultures(t *testing.T) {
	paris, err := time.LoadLocation("Europe/Paris")
	if err != nil {
		t.Fatal(err)
	}
	at := time.Date(2026, 3, 1, 13, 5, 0, 0, time.UTC)
	for tag, want := range map[string]string{
		"en-US": "03/01/2026, 2:05 PM CET", "en-GB": "01/03/2026, 14:05 CET", "de-CH": "01.03.2026, 14:05 CET",
		"sv-SE": "2026-03-01, 14:05 CET", "fr-CA": "2026-03-01, 14 h 05 CET",
	} {
		c, ok := locale.ParseCulture(tag)
		if got := c.DateTime(at.In(paris)); !ok || got != want {
			t.Errorf("%s: got %q, want %q", tag, got, want)
		}
	}
	for lang, want := range map[string]string{
		"en": "1 March 2026, 13:05 UTC", "fr": "1er mars 2026, 13:05 UTC", "de": "1. März 2026, 13:05 UTC", "": "1 March 2026, 13:05 UTC",
	} {
		if got := locale.CultureOf(lang).DateTime(at); got != want {
			t.Errorf("%s: got %q, want %q", lang, got, want)
		}
	}
	if got := (locale.Culture{}).Date(at); got != "1 March 2026" {
		t.Errorf("nobody's culture: %q", got)
	}
	for lang, want := range map[string]string{"en": "French (Belgium)", "fr": "français (Belgique)", "de": "Französisch (Belgien)"} {
		c, _ := locale.ParseCulture("fr-BE")
		if got := c.Name(lang); got != want {
			t.Errorf("%s: got %q, want %q", lang, got, want)
		}
	}
	for _, tag := range []string{"", "fr", "xx-XX", "fr-be"} {
		if _, ok := locale.ParseCulture(tag); ok {
			t.Errorf("%q is a culture", tag)
		}
	}
}

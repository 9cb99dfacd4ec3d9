package page

import (
	"cmp"
	"context"
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/domicile-sso/domicile/discovery"
	"github.com/domicile-sso/domicile/discovery/page/locale"
)

// LanguageCookie remembers which language a browser's person chose. It names a
// language and nothing else, on either site.
const LanguageCookie = "__Host-language"

const languageLife = 365 * 24 * time.Hour

// WithLanguage says in which language a request is answered.
func WithLanguage(ctx context.Context, lang string) context.Context {
	return context.WithValue(ctx, languageKey, lang)
}

// Language is the language of [WithLanguage]; "" when nobody has decided.
func Language(ctx context.Context) string {
	s, _ := ctx.Value(languageKey).(string)
	return s
}

// Preferred is the language that a browser asks for, by its cookie or else by its
// Accept-Language header; "" when it asks for none that we speak.
func Preferred(r *http.Request) string {
	chosen := ""
	if c, err := r.Cookie(LanguageCookie); err == nil {
		chosen = c.Value
	}
	return locale.Negotiate(chosen, r.Header.Get("Accept-Language"), "")
}

// ChooseLanguage remembers a language for a browser; the error is for one that we
// do not speak.
func ChooseLanguage(w http.ResponseWriter, lang string) error {
	if !locale.Known(lang) {
		return &discovery.Error{Kind: discovery.Invalid, Field: "language", Code: "language_unknown",
			Say: "Choose one of the languages offered."}
	}
	http.SetCookie(w, &http.Cookie{Name: LanguageCookie, Value: lang, Path: "/", MaxAge: int(languageLife / time.Second),
		Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode})
	return nil
}

// LocalPath returns s if a browser stays on the site with it, and "/" otherwise.
func LocalPath(s string) string {
	if len(s) > 2048 || !strings.HasPrefix(s, "/") || strings.HasPrefix(s, "//") {
		return "/"
	}
	for i := range len(s) {
		// Browsers drop control characters and turn backslashes into slashes
		// before they resolve a Location.
		if c := s[i]; c <= ' ' || c == '\\' || c == '#' || c >= 0x7f {
			return "/"
		}
	}
	u, err := url.Parse(s)
	if err != nil || u.IsAbs() || u.Host != "" || strings.HasPrefix(u.Path, "//") || strings.Contains(u.Path, "\\") {
		return "/"
	}
	return s
}

// language is that of a request, whoever decided on it. A site whose own texts
// have no translations is English throughout.
func (s *Set) language(r *http.Request) string {
	if !s.translated {
		return locale.English
	}
	return cmp.Or(Language(r.Context()), Preferred(r), locale.English)
}

// T is a text in the language of [WithLanguage]. See [locale.Printer.T].
func (s *Set) T(ctx context.Context, key string, args ...any) string {
	return s.Printer(Language(ctx)).T(key, args...)
}

// For says the texts of the set in the language of a request, whoever decided on
// it.
func (s *Set) For(r *http.Request) *locale.Printer { return s.Printer(s.language(r)) }

// Printer says the texts of the set, and of the layout, in a language.
func (s *Set) Printer(lang string) *locale.Printer {
	if !s.translated {
		lang = locale.English
	}
	return s.book.Printer(lang)
}

// speak tells programs on the way which language this is, and what it hangs on.
func (s *Set) speak(h http.Header, lang string) {
	h.Set("Content-Language", lang)
	if s.translated {
		h.Add("Vary", "Accept-Language, Cookie")
	}
}

// words are the functions that templates have for text.
func words(p *locale.Printer) template.FuncMap {
	return template.FuncMap{
		"t": p.T,
		// markup is t for a text that holds tags: they are the text's own, written
		// by us; what fills it in is escaped.
		"markup": func(key string, args ...any) template.HTML {
			for i, a := range args {
				switch a := a.(type) {
				case template.HTML, int, int64:
				default:
					args[i] = template.HTMLEscapeString(fmt.Sprint(a))
				}
			}
			return template.HTML(p.T(key, args...))
		},
		// address lets an address that is wider than a telephone break behind its
		// "@", and not in the middle of a word.
		"address": func(a any) template.HTML {
			return template.HTML(strings.Replace(template.HTMLEscapeString(fmt.Sprint(a)), "@", "@<wbr>", 1))
		},
	}
}

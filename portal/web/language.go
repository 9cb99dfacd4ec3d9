package web

import (
	"cmp"
	"context"
	"net/http"
	"net/url"
	"time"

	"github.com/gorilla/mux"

	"github.com/domicile-sso/domicile/discovery"
	"github.com/domicile-sso/domicile/discovery/page"
	"github.com/domicile-sso/domicile/discovery/page/locale"
	"github.com/domicile-sso/domicile/portal"
)

// speak decides in which language a request is answered that nobody has signed in
// for: the browser's, or what the portal speaks. A portal whose settings cannot be
// read now speaks English; that is no reason to answer nothing.
func (s *Site) speak(ctx context.Context, r *http.Request, portalID string) context.Context {
	lang := page.Preferred(r)
	if lang == "" {
		settings, err := s.Store.Settings(ctx, portalID)
		if lang = locale.English; err == nil && locale.Known(settings.Language) {
			lang = settings.Language
		}
	}
	return page.WithLanguage(ctx, lang)
}

// greet goes on in the language that the account has chosen, if it has.
func (v *visit) greet(a portal.Account) {
	if locale.Known(a.Language) {
		v.r = v.r.WithContext(page.WithLanguage(v.r.Context(), a.Language))
	}
}

// lang is the language of the visit, as in a lang attribute.
func (v *visit) lang() string { return cmp.Or(page.Language(v.r.Context()), locale.English) }

// t is an English text in the visitor's language, filled in with args.
func (v *visit) t(key string, args ...any) string {
	return v.site.pages.T(v.r.Context(), key, args...)
}

// told is a failure with what it says in the visitor's language; nil for none.
func (v *visit) told(e *discovery.Error) *discovery.Error {
	if e == nil {
		return nil
	}
	c := *e
	c.Say, c.Args = v.say(e), nil
	return &c
}

// say is what a failure tells the visitor.
func (v *visit) say(e *discovery.Error) string { return v.t(e.Say, e.Args...) }

// settings are those of the portal, read once a visit. A time is shown in UTC
// rather than not at all when they cannot be read now.
func (v *visit) settings() portal.Settings {
	if v.chosen == nil {
		set, err := v.site.Store.Settings(v.r.Context(), v.portal.ID)
		if err != nil {
			set = portal.DefaultSettings(v.portal.ID)
		}
		v.chosen = &set
	}
	return *v.chosen
}

// culture is how the visitor reads dates, and where.
func (v *visit) culture() (locale.Culture, *time.Location) {
	if v.member == nil {
		return locale.CultureOf(v.lang()), v.settings().Location()
	}
	a := v.member.Account
	c, ok := locale.ParseCulture(a.Culture)
	if !ok {
		c = locale.CultureOf(v.lang())
	}
	return c, a.Location(v.settings())
}

// when is a day and a time as the visitor reads them; the zero moment for no time
// at all.
func (v *visit) when(t time.Time) moment {
	if t.IsZero() {
		return moment{}
	}
	c, zone := v.culture()
	return moment{Human: c.DateTime(t.In(zone)), Machine: t.UTC().Format(time.RFC3339)}
}

// day is when without the time of day.
func (v *visit) day(t time.Time) moment {
	if t.IsZero() {
		return moment{}
	}
	c, zone := v.culture()
	t = t.In(zone)
	return moment{Human: c.Date(t), Machine: t.Format(time.DateOnly)}
}

// length is a length of time as people say it, rounded down.
func (v *visit) length(d time.Duration) string {
	switch {
	case d >= 48*time.Hour:
		return v.t("%d days", int(d/(24*time.Hour)))
	case d >= time.Hour:
		return v.t("%d hours", int(d/time.Hour))
	}
	return v.t("%d minutes", int(d/time.Minute))
}

// chooseLanguage is the form below every page. An account's own choice is made in
// its profile and goes before.
func (s *Site) chooseLanguage(v *visit) error {
	f, err := v.form(fieldLanguage, fieldThen)
	if err != nil {
		return err
	}
	if err := page.ChooseLanguage(v.w, f["language"]); err != nil {
		return err
	}
	to := page.LocalPath(f["then"])
	if _, ok := s.pageAt(to); !ok {
		to = "/"
	}
	return v.redirect(to)
}

// reload is the path of a page, or of the page behind the answer to a form: the
// same, or home. The addresses that others lead to with an answer are no pages,
// and what strangers put into a query is repeated nowhere: only what we make
// ourselves goes along with a page that anybody may open.
func (s *Site) reload(r *http.Request) string {
	path := r.URL.EscapedPath()
	rt, ok := s.pageAt(path)
	switch {
	case !ok:
		return "/"
	case r.Method != http.MethodGet:
		return path
	case rt.access >= member:
		return r.URL.RequestURI()
	}
	q, keep := r.URL.Query(), url.Values{}
	for _, name := range []string{fieldAttempt.name, fieldToken.name} {
		if v := q.Get(name); tokenShaped(v) {
			keep.Set(name, v)
		}
	}
	if q.Get("edit") == "1" {
		keep.Set("edit", "1")
	}
	if len(keep) > 0 {
		return path + "?" + keep.Encode()
	}
	return path
}

// pageAt finds the route of a path that is a page which one can open again. What
// is counted when it is asked for starts something, or ends it.
func (s *Site) pageAt(path string) (route, bool) {
	r, err := http.NewRequest(http.MethodGet, path, nil)
	if err != nil {
		return route{}, false
	}
	var match mux.RouteMatch
	if !s.router.Match(r, &match) || match.MatchErr != nil {
		return route{}, false
	}
	pattern, err := match.Route.GetPathTemplate()
	if err != nil {
		return route{}, false
	}
	for _, rt := range s.routes() {
		if rt.method == http.MethodGet && rt.path == pattern {
			return rt, rt.access != counted
		}
	}
	return route{}, false
}

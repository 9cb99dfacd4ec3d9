package web

import (
	"encoding/binary"
	"errors"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/domicile-sso/domicile/discovery"
	"github.com/domicile-sso/domicile/discovery/page"
)

const (
	maxForm = 16 << 10

	// choiceLife is how long the chooser may lie open.
	choiceLife = 15 * time.Minute
)

// frontPage is the struct of pages/front.html.
type frontPage struct {
	page.Form
	Email      page.Field
	Remembered []remembered
}

// chooserPage is the struct of pages/chooser.html.
type chooserPage struct {
	Portals []choice
	Partial bool // there may be more
}

// A choice is one portal of the chooser. Token holds the address, sealed: the
// ticket is made when the choice is, however long the page has lain open.
type choice struct {
	Name, Jurisdiction, Region, Host, Token string

	StandsInFor string // name of the portal's own region while another serves it
	Down        bool   // nobody serves it now
}

// neutralPage is the struct of pages/neutral.html: what everybody sees whose
// address leads nowhere we may name.
type neutralPage struct {
	Email page.Field
}

func (s *Site) emailField(r *http.Request, value string) page.Field {
	return page.Field{Name: "email", Label: s.pages.For(r).T("Your e-mail address"), Type: "email", Value: value, Autocomplete: "username", Focus: true}
}

func (s *Site) front(w http.ResponseWriter, r *http.Request) error {
	return s.showFront(w, r, http.StatusOK, s.emailField(r, ""))
}

func (s *Site) showFront(w http.ResponseWriter, r *http.Request, status int, email page.Field) error {
	page.AddressFormAction(w, s.host)
	return s.pages.Render(w, r, status, "front", frontPage{Form: page.Check(&email), Email: email, Remembered: s.remembered(r)})
}

// find is the form of the front page.
func (s *Site) find(w http.ResponseWriter, r *http.Request) error {
	if err := s.allow(r, "page"); err != nil {
		return err
	}
	typed, err := formValue(w, r, "email")
	if err != nil {
		return s.askAgain(w, r, typed, s.invalid("page", err))
	}
	a, err := discovery.ParseAddress(typed)
	if err != nil {
		return s.askAgain(w, r, typed, s.invalid("page", err))
	}
	found, err := s.resolve(r, "page", a)
	switch {
	case err != nil && len(found) == 0:
		return err
	case err == nil && len(found) == 0:
		email := s.emailField(r, a.Clear())
		email.Focus = false // what the page says comes first, read aloud too
		page.AddressFormAction(w, s.host)
		return s.pages.Render(w, r, http.StatusOK, "neutral", neutralPage{Email: email})
	case err == nil && len(found) == 1:
		return s.lead(w, r, found[0], a)
	}
	return s.showChooser(w, r, found, a, err != nil)
}

// askAgain shows the front page with what was typed and what is wrong with it.
func (s *Site) askAgain(w http.ResponseWriter, r *http.Request, typed string, err error) error {
	var e *discovery.Error
	if !errors.As(err, &e) || e.Kind != discovery.Invalid || e.Say == "" || page.ForPrograms(r) {
		return err
	}
	return s.showFront(w, r, e.Kind.Status(), s.emailField(r, presentable(typed)).With(s.say(r, e)))
}

// say is what a failure tells the person.
func (s *Site) say(r *http.Request, e *discovery.Error) string {
	return s.pages.For(r).T(e.Say, e.Args...)
}

// presentable is typed text as it may be shown again.
func presentable(s string) string {
	const most = 320
	if !utf8.ValidString(s) || len(s) > most {
		return ""
	}
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return -1
		}
		return r
	}, s)
}

// lead sends the browser to a portal that is served somewhere, and says so where
// it is not.
func (s *Site) lead(w http.ResponseWriter, r *http.Request, d discovery.Destination, a discovery.Address) error {
	if d.Down {
		return s.showDown(w, r, d, a)
	}
	return s.send(w, r, d, a)
}

// send leads the browser to a portal, with a ticket made out to it, and
// remembers which portal it was.
func (s *Site) send(w http.ResponseWriter, r *http.Request, d discovery.Destination, a discovery.Address) error {
	to, err := s.signIn(r.Context(), d, a)
	if err != nil {
		return err
	}
	if d.Portal.Disclosure == discovery.Listed {
		s.keep(w, r, kept{Portal: d.Portal.ID})
	}
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Location", to)
	w.WriteHeader(http.StatusSeeOther)
	return nil
}

func (s *Site) showChooser(w http.ResponseWriter, r *http.Request, found []discovery.Destination, a discovery.Address, partial bool) error {
	p := chooserPage{Partial: partial}
	for _, d := range found {
		p.Portals = append(p.Portals, choice{
			Name: d.Portal.Name, Jurisdiction: d.Jurisdiction(), Region: d.Region.Name,
			Host: hostOf(d.Portal.URL), Token: s.sealChoice(d.Portal.ID, a),
			StandsInFor: d.StandsInFor.Name, Down: d.Down,
		})
	}
	page.AddressFormAction(w, s.host)
	return s.pages.Render(w, r, http.StatusOK, "chooser", p)
}

func hostOf(portalURL string) string {
	_, host, _ := strings.Cut(portalURL, "://")
	return host
}

// A choice is its expiry (Unix seconds, 8 bytes), the portal, a NUL and the
// address.
func (s *Site) sealChoice(portal string, a discovery.Address) string {
	plain := binary.BigEndian.AppendUint64(nil, uint64(s.Now().Add(choiceLife).Unix()))
	plain = append(plain, portal...)
	plain = append(plain, 0)
	plain = append(plain, a.Clear()...)
	return s.choices.seal(plain)
}

func (s *Site) openChoice(token string) (portal string, a discovery.Address, ok bool) {
	plain, err := s.choices.open(token)
	if err != nil || len(plain) < 8 || s.Now().Unix() >= int64(binary.BigEndian.Uint64(plain)) {
		return "", a, false
	}
	portal, address, _ := strings.Cut(string(plain[8:]), "\x00")
	a, err = discovery.ParseAddress(address)
	return portal, a, err == nil
}

// choose is the form behind each portal of the chooser. What may be told is
// looked up again: the page may have lain open for a while.
func (s *Site) choose(w http.ResponseWriter, r *http.Request) error { return s.chosen(w, r, s.lead) }

// anyway is the form on the page that says that a portal does not answer: the
// person goes there all the same.
func (s *Site) anyway(w http.ResponseWriter, r *http.Request) error { return s.chosen(w, r, s.send) }

func (s *Site) chosen(w http.ResponseWriter, r *http.Request, on func(http.ResponseWriter, *http.Request, discovery.Destination, discovery.Address) error) error {
	if err := s.allow(r, "choice"); err != nil {
		return err
	}
	token, err := formValue(w, r, "choice")
	if err != nil {
		return s.invalid("choice", err)
	}
	portal, a, ok := s.openChoice(token)
	if !ok {
		s.lookups.WithLabelValues("choice", "invalid").Inc()
		return s.startAgain(w, r, &discovery.Error{Kind: discovery.Invalid, Field: "choice", Code: "choice_spoilt",
			Say: "That list is no longer up to date. Please enter your address again."})
	}
	found, err := s.resolve(r, "choice", a)
	for _, d := range found {
		if d.Portal.ID == portal {
			return on(w, r, d, a)
		}
	}
	if err != nil {
		return err
	}
	return s.startAgain(w, r, &discovery.Error{Kind: discovery.Conflict, Field: "choice", Code: "choice_gone",
		Say: "That organisation’s portal has moved or closed. Please enter your address again."})
}

// startAgain answers a choice that leads nowhere with the front page.
func (s *Site) startAgain(w http.ResponseWriter, r *http.Request, e *discovery.Error) error {
	if page.ForPrograms(r) {
		return e
	}
	return s.showFront(w, r, e.Kind.Status(), s.emailField(r, "").With(s.say(r, e)))
}

// formValue reads the one value of a field from the body of a form. A field
// that is missing is an empty one, for the caller to judge.
func formValue(w http.ResponseWriter, r *http.Request, field string) (string, error) {
	f, err := formValues(w, r, field)
	return f[field], err
}

// formValues reads fields that a form has once each, at most.
func formValues(w http.ResponseWriter, r *http.Request, fields ...string) (map[string]string, error) {
	field := fields[0]
	kind, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || kind != "application/x-www-form-urlencoded" {
		return nil, &discovery.Error{Kind: discovery.MediaType, Field: field, Code: "form_type"}
	}
	if c := params["charset"]; c != "" && !strings.EqualFold(c, "utf-8") {
		return nil, &discovery.Error{Kind: discovery.MediaType, Field: field, Code: "form_charset"}
	}
	body, err := readBody(w, r, field, maxForm)
	if err != nil {
		return nil, err
	}
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return nil, &discovery.Error{Kind: discovery.Invalid, Field: field, Code: "form_encoding", Say: "What was sent is not a proper form. Please type it again."}
	}
	out := make(map[string]string, len(fields))
	for _, field := range fields {
		values := form[field]
		if len(values) > 0 {
			out[field] = values[0]
		}
		if len(values) > 1 {
			return out, &discovery.Error{Kind: discovery.Invalid, Field: field, Code: "form_repeated", Say: "Please fill this in once."}
		}
	}
	return out, nil
}

package web

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"

	"github.com/domicile-sso/domicile/discovery"
	"github.com/domicile-sso/domicile/discovery/page"
	"github.com/domicile-sso/domicile/portal"
)

// login is the direct sign-in page, the way in with a ticket, and the place an
// attempt is picked up again.
func (s *Site) login(v *visit) error {
	q, err := v.query(field{"ticket", 8 << 10}, fieldAttempt, field{"edit", 1})
	if err != nil {
		return err
	}
	if sealed, ok := q["ticket"]; ok {
		return s.openTicket(v, sealed)
	}
	handle, ok := q["attempt"]
	if !ok {
		if _, err := v.session(); err == nil {
			return v.redirect("/")
		} else if !errors.Is(err, portal.ErrNoSession) {
			return err
		}
		return v.showAddress(http.StatusOK, addressPage{Email: v.emailField("")})
	}
	a, err := v.attempt(handle)
	if err != nil {
		return v.startAgain(err, "/")
	}
	if a.Address.IsZero() || q["edit"] != "" {
		return v.showAddress(http.StatusOK, addressPage{Attempt: handle, Then: a.ReturnTo, Email: v.emailField(a.Address.Clear())})
	}
	return s.nextStep(v, handle, a.Address)
}

// takeAddress is the first step: who is it? Only the domain of the address
// decides what comes next, so that the answer says nothing about the account.
func (s *Site) takeAddress(v *visit) error {
	f, err := v.form(fieldEmail, fieldAttempt, fieldThen)
	if err != nil {
		return err
	}
	address, err := discovery.ParseAddress(f["email"])
	if err != nil {
		e, err := v.shown(err)
		if err != nil {
			return err
		}
		p := addressPage{Attempt: f["attempt"], Then: f["then"], Email: v.emailField(f["email"]).With(e.Say)}
		return v.showAddress(e.Kind.Status(), p)
	}
	if handle := f["attempt"]; handle != "" {
		err := v.setAddress(handle, address)
		if err == nil {
			return s.nextStep(v, handle, address)
		}
		if !errors.Is(err, portal.ErrAttempt) {
			return err
		}
	}
	// There was no attempt, or it has ended while the page was open: the address
	// is all it takes to start one.
	handle, err := s.Store.StartAttempt(v.r.Context(), v.portal.ID, v.newVisitor(),
		portal.Attempt{Address: address, ReturnTo: s.returnPath(f["then"])})
	if err != nil {
		return fmt.Errorf("start attempt: %w", err)
	}
	return s.nextStep(v, handle, address)
}

func (v *visit) setAddress(handle string, a discovery.Address) error {
	if !tokenShaped(handle) || v.token(browserCookie) == "" {
		return portal.ErrAttempt
	}
	return v.site.Store.SetAddress(v.r.Context(), v.portal.ID, v.visitor(), handle, a)
}

// nextStep leads to what the portal has decided for the address's domain.
func (s *Site) nextStep(v *visit, handle string, a discovery.Address) error {
	d, known, err := s.Store.DomainFor(v.r.Context(), v.portal.ID, a.Domain())
	if err != nil {
		return fmt.Errorf("find domain: %w", err)
	}
	switch {
	case !known || d.Connection == "":
		return v.redirect("/login/password?attempt=" + handle)
	case d.Password:
		return v.redirect("/login/method?attempt=" + handle)
	}
	return v.redirect("/login/" + d.Connection + "?attempt=" + handle)
}

// chooseMethod asks for Cloud or Domain where the organisation allows both.
func (s *Site) chooseMethod(v *visit) error {
	handle, a, err := v.pickUp()
	if err != nil {
		return v.startAgain(err, "/")
	}
	d, known, err := s.Store.DomainFor(v.r.Context(), v.portal.ID, a.Address.Domain())
	if err != nil {
		return fmt.Errorf("find domain: %w", err)
	}
	if !known || d.Connection == "" || !d.Password {
		return s.nextStep(v, handle, a.Address)
	}
	return v.render(http.StatusOK, "method", methodPage{
		Portal: v.portal.Name, Address: a.Address.Clear(), Other: editPath(handle),
		Cloud:  "/login/password?attempt=" + handle,
		Domain: "/login/" + d.Connection + "?attempt=" + handle,
	})
}

func (s *Site) askPassword(v *visit) error {
	handle, a, err := v.pickUp()
	if err != nil {
		return v.startAgain(err, "/")
	}
	d, known, err := s.Store.DomainFor(v.r.Context(), v.portal.ID, a.Address.Domain())
	if err != nil {
		return fmt.Errorf("find domain: %w", err)
	}
	if known && !d.AllowsPassword() {
		return s.nextStep(v, handle, a.Address)
	}
	return v.showPassword(http.StatusOK, handle, a, a.Keep, nil)
}

func (s *Site) takePassword(v *visit) error {
	f, err := v.form(fieldAttempt, fieldThen, fieldUsername, fieldPassword, fieldKeep)
	if err != nil {
		return err
	}
	handle, keep := f["attempt"], f["keep"] == "yes" && v.portal.KeepSigned
	a, err := v.attempt(handle)
	if err != nil {
		return v.startAgain(err, f["then"])
	}
	if a.Address.IsZero() {
		return v.redirect("/login?attempt=" + handle)
	}
	if f["password"] == "" {
		return v.showPassword(http.StatusBadRequest, handle, a, keep,
			v.told(&discovery.Error{Field: "password", Say: "Enter your password."}))
	}
	in, err := s.Store.SignInPassword(v.r.Context(), v.portal.ID, v.visitor(), handle, portal.Secret(f["password"]), keep)
	s.count(discovery.Password, in, err)
	if errors.Is(err, portal.ErrAttempt) {
		return v.startAgain(err, f["then"])
	}
	if err != nil {
		e, err := v.shown(err)
		if err != nil {
			return err
		}
		return v.showPassword(e.Kind.Status(), handle, a, keep, e)
	}
	if in.MustChange {
		return v.redirect("/password/change?attempt=" + handle)
	}
	return v.enter(in)
}

// pickUp reads the attempt that a later step names; one that has no address yet
// is no better than none.
func (v *visit) pickUp() (string, portal.Attempt, error) {
	q, err := v.query(fieldAttempt)
	if err != nil {
		return "", portal.Attempt{}, err
	}
	a, err := v.attempt(q["attempt"])
	if err == nil && a.Address.IsZero() {
		err = portal.ErrAttempt
	}
	return q["attempt"], a, err
}

// startAgain answers a step whose attempt, link or ticket no longer counts: the
// ordinary sign-in page, with a word on why one is back at it. Other failures
// pass through. Somebody who is signed in by now (in another tab, say) is not
// bothered. then is the page first asked for, where it is still known.
func (v *visit) startAgain(err error, then string) error {
	if !errors.Is(err, portal.ErrAttempt) && !errors.Is(err, portal.ErrTicket) && !errors.Is(err, portal.ErrLink) && !errors.Is(err, portal.ErrHalfOver) {
		return err
	}
	if page.ForPrograms(v.r) {
		return err
	}
	then = v.site.returnPath(then)
	if _, sessErr := v.session(); sessErr == nil && errors.Is(err, portal.ErrAttempt) {
		return v.redirect(then)
	}
	var e *discovery.Error
	errors.As(err, &e)
	return v.showAddress(e.Kind.Status(), addressPage{
		Notice: v.say(e), Reference: page.Reference(v.r.Context()), Then: then, Email: v.emailField(""),
	})
}

// showAddress completes and renders the page with the address form.
func (v *visit) showAddress(status int, p addressPage) error {
	p.Portal, p.Contact = v.portal.Name, v.portal.Contact
	if p.Then == "/" {
		p.Then = ""
	}
	p.Form = page.Check(&p.Email)
	// The answer to this form may lead on to an identity provider.
	page.AddressFormAction(v.w, v.r.Host)
	return v.render(status, "address", p)
}

// showPassword renders the password form, with what was wrong if something was.
func (v *visit) showPassword(status int, handle string, a portal.Attempt, keep bool, wrong *discovery.Error) error {
	p := passwordPage{
		Portal: v.portal.Name, Contact: v.portal.Contact,
		Attempt: handle, Then: a.ReturnTo, Address: a.Address.Clear(),
		Other: editPath(handle), Forgot: "/password/forgot?attempt=" + url.QueryEscape(handle),
		Password: page.Field{Name: "password", Label: v.t("Password"), Type: "password", Autocomplete: "current-password"},
		MayKeep:  v.portal.KeepSigned && a.Purpose != portal.ForMerge, // a proof opens no session that could stay
		Keep:     keep,
	}
	p.Form = withProblem(wrong, &p.Password)
	return v.render(status, "password", p)
}

// withProblem puts a failure beside the field it names, or above the form when
// it names none of them.
func withProblem(wrong *discovery.Error, fields ...*page.Field) page.Form {
	if wrong == nil {
		return page.Check(fields...)
	}
	for _, f := range fields {
		if f.Name == wrong.Field {
			*f = f.With(wrong.Say)
			return page.Check(fields...)
		}
	}
	form := page.Check(fields...)
	form.Problems = append(form.Problems, page.Problem{Say: wrong.Say})
	return form
}

func (v *visit) emailField(value string) page.Field {
	return page.Field{Name: "email", Label: v.t("E-mail address"), Type: "email", Value: value, Autocomplete: "username"}
}

func editPath(handle string) string { return "/login?edit=1&attempt=" + url.QueryEscape(handle) }

// count keeps the number of sign-ins that ended, by method and outcome.
func (s *Site) count(method discovery.SignIn, in portal.SignedIn, err error) {
	outcome := "signed_in"
	var e *discovery.Error
	switch {
	case err == nil && in.MustChange:
		outcome = "must_change"
	case err == nil && in.Next == portal.IsProved:
		outcome = "proved"
	case err == nil && in.Next != portal.In:
		outcome = "needs_" + string(in.Next)
	case err == nil:
	case errors.As(err, &e) && e.Kind == discovery.TooMany:
		outcome = "throttled"
	case errors.As(err, &e) && e.Kind.Status() < 500:
		outcome = "refused"
	default:
		outcome = "failed"
	}
	s.signins.WithLabelValues(string(method), outcome).Inc()
}

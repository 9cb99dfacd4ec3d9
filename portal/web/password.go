package web

import (
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/domicile-sso/domicile/discovery"
	"github.com/domicile-sso/domicile/discovery/page"
	"github.com/domicile-sso/domicile/portal"
)

func (s *Site) forgotForm(v *visit) error {
	q, err := v.query(fieldAttempt)
	if err != nil {
		return err
	}
	p := forgotPage{Email: v.emailField("")}
	if q["attempt"] != "" {
		a, err := v.attempt(q["attempt"])
		if err != nil && !errors.Is(err, portal.ErrAttempt) {
			return err
		}
		p.Email = v.emailField(a.Address.Clear())
	}
	return v.showForgot(http.StatusOK, p)
}

// forgot answers every address with the same page; whether a mail goes out is
// decided later and elsewhere.
func (s *Site) forgot(v *visit) error {
	f, err := v.form(fieldEmail)
	if err != nil {
		return err
	}
	address, err := discovery.ParseAddress(f["email"])
	if err == nil {
		err = s.Store.RequestReset(v.r.Context(), v.portal.ID, v.newVisitor(), address)
	}
	if err != nil {
		e, err := v.shown(err)
		if err != nil {
			return err
		}
		return v.showForgot(e.Kind.Status(), forgotPage{Email: v.emailField(f["email"]).With(e.Say)})
	}
	return v.render(http.StatusOK, "forgot_sent", forgotSentPage{
		Portal: v.portal.Name, Address: address.Clear(), Minutes: int(portal.ForReset.Life() / time.Minute),
	})
}

func (v *visit) showForgot(status int, p forgotPage) error {
	p.Form = page.Check(&p.Email)
	return v.render(status, "forgot", p)
}

func (s *Site) resetForm(v *visit) error {
	q, err := v.query(fieldToken)
	if err != nil {
		return err
	}
	if _, err := v.resetToken(q["token"]); err != nil {
		return v.askForAnotherLink(err)
	}
	return v.showReset(http.StatusOK, q["token"], nil)
}

func (v *visit) resetToken(token string) (portal.Token, error) {
	if !tokenShaped(token) {
		return portal.Token{}, portal.ErrLink
	}
	return v.site.Store.ResetByToken(v.r.Context(), v.portal.ID, portal.Secret(token))
}

func (s *Site) reset(v *visit) error {
	f, err := v.form(fieldToken, fieldNew, fieldConfirm)
	if err != nil {
		return err
	}
	if !tokenShaped(f["token"]) {
		return v.askForAnotherLink(portal.ErrLink)
	}
	if wrong := twice(f["new"], f["confirm"]); wrong != nil {
		return v.showReset(http.StatusBadRequest, f["token"], v.told(wrong))
	}
	err = s.Store.ResetPassword(v.r.Context(), v.portal.ID, v.newVisitor(), portal.Secret(f["token"]), portal.Secret(f["new"]))
	if err != nil {
		if errors.Is(err, portal.ErrLink) {
			return v.askForAnotherLink(err)
		}
		e, err := v.shown(err)
		if err != nil {
			return err
		}
		return v.showReset(e.Kind.Status(), f["token"], e)
	}
	// Whoever is signed in in this browser is signed out by the reset as well.
	v.dropCookie(SessionCookie, http.SameSiteLaxMode)
	return v.render(http.StatusOK, "reset_done", resetDonePage{})
}

// askForAnotherLink answers a link that no longer counts with the form that
// sends a new one.
func (v *visit) askForAnotherLink(err error) error {
	if !errors.Is(err, portal.ErrLink) || page.ForPrograms(v.r) {
		return err
	}
	return v.showForgot(portal.ErrLink.Kind.Status(), forgotPage{
		Notice: v.say(portal.ErrLink), Reference: page.Reference(v.r.Context()), Email: v.emailField(""),
	})
}

func (v *visit) showReset(status int, token string, wrong *discovery.Error) error {
	p := resetPage{Portal: v.portal.Name, Token: token, New: v.newField(), Confirm: v.confirmField(), Rules: v.rules()}
	p.Form = withProblem(wrong, &p.New, &p.Confirm)
	return v.render(status, "reset", p)
}

// temporaryForm is where a right temporary password leads: it must be replaced
// before there is a session.
func (s *Site) temporaryForm(v *visit) error {
	handle, a, err := v.pickUp()
	if err != nil {
		return v.startAgain(err, "/")
	}
	return v.showTemporary(http.StatusOK, handle, a, nil)
}

func (s *Site) replaceTemporary(v *visit) error {
	f, err := v.form(fieldAttempt, fieldThen, fieldUsername, fieldTemporary, fieldNew, fieldConfirm)
	if err != nil {
		return err
	}
	handle := f["attempt"]
	a, err := v.attempt(handle)
	if err == nil && a.Address.IsZero() {
		err = portal.ErrAttempt
	}
	if err != nil {
		return v.startAgain(err, f["then"])
	}
	wrong := missing(f, "temporary", "Enter the temporary password from your mail.")
	if wrong == nil {
		wrong = twice(f["new"], f["confirm"])
	}
	if wrong != nil {
		return v.showTemporary(http.StatusBadRequest, handle, a, v.told(wrong))
	}
	in, err := s.Store.ChangeTemporaryPassword(v.r.Context(), v.portal.ID, v.visitor(), handle,
		portal.Secret(f["temporary"]), portal.Secret(f["new"]))
	s.count(discovery.Password, in, err)
	if errors.Is(err, portal.ErrAttempt) {
		return v.startAgain(err, f["then"])
	}
	if err != nil {
		e, err := v.shown(err)
		if err != nil {
			return err
		}
		return v.showTemporary(e.Kind.Status(), handle, a, e)
	}
	return v.enter(in)
}

func (v *visit) showTemporary(status int, handle string, a portal.Attempt, wrong *discovery.Error) error {
	p := changePage{
		Attempt: handle, Then: a.ReturnTo, Address: a.Address.Clear(), Other: editPath(handle),
		Temporary: v.temporaryField(), New: v.newField(), Confirm: v.confirmField(), Rules: v.rules(),
	}
	p.Form = withProblem(wrong, &p.Temporary, &p.New, &p.Confirm)
	return v.render(status, "change", p)
}

// passwordForm and changePassword are for somebody who is signed in and knows
// the old password.
func (s *Site) passwordForm(v *visit) error { return v.showPasswordChange(http.StatusOK, nil) }

func (s *Site) changePassword(v *visit) error {
	f, err := v.form(fieldUsername, fieldOld, fieldNew, fieldConfirm)
	if err != nil {
		return err
	}
	wrong := missing(f, "old", "Enter the password you have now.")
	if wrong == nil {
		wrong = twice(f["new"], f["confirm"])
	}
	if wrong != nil {
		return v.showPasswordChange(http.StatusBadRequest, v.told(wrong))
	}
	in, err := s.Store.ChangePassword(v.r.Context(), v.portal.ID, v.visitor(), v.token(SessionCookie),
		portal.Secret(f["old"]), portal.Secret(f["new"]))
	if errors.Is(err, portal.ErrNoSession) {
		return v.redirect("/login")
	}
	if err != nil {
		e, err := v.shown(err)
		if err != nil {
			return err
		}
		return v.showPasswordChange(e.Kind.Status(), e)
	}
	v.note(passwordChanged)
	in.ReturnTo = "/account"
	return v.enter(in)
}

func (v *visit) showPasswordChange(status int, wrong *discovery.Error) error {
	p := accountPasswordPage{
		Tabs:    v.accountTabs("security"),
		Address: v.member.Account.Primary.Clear(),
		Old:     page.Field{Name: "old", Label: v.t("Password you have now"), Type: "password", Autocomplete: "current-password"},
		New:     v.newField(), Confirm: v.confirmField(), Rules: v.rules(),
	}
	p.Form = withProblem(wrong, &p.Old, &p.New, &p.Confirm)
	return v.render(status, "account_password", p)
}

func (v *visit) newField() page.Field {
	return page.Field{Name: "new", Label: v.t("New password"), Type: "password", Autocomplete: "new-password", Describe: "rules"}
}

func (v *visit) confirmField() page.Field {
	return page.Field{Name: "confirm", Label: v.t("New password once more"), Type: "password", Autocomplete: "new-password"}
}

func (v *visit) temporaryField() page.Field {
	return page.Field{Name: "temporary", Label: v.t("Temporary password"), Type: "password", Autocomplete: "current-password"}
}

// rules are what a good password is, for the page that asks for one.
func (v *visit) rules() []string {
	var rules []string
	for _, r := range portal.PasswordRules(v.settings().MinPassword()) {
		rules = append(rules, v.t(r.Say, r.Args...))
	}
	return rules
}

// missing is what to say about a field that was left empty, or nil.
func missing(f values, name, say string) *discovery.Error {
	if f[name] != "" {
		return nil
	}
	return &discovery.Error{Kind: discovery.Invalid, Field: name, Code: name + "_empty", Say: say}
}

// twice compares a new password with its repetition. What differs by a blank at
// an end, as pasting adds one, is said to.
func twice(password, confirm string) *discovery.Error {
	wrong := func(field, say string) *discovery.Error {
		return &discovery.Error{Kind: discovery.Invalid, Field: field, Code: "confirm_differs", Say: say}
	}
	switch {
	case password == "":
		return wrong("new", "Enter a new password.")
	case confirm == "":
		return wrong("confirm", "Enter the new password once more.")
	case password == confirm:
		return nil
	case strings.TrimSpace(password) == strings.TrimSpace(confirm):
		return wrong("confirm", "The two differ by a blank at the beginning or the end, which copying often adds. Remove it and try again.")
	}
	return wrong("confirm", "This is not the same as the new password above.")
}

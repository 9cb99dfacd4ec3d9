package web

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"path"

	"github.com/domicile-sso/domicile/discovery"
	"github.com/domicile-sso/domicile/discovery/page"
	"github.com/domicile-sso/domicile/portal"
)

// Step-up: a sensitive page asks a person who is signed in to prove once more who
// they are. The proof is a sign-in of its own, by an attempt with a purpose of its
// own: the password, the organisation's sign-in (which is told to ask anew) or a
// passkey, and then the second factor, if the account has one, whether or not the
// browser is trusted. It ends in a new token for the session that is there.

type accountConfirmPage struct {
	page.Form
	Address   string
	Then      string
	Notice    string
	Reference string
	Password  *page.Field // nil: the account has none here
	Domain    string      // name of the organisation's sign-in; empty: none
	Passkey   bool
}

// confirmLost is noted when a form came too late: what it held is gone.
const confirmLost = "confirm-lost"

// askConfirm leads to the page that asks who one is, and from there back: to the
// page itself, or to the one that the form was on.
func (s *Site) askConfirm(v *visit) error {
	then := s.returnPath(v.r.URL.RequestURI())
	if v.r.Method == http.MethodPost {
		then = s.formPage(v.r.URL.EscapedPath())
		v.note(confirmLost)
	}
	return v.redirect("/account/confirm?then=" + url.QueryEscape(then))
}

// formPage is the page that a form posting to p was on: p itself, or the nearest
// page above it.
func (s *Site) formPage(p string) string {
	for ; p != "/" && p != "."; p = path.Dir(p) {
		if to := s.returnPath(p); to != "/" {
			return to
		}
	}
	return "/"
}

// isFresh reports whether the person proved lately enough who they are.
func (v *visit) isFresh() bool {
	limit := portal.FreshPage
	if v.r.Method == http.MethodPost {
		limit = portal.FreshForm
	}
	return v.member.Fresh(v.site.Now(), limit)
}

func (s *Site) confirmForm(v *visit) error {
	q, err := v.query(fieldThen)
	if err != nil {
		return err
	}
	if then := s.returnPath(q["then"]); v.isFresh() && then != "/" {
		return v.redirect(then)
	}
	p := accountConfirmPage{Then: q["then"], Notice: v.noticed(map[string]string{
		confirmLost: v.t("What you sent was not saved, because you were asked too long ago who you are. Please enter it again afterwards."),
	})}
	return v.showConfirm(http.StatusOK, p, nil)
}

func (s *Site) confirm(v *visit) error {
	f, err := v.form(fieldThen, fieldUsername, fieldPassword, field{"way", 8})
	if err != nil {
		return err
	}
	if err := v.admit(); err != nil {
		return err
	}
	if f["way"] == "" && f["password"] == "" {
		return v.showConfirm(http.StatusBadRequest, accountConfirmPage{Then: f["then"]},
			&discovery.Error{Field: "password", Say: "Enter your password."})
	}
	handle, err := s.Store.StartAttempt(v.r.Context(), v.portal.ID, v.newVisitor(), portal.Attempt{
		Purpose: portal.ForConfirm, Session: v.member.ID, Address: v.member.Account.Primary, ReturnTo: s.returnPath(f["then"])})
	if err != nil {
		return fmt.Errorf("start attempt: %w", err)
	}
	switch f["way"] {
	case "domain":
		d, known, err := s.Store.DomainFor(v.r.Context(), v.portal.ID, v.member.Account.Primary.Domain())
		if err != nil {
			return fmt.Errorf("find domain: %w", err)
		}
		if !known || d.Connection == "" {
			return v.showConfirm(http.StatusBadRequest, accountConfirmPage{Then: f["then"]}, nil)
		}
		return v.redirect("/login/" + d.Connection + "?attempt=" + handle)
	case "passkey":
		return v.redirect("/login/passkey?attempt=" + handle)
	}
	in, err := s.Store.SignInPassword(v.r.Context(), v.portal.ID, v.newVisitor(), handle, portal.Secret(f["password"]), false)
	if errors.Is(err, portal.ErrAttempt) {
		return v.startAgain(err, f["then"])
	}
	if err != nil {
		e, err := v.shown(err)
		if err != nil {
			return err
		}
		return v.showConfirm(e.Kind.Status(), accountConfirmPage{Then: f["then"]}, e)
	}
	return v.enter(in)
}

// showConfirm completes and renders the page with the ways this account has.
func (v *visit) showConfirm(status int, p accountConfirmPage, wrong *discovery.Error) error {
	ways, err := v.site.Store.Ways(v.r.Context(), v.portal.ID, v.member.Account.ID)
	if err != nil {
		return fmt.Errorf("read ways to sign in: %w", err)
	}
	p.Address, p.Passkey = v.member.Account.Primary.Clear(), ways.Has(portal.PasskeyFactor)
	if p.Then == "/" {
		p.Then = ""
	}
	if ways.Connection != "" {
		p.Domain = ways.ConnectionName
	}
	if ways.Password {
		p.Password = &page.Field{Name: "password", Label: v.t("Password"), Type: "password", Autocomplete: "current-password"}
		p.Form = withProblem(wrong, p.Password)
	} else {
		p.Form = withProblem(wrong)
	}
	// The answer to this form may lead on to an identity provider.
	page.AddressFormAction(v.w, v.r.Host)
	return v.render(status, "account_confirm", p)
}

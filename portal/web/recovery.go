package web

import (
	"errors"
	"net/http"
	"net/url"
	"time"

	"github.com/domicile-sso/domicile/discovery"
	"github.com/domicile-sso/domicile/discovery/page"
	"github.com/domicile-sso/domicile/portal"
)

// The way back for somebody who has lost every second factor. It is asked for in
// half a sign-in, allowed in the console (recoveries.go), and finished from a
// mailed link by the first step once more.

type recoveryAskPage struct {
	Portal, Contact string
	Address         string
	Attempt         string
	Other           string // local path
	Hours           int
}

type recoveryAskedPage struct {
	Portal, Contact string
	Hours           int
}

type recoveryPage struct {
	Portal, Address string
	Token           string
}

type recoveryCancelPage struct {
	Portal, Address string
	Token           string
}

type recoveryCancelledPage struct{ Portal string }

// askForRecovery explains what will happen; only the form below it asks.
func (s *Site) askForRecovery(v *visit) error {
	q, err := v.query(fieldAttempt)
	if err != nil {
		return err
	}
	half, err := v.lost(q["attempt"])
	if err != nil {
		return v.startAgain(err, "/")
	}
	return v.render(http.StatusOK, "recovery_ask", recoveryAskPage{
		Portal: v.portal.Name, Contact: v.portal.Contact, Address: half.Account.Primary.Clear(), Attempt: q["attempt"],
		Other: "/login/factor?attempt=" + url.QueryEscape(q["attempt"]), Hours: int(portal.RecoveryAsk / time.Hour),
	})
}

// lost is the half sign-in of somebody who may ask for help: they have taken the
// first step, and a second factor is asked for.
func (v *visit) lost(handle string) (portal.Half, error) {
	if !tokenShaped(handle) || v.token(browserCookie) == "" {
		return portal.Half{}, portal.ErrAttempt
	}
	half, err := v.site.Store.Half(v.r.Context(), v.portal.ID, v.visitor(), handle)
	if err == nil && (half.Next != portal.NeedsSecond || half.Purpose != portal.ForSignIn) {
		err = portal.ErrAttempt
	}
	return half, err
}

// takeRecovery answers the same whether this is the first request or one more.
func (s *Site) takeRecovery(v *visit) error {
	f, err := v.form(fieldAttempt, fieldUsername)
	if err != nil {
		return err
	}
	if _, err := v.lost(f["attempt"]); err != nil {
		return v.startAgain(err, "/")
	}
	err = s.Store.AskRecovery(v.r.Context(), v.portal.ID, v.visitor(), f["attempt"])
	var e *discovery.Error
	if errors.Is(err, portal.ErrAttempt) {
		return v.startAgain(err, "/")
	}
	if err != nil && (!errors.As(err, &e) || e.Code != "recovery_throttled") {
		return err
	}
	return v.render(http.StatusOK, "recovery_asked", recoveryAskedPage{
		Portal: v.portal.Name, Contact: v.portal.Contact, Hours: int(portal.RecoveryAsk / time.Hour)})
}

// recovery is where the mailed link leads once an administrator has allowed it.
func (s *Site) recovery(v *visit) error {
	q, err := v.query(fieldToken)
	if err != nil {
		return err
	}
	if !tokenShaped(q["token"]) {
		return v.startAgain(portal.ErrLink, "/")
	}
	t, err := s.Store.RecoveryByToken(v.r.Context(), v.portal.ID, portal.Secret(q["token"]))
	if err != nil {
		return v.startAgain(err, "/")
	}
	return v.render(http.StatusOK, "recovery", recoveryPage{Portal: v.portal.Name, Address: t.Address.Clear(), Token: q["token"]})
}

// startRecovery leads to the first step, which ends it.
func (s *Site) startRecovery(v *visit) error {
	f, err := v.form(fieldToken, fieldUsername)
	if err != nil {
		return err
	}
	if !tokenShaped(f["token"]) {
		return v.startAgain(portal.ErrLink, "/")
	}
	handle, at, err := s.Store.StartRecovery(v.r.Context(), v.portal.ID, v.newVisitor(), portal.Secret(f["token"]))
	if err != nil {
		return v.startAgain(err, "/")
	}
	// The answer to this form may lead on to an identity provider.
	page.AddressFormAction(v.w, v.r.Host)
	return s.nextStep(v, handle, at)
}

// askCancel is for whoever did not ask for help: a GET never withdraws.
func (s *Site) askCancel(v *visit) error {
	q, err := v.query(fieldToken)
	if err != nil {
		return err
	}
	if !tokenShaped(q["token"]) {
		return v.startAgain(portal.ErrLink, "/")
	}
	t, err := s.Store.CancelLink(v.r.Context(), v.portal.ID, portal.Secret(q["token"]))
	if err != nil {
		return v.startAgain(err, "/")
	}
	return v.render(http.StatusOK, "recovery_cancel", recoveryCancelPage{Portal: v.portal.Name, Address: t.Address.Clear(), Token: q["token"]})
}

func (s *Site) cancelRecovery(v *visit) error {
	f, err := v.form(fieldToken)
	if err != nil {
		return err
	}
	if !tokenShaped(f["token"]) {
		return v.startAgain(portal.ErrLink, "/")
	}
	if err := s.Store.CancelRecovery(v.r.Context(), v.portal.ID, v.visitor(), portal.Secret(f["token"])); err != nil {
		return v.startAgain(err, "/")
	}
	return v.render(http.StatusOK, "recovery_cancelled", recoveryCancelledPage{Portal: v.portal.Name})
}

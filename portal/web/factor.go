package web

import (
	"errors"
	"net/http"
	"net/url"

	"github.com/domicile-sso/domicile/discovery"
	"github.com/domicile-sso/domicile/discovery/page"
	"github.com/domicile-sso/domicile/portal"
)

// The second step: the first was right, and nothing is open yet. Every page here
// begins with the half sign-in of this browser; without it there is only the
// sign-in page.

type factorPage struct {
	page.Form
	Attempt, Then string
	Address       string
	Other         string // local path: another address; empty: it is a proof
	Lead          string
	Way           string
	Code          *page.Field // nil: a code has to be sent first
	TrustDays     int
	Trust         bool
	Phones        []phoneLine
	Sent          bool
	Ways          []wayLine
	Recovery      string // local path
	Proof         bool   // somebody who is signed in confirms who they are
}

// A phoneLine is a telephone that a code can be sent to.
type phoneLine struct{ Factor, Hint string }

// A wayLine leads to another way of doing the same.
type wayLine struct{ Path, Text string }

type codeUsedPage struct {
	Left int
	Then string
}

var (
	fieldWay    = field{"way", 8}
	fieldCode   = field{"code", 64}
	fieldTrust  = field{"trust", 3}
	fieldFactor = field{"factor", 64}
)

// half reads the half sign-in that a handle names.
func (v *visit) half(handle string) (portal.Half, error) {
	if !tokenShaped(handle) || v.token(browserCookie) == "" {
		return portal.Half{}, portal.ErrAttempt
	}
	return v.site.Store.Half(v.r.Context(), v.portal.ID, v.visitor(), handle)
}

func (s *Site) factor(v *visit) error {
	q, err := v.query(fieldAttempt, fieldWay)
	if err != nil {
		return err
	}
	h, err := v.half(q["attempt"])
	if err != nil {
		return v.startAgain(err, "/")
	}
	if h.Next != portal.NeedsSecond {
		return v.redirect("/login/enrol?attempt=" + url.QueryEscape(q["attempt"]))
	}
	return v.showFactor(http.StatusOK, q["attempt"], h, q["way"], false, nil)
}

// takeFactor takes the code.
func (s *Site) takeFactor(v *visit) error {
	f, err := v.form(fieldAttempt, fieldThen, fieldUsername, fieldWay, fieldCode, fieldTrust)
	if err != nil {
		return err
	}
	h, err := v.half(f["attempt"])
	if err != nil {
		return v.startAgain(err, f["then"])
	}
	trust := f["trust"] == "yes"
	in, err := s.Store.FinishFactor(v.r.Context(), v.portal.ID, v.visitor(), f["attempt"],
		portal.FactorTry{Way: f["way"], Code: portal.Secret(f["code"]), Trust: trust})
	s.countSecond(f["way"], err)
	if errors.Is(err, portal.ErrAttempt) || errors.Is(err, portal.ErrHalfOver) {
		return v.startAgain(err, f["then"])
	}
	if err != nil {
		e, err := v.shown(err)
		if err != nil {
			return err
		}
		return v.showFactor(e.Kind.Status(), f["attempt"], h, f["way"], trust, e)
	}
	if in.UsedCode {
		v.openSession(in)
		return v.render(http.StatusOK, "code_used", codeUsedPage{Left: in.CodesLeft, Then: v.site.returnPath(in.ReturnTo)})
	}
	return v.enter(in)
}

// sendFactorCode has a code sent by SMS, and comes back to the form for it.
func (s *Site) sendFactorCode(v *visit) error {
	f, err := v.form(fieldAttempt, fieldThen, fieldFactor)
	if err != nil {
		return err
	}
	h, err := v.half(f["attempt"])
	if err != nil {
		return v.startAgain(err, f["then"])
	}
	err = s.Store.SendFactorCode(v.r.Context(), v.portal.ID, v.visitor(), f["attempt"], f["factor"])
	if errors.Is(err, portal.ErrAttempt) {
		return v.startAgain(err, f["then"])
	}
	if err != nil {
		e, err := v.shown(err)
		if err != nil {
			return err
		}
		return v.showFactor(e.Kind.Status(), f["attempt"], h, string(portal.SMSFactor), false, e)
	}
	return v.redirect("/login/factor?way=sms&attempt=" + url.QueryEscape(f["attempt"]))
}

// showFactor renders the second step by one of the ways the account has.
func (v *visit) showFactor(status int, handle string, h portal.Half, way string, trust bool, wrong *discovery.Error) error {
	at := "/login/factor?attempt=" + url.QueryEscape(handle)
	ways := v.factorWays(h)
	if way = chosenWay(way, h); way == "" {
		return v.redirect("/login/passkey?attempt=" + url.QueryEscape(handle)) // the only one there is
	}
	p := factorPage{Attempt: handle, Then: h.ReturnTo, Address: h.Account.Primary.Clear(), Way: way, Proof: h.Purpose != portal.ForSignIn,
		TrustDays: h.TrustDays, Trust: trust, Sent: h.Sent, Recovery: "/login/recovery?attempt=" + url.QueryEscape(handle)}
	if !p.Proof {
		p.Other = editPath(handle)
	}
	if p.Then == "/" {
		p.Then = ""
	}
	for _, w := range ways {
		if w.way != way {
			to := at + "&way=" + w.way
			if w.way == string(portal.PasskeyFactor) {
				to = "/login/passkey?attempt=" + url.QueryEscape(handle)
			}
			p.Ways = append(p.Ways, wayLine{Path: to, Text: w.text})
		}
	}
	code := page.Field{Name: "code", Label: v.t("Code"), Type: "text", Autocomplete: "one-time-code", InputMode: "numeric"}
	switch way {
	case string(portal.SMSFactor):
		p.Lead = v.t("We send a code to your telephone.")
		for _, phone := range h.Phones {
			p.Phones = append(p.Phones, phoneLine{Factor: phone.Factor, Hint: phone.Hint})
		}
		if h.Sent {
			p.Lead = v.t("A code is on its way to your telephone. It is valid for five minutes.")
			p.Code = &code
		}
	case portal.RecoveryCode:
		p.Lead = v.t("Enter one of the recovery codes that you have kept. It works once.")
		p.Code = &page.Field{Name: "code", Label: v.t("Recovery code"), Type: "text", Autocomplete: "off"}
	default:
		p.Lead = v.t("Open your authenticator app and enter the six digits it shows for %s.", v.portal.Name)
		p.Code = &code
	}
	if p.Code == nil {
		p.Form = withProblem(wrong)
	} else {
		p.Form = withProblem(wrong, p.Code)
	}
	return v.render(status, "factor", p)
}

// A factorWay is one way of taking the second step.
type factorWay struct{ way, text string }

func (v *visit) factorWays(h portal.Half) []factorWay {
	var ways []factorWay
	if h.Ways.Has(portal.PasskeyFactor) {
		ways = append(ways, factorWay{string(portal.PasskeyFactor), v.t("Use a passkey")})
	}
	if h.Ways.Has(portal.TOTPFactor) {
		ways = append(ways, factorWay{string(portal.TOTPFactor), v.t("Use your authenticator app")})
	}
	if h.Ways.Has(portal.SMSFactor) && h.Texts {
		ways = append(ways, factorWay{string(portal.SMSFactor), v.t("Have a code sent to your telephone")})
	}
	if h.Ways.Codes > 0 {
		ways = append(ways, factorWay{portal.RecoveryCode, v.t("Use a recovery code")})
	}
	return ways
}

// chosenWay is the way asked for, if the account has it, or the best it has. It is
// empty when that is a passkey, which has a page of its own.
func chosenWay(asked string, h portal.Half) string {
	has := map[string]bool{
		string(portal.TOTPFactor): h.Ways.Has(portal.TOTPFactor), string(portal.SMSFactor): h.Ways.Has(portal.SMSFactor),
		portal.RecoveryCode: true,
	}
	if has[asked] {
		return asked
	}
	switch {
	case h.Ways.Has(portal.PasskeyFactor):
		return ""
	case has[string(portal.TOTPFactor)]:
		return string(portal.TOTPFactor)
	}
	return string(portal.SMSFactor)
}

// countSecond keeps the number of second steps, by way and outcome.
func (s *Site) countSecond(way string, err error) {
	switch way {
	case string(portal.TOTPFactor), string(portal.SMSFactor), portal.RecoveryCode:
	default:
		return // it is whatever somebody typed into the form
	}
	s.count(discovery.SignIn("factor_"+way), portal.SignedIn{}, err)
}

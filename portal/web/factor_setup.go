package web

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"

	"github.com/domicile-sso/domicile/discovery"
	"github.com/domicile-sso/domicile/discovery/page"
	"github.com/domicile-sso/domicile/portal"
	"github.com/domicile-sso/domicile/portal/store"
)

// Setting up a factor is the same in the account and on the way in, where the
// portal demands one of somebody who has none. What is being set up belongs to
// this browser's session or attempt and counts for nothing until a code has shown
// that it works.

type enrolPage struct {
	Portal        string
	Attempt, Then string
	Address       string
	Other         string // local path
	Ways          []wayLine
}

type totpPage struct {
	page.Form
	setUpPage
	QR   qrCode
	Key  string // in groups, to be typed; empty: none is being set up
	Name page.Field
	Code page.Field
}

type smsPage struct {
	page.Form
	setUpPage
	Sent string // the number a code was sent to; empty: none
	Name page.Field
	Cell page.Field
	Code page.Field
}

// setUpPage is what both places of setting up need.
type setUpPage struct {
	Tabs          []tab // empty: on the way in
	Action        string
	Attempt, Then string
	Way           string // a field of the form on the way in
	Back          string // local path
}

var (
	fieldStep = field{"step", 8}
	fieldCell = field{"cell", 64}
)

// A place is where a set-up goes on.
type place struct {
	at      store.SetUp
	handle  string // empty: in a session
	then    string
	country string // what numbers without a country's are taken for; empty: they are refused
}

func (v *visit) inSession() place {
	return place{at: store.InSession(*v.member), country: v.member.Account.SMSCountry}
}

func (v *visit) inHalf(handle string, h portal.Half) place {
	return place{at: store.InHalf(handle), handle: handle, then: h.ReturnTo}
}

func (v *visit) setUpPage(pl place, kind portal.FactorKind) setUpPage {
	if pl.handle == "" {
		return setUpPage{Tabs: v.accountTabs("security"), Action: "/account/security/" + string(kind), Back: "/account/security"}
	}
	p := setUpPage{Action: "/login/enrol", Attempt: pl.handle, Then: pl.then, Way: string(kind),
		Back: "/login/enrol?attempt=" + url.QueryEscape(pl.handle)}
	if p.Then == "/" {
		p.Then = ""
	}
	return p
}

// again is the page of a set-up, after something was begun there.
func (pl place) again(kind portal.FactorKind) string {
	if pl.handle == "" {
		return "/account/security/" + string(kind)
	}
	return "/login/enrol?way=" + string(kind) + "&attempt=" + url.QueryEscape(pl.handle)
}

// enrol is where a sign-in leads that lacks a factor the portal demands.
func (s *Site) enrol(v *visit) error {
	q, err := v.query(fieldAttempt, fieldWay)
	if err != nil {
		return err
	}
	h, err := v.half(q["attempt"])
	if err != nil {
		return v.startAgain(err, "/")
	}
	if h.Next != portal.NeedsEnrol {
		return v.redirect("/login/factor?attempt=" + url.QueryEscape(q["attempt"]))
	}
	switch portal.FactorKind(q["way"]) {
	case portal.TOTPFactor:
		return v.showTOTP(http.StatusOK, v.inHalf(q["attempt"], h), "", nil)
	case portal.SMSFactor:
		if h.Texts {
			return v.showSMS(http.StatusOK, v.inHalf(q["attempt"], h), nil, nil)
		}
	}
	at := "/login/enrol?attempt=" + url.QueryEscape(q["attempt"]) + "&way="
	p := enrolPage{Portal: v.portal.Name, Attempt: q["attempt"], Address: h.Account.Primary.Clear(), Other: editPath(q["attempt"]),
		Ways: []wayLine{{at + "totp", v.t("An authenticator app")}, {"/login/passkey?attempt=" + url.QueryEscape(q["attempt"]), v.t("A passkey")}}}
	if h.Texts {
		p.Ways = append(p.Ways, wayLine{at + "sms", v.t("Codes sent to your telephone")})
	}
	return v.render(http.StatusOK, "enrol", p)
}

func (s *Site) takeEnrol(v *visit) error {
	f, err := v.form(fieldAttempt, fieldThen, fieldWay, fieldStep, fieldName, fieldCode, fieldCell)
	if err != nil {
		return err
	}
	h, err := v.half(f["attempt"])
	if err != nil {
		return v.startAgain(err, f["then"])
	}
	if h.Next != portal.NeedsEnrol {
		return v.redirect("/login/factor?attempt=" + url.QueryEscape(f["attempt"]))
	}
	switch portal.FactorKind(f["way"]) {
	case portal.TOTPFactor:
		return s.setUpTOTP(v, v.inHalf(f["attempt"], h), f)
	case portal.SMSFactor:
		return s.setUpSMS(v, v.inHalf(f["attempt"], h), f)
	}
	return v.redirect("/login/enrol?attempt=" + url.QueryEscape(f["attempt"]))
}

func (s *Site) totp(v *visit) error { return v.showTOTP(http.StatusOK, v.inSession(), "", nil) }

func (s *Site) takeTOTP(v *visit) error {
	f, err := v.form(fieldStep, fieldName, fieldCode)
	if err != nil {
		return err
	}
	return s.setUpTOTP(v, v.inSession(), f)
}

// setUpTOTP begins, or takes the code that ends it.
func (s *Site) setUpTOTP(v *visit, pl place, f values) error {
	if f["step"] == "begin" {
		err := s.Store.BeginTOTP(v.r.Context(), v.portal.ID, v.visitor(), pl.at)
		if err != nil {
			return v.setUpFailed(pl, err, func(status int, e *discovery.Error) error { return v.showTOTP(status, pl, "", e) })
		}
		return v.redirect(pl.again(portal.TOTPFactor))
	}
	in, err := s.Store.ConfirmTOTP(v.r.Context(), v.portal.ID, v.visitor(), pl.at, f["name"], portal.Secret(f["code"]))
	if err != nil {
		return v.setUpFailed(pl, err, func(status int, e *discovery.Error) error { return v.showTOTP(status, pl, f["name"], e) })
	}
	return v.setUpDone(pl, in)
}

// setUpFailed shows what went wrong on the page itself, or leads to the sign-in
// page when what it belonged to has ended.
func (v *visit) setUpFailed(pl place, err error, show func(int, *discovery.Error) error) error {
	if errors.Is(err, portal.ErrNoSession) {
		return v.redirect("/login")
	}
	if errors.Is(err, portal.ErrAttempt) {
		return v.startAgain(err, pl.then)
	}
	e, err := v.shown(err)
	if err != nil {
		return err
	}
	return show(e.Kind.Status(), e)
}

func (v *visit) setUpDone(pl place, in portal.SignedIn) error {
	if pl.handle != "" {
		return v.enter(in)
	}
	return v.backTo("/account/security", factorAdded)
}

func (v *visit) showTOTP(status int, pl place, name string, wrong *discovery.Error) error {
	secret, account, err := v.site.Store.PendingTOTP(v.r.Context(), v.portal.ID, v.visitor(), pl.at)
	if err != nil {
		return v.setUpFailed(pl, err, func(int, *discovery.Error) error { return err })
	}
	p := totpPage{setUpPage: v.setUpPage(pl, portal.TOTPFactor),
		Code: page.Field{Name: "code", Label: v.t("Code shown by the app"), Type: "text", Autocomplete: "one-time-code", InputMode: "numeric"},
		Name: page.Field{Name: "name", Label: v.t("Name of the device"), Type: "text", Value: name, Optional: true, Autocomplete: "off",
			Hint: v.t("So that you know it again, such as “Telephone”. May be left empty.")},
	}
	if secret == "" {
		p.Form = withProblem(wrong)
		return v.render(status, "totp", p)
	}
	p.Form = withProblem(wrong, &p.Code, &p.Name)
	address, err := portal.TOTPURL(v.portal, account.Primary, secret)
	if err == nil {
		p.QR, err = newQRCode(address)
	}
	if err != nil {
		return &discovery.Error{Kind: discovery.Internal, Code: "totp_page", Err: err}
	}
	p.Key = portal.InGroups(secret).Clear()
	return v.render(status, "totp", p)
}

func (s *Site) sms(v *visit) error {
	return v.showSMS(http.StatusOK, v.inSession(), values{"cell": portal.CellText(v.member.Account.Cell)}, nil)
}

func (s *Site) takeSMS(v *visit) error {
	f, err := v.form(fieldStep, fieldName, fieldCode, fieldCell)
	if err != nil {
		return err
	}
	return s.setUpSMS(v, v.inSession(), f)
}

func (s *Site) setUpSMS(v *visit, pl place, f values) error {
	failed := func(status int, e *discovery.Error) error { return v.showSMS(status, pl, f, e) }
	if f["step"] == "begin" {
		number, err := portal.ParseCell(f["cell"], pl.country)
		if err == nil && number == "" {
			err = &discovery.Error{Kind: discovery.Invalid, Field: "cell", Code: "cell_empty", Say: "Enter the number of your cell phone."}
		}
		if err == nil {
			err = s.Store.BeginSMS(v.r.Context(), v.portal.ID, v.visitor(), pl.at, f["name"], portal.E164(number))
		}
		if err != nil {
			return v.setUpFailed(pl, err, failed)
		}
		return v.redirect(pl.again(portal.SMSFactor))
	}
	if !s.Store.Texts { // said before the code is judged: the form cannot be shown again
		return fmt.Errorf("set up SMS: %w", store.ErrNoTexts)
	}
	in, err := s.Store.ConfirmSMS(v.r.Context(), v.portal.ID, v.visitor(), pl.at, portal.Secret(f["code"]))
	if err != nil {
		return v.setUpFailed(pl, err, failed)
	}
	return v.setUpDone(pl, in)
}

func (v *visit) showSMS(status int, pl place, f values, wrong *discovery.Error) error {
	if !v.site.Store.Texts {
		return fmt.Errorf("set up SMS: %w", store.ErrNoTexts)
	}
	number, err := v.site.Store.PendingSMS(v.r.Context(), v.portal.ID, v.visitor(), pl.at)
	if err != nil {
		return v.setUpFailed(pl, err, func(int, *discovery.Error) error { return err })
	}
	p := smsPage{setUpPage: v.setUpPage(pl, portal.SMSFactor),
		Name: page.Field{Name: "name", Label: v.t("Name of the device"), Type: "text", Value: f["name"], Optional: true, Autocomplete: "off",
			Hint: v.t("So that you know it again, such as “Telephone”. May be left empty.")},
		Cell: page.Field{Name: "cell", Label: v.t("Cell number"), Type: "tel", Value: f["cell"], Autocomplete: "tel", InputMode: "tel",
			Hint: v.t("With the country code, such as +41 79 123 45 67.")},
		Code: page.Field{Name: "code", Label: v.t("Code"), Type: "text", Autocomplete: "one-time-code", InputMode: "numeric"},
	}
	if number == "" || wrong != nil && wrong.Field == "cell" {
		p.Form = withProblem(wrong, &p.Cell, &p.Name)
		return v.render(status, "sms", p)
	}
	p.Sent = portal.CellText(number.Clear())
	p.Form = withProblem(wrong, &p.Code)
	return v.render(status, "sms", p)
}

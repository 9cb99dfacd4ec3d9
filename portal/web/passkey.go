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

// Passkeys are the one thing that a page cannot do without a script: the browser
// asks for them through one. The page brings the challenge, the script puts the
// answer into its form, and everything else is forms as everywhere. A browser
// that runs no scripts is told what to do instead.

// passkeyScript is where that script is.
var passkeyScript = page.Asset(page.PasskeyScript)

var (
	fieldAnswer = field{"answer", 12 << 10}
	fieldName   = field{"name", 200}
)

type passkeyPage struct {
	page.Form
	Portal        string
	Attempt, Then string
	Step          string // "factor": a password was right before; "enrol": a passkey is made on the way in
	Options       string // the challenge; empty: it has to be asked for
	Script        string
	Other         string // local path: another way
	Lost          string // local path, for who has lost the passkey and everything else; empty: not offered
	MayKeep, Keep bool
	Elsewhere     string // host of the portal's own region, whose passkeys do not work here; empty: this is it
}

type accountPasskeysPage struct {
	page.Form
	Tabs     []tab
	Notice   string
	Passkeys []passkeyLine
	Host     string // where passkeys made now will work
	Name     page.Field
	Options  string // the challenge for a new one; empty: none is being made
	Making   string // its name
	Script   string
}

type passkeyLine struct {
	ID, Name      string
	Created, Used moment
	Host          string // where it works, if not here
}

// askPasskey shows the challenge that waits in an attempt, or the button that
// asks for one: showing changes nothing.
func (s *Site) askPasskey(v *visit) error {
	q, err := v.query(fieldAttempt)
	if err != nil {
		return err
	}
	if q["attempt"] == "" {
		return v.redirect("/login")
	}
	a, err := v.attempt(q["attempt"])
	if err != nil {
		return v.startAgain(err, "/")
	}
	return v.showPasskey(http.StatusOK, q["attempt"], a, nil)
}

func (v *visit) showPasskey(status int, handle string, a portal.Attempt, wrong *discovery.Error) error {
	p := passkeyPage{Portal: v.portal.Name, Attempt: handle, Then: a.ReturnTo, Script: passkeyScript,
		MayKeep: v.portal.KeepSigned, Keep: a.Keep, Form: withProblem(wrong), Other: editPath(handle)}
	if p.Then == "/" {
		p.Then = ""
	}
	switch {
	case a.Purpose == portal.ForConfirm:
		p.Other, p.MayKeep = "/account/confirm?then="+url.QueryEscape(a.ReturnTo), false
	case !a.Address.IsZero():
		p.Other = "/login?attempt=" + url.QueryEscape(handle)
	}
	if v.site.StandsInFor != "" {
		p.Elsewhere = portal.HostOf(v.portal.URL)
	}
	if err := v.putChallenge(handle, &p); err != nil {
		return err
	}
	page.AllowScript(v.w)
	return v.render(status, "passkey", p)
}

// putChallenge puts the challenge that waits in an attempt into the page, if one
// does.
func (v *visit) putChallenge(handle string, p *passkeyPage) (err error) {
	var c portal.Ceremony
	half, err := v.site.Store.Half(v.r.Context(), v.portal.ID, v.visitor(), handle)
	switch {
	case errors.Is(err, portal.ErrAttempt): // nothing has been proved yet
	case err != nil:
		return err
	default:
		p.Step, p.MayKeep = string(half.Next), false
		p.Other = "/login/" + p.Step + "?attempt=" + url.QueryEscape(handle)
		if half.Next == portal.NeedsSecond && half.Purpose == portal.ForSignIn {
			p.Lost = "/login/recovery?attempt=" + url.QueryEscape(handle)
		}
	}
	if p.Step == string(portal.NeedsEnrol) {
		c, err = v.site.Store.AskedNewPasskey(v.r.Context(), v.portal.ID, v.visitor(), store.InHalf(handle))
	} else {
		c, err = v.site.Store.AskedPasskey(v.r.Context(), v.portal.ID, v.visitor(), handle)
	}
	var e *discovery.Error
	if errors.As(err, &e) && e.Kind == discovery.Forbidden {
		return nil // none waits
	}
	if err == nil {
		p.Options, p.Keep = string(c.Options), c.Keep
	}
	return err
}

// takePasskey begins with a challenge, and takes the answer to it.
func (s *Site) takePasskey(v *visit) error {
	f, err := v.form(fieldAttempt, fieldThen, fieldAnswer, fieldKeep)
	if err != nil {
		return err
	}
	handle, keep := f["attempt"], f["keep"] == "yes" && v.portal.KeepSigned
	if f["answer"] == "" {
		return s.beginPasskey(v, handle, f["then"], keep)
	}
	a, err := v.attempt(handle)
	if err != nil {
		return v.startAgain(err, f["then"])
	}
	in, err := s.answerPasskey(v, handle, f["answer"])
	if errors.Is(err, portal.ErrAttempt) {
		return v.startAgain(err, f["then"])
	}
	if err != nil {
		e, err := v.shown(err)
		if err != nil {
			return err
		}
		return v.showPasskey(e.Kind.Status(), handle, a, e)
	}
	return v.enter(in)
}

// answerPasskey takes a passkey that was asked for, or, from somebody who must set
// up a factor before they are let in, a new one.
func (s *Site) answerPasskey(v *visit, handle, answer string) (portal.SignedIn, error) {
	enrols, err := v.enrols(handle)
	if err != nil {
		return portal.SignedIn{}, err
	}
	if enrols {
		return s.Store.AddPasskey(v.r.Context(), v.portal.ID, v.visitor(), store.InHalf(handle), answer)
	}
	in, err := s.Store.SignInPasskey(v.r.Context(), v.portal.ID, v.visitor(), handle, answer)
	s.count(portal.ByPasskey, in, err)
	return in, err
}

// enrols reports whether the attempt is one that lacks a second factor to be set
// up.
func (v *visit) enrols(handle string) (bool, error) {
	half, err := v.site.Store.Half(v.r.Context(), v.portal.ID, v.visitor(), handle)
	if errors.Is(err, portal.ErrAttempt) {
		return false, nil
	}
	return half.Next == portal.NeedsEnrol, err
}

// beginPasskey puts a challenge to the browser, in the attempt it has or in a new
// one: nobody needs to type an address for it.
func (s *Site) beginPasskey(v *visit, handle, then string, keep bool) (err error) {
	a, err := v.attempt(handle)
	if errors.Is(err, portal.ErrAttempt) && handle != "" && then == "" {
		return v.startAgain(err, "/")
	}
	if errors.Is(err, portal.ErrAttempt) {
		a = portal.Attempt{ReturnTo: s.returnPath(then)}
		if handle, err = s.Store.StartAttempt(v.r.Context(), v.portal.ID, v.newVisitor(), a); err != nil {
			return fmt.Errorf("start attempt: %w", err)
		}
	}
	if err != nil {
		return err
	}
	enrols, err := v.enrols(handle)
	if err != nil {
		return err
	}
	if enrols {
		err = s.Store.AskNewPasskey(v.r.Context(), v.portal.ID, v.visitor(), store.InHalf(handle), v.t("Passkey"))
	} else {
		err = s.Store.AskPasskey(v.r.Context(), v.portal.ID, v.newVisitor(), handle, keep)
	}
	if err != nil {
		e, err := v.shown(err)
		if err != nil {
			return err
		}
		return v.showPasskey(e.Kind.Status(), handle, a, e)
	}
	return v.redirect("/login/passkey?attempt=" + url.QueryEscape(handle))
}

// passkeys lists those of an account, and shows the challenge for a new one.
func (s *Site) passkeys(v *visit) error {
	q, err := v.query(field{"new", 1})
	if err != nil {
		return err
	}
	p := accountPasskeysPage{Notice: v.noticed(map[string]string{
		passkeyAdded: v.t("The passkey was added. You can sign in with it from now on, and you were signed out everywhere else."),
	})}
	if q["new"] == "" {
		return v.showPasskeys(http.StatusOK, p, nil)
	}
	c, err := s.Store.AskedNewPasskey(v.r.Context(), v.portal.ID, v.visitor(), store.InSession(*v.member))
	if err != nil {
		e, err := v.shown(err)
		if err != nil {
			return err
		}
		return v.showPasskeys(e.Kind.Status(), p, e)
	}
	p.Options, p.Making = string(c.Options), c.Name
	page.AllowScript(v.w)
	return v.showPasskeys(http.StatusOK, p, nil)
}

// passkeyAdded is noted when a passkey was made.
const passkeyAdded = "passkey-added"

// addPasskey begins with a name, and takes the passkey that was made.
func (s *Site) addPasskey(v *visit) error {
	f, err := v.form(fieldName, fieldAnswer)
	if err != nil {
		return err
	}
	if f["answer"] != "" {
		_, err = s.Store.AddPasskey(v.r.Context(), v.portal.ID, v.visitor(), store.InSession(*v.member), f["answer"])
	} else if portal.PasskeyName(f["name"]) == "" {
		err = &discovery.Error{Kind: discovery.Invalid, Field: "name", Code: "name_missing", Say: "Give the passkey a name, so that you know it again."}
	} else {
		err = s.Store.AskNewPasskey(v.r.Context(), v.portal.ID, v.visitor(), store.InSession(*v.member), portal.PasskeyName(f["name"]))
	}
	if errors.Is(err, portal.ErrNoSession) {
		return v.redirect("/login")
	}
	if err != nil {
		e, err := v.shown(err)
		if err != nil {
			return err
		}
		p := accountPasskeysPage{}
		p.Name.Value = f["name"]
		return v.showPasskeys(e.Kind.Status(), p, e)
	}
	if f["answer"] == "" {
		return v.redirect("/account/security/passkeys?new=1")
	}
	return v.backTo("/account/security/passkeys", passkeyAdded)
}

func (v *visit) showPasskeys(status int, p accountPasskeysPage, wrong *discovery.Error) error {
	keys, err := v.site.Store.Passkeys(v.r.Context(), v.portal.ID, v.member.Account.ID)
	if err != nil {
		return fmt.Errorf("read passkeys: %w", err)
	}
	party, err := v.site.Store.Party(v.portal)
	if err != nil {
		return &discovery.Error{Kind: discovery.Internal, Code: "passkey_party", Err: err}
	}
	for _, k := range keys {
		line := passkeyLine{ID: k.ID, Name: k.Name, Created: v.day(k.Created), Used: v.when(k.Used)}
		if k.RPID != party.RPID() {
			line.Host = k.RPID
		}
		p.Passkeys = append(p.Passkeys, line)
	}
	p.Tabs, p.Host, p.Script = v.accountTabs("security"), party.RPID(), passkeyScript
	p.Name = page.Field{Name: "name", Label: v.t("Name of the new passkey"), Type: "text", Value: p.Name.Value, Autocomplete: "off",
		Hint: v.t("For example: telephone, or key on my key ring")}
	p.Form = withProblem(wrong, &p.Name)
	return v.render(status, "account_passkeys", p)
}

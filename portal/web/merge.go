package web

import (
	"errors"
	"fmt"
	"net/http"

	"github.com/domicile-sso/domicile/discovery"
	"github.com/domicile-sso/domicile/discovery/page"
	"github.com/domicile-sso/domicile/portal"
)

// mergePage says that an address has an account, and asks its owner to sign in to
// that one as well (S21).
type mergePage struct {
	page.Form
	Tabs             []tab
	Address, Account string
	Token            string
}

// mergeSummaryPage shows what will be joined, before it is.
type mergeSummaryPage struct {
	page.Form
	Tabs                 []tab
	Keep, Gone           string // primary addresses
	Addresses            []string
	Lines                []mergeLine
	Token, Attempt, Mark string
}

// A mergeLine is one thing that the accounts bring along, and what becomes of it.
type mergeLine struct{ Kind, Name, Text string }

// mergeForm is the page of a link whose address has an account: the question, or,
// with the proof of that account, the summary.
func (s *Site) mergeForm(v *visit) error {
	q, err := v.query(fieldToken, fieldAttempt)
	if err != nil {
		return err
	}
	if q["token"] == "" {
		return v.redirect("/account/addresses") // back from somewhere that does not keep it
	}
	return s.showMerge(v, http.StatusOK, q["token"], q["attempt"], nil)
}

func (s *Site) mergeAccounts(v *visit) error {
	f, err := v.form(fieldToken, fieldAttempt, fieldMark)
	if err != nil {
		return err
	}
	token, handle := portal.Secret(f["token"]), f["attempt"]
	if !tokenShaped(f["token"]) || handle != "" && !tokenShaped(handle) {
		return portal.ErrLink
	}
	if f["mark"] == "" {
		return s.proveOther(v, token)
	}
	in, err := s.Store.Merge(v.r.Context(), v.portal.ID, v.visitor(), v.member.ID, token, handle, f["mark"])
	if err == nil {
		v.openSession(in)
		return v.backTo("/account/addresses", accountsJoined)
	}
	var known *discovery.Error
	if !errors.As(err, &known) || errors.Is(err, portal.ErrLink) {
		return err
	}
	return s.showMerge(v, known.Kind.Status(), f["token"], handle, err)
}

// proveOther leads to a sign-in for the account that has the address, in whatever
// way it signs in. It ends in no session: only this one learns that it succeeded.
func (s *Site) proveOther(v *visit, token portal.Secret) error {
	address, needed, err := s.Store.MergeNeedsProof(v.r.Context(), v.portal.ID, v.visitor(), token)
	if err != nil {
		return err
	}
	if !needed {
		return v.redirect(mergePath(token.Clear()))
	}
	if err := v.admit(); err != nil {
		return err
	}
	handle, err := s.Store.StartAttempt(v.r.Context(), v.portal.ID, v.newVisitor(), portal.Attempt{
		Purpose: portal.ForMerge, Session: v.member.ID, Address: address, ReturnTo: mergePath(token.Clear())})
	if err != nil {
		return fmt.Errorf("start attempt: %w", err)
	}
	return s.nextStep(v, handle, address)
}

// showMerge renders the summary where the other account is proven, and the
// question where it is not, with what went wrong.
func (s *Site) showMerge(v *visit, status int, token, handle string, wrong error) error {
	if !tokenShaped(token) || handle != "" && !tokenShaped(handle) {
		return portal.ErrLink
	}
	ctx, who := v.r.Context(), v.visitor()
	address, needed, err := s.Store.MergeNeedsProof(ctx, v.portal.ID, who, portal.Secret(token))
	if errors.Is(err, portal.ErrMergeChanged) {
		return v.redirect("/account/addresses/confirm?token=" + token) // nobody has it any more
	}
	if err != nil {
		return err
	}
	var joint portal.Joint
	if handle != "" || !needed {
		joint, err = s.Store.MergeByToken(ctx, v.portal.ID, who, v.member.ID, portal.Secret(token), handle)
		if err == nil {
			return v.showSummary(status, joint, token, handle, wrong)
		}
		wrong = err
	}
	p := mergePage{Tabs: v.accountTabs("addresses"), Address: address.Clear(), Account: v.member.Account.Primary.Clear(), Token: token}
	if wrong != nil {
		e, err := v.shown(wrong)
		if err != nil {
			return err
		}
		if errors.Is(wrong, portal.ErrAttempt) {
			e.Say = v.t("You have signed in to the other account too long ago, or not in this browser. Please do it once more.")
		}
		status, p.Form = e.Kind.Status(), withProblem(e)
	}
	// The answer to this form may lead on to an identity provider.
	page.AddressFormAction(v.w, v.r.Host)
	return v.render(status, "merge", p)
}

func (v *visit) showSummary(status int, j portal.Joint, token, handle string, wrong error) error {
	p := mergeSummaryPage{Tabs: v.accountTabs("addresses"), Keep: j.Keep.Primary.Clear(), Gone: j.Gone.Primary.Clear(), Token: token, Attempt: handle, Mark: j.Mark(), Lines: v.mergeLines(j)}
	for _, a := range append(j.Keep.Confirmed, j.Gone.Confirmed...) {
		p.Addresses = append(p.Addresses, a.Clear())
	}
	if wrong != nil {
		e, err := v.shown(wrong)
		if err != nil {
			return err
		}
		p.Form = withProblem(e)
	}
	return v.render(status, "merge_summary", p)
}

// mergeLines say what becomes of what.
func (v *visit) mergeLines(j portal.Joint) []mergeLine {
	lines := []mergeLine{{"password", v.t("Password"), v.mergePassword(j)}}
	if n := len(j.Keep.Identities) + len(j.Gone.Identities); n > 0 {
		lines = append(lines, mergeLine{"domain", v.t("Organisation’s own sign-in"), v.t("%d links stay", n)})
	}
	if n := j.Keep.Factors + j.Gone.Factors; n > 0 {
		lines = append(lines, mergeLine{"factors", v.t("Second factors"), v.t("%d stay", n)})
	}
	if n := j.Keep.Apps + j.Gone.Apps; n > 0 {
		lines = append(lines, mergeLine{"apps", v.t("Apps and add-ins"), v.t("%d stay", n)})
	}
	lines = append(lines, []mergeLine{
		{"licence", v.t("Licence"), v.mergeLicence(j)},
		{"role", v.t("Role"), v.roleName(j.Role)},
		{"messages", v.t("Messages sent"), v.t("%d messages, counted together", int(j.Keep.Messages+j.Gone.Messages))},
		{"history", v.t("History"), v.t("%d entries of the log stay with the account that joins yours", int(j.Gone.Events))},
	}...)
	if j.Gone.Factors > 0 {
		lines = append(lines, mergeLine{"codes", v.t("Recovery codes"), v.t("Those of the account that joins yours are void. Make new ones if you need them.")})
	}
	return lines
}

func (v *visit) mergePassword(j portal.Joint) string {
	switch {
	case j.Keep.HasPassword && j.Gone.HasPassword:
		return v.t("That of %s is used from now on. The other one is void.", j.Keep.Primary.Clear())
	case j.Keep.HasPassword:
		return v.t("That of %s is used from now on.", j.Keep.Primary.Clear())
	case j.PasswordMoves:
		return v.t("That of %s is used from now on.", j.Gone.Primary.Clear())
	}
	return v.t("Neither account has one.")
}

func (v *visit) mergeLicence(j portal.Joint) string {
	switch {
	case j.Licence.None():
		return v.t("Neither account has one.")
	case j.Released.None():
		return v.t("%s stays.", j.Licence.Plan.Name)
	}
	return v.t("%s stays. The other one, %s, is released.", j.Licence.Plan.Name, j.Released.Plan.Name)
}

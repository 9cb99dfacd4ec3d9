package web

import (
	"errors"
	"net/http"

	"github.com/domicile-sso/domicile/discovery"
	"github.com/domicile-sso/domicile/portal"
)

// invitation shows what the mailed link is about. Looking at it uses nothing up:
// mail scanners look, too.
func (s *Site) invitation(v *visit) error {
	q, err := v.query(fieldToken)
	if err != nil {
		return err
	}
	inv, err := v.invited(q["token"])
	if err != nil {
		return v.startAgain(err, "/")
	}
	return v.showInvitation(http.StatusOK, q["token"], inv, false, nil)
}

func (v *visit) invited(token string) (portal.Invitation, error) {
	if !tokenShaped(token) {
		return portal.Invitation{}, portal.ErrLink
	}
	return v.site.Store.InvitationByToken(v.r.Context(), v.portal.ID, portal.Secret(token))
}

// redeem takes the temporary password and the new one together. Who signs in
// through the organisation has no such link: their mail leads to the sign-in page.
func (s *Site) redeem(v *visit) error {
	f, err := v.form(fieldToken, fieldUsername, fieldTemporary, fieldNew, fieldConfirm, fieldKeep)
	if err != nil {
		return err
	}
	inv, err := v.invited(f["token"])
	if err != nil {
		return v.startAgain(err, "/")
	}
	keep := f["keep"] == "yes" && v.portal.KeepSigned
	wrong := missing(f, "temporary", "Enter the temporary password from your mail.")
	if wrong == nil {
		wrong = twice(f["new"], f["confirm"])
	}
	if wrong != nil {
		return v.showInvitation(http.StatusBadRequest, f["token"], inv, keep, v.told(wrong))
	}
	in, err := s.Store.RedeemInvitation(v.r.Context(), v.portal.ID, v.newVisitor(), portal.Secret(f["token"]),
		portal.Secret(f["temporary"]), portal.Secret(f["new"]), keep)
	s.count(discovery.Password, in, err)
	if errors.Is(err, portal.ErrLink) {
		return v.startAgain(err, "/")
	}
	if err != nil {
		e, err := v.shown(err)
		if err != nil {
			return err
		}
		return v.showInvitation(e.Kind.Status(), f["token"], inv, keep, e)
	}
	return v.enter(in)
}

func (v *visit) showInvitation(status int, token string, inv portal.Invitation, keep bool, wrong *discovery.Error) error {
	p := invitationPage{
		Portal: v.portal.Name, Address: inv.Address.Clear(), Jurisdiction: v.site.Jurisdiction,
		Token: token, MayKeep: v.portal.KeepSigned, Keep: keep,
		Temporary: v.temporaryField(), New: v.newField(), Confirm: v.confirmField(), Rules: v.rules(),
	}
	p.Form = withProblem(wrong, &p.Temporary, &p.New, &p.Confirm)
	return v.render(status, "invitation", p)
}

package web

import (
	"errors"
	"fmt"
	"strings"

	"github.com/domicile-sso/domicile/discovery"
	"github.com/domicile-sso/domicile/discovery/page"
	"github.com/domicile-sso/domicile/portal"
)

// accountOf is the account that the path names. One of another portal is
// answered like one that does not exist, and the audit log says who reached for
// it (ADM-01).
func (s *Site) accountOf(v *visit) (portal.Account, error) {
	a, ok, err := s.Store.AccountByID(v.r.Context(), v.portal.ID, v.account)
	if err != nil {
		return a, fmt.Errorf("read account: %w", err)
	}
	if ok {
		return a, nil
	}
	return a, s.refuseTarget(v, v.account, &discovery.Error{Kind: discovery.NotFound, Code: "account_unknown"})
}

// refuseTarget refuses somebody who is signed in what they reached for, and puts
// it on record.
func (s *Site) refuseTarget(v *visit, target string, refused *discovery.Error) error {
	return errors.Join(refused, s.Store.Audit(v.r.Context(), portal.Event{
		Portal: v.portal.ID, Account: v.member.Account.ID, Action: "access.refused", Code: refused.Code, Target: target,
		Reference: page.Reference(v.r.Context()), Client: portal.Network(page.Client(v.r.Context())),
	}))
}

// nameOf is how an account is called in lists: by its name, or by its address
// when it has none.
func nameOf(a portal.Account) string {
	if name := strings.TrimSpace(a.GivenName + " " + a.FamilyName); name != "" {
		return name
	}
	return a.Primary.Clear()
}

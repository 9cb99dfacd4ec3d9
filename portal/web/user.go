package web

import (
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strings"

	"github.com/domicile-sso/domicile/discovery"
	"github.com/domicile-sso/domicile/discovery/page"
	"github.com/domicile-sso/domicile/portal"
)

// userPage is the window of one person: what there is to know, and to do.
type userPage struct {
	page.Form
	Tabs                []tab
	Path                string
	Name, Address       string
	Notice              string
	Status              badge
	Role, Plan          string
	Created, LastSignIn moment
	Billed              string
	Merged              personRef // the account it has become part of; zero: none
	Own                 bool      // the visitor's own
	Sections            []tab     // pages about this person
	MaySwitch, Disabled bool
	Fresh               bool // has never signed in
	MayGrant            bool
	Was                 string
	NewRole             page.Field
	MayEnd              bool
	SeesSessions        bool // those of people above oneself say where they are, and are the audit log\'s to show
	Sessions            []sessionRow
	Events              []eventRow
	Audit               string // local path; empty: this role may not
	Why                 string // why nothing can be changed here; empty: something can
	Invitation          *userInvitation
}

// userProfilePage is where an administrator edits what a person says about
// themselves (S32).
type userProfilePage struct {
	profileForm
	Tabs                []tab
	Name, Address, Path string
}

const (
	userDisabled   = "user-disabled"
	userEnabled    = "user-enabled"
	userUnchanged  = "user-unchanged"
	userSignedOut  = "user-signed-out"
	userProfileSet = "user-profile-saved"
)

func userPath(id string) string { return "/admin/users/" + id }

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

// rowID is what the ID of an account looks like. Anything else that is sent in its
// place stays out of the audit log: it could be an address.
var rowID = regexp.MustCompile(`^[0-9a-f]{32}$`)

// refuseTarget refuses somebody who is signed in what they reached for, and puts
// it on record.
func (s *Site) refuseTarget(v *visit, target string, refused *discovery.Error) error {
	if !rowID.MatchString(target) {
		target = ""
	}
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

// user is the window of one person.
func (s *Site) user(v *visit) error { return s.showUser(v, http.StatusOK, v.account, userWrong{}) }

// userWrong is what a form on the page could not do.
type userWrong struct {
	role    portal.Role // that was chosen
	problem *discovery.Error
}

func (s *Site) showUser(v *visit, status int, id string, wrong userWrong) error {
	v.account = id
	a, err := s.accountOf(v)
	if err != nil {
		return err
	}
	p, err := s.userPageOf(v, a)
	if err != nil {
		return err
	}
	if wrong.role != "" {
		p.NewRole.Value = string(wrong.role)
	}
	p.Form = withProblem(wrong.problem, &p.NewRole)
	p.NewRole.Focus = p.NewRole.Focus && wrong.problem != nil
	if wrong.problem != nil && wrong.problem.Code == "stale_version" {
		p.Form.Differences = []page.Difference{{Field: "role", Label: v.t("Role"), Saved: v.roleName(a.Role), Typed: v.roleName(wrong.role)}}
	}
	p.Notice = v.noticed(map[string]string{
		userDisabled:   v.t("The account is disabled. Its sessions are over."),
		userEnabled:    v.t("The account is enabled again."),
		userUnchanged:  v.t("Nothing was changed: it was so already."),
		userSignedOut:  v.t("All sessions of this person are over."),
		userProfileSet: v.t("The profile is saved."),
		roleChanged:    v.t("The role is changed. The person has to sign in again."),
		invitationSent: v.t("The invitation was sent again. What was sent before is no longer valid."),
		invitationGone: v.t("The invitation is withdrawn. The account is disabled until the person is invited again."),
	})
	return v.render(status, "user", p)
}

func (s *Site) userPageOf(v *visit, a portal.Account) (p userPage, err error) {
	ctx, actor := v.r.Context(), v.member.Account
	p = userPage{
		Tabs: v.consoleTabs("users"), Path: userPath(a.ID), Name: nameOf(a), Address: a.Primary.Clear(), Status: v.statusBadge(a),
		Role: v.roleName(a.Role), Created: v.when(a.Created), LastSignIn: v.when(a.LastSignIn), Billed: v.t("Counted"),
		Own: a.ID == actor.ID, Disabled: a.Status == portal.Disabled, Fresh: a.LastSignIn.IsZero(), Was: string(a.Role),
	}
	if p.Disabled {
		p.Billed = v.t("Not counted: the account is disabled")
	}
	l, err := s.Store.Licence(ctx, v.portal.ID, a.ID)
	if err != nil {
		return p, fmt.Errorf("read licence: %w", err)
	}
	p.Plan = l.Plan.Name
	if a.MergedInto != "" {
		if into, ok, err := s.Store.AccountByID(ctx, v.portal.ID, a.MergedInto); err != nil {
			return p, fmt.Errorf("read account: %w", err)
		} else if ok {
			p.Merged = personRef{Name: nameOf(into), Path: userPath(into.ID)}
		}
	}
	s.userMays(v, a, &p)
	if p.Invitation, err = s.userInvitationOf(v, a); err != nil {
		return p, err
	}
	if err := s.userSessions(v, a, &p); err != nil {
		return p, err
	}
	if actor.Role.May(portal.SeeAudit) {
		p.Audit = "/admin/audit?account=" + a.ID
		links, err := s.Store.Events(ctx, v.portal.ID, portal.EventFilter{Person: a.ID, Newest: true, Limit: 10})
		if err != nil {
			return p, fmt.Errorf("read audit: %w", err)
		}
		p.Events, err = s.eventRows(v, links)
		return p, err
	}
	return p, nil
}

// userMays offers what the visitor's role may do with the account. The store
// decides again when it is done.
func (s *Site) userMays(v *visit, a portal.Account, p *userPage) {
	actor := v.member.Account
	manage := portal.MayManage(actor, a)
	p.MaySwitch = actor.Role.May(portal.SwitchUsers) && portal.MaySwitch(actor, a) == nil
	p.NewRole = page.Field{Name: "role", Label: v.t("Role"), Value: string(a.Role), Options: v.roleOptions(a)}
	p.MayGrant = actor.Role.May(portal.GrantRoles) && manage == nil && a.MergedInto == "" && len(p.NewRole.Options) > 1
	p.MayEnd = actor.Role.May(portal.EditUsers) && manage == nil
	var e *discovery.Error
	if !p.Own && actor.Role.May(portal.EditUsers) && errors.As(manage, &e) {
		p.Why = v.say(e)
	}
	if manage != nil || a.MergedInto != "" {
		return
	}
	for _, sec := range []struct {
		name, path string
		may        portal.Permission
	}{
		{v.t("Profile"), "/profile", portal.EditUsers},
		{v.t("Addresses"), "/addresses", portal.EditUsers},
		{v.t("Licence"), "/licence", portal.AssignLicences},
		{v.t("Security"), "/security", portal.EditUsers},
	} {
		if actor.Role.May(sec.may) {
			p.Sections = append(p.Sections, tab{Name: sec.name, Path: p.Path + sec.path})
		}
	}
}

func (s *Site) userSessions(v *visit, a portal.Account, p *userPage) error {
	actor := v.member.Account
	p.SeesSessions = actor.Role.May(portal.SeeAudit) || portal.MayManage(actor, a) == nil
	if !p.SeesSessions {
		return nil
	}
	all, err := s.Store.Sessions(v.r.Context(), v.portal.ID, a.ID)
	if err != nil {
		return fmt.Errorf("read sessions: %w", err)
	}
	for _, one := range all {
		p.Sessions = append(p.Sessions, sessionRow{Agent: one.Agent, Place: one.Network, Seen: v.when(one.Seen), Started: v.when(one.Started)})
	}
	p.MayEnd = p.MayEnd && len(p.Sessions) > 0
	return nil
}

// switchUser disables an account or enables it again (S13).
func (s *Site) switchUser(v *visit) error {
	f, err := v.form(fieldStatus)
	if err != nil {
		return err
	}
	a, err := s.accountOf(v)
	if err != nil {
		return err
	}
	to := portal.Status(f["status"])
	if to != portal.Active && to != portal.Disabled {
		return badField("status", "status_unknown", "Choose one of the states.")
	}
	changed, err := s.Store.SwitchAccount(v.r.Context(), v.portal.ID, v.visitor(), a.ID, to == portal.Active)
	if err != nil {
		e, err := v.shown(err)
		if err != nil {
			return err
		}
		return s.showUser(v, e.Kind.Status(), a.ID, userWrong{problem: e})
	}
	switch {
	case !changed:
		return v.backTo(userPath(a.ID), userUnchanged)
	case to == portal.Active:
		return v.backTo(userPath(a.ID), userEnabled)
	}
	return v.backTo(userPath(a.ID), userDisabled)
}

// signOutUser ends all sessions of somebody who has lost a device.
func (s *Site) signOutUser(v *visit) error {
	if _, err := v.form(); err != nil {
		return err
	}
	a, err := s.accountOf(v)
	if err != nil {
		return err
	}
	if err := s.Store.SignOutAccount(v.r.Context(), v.portal.ID, v.visitor(), a.ID); err != nil {
		e, err := v.shown(err)
		if err != nil {
			return err
		}
		return s.showUser(v, e.Kind.Status(), a.ID, userWrong{problem: e})
	}
	return v.backTo(userPath(a.ID), userSignedOut)
}

func (s *Site) userProfile(v *visit) error {
	a, err := s.managedOf(v)
	if err != nil {
		return err
	}
	return s.showUserProfile(v, http.StatusOK, a, a.Profile(), nil)
}

// managedOf is the account that the path names, if the visitor may change it:
// pages that are only there for changes are not shown to others.
func (s *Site) managedOf(v *visit) (portal.Account, error) {
	a, err := s.accountOf(v)
	if err != nil {
		return a, err
	}
	var e *discovery.Error
	if errors.As(portal.MayManage(v.member.Account, a), &e) {
		return a, s.refuseTarget(v, a.ID, e)
	}
	return a, nil
}

func (s *Site) saveUserProfile(v *visit) error {
	a, err := s.accountOf(v)
	if err != nil {
		return err
	}
	typed, err := v.profileTyped(a)
	if err != nil {
		return err
	}
	if portal.MayManage(v.member.Account, a) != nil {
		_, err := s.managedOf(v)
		return err
	}
	if typed.Protection == portal.NoProtection && a.Protection != typed.Protection && !v.isFresh() {
		return s.askConfirm(v) // it is taking a lock off
	}
	now, _, err := s.Store.SaveProfile(v.r.Context(), v.portal.ID, v.visitor(), a.ID, typed)
	if err != nil {
		if _, err := v.shown(err); err != nil {
			return err
		}
		if now.ID == "" {
			now = a
		}
		return s.showUserProfile(v, statusOf(err), now, typed, err)
	}
	return v.backTo(userPath(a.ID), userProfileSet)
}

func (s *Site) showUserProfile(v *visit, status int, stored portal.Account, typed portal.Profile, wrong error) error {
	l, err := s.Store.Licence(v.r.Context(), v.portal.ID, stored.ID)
	if err != nil {
		return fmt.Errorf("read licence: %w", err)
	}
	return v.render(status, "user_profile", userProfilePage{
		profileForm: v.profileFormOf(stored, typed, l, wrong), Tabs: v.consoleTabs("users"),
		Name: nameOf(stored), Address: stored.Primary.Clear(), Path: userPath(stored.ID),
	})
}

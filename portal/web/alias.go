package web

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/domicile-sso/domicile/discovery"
	"github.com/domicile-sso/domicile/discovery/page"
	"github.com/domicile-sso/domicile/portal"
)

// addressesPage is where people look after their own addresses.
type addressesPage struct {
	page.Form
	Tabs      []tab
	Notice    string
	Addresses []addressRow
	Why       string // why none can be added; empty: one can
	Email     page.Field
	Hours     int
}

// An addressRow is one address and what can be done with it.
type addressRow struct {
	Address  string
	Badge    string
	Tone     string // of the badge: good | warn | off
	Note     string // until when it waits, and who added it
	Way      string // how one signs in with it
	Licensed bool
	Pending  bool
	Primary  bool
}

// addressConfirmPage asks whether the address that a mailed link proves is to be
// the account's.
type addressConfirmPage struct {
	Tabs             []tab
	Address, Account string
	Token            string
	Way              string
}

// addressesUserPage is where an administrator sees the addresses of somebody, and
// adds one for them to confirm (S17).
type addressesUserPage struct {
	page.Form
	Tabs      []tab
	Notice    string
	Name      string
	Path      string // of this page
	User      string // path of the user's page
	Addresses []addressRow
	Email     page.Field
	Merged    bool
	Hours     int
}

// What a notice on these pages is about; see noticeCookie.
const (
	aliasConfirmed = "alias-confirmed"
	aliasPromoted  = "alias-promoted"
	aliasRemoved   = "alias-removed"
	accountsJoined = "accounts-joined"
)

var fieldAddress = field{"address", 1024}

func (s *Site) addresses(v *visit) error {
	p := addressesPage{Notice: v.noticed(map[string]string{
		aliasConfirmed: v.t("The address is confirmed. You can sign in with it, and messages sent to it reach you."),
		aliasPromoted:  v.t("Your primary address is changed. Notifications go there from now on, and your messages come from it. Both addresses were told."),
		aliasRemoved:   v.t("The address is removed, and every other session of your account is over."),
		accountsJoined: v.t("The two accounts are one now. Everything is here."),
	})}
	return s.showAddresses(v, http.StatusOK, p, nil)
}

// newAddress reads the address that somebody gives an account. It is not always
// their own.
func newAddress(typed string) (discovery.Address, error) {
	if strings.TrimSpace(typed) == "" {
		return discovery.Address{}, badField("email", "address_empty", "Enter the new address.")
	}
	return discovery.ParseAddress(typed)
}

// addAddress answers every address with the same words: who has it already is told
// to nobody before the mailbox has been proven.
func (s *Site) addAddress(v *visit) error {
	f, err := v.form(fieldEmail)
	if err != nil {
		return err
	}
	address, err := newAddress(f["email"])
	if err == nil {
		err = s.Store.AddAlias(v.r.Context(), v.portal.ID, v.visitor(), v.member.Account.ID, address)
	}
	return s.addressSent(v, address, f["email"], err)
}

func (s *Site) resendAddress(v *visit) error {
	address, err := v.addressChosen()
	if err == nil {
		err = s.Store.ResendAlias(v.r.Context(), v.portal.ID, v.visitor(), v.member.Account.ID, address)
	}
	return s.addressSent(v, address, "", err)
}

func (s *Site) addressSent(v *visit, address discovery.Address, typed string, err error) error {
	if err != nil {
		e, err := v.shown(err)
		if err != nil {
			return err
		}
		return s.showAddresses(v, e.Kind.Status(), addressesPage{Email: page.Field{Value: typed}}, e)
	}
	return s.showAddresses(v, http.StatusOK, addressesPage{Notice: v.t("A confirmation was sent to %s. Open its link in this browser within %d hours.", address.Clear(), aliasHours)}, nil)
}

var aliasHours = int(portal.ForAlias.Life().Hours())

func (s *Site) promoteAddress(v *visit) error {
	address, err := v.addressChosen()
	if err == nil {
		err = s.Store.PromoteAlias(v.r.Context(), v.portal.ID, v.visitor(), address)
	}
	return s.addressDone(v, aliasPromoted, err)
}

func (s *Site) removeAddress(v *visit) error {
	address, err := v.addressChosen()
	if err == nil {
		err = s.Store.RemoveAlias(v.r.Context(), v.portal.ID, v.visitor(), v.member.ID, address)
	}
	return s.addressDone(v, aliasRemoved, err)
}

func (s *Site) addressDone(v *visit, notice string, err error) error {
	if err == nil {
		return v.backTo("/account/addresses", notice)
	}
	e, err := v.shown(err)
	if err != nil {
		return err
	}
	return s.showAddresses(v, e.Kind.Status(), addressesPage{}, e)
}

// addressChosen is the address that a button of the list is about.
func (v *visit) addressChosen() (discovery.Address, error) {
	f, err := v.form(fieldAddress)
	if err != nil {
		return discovery.Address{}, err
	}
	address, err := discovery.ParseAddress(f["address"])
	if err != nil {
		return address, badField("address", "address_unknown", "Choose one of the addresses.")
	}
	return address, nil
}

// showAddresses completes and renders the list.
func (s *Site) showAddresses(v *visit, status int, p addressesPage, wrong *discovery.Error) error {
	sess, err := v.session() // the primary address may be another one by now
	if err != nil {
		return err
	}
	l, err := s.Store.Licence(v.r.Context(), v.portal.ID, sess.Account.ID)
	if err != nil {
		return fmt.Errorf("read licence: %w", err)
	}
	if p.Addresses, err = s.addressRows(v, sess.Account, l); err != nil {
		return err
	}
	var unlicensed *discovery.Error
	if errors.As(portal.MayHaveAliases(l, s.Now()), &unlicensed) {
		p.Why = v.say(unlicensed)
	}
	p.Tabs, p.Hours = v.accountTabs("addresses"), aliasHours
	p.Email = v.newAddressField(p.Email.Value)
	p.Form = withProblem(wrong, &p.Email)
	p.Email.Focus = p.Email.Error != ""
	return v.render(status, "addresses", p)
}

func (v *visit) newAddressField(value string) page.Field {
	return page.Field{Name: "email", Label: v.t("New address"), Type: "email", Value: value, Autocomplete: "off"}
}

// addressRows are the addresses of an account in words.
func (s *Site) addressRows(v *visit, a portal.Account, l portal.Licence) ([]addressRow, error) {
	all, err := s.Store.Aliases(v.r.Context(), v.portal.ID, a.ID)
	if err != nil {
		return nil, fmt.Errorf("read addresses: %w", err)
	}
	rows := make([]addressRow, len(all))
	for i, alias := range all {
		row := addressRow{Address: alias.Address.Clear(), Primary: alias.Primary, Pending: alias.Pending() && !alias.Primary,
			Licensed: !l.None() && l.Address == alias.Address}
		if row.Way, err = s.wayOf(v, alias.Address); err != nil {
			return nil, err
		}
		switch {
		case alias.Primary:
			row.Badge, row.Tone = v.t("Primary"), "good"
		case !alias.Pending():
			row.Badge = v.t("Confirmed")
		case s.Now().Before(alias.Expires):
			row.Badge, row.Tone, row.Note = v.t("Pending"), "warn", v.t("Can be confirmed until %s.", v.when(alias.Expires).Human)
		default:
			row.Badge, row.Tone, row.Note = v.t("Pending"), "off", v.t("The link is too old. Send the confirmation again.")
		}
		if row.Pending && alias.AddedBy != "" {
			row.Note += " " + v.t("Added by an administrator.")
		}
		rows[i] = row
	}
	return rows, nil
}

// wayOf says how one signs in with an address. An address in a domain that the
// organisation signs in itself is of use for that alone: the portal password does
// not count there.
func (s *Site) wayOf(v *visit, a discovery.Address) (string, error) {
	d, known, err := s.Store.DomainFor(v.r.Context(), v.portal.ID, a.Domain())
	if err != nil {
		return "", fmt.Errorf("find domain: %w", err)
	}
	switch {
	case known && d.Connection != "" && d.Password:
		return v.t("Signs in with a portal password or the organisation’s own sign-in."), nil
	case known && d.Connection != "":
		return v.t("Signs in with the organisation’s own sign-in; a portal password does not work with it."), nil
	}
	return v.t("Signs in with a portal password."), nil
}

// confirmAddressForm is where a mailed link leads. Nobody else's session sees more
// than that the link does not count.
func (s *Site) confirmAddressForm(v *visit) error {
	q, err := v.query(fieldToken)
	if err != nil {
		return err
	}
	if q["token"] == "" {
		return v.redirect("/account/addresses") // back from somewhere that does not keep it
	}
	if !tokenShaped(q["token"]) {
		return portal.ErrLink
	}
	address, err := s.Store.AliasByToken(v.r.Context(), v.portal.ID, v.member.Account.ID, portal.Secret(q["token"]))
	if errors.Is(err, portal.ErrMerge) {
		return v.redirect(mergePath(q["token"]))
	}
	if err != nil {
		return err
	}
	p := addressConfirmPage{Tabs: v.accountTabs("addresses"), Address: address.Clear(), Account: v.member.Account.Primary.Clear(), Token: q["token"]}
	if p.Way, err = s.wayOf(v, address); err != nil {
		return err
	}
	return v.render(http.StatusOK, "addresses_confirm", p)
}

func (s *Site) confirmAddress(v *visit) error {
	f, err := v.form(fieldToken)
	if err != nil {
		return err
	}
	if !tokenShaped(f["token"]) {
		return portal.ErrLink
	}
	_, err = s.Store.ConfirmAlias(v.r.Context(), v.portal.ID, v.visitor(), portal.Secret(f["token"]))
	if errors.Is(err, portal.ErrMerge) {
		return v.redirect(mergePath(f["token"]))
	}
	if err != nil {
		return err
	}
	return v.backTo("/account/addresses", aliasConfirmed)
}

func mergePath(token string) string {
	return "/account/addresses/merge?token=" + url.QueryEscape(token)
}

// userAddresses are somebody's addresses, for those who look after people.
func (s *Site) userAddresses(v *visit) error {
	return s.showUserAddresses(v, http.StatusOK, addressesUserPage{Notice: v.noticed(map[string]string{
		aliasRemoved: v.t("The address that was pending is removed."),
	})}, nil)
}

// changeUserAddresses adds a pending address, sends its link again or takes it
// away. There is no word for confirming one: that is the person's.
func (s *Site) changeUserAddresses(v *visit) error {
	f, err := v.form(fieldEmail, fieldAddress, field{"do", 8})
	if err != nil {
		return err
	}
	who, ctx := v.visitor(), v.r.Context()
	typed := f["email"]
	if f["do"] != "" {
		typed = f["address"]
	}
	address, err := newAddress(typed)
	if err == nil {
		switch f["do"] {
		case "":
			err = s.Store.AddAlias(ctx, v.portal.ID, who, v.account, address)
		case "resend":
			err = s.Store.ResendAlias(ctx, v.portal.ID, who, v.account, address)
		case "remove":
			if err = s.Store.RemovePending(ctx, v.portal.ID, who, v.account, address); err == nil {
				return v.backTo("/admin/users/"+v.account+"/addresses", aliasRemoved)
			}
		default:
			return badField("do", "field_unknown", "Something in the request is not as it should be.")
		}
	}
	if err != nil {
		e, err := v.shown(err)
		if err != nil {
			return err
		}
		return s.showUserAddresses(v, e.Kind.Status(), addressesUserPage{Email: page.Field{Value: f["email"]}}, e)
	}
	return s.showUserAddresses(v, http.StatusOK, addressesUserPage{
		Notice: v.t("A confirmation was sent to %s. The person has to open its link within %d hours; nobody else can.", address.Clear(), aliasHours)}, nil)
}

func (s *Site) showUserAddresses(v *visit, status int, p addressesUserPage, wrong *discovery.Error) error {
	a, err := s.accountOf(v)
	if err != nil {
		return err
	}
	l, err := s.Store.Licence(v.r.Context(), v.portal.ID, a.ID)
	if err != nil {
		return fmt.Errorf("read licence: %w", err)
	}
	if p.Addresses, err = s.addressRows(v, a, l); err != nil {
		return err
	}
	p.Tabs, p.Hours, p.Merged = v.consoleTabs("users"), aliasHours, a.MergedInto != ""
	p.User = "/admin/users/" + a.ID
	p.Path = p.User + "/addresses"
	if p.Name = strings.TrimSpace(a.GivenName + " " + a.FamilyName); p.Name == "" {
		p.Name = a.Primary.Clear()
	}
	p.Email = v.newAddressField(p.Email.Value)
	p.Form = withProblem(wrong, &p.Email)
	p.Email.Focus = p.Email.Error != ""
	return v.render(status, "addresses_user", p)
}

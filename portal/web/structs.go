package web

import "github.com/domicile-sso/domicile/discovery/page"

// One struct for each file of pages/, under the same name. They hold text that
// is ready to be shown: addresses are in clear here and nowhere else.

type addressPage struct {
	page.Form
	Portal, Contact string
	Attempt         string
	Then            string // the page first asked for; empty: home
	Notice          string // why one is here again
	Reference       string // belongs to the notice
	Email           page.Field
}

type methodPage struct {
	Portal, Address      string
	Cloud, Domain, Other string // local paths
}

type passwordPage struct {
	page.Form
	Portal, Contact string
	Attempt, Then   string
	Address         string
	Other, Forgot   string // local paths
	Password        page.Field
	MayKeep, Keep   bool
}

type forgotPage struct {
	page.Form
	Notice    string
	Reference string
	Email     page.Field
}

type forgotSentPage struct {
	Portal, Address string
	Minutes         int
}

type resetPage struct {
	page.Form
	Portal       string
	Token        string
	New, Confirm page.Field
	Rules        []string
}

type resetDonePage struct{}

type changePage struct {
	page.Form
	Attempt, Then           string
	Address                 string
	Other                   string // local path
	Temporary, New, Confirm page.Field
	Rules                   []string
}

type invitationPage struct {
	page.Form
	Portal, Address         string
	Jurisdiction            string
	Token                   string
	Temporary, New, Confirm page.Field
	MayKeep, Keep           bool
	Rules                   []string
}

type confirmPage struct {
	Portal, Connection string
	Address            string // who the identity provider says this is
	Action             string
	Response           string
}

type postPage struct {
	Action, Request, State string
}

type signoutPage struct {
	Portal, Address string
}

type signedoutPage struct {
	Portal     string
	Everywhere bool
	EndSession string // the identity provider's own sign-out; empty: none offered
}

type homePage struct {
	Portal, Host         string
	Name, FullName       string
	Address              string
	Jurisdiction, Region string
	Method               string
	Ends                 moment
	Idle                 string
	Remember             string // local path; empty: not offered
	Console              bool   // this role looks after the portal
}

type accountPasswordPage struct {
	page.Form
	Tabs              []tab
	Address           string
	Old, New, Confirm page.Field
	Rules             []string
}

// A moment is a time as people and programs read it: see when and day.
type moment struct{ Human, Machine string }

// String is the moment for texts that have one in them.
func (m moment) String() string { return m.Human }

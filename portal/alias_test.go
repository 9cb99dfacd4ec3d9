package portal_test

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/domicile-sso/domicile/discovery"
	"github.com/domicile-sso/domicile/portal"
)

func addr(t *testing.T, s string) discovery.Address {
	t.Helper()
	a, err := discovery.ParseAddress(s)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func alias(t *testing.T, address, state string) portal.Alias {
	a := portal.Alias{Address: addr(t, address)}
	switch state {
	case "primary":
		a.Primary, a.Confirmed = true, noon
	case "confirmed":
		a.Confirmed = noon
	case "pending":
		a.Expires = noon.Add(time.Hour)
	case "late":
		a.Expires = noon
	}
	return a
}

func TestMayAddAlias(t *testing.T) {
	own := []portal.Alias{alias(t, "ian@cloud.example", "primary"), alias(t, "ian@home.example", "pending")}
	many := []portal.Alias{alias(t, "ian@cloud.example", "primary")}
	for i := range portal.MaxAddresses - 1 {
		many = append(many, alias(t, fmt.Sprintf("ian%d@cloud.example", i), "confirmed"))
	}
	waiting := []portal.Alias{alias(t, "ian@cloud.example", "primary")}
	for i := range portal.MaxPending {
		waiting = append(waiting, alias(t, fmt.Sprintf("ian%d@cloud.example", i), "pending"))
	}
	for name, tc := range map[string]struct {
		status  portal.Status
		all     []portal.Alias
		address string
		want    string
	}{
		"a new one":                       {portal.Active, own, "new@cloud.example", ""},
		"one that waits":                  {portal.Active, own, "ian@home.example", ""},
		"S17 of somebody invited":         {portal.Invited, own, "new@cloud.example", ""},
		"the primary one, in other case":  {portal.Active, own, "IAN@Cloud.Example", "alias_known"},
		"of somebody disabled":            {portal.Disabled, own, "new@cloud.example", "account_disabled"},
		"one more than there may be":      {portal.Active, many, "new@cloud.example", "alias_limit"},
		"too many wait":                   {portal.Active, waiting, "new@cloud.example", "alias_pending_limit"},
		"too many wait, one of them once": {portal.Active, waiting, "ian1@cloud.example", ""},
	} {
		if got := code(portal.MayAddAlias(portal.Account{Status: tc.status}, tc.all, addr(t, tc.address))); got != tc.want {
			t.Errorf("%s: %q, want %q", name, got, tc.want)
		}
	}
}

// PWD-20 to PWD-24: what a link confirms, and what it does not.
func TestConfirmationDecide(t *testing.T) {
	const address = "ian@new.example"
	ian := portal.Account{ID: "ian", Status: portal.Active}
	pending, confirmed, late, another := alias(t, address, "pending"), alias(t, address, "confirmed"), alias(t, address, "late"), alias(t, "other@new.example", "pending")
	token := portal.Token{Purpose: portal.ForAlias, Account: "ian", Address: addr(t, address), Expires: noon.Add(time.Hour)}
	for name, tc := range map[string]struct {
		change func(*portal.Confirmation)
		want   string
	}{
		"as it should be":                      {func(*portal.Confirmation) {}, ""},
		"PWD-21 another account's session":     {func(c *portal.Confirmation) { c.Account.ID = "eve" }, "alias_other_account"},
		"PWD-20 another pending address":       {func(c *portal.Confirmation) { c.Pending = &another }, "link_refused"},
		"removed meanwhile":                    {func(c *portal.Confirmation) { c.Pending = nil }, "link_refused"},
		"confirmed already":                    {func(c *portal.Confirmation) { c.Pending = &confirmed }, "link_refused"},
		"PWD-24 the pending address is over":   {func(c *portal.Confirmation) { c.Pending = &late }, "link_refused"},
		"PWD-24 the link is over":              {func(c *portal.Confirmation) { c.Token.Expires = noon }, "link_refused"},
		"used":                                 {func(c *portal.Confirmation) { c.Token.Used = noon }, "link_refused"},
		"a link for something else":            {func(c *portal.Confirmation) { c.Token.Purpose = portal.ForReset }, "link_refused"},
		"disabled":                             {func(c *portal.Confirmation) { c.Account.Status = portal.Disabled }, "link_refused"},
		"PWD-22 somebody else has it":          {func(c *portal.Confirmation) { c.Holder = &portal.Account{ID: "bea"} }, "alias_merge"},
		"PWD-22 and its domain is foreign":     {func(c *portal.Confirmation) { c.Holder, c.Foreign = &portal.Account{ID: "bea"}, true }, "alias_merge"},
		"PWD-23 another organisation's domain": {func(c *portal.Confirmation) { c.Foreign = true }, "alias_foreign"},
		"PWD-26 an organisation's own sign-in": {func(c *portal.Confirmation) { c.Vouched = true }, "alias_vouched"},
		"S21 it is somebody's there already":   {func(c *portal.Confirmation) { c.Holder, c.Vouched = &portal.Account{ID: "bea"}, true }, "alias_merge"},
		"PWD-21 before anything else is told": {func(c *portal.Confirmation) {
			c.Account.ID, c.Holder, c.Foreign = "eve", &portal.Account{ID: "bea"}, true
		}, "alias_other_account"},
	} {
		c := portal.Confirmation{Token: token, Account: ian, Pending: &pending}
		tc.change(&c)
		if got := code(c.Decide(noon)); got != tc.want {
			t.Errorf("%s: %q, want %q", name, got, tc.want)
		}
	}
}

// S23, PWD-31: what cannot be taken away.
func TestRemovalDecide(t *testing.T) {
	cloud, corp, both := portal.Domain{Name: "cloud.example"}, portal.Domain{Name: "corp.example", Connection: "saml"}, portal.Domain{Name: "both.example", Connection: "oidc", Password: true}
	for name, tc := range map[string]struct {
		aliases  []portal.Alias
		address  string
		password bool
		linked   []string
		byAdmin  bool
		want     string
	}{
		"an alias":             {[]portal.Alias{alias(t, "i@cloud.example", "primary"), alias(t, "j@cloud.example", "confirmed")}, "j@cloud.example", true, nil, false, ""},
		"the primary address":  {[]portal.Alias{alias(t, "i@cloud.example", "primary"), alias(t, "j@cloud.example", "confirmed")}, "i@cloud.example", true, nil, false, "alias_primary"},
		"nobody's":             {[]portal.Alias{alias(t, "i@cloud.example", "primary")}, "k@cloud.example", true, nil, false, "alias_unknown"},
		"a pending one":        {[]portal.Alias{alias(t, "i@corp.example", "primary"), alias(t, "j@cloud.example", "pending")}, "j@cloud.example", false, nil, false, ""},
		"a pending one of S17": {[]portal.Alias{alias(t, "i@corp.example", "primary"), alias(t, "j@cloud.example", "pending")}, "j@cloud.example", false, nil, true, ""},
		"S17 a confirmed one, by an administrator": {[]portal.Alias{alias(t, "i@cloud.example", "primary"), alias(t, "j@cloud.example", "confirmed")}, "j@cloud.example", true, nil, true, "alias_confirmed"},
		"what the IdP would bring back":            {[]portal.Alias{alias(t, "i@cloud.example", "primary"), alias(t, "j@corp.example", "confirmed")}, "j@corp.example", true, []string{"saml"}, false, "alias_federated"},
		"the IdP has another address":              {[]portal.Alias{alias(t, "i@corp.example", "primary"), alias(t, "j@corp.example", "confirmed")}, "j@corp.example", false, []string{"saml"}, false, ""},
		"an IdP that knows nobody":                 {[]portal.Alias{alias(t, "i@cloud.example", "primary"), alias(t, "j@corp.example", "confirmed")}, "j@corp.example", true, nil, false, ""},
		"PWD-31 the last way in is an IdP":         {[]portal.Alias{alias(t, "i@cloud.example", "primary"), alias(t, "j@corp.example", "confirmed")}, "j@corp.example", false, nil, false, "alias_last_way"},
		"a way in is left, federation":             {[]portal.Alias{alias(t, "i@both.example", "primary"), alias(t, "j@corp.example", "confirmed")}, "j@corp.example", false, nil, false, ""},
		"a way in that waits is none":              {[]portal.Alias{alias(t, "i@cloud.example", "primary"), alias(t, "j@corp.example", "confirmed"), alias(t, "k@corp.example", "pending")}, "j@corp.example", false, nil, false, "alias_last_way"},
	} {
		ways := map[discovery.Address]portal.Domain{}
		for _, a := range tc.aliases {
			for _, d := range []portal.Domain{cloud, corp, both} {
				if d.Covers(a.Address.Domain()) {
					ways[a.Address] = d
				}
			}
		}
		r := portal.Removal{Aliases: tc.aliases, Address: addr(t, tc.address), ByAdmin: tc.byAdmin, HasPassword: tc.password, Linked: tc.linked, Ways: ways}
		if got := code(r.Decide()); got != tc.want {
			t.Errorf("%s: %q, want %q", name, got, tc.want)
		}
	}
}

func TestMayPromoteAndResend(t *testing.T) {
	pending, confirmed := alias(t, "i@cloud.example", "pending"), alias(t, "i@cloud.example", "confirmed")
	for _, tc := range []struct {
		alias           *portal.Alias
		promote, resend string
	}{{nil, "alias_unknown", "alias_unknown"}, {&pending, "alias_pending", ""}, {&confirmed, "", "alias_known"}} {
		if p, r := code(portal.MayPromote(tc.alias)), code(portal.MayResend(tc.alias)); p != tc.promote || r != tc.resend {
			t.Errorf("%+v: promote %q, resend %q", tc.alias, p, r)
		}
	}
}

// S17, S20: who may add addresses to whose account.
func TestMayEditAliases(t *testing.T) {
	professional, guest := portal.Licence{Plan: portal.Plan{ID: "p", Kind: portal.Professional}}, portal.Licence{Plan: portal.Plan{ID: "g", Kind: portal.GuestLicence}}
	over := professional
	over.Ends = noon
	member := portal.Account{ID: "m", Role: portal.Member, Status: portal.Active}
	for name, tc := range map[string]struct {
		actor, target portal.Account
		own           portal.Licence
		want          string
	}{
		"S20 one's own, professional":      {member, member, professional, ""},
		"S20 one's own, a guest":           {member, member, guest, "alias_unlicensed"},
		"S20 one's own, without a licence": {member, member, portal.Licence{}, "alias_unlicensed"},
		"S20 one's own, over":              {member, member, over, "alias_unlicensed"},
		"S17 an administrator, unlicensed": {portal.Account{ID: "a", Role: portal.Administrator}, member, portal.Licence{}, ""},
		"S17 a help desk":                  {portal.Account{ID: "h", Role: portal.HelpDesk}, member, professional, ""},
		"a help desk, of an owner":         {portal.Account{ID: "h", Role: portal.HelpDesk}, portal.Account{ID: "o", Role: portal.Owner}, professional, "manage_higher"},
		"an auditor":                       {portal.Account{ID: "x", Role: portal.Auditor}, member, professional, "permission_missing"},
		"a member":                         {portal.Account{ID: "x", Role: portal.Member}, member, professional, "permission_missing"},
		"of somebody disabled":             {portal.Account{ID: "a", Role: portal.Owner}, portal.Account{ID: "d", Status: portal.Disabled}, professional, "account_disabled"},
	} {
		if got := code(portal.MayEditAliases(tc.actor, tc.target, tc.own, noon)); got != tc.want {
			t.Errorf("%s: %q, want %q", name, got, tc.want)
		}
	}
}

// A stranger who asks for resets fills no bucket of these.
func TestAliasBuckets(t *testing.T) {
	a := addr(t, "ian@cloud.example")
	mailbox, mailer := portal.AliasBuckets("acme", a, "ian")
	other, _ := portal.MailBuckets("acme", a, portal.Visitor{Client: netip.MustParseAddr("192.0.2.1")})
	otherMailbox, otherMailer := portal.AliasBuckets("acme", a, "eve")
	if mailbox.Key == other.Key || mailbox != otherMailbox || mailer == otherMailer {
		t.Error("the buckets are shared or split the wrong way")
	}
}

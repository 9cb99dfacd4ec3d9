package portal

import (
	"slices"
	"time"

	"github.com/domicile-sso/domicile/discovery"
)

// How many addresses an account may have, and how many of them may wait to be
// confirmed. What a merge brings along may go beyond.
const (
	MaxAddresses = 10
	MaxPending   = 5
)

// An Alias is one address of an account. A pending one has been written down and
// nothing more: it reserves nothing, is found by nobody and signs nobody in,
// until the person opens the link that was sent there (S22).
type Alias struct {
	Address   discovery.Address
	Primary   bool
	Confirmed time.Time // zero: pending
	Proof     Proof
	Added     time.Time // zero: it came with the account
	AddedBy   string    // account ID, when an administrator added it (S17)
	Expires   time.Time // of a pending one: its link counts until then
}

// Pending reports whether the address waits to be confirmed.
func (a Alias) Pending() bool { return a.Confirmed.IsZero() }

// MayAddAlias reports why an account with these addresses cannot add one more,
// or nil. One that it has is no new one: a pending address is sent its link
// again.
func MayAddAlias(a Account, all []Alias, address discovery.Address) error {
	if err := MaySignIn(a.Status); err != nil {
		return err
	}
	pending := 0
	for _, has := range all {
		switch {
		case has.Address == address && !has.Pending():
			return &discovery.Error{Kind: discovery.Invalid, Field: "email", Code: "alias_known",
				Say: "This is one of your addresses already."}
		case has.Address == address:
			return nil
		case has.Pending():
			pending++
		}
	}
	if len(all) >= MaxAddresses {
		return &discovery.Error{Kind: discovery.Invalid, Field: "email", Code: "alias_limit",
			Say: "An account cannot have more addresses than this one has. Remove one first."}
	}
	if pending >= MaxPending {
		return &discovery.Error{Kind: discovery.Invalid, Field: "email", Code: "alias_pending_limit",
			Say: "Too many of these addresses wait to be confirmed. Confirm or remove one first."}
	}
	return nil
}

// MayResend reports why no link goes to an address once more, or nil.
func MayResend(a *Alias) error {
	switch {
	case a == nil:
		return errNoAlias
	case !a.Pending():
		return &discovery.Error{Kind: discovery.Conflict, Code: "alias_known", Say: "This address has been confirmed already."}
	}
	return nil
}

// A Confirmation is everything known about a link that was mailed to a pending
// address and has come back, gathered before the rule looks at it.
type Confirmation struct {
	Token   Token
	Account Account  // whose session the link was opened in
	Pending *Alias   // of that account, for the token's address; nil: removed meanwhile
	Holder  *Account // who has the address confirmed, or reserved by an invitation; nil: nobody
	Foreign bool     // its domain is proven for other portals of the region, and not for this one

	// Vouched: the people of its domain come by their organisation's sign-in alone,
	// and that does not know the account.
	Vouched bool
}

// ErrForeign: the address is the mailbox's owner's to use, but not here.
var ErrForeign = &discovery.Error{Kind: discovery.Forbidden, Code: "alias_foreign",
	Say: "Another organisation has proven that this domain is its own, and looks after its addresses itself. This address cannot be added here. Nothing was changed."}

// ErrVouched: who has a mailbox there does not come in by it, and so does not bring
// along its address either. Else the first sign-in of the address's owner would lead
// to the account of whoever read their mail before them.
var ErrVouched = &discovery.Error{Kind: discovery.Forbidden, Code: "alias_vouched",
	Say: "The people of this domain sign in through their organisation, which does not know your account. Sign in with this address first, in another browser, and then join the two accounts. Nothing was changed."}

// ErrMerge: the address belongs to another account of the portal; its owner may
// join the two (S21).
var ErrMerge = &discovery.Error{Kind: discovery.Conflict, Code: "alias_merge",
	Say: "This address already has an account here. You can join the two accounts."}

// Decide says whether the pending address becomes the account's. In this order:
//
//   - The link counts, names the address it proves, and was asked for by the
//     account whose session it is opened in: a link that was forwarded, or opened
//     by somebody else, is refused like one that does not exist.
//   - The account still waits for it.
//   - Nobody else has the address. Whoever adds one is told nothing of its
//     holder before this moment, because only now the mailbox is proven.
//   - The domain is not some other organisation's: what it proved to be its own
//     is not handed out here by a mail; nor is that of an organisation of this
//     portal that signs its people in itself and does not know this one.
func (c Confirmation) Decide(now time.Time) error {
	if err := c.Token.Usable(ForAlias, now); err != nil {
		return err
	}
	if c.Token.Account != c.Account.ID {
		return ErrAliasOther
	}
	if MaySignIn(c.Account.Status) != nil || c.Pending == nil || !c.Pending.Pending() || c.Pending.Address != c.Token.Address || !now.Before(c.Pending.Expires) {
		return ErrLink
	}
	if c.Holder != nil && c.Holder.ID != c.Account.ID {
		return ErrMerge
	}
	if c.Holder != nil {
		return ErrLink
	}
	if c.Foreign {
		return ErrForeign
	}
	if c.Vouched {
		return ErrVouched
	}
	return nil
}

// ErrAliasOther: another account's link. The person reads what everybody reads
// whose link does not count; the audit log says that it was somebody else's.
var ErrAliasOther = &discovery.Error{Kind: discovery.Forbidden, Code: "alias_other_account", Say: ErrLink.Say, Err: ErrLink}

// MayPromote reports why an address cannot become the primary one, or nil.
func MayPromote(a *Alias) error {
	switch {
	case a == nil:
		return errNoAlias
	case a.Pending():
		return &discovery.Error{Kind: discovery.Forbidden, Code: "alias_pending",
			Say: "This address has not been confirmed yet. Open the link in the mail that was sent to it first."}
	}
	return nil
}

var errNoAlias = &discovery.Error{Kind: discovery.NotFound, Code: "alias_unknown",
	Say: "This is not an address of the account any more."}

// A Removal is everything known about taking an address off an account.
type Removal struct {
	Aliases []Alias // all of the account
	Address discovery.Address
	ByAdmin bool // somebody in the console, not the person

	// Ways are what each confirmed address signs in with: the domain that covers
	// it, or the zero one.
	Ways        map[discovery.Address]Domain
	HasPassword bool
	Linked      []string // the connections that know the person
}

// Decide reports why the address stays, or nil. The primary one always does, so
// an account never loses its last address; nor does it lose its last way in
// (password or federation), nor the one address by which a connection that knows
// the person names them: with the next sign-in it would be back.
func (r Removal) Decide() error {
	i := slices.IndexFunc(r.Aliases, func(a Alias) bool { return a.Address == r.Address })
	if i < 0 {
		return errNoAlias
	}
	gone := r.Aliases[i]
	switch {
	case gone.Primary:
		return &discovery.Error{Kind: discovery.Forbidden, Code: "alias_primary",
			Say: "The primary address cannot be removed. Make another address the primary one first."}
	case gone.Pending():
		return nil
	case r.ByAdmin:
		return &discovery.Error{Kind: discovery.Forbidden, Code: "alias_confirmed",
			Say: "The person has confirmed this address. Only they can remove it."}
	}
	served, wayIn := map[string]bool{}, false
	for _, a := range r.Aliases {
		if a.Pending() || a.Address == r.Address {
			continue
		}
		d := r.Ways[a.Address]
		served[d.Connection] = true
		wayIn = wayIn || d.Connection != "" || r.HasPassword
	}
	if c := r.Ways[r.Address].Connection; c != "" && !served[c] && slices.Contains(r.Linked, c) {
		return &discovery.Error{Kind: discovery.Forbidden, Code: "alias_federated",
			Say: "Your organisation’s own sign-in knows you by this address and would bring it back. It cannot be removed here."}
	}
	if !wayIn {
		return &discovery.Error{Kind: discovery.Forbidden, Code: "alias_last_way",
			Say: "Without this address you could not sign in any more. It cannot be removed."}
	}
	return nil
}

// MayEditAliases reports why actor may not add, send again or remove pending
// addresses of target, or nil: people with a professional licence do it for
// themselves, and those who look after people for others, licensed or not (S17).
// Confirming is nobody's but the person's own. own is actor's licence.
func MayEditAliases(actor, target Account, own Licence, now time.Time) error {
	if actor.ID == target.ID {
		return MayHaveAliases(own, now)
	}
	if !actor.Role.May(EditUsers) {
		return &discovery.Error{Kind: discovery.Forbidden, Code: "permission_missing",
			Say: "Your role in this portal does not allow that. Nothing was changed."}
	}
	if err := MayManage(actor, target); err != nil {
		return err
	}
	if target.Status == Disabled {
		return &discovery.Error{Kind: discovery.Conflict, Code: "account_disabled",
			Say: "This account is disabled. Enable it first."}
	}
	return nil
}

// AliasBuckets are what a mail to a pending address counts against: the mailbox,
// which is spared in silence, and whoever has it sent. Neither is a bucket that
// strangers can fill.
func AliasBuckets(portalID string, a discovery.Address, sender string) (mailbox, mailer Bucket) {
	return Bucket{bucketKey("alias", portalID, a.Clear()), perMailbox},
		Bucket{bucketKey("aliases", portalID, sender), perAliases}
}

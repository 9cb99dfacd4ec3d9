package portal

import (
	"errors"
	"strings"
	"unicode"

	"github.com/domicile-sso/domicile/discovery"
	"github.com/domicile-sso/domicile/federation"
)

// MaySignIn reports why an account cannot be signed in to, or nil. A disabled
// account is refused like a wrong password: the person asks the administrator,
// a stranger learns nothing.
func MaySignIn(s Status) error {
	if s == Active || s == Invited {
		return nil
	}
	return &discovery.Error{Kind: discovery.Forbidden, Code: "account_disabled", Say: sayRefused}
}

const sayRefused = "You cannot sign in here with this account. Please ask the administrator of this portal."

// An Arrival is everything known about somebody whom an IdP has just vouched
// for, gathered before the rule looks at it.
type Arrival struct {
	Identity federation.Identity
	Address  discovery.Address // Identity.Email, normalised; zero when it is no address
	Domain   Domain            // the portal's domain that covers Address
	Known    bool              // there is such a domain

	Linked *Account // by (connection, issuer, subject)

	Holder       *Account // by Address, when it is confirmed or reserved by an invitation
	HolderProven bool     // the holder once showed that the address is theirs
	HolderOther  bool     // the holder is another subject of this issuer at this connection
}

// A Verdict says what to do with an arrival that is let in.
type Verdict struct {
	Account *Account // who it is; nil: make an account
	Link    bool     // remember the identity for Account
	Wipe    bool     // Account never proved its address: drop every secret, session and token made before
	Adopt   bool     // the address is new for Account: confirm it and make it primary
}

// Decide is the rule for every federated sign-in. In this order:
//
//   - The address lies in a domain that is proven for this portal and that is
//     served by this very connection. An IdP speaks for nobody else, whoever
//     the subject is.
//   - Connection, issuer and subject name the account if they are known. The
//     address then only tells that it may have changed.
//   - Otherwise the IdP must have verified the address. Its holder becomes the
//     subject, unless the holder is already somebody at that IdP: the same
//     address with a new subject is a new person until an administrator says
//     otherwise.
//   - Nobody holds it: an account is made where the domain allows that.
//
// Groups and roles an IdP sends decide nothing here.
func (a Arrival) Decide() (Verdict, error) {
	if a.Address.IsZero() {
		return Verdict{}, refused("email_missing")
	}
	if !a.Known || a.Domain.Proven.IsZero() {
		return Verdict{}, refused("domain_not_proven")
	}
	if a.Domain.Connection == "" || a.Domain.Connection != a.Identity.Connection {
		return Verdict{}, refused("domain_other_connection")
	}
	if a.Linked != nil {
		if err := MaySignIn(a.Linked.Status); err != nil {
			return Verdict{}, err
		}
		return Verdict{
			Account: a.Linked,
			Adopt:   a.Identity.EmailVerified && a.Holder == nil && a.Address != a.Linked.Primary,
		}, nil
	}
	if !a.Identity.EmailVerified {
		return Verdict{}, refused("email_unverified")
	}
	if a.Holder == nil {
		if !a.Domain.JIT {
			return Verdict{}, &discovery.Error{Kind: discovery.Forbidden, Code: "not_invited",
				Say: "There is no account for you in this portal yet. Please ask its administrator to invite you."}
		}
		return Verdict{Link: true}, nil
	}
	if err := MaySignIn(a.Holder.Status); err != nil {
		return Verdict{}, err
	}
	if a.HolderOther {
		return Verdict{}, refused("subject_changed")
	}
	return Verdict{Account: a.Holder, Link: true, Wipe: !a.HolderProven}, nil
}

// Alarming is the code of a refusal that says more about the IdP than about the
// person, or "": it has spoken for a domain that is not its own, by mistake or
// because somebody else holds its key. The audit log gets a row of its own for
// that, which an operator can wait for.
func Alarming(err error) string {
	var e *discovery.Error
	if errors.As(err, &e) && (e.Code == "domain_not_proven" || e.Code == "domain_other_connection") {
		return e.Code
	}
	return ""
}

func refused(code string) error {
	return &discovery.Error{Kind: discovery.Forbidden, Code: code, Say: sayRefused}
}

// PersonName keeps a name, from a form or an identity provider, on one line and
// within 100 characters.
func PersonName(s string) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || !unicode.IsPrint(r) && r != ' ' {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, ""))
	s = strings.Join(strings.Fields(s), " ")
	if r := []rune(s); len(r) > 100 {
		s = string(r[:100])
	}
	return s
}

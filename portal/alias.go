package portal

import (
	"time"

	"github.com/domicile-sso/domicile/discovery"
)

// How an address was shown to be its account's. Unproven is an address that an
// invitation reserves and nobody has answered from yet.
type Proof string

const (
	Unproven   Proof = ""
	ByMail     Proof = "mail"     // a token or temporary password sent there was used
	ByIdP      Proof = "idp"      // the connection of its proven domain vouched for it
	ByOperator Proof = "operator" // the operator set the account up
)

// An Alias is an address of an account. Only a confirmed one is found by, and
// at most one account of a portal has it; a pending one reserves nothing.
type Alias struct {
	Account   string
	Address   discovery.Address
	Primary   bool
	Confirmed time.Time // zero: pending (S22)
	Proof     Proof
}

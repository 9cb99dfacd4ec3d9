package portal

// How an address was shown to be its account's. Unproven is an address that an
// invitation reserves and nobody has answered from yet.
type Proof string

const (
	Unproven   Proof = ""
	ByMail     Proof = "mail"     // a token or temporary password sent there was used
	ByIdP      Proof = "idp"      // the connection of its proven domain vouched for it
	ByOperator Proof = "operator" // the operator set the account up
)

package regions

// Code is why a record was refused: a short constant for logs, metrics and
// tests.
type Code string

const (
	Malformed      Code = "malformed"
	TooLarge       Code = "too_large"
	Unsigned       Code = "unsigned"
	WrongAlgorithm Code = "wrong_algorithm"
	WrongType      Code = "wrong_type"
	ForeignKey     Code = "foreign_key"
	BadSignature   Code = "bad_signature"
	Invalid        Code = "invalid" // signed by us, but its content breaks a rule
	NotYet         Code = "not_yet"
	Expired        Code = "expired"

	// The Catalogue's own: the record is good by itself, but a better one is known.
	RolledBack   Code = "rolled_back"          // a lower version than the one in use
	Equivocation Code = "equivocation"         // the version in use, with other content
	Jurisdiction Code = "jurisdiction_changed" // a region does not change its territory
)

// A Refusal is why a region record was not believed.
type Refusal struct {
	Region string // what the record calls itself; not verified, "" when it cannot be read
	Code   Code
	Detail string // for the operator
}

func (r *Refusal) Error() string {
	name := r.Region
	if name == "" {
		name = "(unreadable)"
	}
	return "region record " + name + ": " + string(r.Code) + ": " + r.Detail
}

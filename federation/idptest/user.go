package idptest

// A User is a person one of the small IdPs can sign in.
type User struct {
	Subject    string // stable identifier given to relying parties; the address where empty
	Address    string
	Password   string
	GivenName  string
	FamilyName string
	Groups     []string
}

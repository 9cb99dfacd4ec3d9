package demo

// A Person is somebody to be in the demo.
type Person struct {
	Address, Password, Story string
}

// password is everybody's. In the demo there is nothing to protect and much to
// type.
const password = "try-domicile"

var people = []Person{
	{"ada@acme.example", password, "Acme, EU: through Acme’s SAML identity provider; its owner"},
	{"gus@globex.example", password, "Globex, US: through Globex’s OpenID provider"},
	{"ian@initech.example", password, "Initech, CA: with a password of the portal"},
	{"iris@initech.example", password, "Initech’s owner: the administrator’s console is at /admin"},
	{"uma@umbrella.example", password, "Umbrella, EU: Cloud (portal password) or Domain (Umbrella’s own sign-in)"},
	{"max@consult.example", password, "a guest of Acme, Globex and Initech: chooses between three portals"},
	{"ivy@initech.example", "(in her mail)", "Initech, CA: invited, must replace a temporary password"},
	{"alan@acme.example", password, "Acme, EU: has no account yet; his first sign-in makes one"},
	{"dan@initech.example", password, "Initech, CA: disabled, and refused"},
	{"nobody@nowhere.example", "", "nobody knows this address"},
}

// A Place is a portal of the demo.
type Place struct {
	ID, Name, URL, Region, Jurisdiction, Way string
}

// A territory is a region of the demo.
type territory struct {
	region, jurisdiction, name, zone string
}

var territories = []territory{
	{"eu-central", "EU", "Frankfurt", "eu"},
	{"ca-central", "CA", "Montréal", "ca"},
	{"us-east", "US", "Virginia", "us"},
}

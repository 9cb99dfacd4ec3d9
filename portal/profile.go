package portal

import (
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/nyaruka/phonenumbers"
	"golang.org/x/text/language"

	"github.com/domicile-sso/domicile/discovery"
)

// A Profile is what people, or their administrator, say about themselves (S26,
// S27, S32). It is saved as a whole.
type Profile struct {
	Version    int64 // of the account that was edited
	GivenName  string
	FamilyName string
	Zone       string
	Culture    string
	Language   string
	Cell       string // as typed; checked: E.164
	SMSCountry string
	Protection ReturnProtection
}

// Profile is what the account's person has said so far.
func (a Account) Profile() Profile {
	return Profile{Version: a.Version, GivenName: a.GivenName, FamilyName: a.FamilyName, Zone: a.Zone, Culture: a.Culture,
		Language: a.Language, Cell: a.Cell, SMSCountry: a.SMSCountry, Protection: a.Protection}
}

// With is the account with the profile.
func (a Account) With(p Profile) Account {
	a.GivenName, a.FamilyName, a.Zone, a.Culture, a.Language = p.GivenName, p.FamilyName, p.Zone, p.Culture, p.Language
	a.Cell, a.SMSCountry, a.Protection = p.Cell, p.SMSCountry, p.Protection
	return a
}

// Changed names the members in which two profiles differ, as the columns are
// called.
func (p Profile) Changed(from Profile) []string {
	var names []string
	for _, m := range []struct {
		name string
		same bool
	}{
		{"given_name", p.GivenName == from.GivenName},
		{"family_name", p.FamilyName == from.FamilyName},
		{"zone", p.Zone == from.Zone},
		{"culture", p.Culture == from.Culture},
		{"language", p.Language == from.Language},
		{"cell", p.Cell == from.Cell},
		{"sms_country", p.SMSCountry == from.SMSCountry},
		{"return_protection", p.Protection == from.Protection},
	} {
		if !m.same {
			names = append(names, m.name)
		}
	}
	return names
}

// Mistakes are all that is wrong with a form, in the order of its fields.
type Mistakes []*discovery.Error

func (m Mistakes) Error() string {
	all := make([]string, len(m))
	for i, e := range m {
		all[i] = e.Error()
	}
	return strings.Join(all, "; ")
}

// Unwrap makes the first mistake speak for all of them.
func (m Mistakes) Unwrap() []error {
	all := make([]error, len(m))
	for i, e := range m {
		all[i] = e
	}
	return all
}

// maxName is how many characters a name may have.
const maxName = 100

// Check puts a profile into the form that is stored, or reports all that is
// wrong with it as [Mistakes]. licence is the one of the account that is in force;
// what is stored already and takes a better one may stay, and rests.
func (p Profile) Check(licence Licence, stored Profile) (Profile, error) {
	var m Mistakes
	wrong := func(err error) {
		if e, ok := err.(*discovery.Error); ok {
			m = append(m, e)
		}
	}
	for _, n := range []struct{ field, name string }{{"given_name", p.GivenName}, {"family_name", p.FamilyName}} {
		if utf8.RuneCountInString(n.name) > maxName {
			wrong(badProfile(n.field, "name_long", "A name may have at most 100 characters."))
		}
	}
	p.GivenName, p.FamilyName = PersonName(p.GivenName), PersonName(p.FamilyName)
	if p.Zone != "" {
		zone, ok := FindZone(p.Zone)
		if !ok {
			wrong(badProfile("zone", "zone_unknown", "This is not a time zone we know. Choose one of the list, such as Europe/Zurich."))
		} else {
			p.Zone = zone
		}
	}
	if !wellFormedTag(p.Culture) {
		wrong(badProfile("culture", "culture_unknown", "Choose one of the ways to write dates."))
	}
	if !wellFormedTag(p.Language) {
		wrong(badProfile("language", "language_unknown", "Choose one of the languages."))
	}
	var err error
	if p.SMSCountry != "" && !slices.Contains(CellCountries(), p.SMSCountry) {
		wrong(badProfile("sms_country", "country_unknown", "Choose one of the countries."))
	} else if p.Cell, err = ParseCell(p.Cell, p.SMSCountry); err != nil {
		wrong(err)
	}
	if err := MayProtectReturns(licence, p.Protection); err != nil && p.Protection != stored.Protection {
		wrong(err)
	}
	if len(m) > 0 {
		return p, m
	}
	return p, nil
}

func badProfile(field, code, say string) error {
	return &discovery.Error{Kind: discovery.Invalid, Field: field, Code: code, Say: say}
}

// wellFormedTag reports whether s could name a language or a culture, or is
// empty. Which of them there are, the pages know.
func wellFormedTag(s string) bool {
	if s == "" {
		return true
	}
	t, err := language.Parse(s)
	return err == nil && len(s) <= 16 && t.String() == s
}

// MayProtectReturns reports why replies cannot be protected in this way, or nil
// (S26).
func MayProtectReturns(l Licence, p ReturnProtection) error {
	switch p {
	case NoProtection:
		return nil
	case SMSProtection, MicrosoftProtection:
		if l.Has(Pro) {
			return nil
		}
		return &discovery.Error{Kind: discovery.Forbidden, Field: "return_protection", Code: "protection_unlicensed",
			Say: "Return protection needs a Pro licence. Ask your administrator for one."}
	}
	return badProfile("return_protection", "protection_unknown", "Choose one of the ways to protect replies.")
}

// ParseCell reads a cell number, typed as people in country do or beginning with
// a plus sign, into E.164. An empty one is none. Errors name the field "cell".
func ParseCell(typed, country string) (e164 string, err error) {
	typed = strings.TrimSpace(typed)
	if typed == "" {
		return "", nil
	}
	bad := func(code, say string) (string, error) { return typed, badProfile("cell", code, say) }
	if len(typed) > 40 || strings.Trim(typed, "0123456789 -()./+\u00a0\u202f\u2011") != "" {
		return bad("cell_characters", "A cell number has digits, blanks and hyphens only.")
	}
	if country == "" && !strings.HasPrefix(typed, "+") {
		return bad("cell_country", "Begin with a plus sign and the number of the country, or choose a default country for text messages.")
	}
	n, err := phonenumbers.Parse(typed, country)
	if err != nil || !phonenumbers.IsValidNumber(n) {
		return bad("cell_invalid", "This is not a complete telephone number. Check its digits, and the country.")
	}
	switch phonenumbers.GetNumberType(n) {
	case phonenumbers.MOBILE, phonenumbers.FIXED_LINE_OR_MOBILE, phonenumbers.PERSONAL_NUMBER:
	default:
		return bad("cell_no_mobile", "This number cannot receive text messages. Enter the number of a cell phone.")
	}
	return phonenumbers.Format(n, phonenumbers.E164), nil
}

// CellText is a stored cell number as people read it: "+41 78 123 45 67".
func CellText(e164 string) string {
	n, err := phonenumbers.Parse(e164, "")
	if err != nil {
		return e164
	}
	return phonenumbers.Format(n, phonenumbers.INTERNATIONAL)
}

// CellCountries are the countries whose cell numbers are known, by their ISO
// 3166-1 codes.
func CellCountries() []string {
	var all []string
	for code := range phonenumbers.GetSupportedRegions() {
		if len(code) == 2 {
			all = append(all, code)
		}
	}
	slices.Sort(all)
	return all
}

// CountryCallingCode is what numbers of a country begin with: 41.
func CountryCallingCode(country string) int { return phonenumbers.GetCountryCodeForRegion(country) }

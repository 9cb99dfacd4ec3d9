package discovery

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/publicsuffix"

	"github.com/domicile-sso/domicile/regions"
)

// Limits of what a region may claim.
const (
	maxID   = 40
	maxName = 120
)

// CheckID reports why s cannot be the ID of a portal: it must be 1 to 40
// lower-case letters, digits and inner hyphens.
func CheckID(s string) error {
	if s == "" || len(s) > maxID || s[0] == '-' || s[len(s)-1] == '-' {
		return fmt.Errorf("an ID has 1 to %d letters, digits and inner hyphens", maxID)
	}
	for i := 0; i < len(s); i++ {
		if c := s[i]; !('a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '-') {
			return errors.New("an ID has only lower-case letters, digits and hyphens")
		}
	}
	return nil
}

// Check reports why p cannot be claimed, whoever claims it. That its URL is
// a bare origin which the region's record covers is for regions.Record.Allows
// to say.
func (p Portal) Check() error {
	if err := CheckID(p.ID); err != nil {
		return err
	}
	if p.Name == "" || utf8.RuneCountInString(p.Name) > maxName || !printable(p.Name) {
		return fmt.Errorf("a portal's name is 1 to %d printable characters", maxName)
	}
	if p.Disclosure != Listed && p.Disclosure != Proven {
		return fmt.Errorf("disclosure is %q or %q", Listed, Proven)
	}
	return p.checkStandbys()
}

func (p Portal) checkStandbys() error {
	if len(p.Standbys) > regions.MaxStandbys {
		return fmt.Errorf("a portal has at most %d standbys", regions.MaxStandbys)
	}
	for i, s := range p.Standbys {
		if err := CheckID(s.Region); err != nil {
			return fmt.Errorf("standby: %w", err)
		}
		if regions.CheckOrigin(s.URL) != nil {
			return errors.New("a standby's URL is a bare origin, such as https://acme.eu-west.example.com") // CheckOrigin repeats it
		}
		if s.Region == p.Region || s.URL == p.URL {
			return errors.New("a standby is another region, at another URL")
		}
		if slices.ContainsFunc(p.Standbys[:i], func(o Standby) bool { return o.Region == s.Region || o.URL == s.URL }) {
			return errors.New("a standby is named once")
		}
	}
	return nil
}

// printable refuses control characters, and the bidirectional overrides that
// let one name look like another in the chooser.
func printable(s string) bool {
	if !utf8.ValidString(s) {
		return false
	}
	for _, r := range s {
		if !unicode.IsPrint(r) {
			return false // format characters are not printable either
		}
	}
	return true
}

// Check reports why r cannot be claimed, whoever claims it.
func (r Route) Check() error {
	if err := CheckID(r.Portal); err != nil {
		return err
	}
	if r.Connection != "" {
		if err := CheckID(r.Connection); err != nil {
			return fmt.Errorf("connection: %w", err)
		}
	}
	if err := checkSignIn(r.SignIn); err != nil {
		return err
	}
	return Routable(r.Domain)
}

// Check reports why e cannot be claimed, whoever claims it.
func (e Entry) Check() error {
	if err := CheckID(e.Portal); err != nil {
		return err
	}
	if e.Blind == (BlindID{}) {
		return errors.New("an entry has a blind ID")
	}
	return checkSignIn(e.SignIn)
}

func checkSignIn(ways []SignIn) error {
	if len(ways) == 0 || len(ways) > 3 {
		return errors.New("one to three ways to sign in")
	}
	for i, w := range ways {
		if w != Password && w != SAML && w != OIDC {
			return fmt.Errorf("a way to sign in is %q, %q or %q", Password, SAML, OIDC)
		}
		if slices.Contains(ways[:i], w) {
			return fmt.Errorf("the way to sign in %q is given twice", w)
		}
	}
	return nil
}

// Routable reports why no portal may be given the whole of a domain, which must
// be in the form that ParseRouteDomain returns: it belongs to no one
// organisation (a public suffix, or a provider where anyone gets an address).
// The error is an *Error of Kind Invalid for the field "domain".
func Routable(domain string) error {
	normal, err := ParseRouteDomain(domain)
	if err != nil {
		return err
	}
	if normal != domain {
		return badDomain("domain_not_normalised")
	}
	base, wild := strings.CutPrefix(domain, "*.")
	suffix, icann := publicsuffix.PublicSuffix(base)
	if base == suffix && (icann || wild) {
		// A private suffix (github.io) has an owner, who may route the name
		// itself; what lies below it belongs to others.
		return &Error{Kind: Invalid, Field: "domain", Code: "domain_public_suffix",
			Say: "Anybody can register names under that domain, so it cannot lead to one portal. Use the organisation's own domain."}
	}
	for d := base; d != ""; {
		if _, free := slices.BinarySearch(freemail, d); free {
			return &Error{Kind: Invalid, Field: "domain", Code: "domain_freemail",
				Say: "Anybody can get an address in that domain, so it cannot lead to one portal. Invite these people one by one."}
		}
		_, d, _ = strings.Cut(d, ".")
	}
	return nil
}

// freemail lists, sorted, the providers where anyone gets an address.
var freemail = []string{
	"126.com", "139.com", "163.com", "aim.com", "aol.com", "att.net", "bellsouth.net", "bluewin.ch",
	"bol.com.br", "btinternet.com", "charter.net", "comcast.net", "cox.net", "daum.net", "fastmail.com",
	"fastmail.fm", "foxmail.com", "free.fr", "freenet.de", "gmail.com", "gmx.at", "gmx.ch", "gmx.com",
	"gmx.de", "gmx.net", "googlemail.com", "hanmail.net", "hey.com", "hotmail.ca", "hotmail.co.uk",
	"hotmail.com", "hotmail.de", "hotmail.es", "hotmail.fr", "hotmail.it", "hushmail.com", "icloud.com",
	"inbox.ru", "interia.pl", "laposte.net", "libero.it", "list.ru", "live.ca", "live.co.uk", "live.com",
	"live.fr", "live.nl", "mac.com", "mail.com", "mail.ru", "mailbox.org", "me.com", "msn.com", "naver.com",
	"ntlworld.com", "o2.pl", "onet.pl", "orange.fr", "outlook.com", "outlook.de", "outlook.es", "outlook.fr",
	"pm.me", "posteo.de", "proton.me", "protonmail.ch", "protonmail.com", "qq.com", "rambler.ru",
	"rediffmail.com", "rocketmail.com", "rogers.com", "sbcglobal.net", "seznam.cz", "sfr.fr", "shaw.ca",
	"sina.com", "sky.com", "sympatico.ca", "t-online.de", "telus.net", "tuta.com", "tuta.io", "tutanota.com",
	"uol.com.br", "verizon.net", "videotron.ca", "virgilio.it", "wanadoo.fr", "web.de", "wp.pl", "yahoo.ca",
	"yahoo.co.in", "yahoo.co.jp", "yahoo.co.uk", "yahoo.com", "yahoo.com.br", "yahoo.de", "yahoo.es",
	"yahoo.fr", "yahoo.it", "yandex.com", "yandex.ru", "yeah.net", "ymail.com", "zoho.com",
}

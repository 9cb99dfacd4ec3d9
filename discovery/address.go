package discovery

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"unicode/utf8"
	"unique"

	"golang.org/x/net/idna"
)

// redacted is all that logs, formats and encoders ever learn of an Address.
const redacted = "<address>"

// Limits of RFC 5321 section 4.5.3.1, and one of ours: nothing longer than
// maxTyped is looked at, whatever it would shrink to.
const (
	maxTyped   = 1024
	maxAddress = 254
	maxLocal   = 64
	maxDomain  = 253
	maxLabel   = 63
)

// An Address is a normalised e-mail address: a dot-atom local part in ASCII
// with A–Z lowered, and a domain in A-labels. Two addresses are the same person
// to us exactly when they are ==. It formats, logs and encodes as "<address>";
// Clear is the one way to its text.
//
// The text is behind a handle because fmt prints a struct's members, and asks no
// method, for a verb such as %p and inside unexported fields. Handles of equal
// texts are equal.
type Address struct{ text unique.Handle[string] }

// Clear returns the address itself, for the few places that need it: hashing,
// sealing into a ticket, and a region's own database, mail and pages.
func (a Address) Clear() string {
	if a.IsZero() {
		return ""
	}
	return a.text.Value()
}

// IsZero reports whether a is no address at all.
func (a Address) IsZero() bool { return a == Address{} }

// Local is the part before the "@".
func (a Address) Local() string {
	local, _, _ := strings.Cut(a.Clear(), "@")
	return local
}

// Domain is the part after the "@", in A-labels.
func (a Address) Domain() string {
	_, domain, _ := strings.Cut(a.Clear(), "@")
	return domain
}

// Equal reports whether a and b are the same address.
func (a Address) Equal(b Address) bool { return a == b }

func (a Address) String() string               { return redacted }
func (a Address) GoString() string             { return redacted }
func (a Address) Format(f fmt.State, _ rune)   { _, _ = f.Write([]byte(redacted)) }
func (a Address) LogValue() slog.Value         { return slog.StringValue(redacted) }
func (a Address) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// ParseAddress normalises what a person typed. The local part must be an ASCII
// dot-atom (RFC 5321 section 4.1.2) without the characters of source routes;
// the domain goes through UTS 46 once and is an A-label from then on. Blanks
// around the address are dropped, because people paste them. The error is
// always an *Error of Kind Invalid for the field "email".
func ParseAddress(s string) (Address, error) {
	if len(s) > maxTyped {
		return Address{}, badAddress("address_too_long", "That address is too long. Please check it.")
	}
	s = strings.Trim(s, " ")
	if s == "" {
		return Address{}, badAddress("address_empty", "Please enter your e-mail address.")
	}
	at := strings.LastIndexByte(s, '@')
	if at < 0 {
		return Address{}, badAddress("address_no_at", "Please enter the whole address, such as name@company.com.")
	}
	local, code := normalLocal(s[:at])
	if code != "" {
		return Address{}, badAddress(code, sayLocal(code))
	}
	domain, code := normalDomain(s[at+1:])
	if code != "" {
		return Address{}, badAddress(code, sayDomain(code))
	}
	if len(local)+1+len(domain) > maxAddress {
		return Address{}, badAddress("address_too_long", "That address is too long. Please check it.")
	}
	return Address{unique.Make(local + "@" + domain)}, nil
}

// ParseDomain normalises a domain name to A-labels. The error is an *Error of
// Kind Invalid for the field "domain".
func ParseDomain(s string) (string, error) {
	if len(s) > maxTyped {
		return "", badDomain("domain_too_long")
	}
	domain, code := normalDomain(strings.Trim(s, " "))
	if code != "" {
		return "", badDomain(code)
	}
	return domain, nil
}

// ParseRouteDomain is ParseDomain for routes, which may start with "*." to mean
// every subdomain, at any depth, but not the domain itself.
func ParseRouteDomain(s string) (string, error) {
	s = strings.Trim(s, " ")
	rest, wild := strings.CutPrefix(s, "*.")
	domain, err := ParseDomain(rest)
	if err != nil || !wild {
		return domain, err
	}
	if len("*.")+len(domain) > maxDomain {
		return "", badDomain("domain_too_long")
	}
	return "*." + domain, nil
}

// normalLocal lowers A–Z and nothing else: Unicode folding would make one
// person of two (K and the Kelvin sign, i and the dotless one).
func normalLocal(s string) (local, code string) {
	switch {
	case s == "":
		return "", "local_empty"
	case len(s) > maxLocal:
		return "", "local_too_long"
	case s[0] == '.' || s[len(s)-1] == '.' || strings.Contains(s, ".."):
		return "", "local_dots"
	case strings.HasPrefix(s, "=?"):
		return "", "local_encoded"
	}
	upper := false
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case 'A' <= c && c <= 'Z':
			upper = true
		case c == '.' || atext(c):
		case c >= utf8.RuneSelf:
			return "", "local_not_ascii"
		case c == '@':
			return "", "address_many_at"
		case c == ' ':
			return "", "local_blank"
		default:
			return "", "local_character"
		}
	}
	if !upper {
		return s, ""
	}
	return lowerASCII(s), ""
}

// atext is RFC 5322 atext less "%" and "!", which relays once read as routes.
func atext(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' ||
		strings.IndexByte("#$&'*+-/=?^_`{|}~", c) >= 0
}

func lowerASCII(s string) string {
	b := []byte(s)
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			b[i] = c + ('a' - 'A')
		}
	}
	return string(b)
}

// normalDomain maps a domain to A-labels once and then looks only at those.
func normalDomain(s string) (domain, code string) {
	switch {
	case s == "":
		return "", "domain_empty"
	case s[0] == '[':
		return "", "domain_literal"
	case s[len(s)-1] == '.':
		return "", "domain_dots"
	}
	if plain(s) {
		// What UTS 46 does to letters, digits and hyphens of ASCII, without its
		// tables; FuzzParseAddress holds the two together.
		domain = lowerASCII(s)
	} else {
		if !utf8.ValidString(s) {
			return "", "domain_encoding"
		}
		var err error
		if domain, err = idna.Lookup.ToASCII(s); err != nil {
			return "", "domain_characters"
		}
		if !roundTrips(domain) {
			return "", "domain_characters"
		}
	}
	return domain, checkLabels(domain)
}

// plain reports whether s is ASCII and free of A-labels.
func plain(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] >= utf8.RuneSelf {
			return false
		}
		if s[i] == '-' && i >= 3 && s[i-1] == '-' {
			return false // xn-- and its reserved kin: let the tables judge
		}
	}
	return true
}

// roundTrips refuses A-labels that do not stand for the text they decode to,
// which idna lets through in places (GO-2026-5026).
func roundTrips(domain string) bool {
	unicode, err := idna.Lookup.ToUnicode(domain)
	if err != nil {
		return false
	}
	again, err := idna.Lookup.ToASCII(unicode)
	if err != nil || again != domain {
		return false
	}
	// An A-label of nothing but ASCII is a second spelling of a plain one.
	for label := range strings.SplitSeq(domain, ".") {
		if strings.HasPrefix(label, "xn--") {
			if u, err := idna.Lookup.ToUnicode(label); err != nil || isASCII(u) {
				return false
			}
		}
	}
	return true
}

func isASCII(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// checkLabels holds a mapped domain to letters, digits and hyphens, two labels
// or more, and a last label that cannot be part of an IP address.
func checkLabels(domain string) (code string) {
	if len(domain) > maxDomain {
		return "domain_too_long"
	}
	start, labels := 0, 0
	for i := 0; i <= len(domain); i++ {
		if i < len(domain) && domain[i] != '.' {
			c := domain[i]
			if !('a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '-') {
				return "domain_characters"
			}
			continue
		}
		label := domain[start:i]
		switch {
		case label == "":
			return "domain_dots"
		case len(label) > maxLabel:
			return "domain_too_long"
		case label[0] == '-' || label[len(label)-1] == '-':
			return "domain_characters"
		}
		labels++
		if i == len(domain) && label[0] <= '9' {
			return "domain_literal" // no top-level domain starts with a digit
		}
		start = i + 1
	}
	if labels < 2 {
		return "domain_short"
	}
	return ""
}

func badAddress(code, say string) *Error {
	return &Error{Kind: Invalid, Field: "email", Code: code, Say: say}
}

func badDomain(code string) *Error {
	return &Error{Kind: Invalid, Field: "domain", Code: code, Say: sayDomain(code), Err: errDomain}
}

var errDomain = errors.New("not a domain name that mail can use")

//locale:texts
func sayLocal(code string) string {
	switch code {
	case "local_empty":
		return "The part before the “@” is missing."
	case "local_too_long":
		return "The part before the “@” is too long. Please check it."
	case "local_dots":
		return "The part before the “@” has a dot too many."
	case "local_not_ascii":
		return "The part before the “@” may only have unaccented letters, digits and . _ - + and the like. Please type it rather than paste it."
	case "address_many_at":
		return "There is more than one “@”. Please enter one address."
	case "local_blank":
		return "There is a blank inside the address. Please enter the address alone, such as name@company.com."
	}
	return "The part before the “@” has a character that we cannot accept. Please enter the address alone, such as name@company.com."
}

//locale:texts
func sayDomain(code string) string {
	switch code {
	case "domain_empty":
		return "The part after the “@” is missing, such as company.com."
	case "domain_literal":
		return "Please use an address with a domain name after the “@”, not numbers."
	case "domain_dots":
		return "The part after the “@” has a dot too many."
	case "domain_too_long":
		return "The domain name is too long. Please check it."
	case "domain_short":
		return "The domain name is not complete. It should look like company.com."
	}
	return "The domain name has a character that domain names cannot have. Please check the part after the “@”."
}

package regions

import (
	"crypto/ed25519"
	"crypto/hpke"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxVersion is what every JSON reader can count to, and leaves no version without
// a next one: at the end of int64 a region could never be signed again.
const maxVersion = 1<<53 - 1

// MaxStandbys is how many regions may stand in for one.
const MaxStandbys = 4

// check reports the first rule that the content of r breaks, naming the member.
func (r Record) check() error {
	switch {
	case !validRegion(r.Region):
		return errors.New("region: want lower-case letters, digits and hyphens, at most 40")
	case !validJurisdiction(r.Jurisdiction):
		return errors.New("jurisdiction: want upper-case letters, digits and hyphens, 2 to 12")
	case !validName(r.Name):
		return errors.New("name: want 1 to 100 printable characters")
	case r.Version < 1 || r.Version > maxVersion:
		return fmt.Errorf("version: want 1 to %d", int64(maxVersion))
	case !r.Issued.Before(r.Expires):
		return errors.New("expires: want a time after issued")
	case r.Expires.Sub(r.Issued) > maxLife:
		return errors.New("expires: want at most 400 days after issued")
	case len(r.Hosts) == 0:
		return errors.New("hosts: want at least one")
	case len(r.Standbys) > MaxStandbys:
		return fmt.Errorf("standbys: want at most %d", MaxStandbys)
	case len(r.TicketKeys) == 0 || len(r.TicketKeys) > 4:
		return errors.New("ticket_keys: want 1 to 4")
	case len(r.PublishingKeys) == 0 || len(r.PublishingKeys) > 4:
		return errors.New("publishing_keys: want 1 to 4")
	}
	for i, h := range r.Hosts {
		if err := checkPattern(h); err != nil {
			return fmt.Errorf("hosts[%d]: %w", i, err)
		}
		if slices.Contains(r.Hosts[:i], h) {
			return fmt.Errorf("hosts[%d]: %q is there twice", i, h)
		}
	}
	for i, name := range r.Standbys {
		switch {
		case !validRegion(name):
			return fmt.Errorf("standbys[%d]: want the name of a region", i)
		case name == r.Region:
			return fmt.Errorf("standbys[%d]: a region does not stand in for itself", i)
		case slices.Contains(r.Standbys[:i], name):
			return fmt.Errorf("standbys[%d]: %s is there twice", i, name)
		}
	}
	for i, k := range r.TicketKeys {
		if _, err := hpke.MLKEM768X25519().NewPublicKey(k.Public); err != nil {
			return fmt.Errorf("ticket_keys[%d]: not an X25519+ML-KEM-768 public key", i)
		}
		if slices.ContainsFunc(r.TicketKeys[:i], func(o TicketKey) bool { return o.ID == k.ID }) {
			return fmt.Errorf("ticket_keys[%d]: %s is there twice", i, k.ID)
		}
	}
	for i, k := range r.PublishingKeys {
		if len(k.Public) != ed25519.PublicKeySize {
			return fmt.Errorf("publishing_keys[%d]: not an Ed25519 public key", i)
		}
		if slices.ContainsFunc(r.PublishingKeys[:i], func(o PublishingKey) bool { return o.ID == k.ID }) {
			return fmt.Errorf("publishing_keys[%d]: %s is there twice", i, k.ID)
		}
	}
	return nil
}

func validRegion(s string) bool {
	return len(s) <= 40 && validLabel(s)
}

func validJurisdiction(s string) bool {
	if len(s) < 2 || len(s) > 12 || s[0] == '-' || s[len(s)-1] == '-' {
		return false
	}
	for _, c := range []byte(s) {
		if !(c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-') {
			return false
		}
	}
	return true
}

func validName(s string) bool {
	if s == "" || len(s) > 400 || utf8.RuneCountInString(s) > 100 || !utf8.ValidString(s) || strings.TrimSpace(s) != s {
		return false
	}
	return !strings.ContainsFunc(s, func(c rune) bool { return !unicode.IsPrint(c) })
}

// validLabel is one label of a host name.
func validLabel(s string) bool {
	if s == "" || len(s) > 63 || s[0] == '-' || s[len(s)-1] == '-' {
		return false
	}
	for _, c := range []byte(s) {
		if !(c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '-') {
			return false
		}
	}
	return true
}

// validHost is a host name in lower-case A-labels. Addresses in numbers are
// not host names: their last label is a number.
func validHost(s string) bool {
	if len(s) > 253 {
		return false
	}
	labels := strings.Split(s, ".")
	for _, l := range labels {
		if !validLabel(l) {
			return false
		}
	}
	last := labels[len(labels)-1]
	return last[0] < '0' || last[0] > '9'
}

func validPort(s string) bool {
	n, err := strconv.Atoi(s)
	return err == nil && n >= 1 && n <= 65535 && strconv.Itoa(n) == s
}

func isLocal(host string) bool {
	return host == "localhost" || strings.HasSuffix(host, ".localhost")
}

// checkPattern checks one entry of Record.Hosts.
func checkPattern(pattern string) error {
	host, port, hasPort := strings.Cut(pattern, ":")
	if hasPort && !validPort(port) {
		return fmt.Errorf("%q: want a port of 1 to 65535 after the colon", pattern)
	}
	base, wild := strings.CutPrefix(host, "*.")
	if !validHost(base) {
		return fmt.Errorf("%q: want a host name in lower case, or one after \"*.\"", pattern)
	}
	// "*.com" would hand a region the whole of it.
	if wild && !strings.Contains(base, ".") && base != "localhost" {
		return fmt.Errorf("%q: want at least two labels after \"*.\"", pattern)
	}
	return nil
}

// Allows reports why a portal of this region may not live at portalURL, or nil.
// The URL must pass [CheckOrigin] and its host must be one of r.Hosts, where
// "*." stands for exactly one label. A pattern without a port means the default
// port of the scheme.
func (r Record) Allows(portalURL string) error {
	if err := CheckOrigin(portalURL); err != nil {
		return err
	}
	scheme, authority, _ := strings.Cut(portalURL, "://")
	host, port, _ := strings.Cut(authority, ":")
	for _, pattern := range r.Hosts {
		name, p, _ := strings.Cut(pattern, ":")
		if p == defaultPort(scheme) {
			p = ""
		}
		if p == port && matches(name, host) {
			return nil
		}
	}
	return fmt.Errorf("portal URL %q: not among the hosts signed for region %s", portalURL, r.Region)
}

// CheckOrigin reports why no portal may live at portalURL, in whatever region,
// or nil: it must be a bare origin in its one usual spelling
// ("https://acme.eu.example.com", "http://acme.eu.localhost:8080").
func CheckOrigin(portalURL string) error {
	u, err := url.Parse(portalURL)
	if err != nil || u.Scheme+"://"+u.Host != portalURL {
		return fmt.Errorf("portal URL %q: want a bare origin, such as https://acme.example.com", portalURL)
	}
	host, port, hasPort := strings.Cut(u.Host, ":")
	switch {
	case !validHost(host) || hasPort && !validPort(port):
		return fmt.Errorf("portal URL %q: want a host name in lower case", portalURL)
	case u.Scheme != "https" && !(u.Scheme == "http" && isLocal(host)):
		return fmt.Errorf("portal URL %q: want https", portalURL)
	case port == defaultPort(u.Scheme):
		return fmt.Errorf("portal URL %q: want it without the port that goes without saying", portalURL)
	}
	return nil
}

func defaultPort(scheme string) string {
	switch scheme {
	case "https":
		return "443"
	case "http":
		return "80"
	}
	return ""
}

func matches(pattern, host string) bool {
	base, wild := strings.CutPrefix(pattern, "*.")
	if !wild {
		return pattern == host
	}
	_, rest, ok := strings.Cut(host, ".")
	return ok && rest == base
}

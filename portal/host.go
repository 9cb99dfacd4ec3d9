package portal

import (
	"net/url"
	"slices"
	"strings"

	"github.com/domicile-sso/domicile/discovery"
	"github.com/domicile-sso/domicile/regions"
)

// CheckPortal reports what is wrong with a portal an operator describes, and
// the host its requests will name.
func CheckPortal(p Portal) (host string, err error) {
	if !ValidName(p.ID) {
		return "", invalid("id", "portal_id", "A portal's id consists of a–z, 0–9 and hyphens, 40 at the most.")
	}
	// The front door would refuse the claim, and nobody would find the portal.
	claim := discovery.Portal{ID: p.ID, Name: p.Name, Disclosure: DisclosureOf(p)}
	if strings.TrimSpace(p.Name) == "" || claim.Check() != nil {
		return "", invalid("name", "portal_name", "A portal has a name of at most 120 printable characters.")
	}
	u, err := url.Parse(p.URL)
	if err != nil || u.Host == "" || u.User != nil || u.Scheme+"://"+u.Host != p.URL || u.Host != strings.ToLower(u.Host) {
		return "", invalid("url", "portal_url", "A portal's URL is https:// and a host in small letters, without a path.")
	}
	local := u.Hostname() == "localhost" || strings.HasSuffix(u.Hostname(), ".localhost")
	if u.Scheme != "https" && !(u.Scheme == "http" && local) {
		return "", invalid("url", "portal_url", "A portal's URL starts with https://. Only *.localhost may do without.")
	}
	if err := (regions.Record{Hosts: []string{u.Host}}).Allows(p.URL); err != nil {
		return "", invalid("url", "portal_url", "A portal's URL names a host, not an address in numbers, and no port that goes without saying.")
	}
	if p.Disclosure != "" && p.Disclosure != discovery.Listed && p.Disclosure != discovery.Proven {
		return "", invalid("disclosure", "portal_disclosure", "The disclosure is listed or proven.")
	}
	if err := checkStandbys(p); err != nil {
		return "", err
	}
	return u.Host, nil
}

// checkStandbys: what the front door would refuse is refused here.
func checkStandbys(p Portal) error {
	if len(p.Standbys) > regions.MaxStandbys {
		return invalid("standby", "portal_standby", "A portal has at most %d standbys.", regions.MaxStandbys)
	}
	for i, s := range p.Standbys {
		if !ValidName(s.Region) {
			return invalid("standby", "portal_standby", "A standby is the name of a region, an equals sign and a URL, such as eu-west=https://acme.eu-west.example.com.")
		}
		if err := regions.CheckOrigin(s.URL); err != nil {
			return invalid("standby", "portal_standby", "A standby's URL is https:// and a host in small letters, without a path. Only *.localhost may do without https.")
		}
		if s.URL == p.URL || slices.ContainsFunc(p.Standbys[:i], func(o discovery.Standby) bool { return o.Region == s.Region || o.URL == s.URL }) {
			return invalid("standby", "portal_standby", "Each standby is another region, at another URL.")
		}
	}
	return nil
}

// HostOf is the host of an origin, as requests name it.
func HostOf(origin string) string {
	_, host, _ := strings.Cut(origin, "://")
	return host
}

package web

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/domicile-sso/domicile/discovery"
)

// The link relation and properties of our WebFinger answers.
const (
	relPortal        = "urn:domicile:rel:portal"
	propID           = "urn:domicile:portal"
	propRegion       = "urn:domicile:region"
	propJurisdiction = "urn:domicile:jurisdiction"
	propStatus       = "urn:domicile:status" // absent: served where it lives; see status
)

// resourceDescriptor is a JRD (RFC 7033 section 4.4).
type resourceDescriptor struct {
	Subject string `json:"subject"`
	Links   []link `json:"links"`
}

type link struct {
	Rel        string            `json:"rel"`
	Href       string            `json:"href"`
	Titles     map[string]string `json:"titles,omitempty"`
	Properties map[string]string `json:"properties,omitempty"`
}

// webFinger answers for the domain of an address, never for the person: the
// local part is checked for form and then forgotten, and the subject of the
// answer is the domain.
func (s *Site) webFinger(w http.ResponseWriter, r *http.Request) error {
	w.Header().Set("Access-Control-Allow-Origin", "*") // RFC 7033 section 5
	if err := s.allow(r, "webfinger"); err != nil {
		return err
	}
	q, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil || len(q["resource"]) != 1 {
		return s.invalid("webfinger", &discovery.Error{Kind: discovery.Invalid, Field: "resource", Code: "resource_missing",
			Say: "Give one resource, such as acct:name@company.com."})
	}
	scheme, typed, _ := strings.Cut(q.Get("resource"), ":")
	if scheme = strings.ToLower(scheme); scheme != "acct" && scheme != "mailto" {
		return s.invalid("webfinger", &discovery.Error{Kind: discovery.Invalid, Field: "resource", Code: "resource_scheme",
			Say: "Give a resource that starts with acct: or mailto:."})
	}
	a, err := discovery.ParseAddress(typed)
	if err != nil {
		return s.invalid("webfinger", &discovery.Error{Kind: discovery.Invalid, Field: "resource", Code: "resource_address",
			Say: "The resource is not an e-mail address."})
	}
	found, err := s.Resolver.Domain(a.Domain(), s.proved(r)...)
	s.lookups.WithLabelValues("webfinger", outcome(len(found), err)).Inc()
	s.noteStale("webfinger")
	switch {
	case err != nil:
		return err
	case len(found) == 0:
		return &discovery.Error{Kind: discovery.NotFound, Code: "resource_unknown"}
	}
	return writeJSON(w, r, "application/jrd+json", descriptor(a.Domain(), found, q["rel"]))
}

// descriptor keeps the links whose relation was asked for; all when none was.
func descriptor(domain string, found []discovery.Destination, rels []string) resourceDescriptor {
	d := resourceDescriptor{Subject: "dns:" + domain, Links: []link{}}
	if len(rels) > 0 && !slices.Contains(rels, relPortal) {
		return d
	}
	for _, f := range found {
		properties := map[string]string{propID: f.Portal.ID, propRegion: f.Region.Region, propJurisdiction: f.Jurisdiction()}
		if now := status(f); now != "" {
			properties[propStatus] = now
		}
		d.Links = append(d.Links, link{
			Rel: relPortal, Href: f.Portal.URL + "/login",
			Titles: map[string]string{"und": f.Portal.Name}, Properties: properties,
		})
	}
	return d
}

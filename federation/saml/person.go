package saml

import (
	"slices"
	"strings"
	"unicode"

	"github.com/beevik/etree"

	"github.com/domicile-sso/domicile/federation"
)

const (
	formatTransient = "urn:oasis:names:tc:SAML:2.0:nameid-format:transient"
	formatEmail     = "urn:oasis:names:tc:SAML:1.1:nameid-format:emailAddress"

	maxSubject = 1024
	maxValue   = 1024 // of an attribute that is mapped; others may be as long as they like
	maxGroups  = 2000
)

// The attributes looked for when the connection's mapping names none, most
// specific first. Names are compared exactly and FriendlyName never counts:
// whoever may set one attribute at an IdP could call it by another's friendly
// name (CVE-2025-46573).
var (
	emailNames = []string{
		"http://schemas.xmlsoap.org/ws/2005/05/identity/claims/emailaddress",
		"urn:oid:0.9.2342.19200300.100.1.3",
		"urn:mace:dir:attribute-def:mail",
		"mail", "email", "Email", "emailAddress", "emailaddress", "user.email",
	}
	displayNames = []string{
		"http://schemas.microsoft.com/identity/claims/displayname",
		"urn:oid:2.16.840.1.113730.3.1.241",
		"urn:mace:dir:attribute-def:displayName",
		"displayName", "displayname", "name",
	}
	givenNames = []string{
		"http://schemas.xmlsoap.org/ws/2005/05/identity/claims/givenname",
		"urn:oid:2.5.4.42",
		"urn:mace:dir:attribute-def:givenName",
		"givenName", "givenname", "firstName", "first_name", "given_name",
	}
	familyNames = []string{
		"http://schemas.xmlsoap.org/ws/2005/05/identity/claims/surname",
		"urn:oid:2.5.4.4",
		"urn:mace:dir:attribute-def:sn",
		"sn", "surname", "lastName", "last_name", "family_name",
	}
	groupNames = []string{
		"http://schemas.microsoft.com/ws/2008/06/identity/claims/groups",
		"http://schemas.xmlsoap.org/claims/Group",
		"urn:oid:1.3.6.1.4.1.5923.1.5.1.1",
		"memberOf", "groups", "Groups", "group",
	}
	// SAML V2.0 Subject Identifier Attributes 1.0: what a stable identifier is
	// called by IdPs whose NameID is made anew each time.
	subjectNames = []string{
		"urn:oasis:names:tc:SAML:attribute:pairwise-id",
		"urn:oasis:names:tc:SAML:attribute:subject-id",
	}
)

// readPerson fills in who the assertion is about.
func readPerson(assertion *etree.Element, m federation.Mapping, identity *federation.Identity) error {
	attributes, err := readAttributes(assertion)
	if err != nil {
		return err
	}
	nameID := child(child(assertion, "a:Subject"), "a:NameID")
	if identity.Subject, err = subject(nameID, attributes); err != nil {
		return err
	}
	for _, f := range []struct {
		into  *string
		name  string
		usual []string
	}{
		{&identity.Email, m.Email, emailNames},
		{&identity.Name, m.Name, displayNames},
		{&identity.GivenName, m.GivenName, givenNames},
		{&identity.FamilyName, m.FamilyName, familyNames},
	} {
		values, err := attributes.mapped(f.name, f.usual)
		if err != nil {
			return err
		}
		if len(values) > 0 {
			*f.into = values[0]
		}
	}
	if identity.Email == "" && m.Email == "" && attrOr(nameID, "Format") == formatEmail {
		identity.Email = text(nameID)
	}
	if identity.Groups, err = attributes.mapped(m.Groups, groupNames); err != nil {
		return err
	}
	if len(identity.Groups) > maxGroups {
		return tooLarge("groups")
	}
	return nil
}

// subject is the identifier under which the IdP will know the person next
// time. A transient NameID is not one: it would make a new account at every
// sign-in. It is let through only beside a subject identifier attribute, which
// then is the subject, with its name in front so that no NameID can equal it.
func subject(nameID *etree.Element, attributes attributes) (string, error) {
	value, code := text(nameID), "subject"
	if nameID == nil || attrOr(nameID, "Format") == formatTransient {
		value = ""
		if nameID != nil {
			code = "subject_transient"
		}
		for _, n := range subjectNames {
			if v := attributes[n]; len(v) == 1 {
				value = n + " " + v[0]
				break
			}
		}
	}
	if value == "" || len(value) > maxSubject || hasControl(value) {
		return "", refuse(code)
	}
	return value, nil
}

// attributes by their exact Name.
type attributes map[string][]string

// readAttributes refuses a Name that comes twice: two readers would take two
// different ones.
func readAttributes(assertion *etree.Element) (attributes, error) {
	all := attributes{}
	for _, statement := range children(assertion, "a:AttributeStatement") {
		for _, a := range children(statement, "a:Attribute") {
			name := attrOr(a, "Name")
			if _, twice := all[name]; twice || name == "" {
				return nil, refuse("attribute_duplicate")
			}
			var values []string
			for _, v := range children(a, "a:AttributeValue") {
				if s := text(v); s != "" {
					values = append(values, s)
				}
			}
			all[name] = values
		}
	}
	return all, nil
}

// mapped gives the values of the attribute called name or, where name is
// empty, of the first of the usual names that has any.
func (a attributes) mapped(name string, usual []string) ([]string, error) {
	if name != "" {
		usual = []string{name}
	}
	for _, n := range usual {
		values := a[n]
		if len(values) == 0 {
			continue
		}
		if slices.ContainsFunc(values, func(v string) bool { return len(v) > maxValue || hasControl(v) }) {
			return nil, refuse("attribute_value")
		}
		return values, nil
	}
	return nil, nil
}

func hasControl(s string) bool { return strings.ContainsFunc(s, unicode.IsControl) }

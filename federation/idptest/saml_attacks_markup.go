package idptest

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/beevik/etree"
)

// Above these a service provider may answer that it is too much.
const (
	SAMLMaxMessage  = 256 << 10
	SAMLMaxElements = 5000
	SAMLGroups      = 1500 // group values that must be let in
)

// samlMarkup is what two XML parsers read differently.
func samlMarkup() []SAMLAttack {
	comment := func(path string) func(*etree.Element) {
		return func(r *etree.Element) { r.FindElement(path).CreateComment("x") }
	}
	var list []SAMLAttack
	for _, path := range []string{atNameID, atValue, "./Assertion/Issuer", "./Issuer", atAudience} {
		list = append(list,
			SAMLAttack{ID: "SAM-20", Name: "comment before signing in " + path, Code: "xml_comment", Build: edited(comment(path))},
			SAMLAttack{ID: "SAM-20", Name: "comment after signing in " + path, Code: "xml_comment", Build: tampered(comment(path))})
	}
	child := func(path string) func(*etree.Element) {
		return func(r *etree.Element) { r.FindElement(path).CreateElement("b") }
	}
	for _, path := range []string{"./Assertion/Signature/SignatureValue", atInfo + "/Reference/DigestValue", "./Assertion/Signature/KeyInfo/X509Data/X509Certificate"} {
		list = append(list,
			SAMLAttack{ID: "SAM-24", Name: "comment in " + path, Code: "xml_comment", Build: tampered(comment(path))},
			SAMLAttack{ID: "SAM-24", Name: "child in " + path, Code: "element", Build: tampered(child(path))})
	}
	front := func(s string) func(SAMLScene) (string, error) {
		return rewritten(func(text string) string { return s + text })
	}
	declared := func(encoding string) func(SAMLScene) (string, error) {
		return front(`<?xml version="1.0" encoding="` + encoding + `"?>`)
	}
	entity := func(dtd, use string) func(SAMLScene) (string, error) {
		return rewritten(func(text string) string {
			return "<!DOCTYPE r [" + dtd + "]>" + strings.Replace(text, "</saml:NameID>", use+"</saml:NameID>", 1)
		})
	}
	return append(list, []SAMLAttack{
		{ID: "SAM-21", Name: "child element in NameID", Code: "element", Build: edited(child(atNameID))},
		{ID: "SAM-21", Name: "CDATA in NameID", Code: "xml_cdata", Build: edited(func(r *etree.Element) { r.FindElement(atNameID).CreateCData("x") })},
		{ID: "SAM-21", Name: "processing instruction in NameID", Code: "xml_instruction", Build: edited(func(r *etree.Element) { r.FindElement(atNameID).CreateProcInst("x", "y") })},
		{ID: "SAM-25", Name: "DOCTYPE", Code: "xml_doctype", Build: front("<!DOCTYPE Response>")},
		{ID: "SAM-25", Name: "ATTLIST that redefines xmlns", Code: "xml_doctype", Build: front(`<!DOCTYPE r [<!ATTLIST Assertion xmlns CDATA "urn:x">]>`)},
		{ID: "SAM-31", Name: "billion laughs", Code: "xml_doctype", Build: entity(`<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">`, "&b;")},
		{ID: "SAM-31", Name: "external entity: file", Code: "xml_doctype", Build: entity(`<!ENTITY x SYSTEM "file:///etc/passwd">`, "&x;")},
		{ID: "SAM-31", Name: "external entity: http", Code: "xml_doctype", Build: entity(`<!ENTITY x SYSTEM "http://127.0.0.1:9/">`, "&x;")},
		{ID: "SAM-31", Name: "undeclared entity", Code: "xml_syntax", Build: replaced("</saml:NameID>", "&x;</saml:NameID>")},

		{ID: "SAM-29", Name: "second root", Code: "xml_root", Build: rewritten(func(text string) string { return text + text })},
		{ID: "SAM-29", Name: "element behind", Code: "xml_root", Build: rewritten(func(text string) string { return text + "<x/>" })},
		{ID: "SAM-29", Name: "text behind", Code: "xml_root", Build: rewritten(func(text string) string { return text + "x" })},
		{ID: "SAM-29", Name: "closing tag behind", Code: "xml_syntax", Build: rewritten(func(text string) string { return text + "</x>" })},
		{ID: "SAM-29", Name: "byte order mark", Code: "xml_encoding", Build: front("\uFEFF")},
		{ID: "SAM-29", Name: "cut short", Code: "xml_syntax", Build: rewritten(func(text string) string { return text[:len(text)-5] })},
		{ID: "SAM-29", Name: "declaration that is not at the start", Code: "xml_instruction", Build: front("\n<?xml version=\"1.0\"?>")},
		{ID: "SAM-30", Name: "called UTF-16", Code: "xml_syntax", Build: declared("UTF-16")},
		{ID: "SAM-30", Name: "called UTF-7", Code: "xml_syntax", Build: declared("UTF-7")},
		{ID: "SAM-30", Name: "called ISO-8859-1", Code: "xml_syntax", Build: declared("ISO-8859-1")},
		{ID: "SAM-30", Name: "called UTF-16 with blanks", Code: "xml_instruction", Build: front(`<?xml version="1.0" encoding = "UTF-16"?>`)},
		{ID: "SAM-30", Name: "invalid UTF-8", Code: "xml_encoding", Build: replaced("</saml:NameID>", "\xff</saml:NameID>")},
		{ID: "SAM-30", Name: "surrogate in UTF-8", Code: "xml_encoding", Build: replaced("</saml:NameID>", "\xed\xa0\x80</saml:NameID>")},
		{ID: "SAM-30", Name: "NUL", Code: "xml_encoding", Build: replaced("</saml:NameID>", "\x00</saml:NameID>")},
		{ID: "SAM-30", Name: "NUL by reference", Code: "xml_syntax", Build: replaced("</saml:NameID>", "&#0;</saml:NameID>")},
		{ID: "SAM-30", Name: "UTF-8 declared", Accept: true, Build: declared("utf-8")},
		{Name: "empty", Code: "response_missing", Build: func(SAMLScene) (string, error) { return "", nil }},
		{Name: "not XML", Code: "xml_root", Build: raw("hello")},
		{Name: "nothing but a declaration", Code: "xml_root", Build: raw(`<?xml version="1.0"?>`)},
		{Name: "not a Response", Code: "xml_root", Build: raw(`<a/>`)},
		{ID: "SAM-82", Name: "base64 with junk", Code: "response_base64", Build: func(s SAMLScene) (string, error) {
			text, err := s.IdP.Mint(s.To, SAMLMint{User: s.User})
			return text[:40] + "!-" + text[40:], err
		}},
		{ID: "SAM-82", Name: "base64 in lines", Accept: true, Build: func(s SAMLScene) (string, error) {
			text, err := s.IdP.Mint(s.To, SAMLMint{User: s.User})
			return text[:76] + "\r\n" + text[76:], err
		}},
	}...)
}

// samlNames is about namespaces and IDs.
func samlNames() []SAMLAttack {
	foreign := func(path string) func(*etree.Element) {
		return func(r *etree.Element) {
			el := r.FindElement(path)
			el.Space = "evil"
			el.CreateAttr("xmlns:evil", "urn:x")
		}
	}
	var list []SAMLAttack
	for _, path := range []string{atNameID, atValue, atAudience, atData, atClassRef, atConditions, "./Assertion/Issuer"} {
		id := "SAM-23"
		if path == atNameID {
			id = "SAM-22"
		}
		list = append(list, SAMLAttack{ID: id, Name: "foreign " + path, Code: "element", Build: edited(foreign(path))})
	}
	const nameID, response = "<saml:NameID ", "<samlp:Response "
	return append(list, []SAMLAttack{
		{ID: "SAM-26", Name: "tag of colons", Code: "xml_syntax", Build: replaced("</saml:Subject>", "<::x/></saml:Subject>")},
		{ID: "SAM-26", Name: "tag that begins with a colon", Code: "xml_name", Build: replaced("</saml:Subject>", "<:x/></saml:Subject>")},
		{ID: "SAM-26", Name: "attribute that begins with a colon", Code: "xml_name", Build: replaced(nameID, nameID+`:a="b" `)},
		{ID: "SAM-26", Name: "digit behind the colon", Code: "xml_name", Build: replaced(nameID, nameID+`saml:1a="b" `)},
		{ID: "SAM-26", Name: "xmlns twice", Code: "xml_namespace", Build: replaced(response, response+`xmlns:samlp="urn:x" `)},
		{ID: "SAM-26", Name: "attribute twice", Code: "xml_attributes", Build: replaced(nameID, nameID+`Format="x" `)},
		{ID: "SAM-26", Name: "attribute twice by two prefixes", Code: "xml_attributes", Build: replaced(nameID, nameID+`xmlns:y="urn:x" xmlns:z="urn:x" y:a="1" z:a="2" `)},
		{ID: "SAM-26", Name: "undeclared prefix", Code: "xml_name", Build: replaced(nameID, nameID+`nobody:a="b" `)},
		{ID: "SAM-26", Name: "xmlns as a prefix of elements", Code: "xml_name", Build: replaced("</saml:Subject>", "<xmlns:x/></saml:Subject>")},
		{ID: "SAM-26", Name: "xml bound to something else", Code: "xml_namespace", Build: replaced(response, response+`xmlns:xml="urn:x" `)},
		{ID: "SAM-27", Name: "relative namespace", Code: "xml_namespace", Build: replaced(response, response+`xmlns:e="1" `)},
		{ID: "SAM-27", Name: "empty namespace", Code: "xml_namespace", Build: replaced(response, response+`xmlns:e="" `)},
		{ID: "SAM-27", Name: "namespace with a blank", Code: "xml_namespace", Build: replaced(response, response+`xmlns:e="urn: x" `)},
		{ID: "SAM-28", Name: "samlp:ID", Code: "id_prefixed", Build: replaced(response, response+`samlp:ID="_x" `)},
		{ID: "SAM-28", Name: "xml:id", Code: "id_prefixed", Build: replaced(nameID, nameID+`xml:id="_x" `)},
		{ID: "SAM-28", Name: "ID twice by prefixes", Code: "id_prefixed", Build: replaced("<saml:Assertion ", `<saml:Assertion xmlns:q="urn:q" q:ID="_x" saml:ID="_y" `)},
		{ID: "SAM-28", Name: "foreign attribute on NameID", Code: "attribute", Build: edited(set(atNameID, "xsi:type", "xs:string"))},
		{ID: "SAM-28", Name: "Id on an element that has none", Code: "attribute", Build: edited(set(atNameID, "Id", "_x"))},
		{ID: "SAM-28", Name: "ID that is no name", Code: "id_invalid", Build: edited(set(".", "ID", "1 2"))},
	}...)
}

// samlSizes is about how much. Groups is what must still be let in.
func samlSizes() []SAMLAttack {
	nested := func(n int) func(SAMLScene) (string, error) {
		return replaced("</saml:Subject>", strings.Repeat("<a>", n)+strings.Repeat("</a>", n)+"</saml:Subject>")
	}
	siblings := func(s string, n int) func(SAMLScene) (string, error) {
		return replaced("<saml:Subject>", strings.Repeat(s, n)+"<saml:Subject>")
	}
	return []SAMLAttack{
		{ID: "SAM-32", Name: "just over 256 KiB", Code: "response_size", Build: rewritten(func(text string) string {
			return text + strings.Repeat(" ", SAMLMaxMessage+1-len(text))
		})},
		{ID: "SAM-32", Name: "just under 256 KiB", Accept: true, Build: rewritten(func(text string) string {
			return text + strings.Repeat(" ", SAMLMaxMessage-len(text))
		})},
		{ID: "SAM-32", Name: "7 MiB of siblings", Code: "response_size", Build: raw("<r>" + strings.Repeat("<x/>", 7<<20/4) + "</r>")},
		{ID: "SAM-32", Name: "256 KiB of siblings", Code: "xml_elements", Build: siblings("<x/>", 60000)},
		{ID: "SAM-33", Name: "1,100 children of the Assertion", Code: "element", Build: siblings("<x/>", 1100)},
		{ID: "SAM-33", Name: "1,500 groups", Accept: true, Build: grouped(SAMLGroups)},
		{ID: "SAM-33", Name: "1,500 groups, Response signed", Accept: true, Build: func(s SAMLScene) (string, error) {
			u := s.User
			u.Groups = groups(SAMLGroups)
			return s.IdP.Mint(s.To, SAMLMint{User: u, Sign: SignBoth})
		}},
		{ID: "SAM-33", Name: "5,000 groups", Code: "xml_elements", Build: minted(SAMLMint{Edit: func(r *etree.Element) {
			// Written as short as can be, to stay under the size.
			el := add(r.FindElement(atAttributes), "saml:Attribute", "", "Name", "g")
			for range SAMLMaxElements {
				add(el, "saml:AttributeValue", "g")
			}
		}})},
		{ID: "SAM-34", Name: "depth 33", Code: "xml_depth", Build: nested(33)},
		{ID: "SAM-34", Name: "depth 1,000", Code: "xml_depth", Build: nested(1000)},
		{ID: "SAM-34", Name: "depth 9,000", Code: "xml_depth", Build: nested(9000)},
		{ID: "SAM-34", Name: "depth 100,000", Code: "response_size", Build: nested(100000)},
		{ID: "SAM-34", Name: "many attributes", Code: "xml_attributes", Build: rewritten(func(text string) string {
			var many strings.Builder
			for i := range 1000 {
				fmt.Fprintf(&many, `a%d="" `, i)
			}
			return strings.Replace(text, "<saml:NameID ", "<saml:NameID "+many.String(), 1)
		})},
		{ID: "SAM-34", Name: "long attribute", Code: "xml_attributes", Build: edited(set(atNameID, "SPNameQualifier", strings.Repeat("x", 5000)))},
	}
}

func groups(n int) []string {
	list := make([]string, n)
	for i := range list {
		list[i] = fmt.Sprintf("group-%04d", i)
	}
	return list
}

func grouped(n int) func(SAMLScene) (string, error) {
	return func(s SAMLScene) (string, error) {
		u := s.User
		u.Groups = groups(n)
		return s.IdP.Mint(s.To, SAMLMint{User: u})
	}
}

// SAMLStatus is the HTTP status that belongs to the code of a refusal.
func SAMLStatus(code string) int {
	switch {
	case code == "response_size", code == "xml_elements", code == "groups":
		return http.StatusRequestEntityTooLarge
	case strings.HasPrefix(code, "xml_"), strings.HasPrefix(code, "response_"):
		return http.StatusBadRequest
	}
	return http.StatusForbidden
}

package saml

import (
	"slices"
	"strings"

	"github.com/beevik/etree"
)

const xmlSpace = " \t\r\n"

const (
	nsProtocol  = "urn:oasis:names:tc:SAML:2.0:protocol"
	nsAssertion = "urn:oasis:names:tc:SAML:2.0:assertion"
	nsMetadata  = "urn:oasis:names:tc:SAML:2.0:metadata"
	nsDsig      = "http://www.w3.org/2000/09/xmldsig#"
	nsDsig11    = "http://www.w3.org/2009/xmldsig11#"
	nsXenc      = "http://www.w3.org/2001/04/xmlenc#"
	nsXenc11    = "http://www.w3.org/2009/xmlenc11#"
	nsExcC14N   = "http://www.w3.org/2001/10/xml-exc-c14n#"
	nsSchema    = "http://www.w3.org/2001/XMLSchema-instance"
)

// name is the tag with a prefix of our own for its namespace, so that the
// tables below compare namespaces exactly whatever prefixes a message uses.
func name(el *etree.Element) string {
	switch el.NamespaceURI() {
	case nsProtocol:
		return "p:" + el.Tag
	case nsAssertion:
		return "a:" + el.Tag
	case nsMetadata:
		return "m:" + el.Tag
	case nsDsig:
		return "s:" + el.Tag
	case nsDsig11:
		return "s11:" + el.Tag
	case nsXenc:
		return "e:" + el.Tag
	case nsXenc11:
		return "e11:" + el.Tag
	case nsExcC14N:
		return "c:" + el.Tag
	}
	return "?:" + el.Tag
}

// A rule says all that one element may hold.
type rule struct {
	attrs    []string
	children []string // once each, or any number with a "*" behind
	text     bool     // character data; elsewhere only white space
	foreign  bool     // attributes of namespaces that are none of ours
}

func words(s string) []string { return strings.Fields(s) }

// schema is the closed list of what a Response may consist of. It is narrower
// than SAML's own: what is not here has no meaning to us, and an element
// without meaning is where attacks hide.
var schema = map[string]rule{
	"p:Response":      {attrs: words("ID InResponseTo Version IssueInstant Destination Consent"), children: words("a:Issuer s:Signature p:Status a:Assertion* a:EncryptedAssertion*")},
	"a:Issuer":        {attrs: words("NameQualifier SPNameQualifier Format SPProvidedID"), text: true},
	"p:Status":        {children: words("p:StatusCode p:StatusMessage p:StatusDetail")},
	"p:StatusCode":    {attrs: words("Value"), children: words("p:StatusCode")},
	"p:StatusMessage": {text: true},
	"p:StatusDetail":  {text: true},

	"a:Assertion":               {attrs: words("ID Version IssueInstant"), children: words("a:Issuer s:Signature a:Subject a:Conditions a:AuthnStatement* a:AttributeStatement*")},
	"a:Subject":                 {children: words("a:NameID a:SubjectConfirmation*")},
	"a:NameID":                  {attrs: words("NameQualifier SPNameQualifier Format SPProvidedID"), text: true},
	"a:SubjectConfirmation":     {attrs: words("Method"), children: words("a:NameID a:SubjectConfirmationData")},
	"a:SubjectConfirmationData": {attrs: words("NotBefore NotOnOrAfter Recipient InResponseTo Address"), foreign: true},
	"a:Conditions":              {attrs: words("NotBefore NotOnOrAfter"), children: words("a:AudienceRestriction* a:OneTimeUse a:ProxyRestriction")},
	"a:AudienceRestriction":     {children: words("a:Audience*")},
	"a:Audience":                {text: true},
	"a:OneTimeUse":              {},
	"a:ProxyRestriction":        {attrs: words("Count"), children: words("a:Audience*")},
	"a:AuthnStatement":          {attrs: words("AuthnInstant SessionIndex SessionNotOnOrAfter"), children: words("a:SubjectLocality a:AuthnContext")},
	"a:SubjectLocality":         {attrs: words("Address DNSName")},
	"a:AuthnContext":            {children: words("a:AuthnContextClassRef a:AuthnContextDeclRef a:AuthenticatingAuthority*")},
	"a:AuthnContextClassRef":    {text: true},
	"a:AuthnContextDeclRef":     {text: true},
	"a:AuthenticatingAuthority": {text: true},
	"a:AttributeStatement":      {children: words("a:Attribute*")},
	"a:Attribute":               {attrs: words("Name NameFormat FriendlyName"), children: words("a:AttributeValue*"), foreign: true},
	"a:AttributeValue":          {children: words("a:NameID"), text: true, foreign: true},

	"s:Signature":              {attrs: words("Id"), children: words("s:SignedInfo s:SignatureValue s:KeyInfo")},
	"s:SignedInfo":             {attrs: words("Id"), children: words("s:CanonicalizationMethod s:SignatureMethod s:Reference*")},
	"s:CanonicalizationMethod": {attrs: words("Algorithm"), children: words("c:InclusiveNamespaces")},
	"s:SignatureMethod":        {attrs: words("Algorithm")},
	"s:Reference":              {attrs: words("Id URI Type"), children: words("s:Transforms s:DigestMethod s:DigestValue")},
	"s:Transforms":             {children: words("s:Transform*")},
	"s:Transform":              {attrs: words("Algorithm"), children: words("c:InclusiveNamespaces")},
	"c:InclusiveNamespaces":    {attrs: words("PrefixList")},
	"s:DigestMethod":           {attrs: words("Algorithm")},
	"s:DigestValue":            {text: true},
	"s:SignatureValue":         {attrs: words("Id"), text: true},

	// KeyInfo of a signature is a hint that is never read, and still may hold
	// nothing but keys: it lies outside the digest.
	"s:KeyInfo":          {attrs: words("Id"), children: words("s:KeyName s:KeyValue s:X509Data*")},
	"s:KeyName":          {text: true},
	"s:KeyValue":         {children: words("s:RSAKeyValue s11:ECKeyValue")},
	"s:RSAKeyValue":      {children: words("s:Modulus s:Exponent")},
	"s:Modulus":          {text: true},
	"s:Exponent":         {text: true},
	"s11:ECKeyValue":     {attrs: words("Id"), children: words("s11:NamedCurve s11:PublicKey")},
	"s11:NamedCurve":     {attrs: words("URI")},
	"s11:PublicKey":      {text: true},
	"s:X509Data":         {children: words("s:X509Certificate* s:X509IssuerSerial* s:X509SubjectName* s:X509SKI*")},
	"s:X509Certificate":  {text: true},
	"s:X509IssuerSerial": {children: words("s:X509IssuerName s:X509SerialNumber")},
	"s:X509IssuerName":   {text: true},
	"s:X509SerialNumber": {text: true},
	"s:X509SubjectName":  {text: true},
	"s:X509SKI":          {text: true},

	"a:EncryptedAssertion": {children: words("e:EncryptedData e:EncryptedKey*")},
	"e:EncryptedData":      {attrs: words("Id Type MimeType Encoding"), children: words("e:EncryptionMethod e:KeyInfo e:CipherData")},
	"e:EncryptedKey":       {attrs: words("Id Type MimeType Encoding Recipient"), children: words("e:EncryptionMethod s:KeyInfo e:CipherData e:ReferenceList e:CarriedKeyName")},
	"e:KeyInfo":            {attrs: words("Id"), children: words("e:EncryptedKey* s:RetrievalMethod* s:KeyName s:X509Data*")},
	"e:EncryptionMethod":   {attrs: words("Algorithm"), children: words("e:KeySize e:OAEPparams s:DigestMethod e11:MGF")},
	"e:KeySize":            {text: true},
	"e:OAEPparams":         {text: true},
	"e11:MGF":              {attrs: words("Algorithm")},
	"e:CipherData":         {children: words("e:CipherValue")},
	"e:CipherValue":        {text: true},
	"e:ReferenceList":      {children: words("e:DataReference*")},
	"e:DataReference":      {attrs: words("URI")},
	"e:CarriedKeyName":     {text: true},
	"s:RetrievalMethod":    {attrs: words("URI Type")},
}

// named are the elements whose refusal an operator would want to tell apart.
var named = map[string]string{
	"s:Object":             "signature_object",
	"a:Advice":             "advice",
	"p:Extensions":         "extensions",
	"a:EncryptedID":        "encrypted_part",
	"a:EncryptedAttribute": "encrypted_part",
	"a:Condition":          "condition_unknown",
}

// parse builds the tree of a document that has passed [checkTokens] and holds
// it to the schema.
func parse(doc []byte, root string) (*etree.Element, error) {
	tree := etree.NewDocument()
	tree.ReadSettings.PreserveDuplicateAttrs = true
	if err := tree.ReadFromBytes(doc); err != nil || tree.Root() == nil {
		return nil, malformed("xml_syntax")
	}
	if name(tree.Root()) != root {
		return nil, malformed("xml_root")
	}
	return tree.Root(), walk(tree.Root(), root)
}

// walk checks el against the rule called key, and everything below it.
func walk(el *etree.Element, key string) error {
	r, known := schema[key]
	if !known {
		return refuse("element")
	}
	if err := checkAttrs(el, r); err != nil {
		return err
	}
	seen, text := map[string]bool{}, false
	for _, t := range el.Child {
		switch t := t.(type) {
		case *etree.CharData:
			text = text || !t.IsWhitespace()
		case *etree.Element:
			child := name(t)
			if err := admit(r, child, seen); err != nil {
				return err
			}
			if child == "s:KeyInfo" && key == "e:EncryptedData" {
				child = "e:KeyInfo" // the one place where a key may lie in KeyInfo
			}
			if err := walk(t, child); err != nil {
				return err
			}
		default:
			return malformed("xml_syntax")
		}
	}
	if text && (!r.text || len(seen) > 0) {
		return refuse("text")
	}
	return nil
}

func admit(r rule, child string, seen map[string]bool) error {
	if code, ok := named[child]; ok {
		return refuse(code)
	}
	switch {
	case slices.Contains(r.children, child+"*"):
	case slices.Contains(r.children, child), child == "s:KeyInfo" && slices.Contains(r.children, "e:KeyInfo"):
		if seen[child] {
			return refuse("element")
		}
	default:
		return refuse("element")
	}
	seen[child] = true
	return nil
}

func checkAttrs(el *etree.Element, r rule) error {
	for _, a := range el.Attr {
		switch {
		case a.Space == "xmlns", a.Space == "" && a.Key == "xmlns":
		case a.Space == "":
			if !slices.Contains(r.attrs, a.Key) {
				return refuse("attribute")
			}
		case !r.foreign || a.Space == "xml" && a.Key != "lang":
			return refuse("attribute")
		}
	}
	return nil
}

// attr is the value of an unprefixed attribute; no element has none. etree's
// own SelectAttr would take a prefixed one of the same name as well.
func attr(el *etree.Element, key string) (string, bool) {
	if el == nil {
		return "", false
	}
	for _, a := range el.Attr {
		if a.Space == "" && a.Key == key {
			return a.Value, true
		}
	}
	return "", false
}

func attrOr(el *etree.Element, key string) string {
	v, _ := attr(el, key)
	return v
}

// children are the child elements called key, in order.
func children(el *etree.Element, key string) []*etree.Element {
	var found []*etree.Element
	for _, t := range el.Child {
		if c, ok := t.(*etree.Element); ok && name(c) == key {
			found = append(found, c)
		}
	}
	return found
}

// child is the one child element called key, or nil when there is none or more
// than one.
func child(el *etree.Element, key string) *etree.Element {
	if el == nil {
		return nil
	}
	if found := children(el, key); len(found) == 1 {
		return found[0]
	}
	return nil
}

// text is the content of an element that holds one run of characters and
// nothing else, without the white space around it.
func text(el *etree.Element) string {
	if el == nil || len(el.Child) != 1 {
		return ""
	}
	if data, ok := el.Child[0].(*etree.CharData); ok {
		return strings.Trim(data.Data, xmlSpace)
	}
	return ""
}

// unspaced drops the line breaks that base64 in XML is usually full of.
func unspaced(s string) string {
	return strings.Map(func(r rune) rune {
		if strings.ContainsRune(xmlSpace, r) {
			return -1
		}
		return r
	}, s)
}

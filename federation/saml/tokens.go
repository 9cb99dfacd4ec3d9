package saml

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"regexp"
	"strings"
	"unicode/utf8"

	"github.com/domicile-sso/domicile/federation"
)

// limits of one document. They bound everything that comes after the token
// pass, so no later step has to count.
type limits struct {
	depth      int
	elements   int
	attributes int // of one element, namespace declarations included
	value      int // bytes of one XML attribute
	prefixes   int // different namespace prefixes in the document
	comments   bool
}

// A message may hold 5,000 elements: 1,500 group values with all that is
// around them fit three times over, and more answers 413.
var messageLimits = limits{depth: 32, elements: 5000, attributes: 32, value: 4096, prefixes: 64}

// Metadata is longer, written by people, and trusted by an administrator
// rather than by a signature, so comments are let through.
var metadataLimits = limits{depth: 32, elements: 20000, attributes: 64, value: 8192, prefixes: 128, comments: true}

const xmlNamespace = "http://www.w3.org/XML/1998/namespace"

var (
	xmlDeclaration = regexp.MustCompile(`^version=(?:"1\.0"|'1\.0')(?:[ \t\r\n]+encoding=(?:"(?i:utf-8)"|'(?i:utf-8)'))?(?:[ \t\r\n]+standalone=(?:"(?:yes|no)"|'(?:yes|no)'))?[ \t\r\n]*$`)
	// A relative namespace name makes canonicalisers disagree or give up.
	absoluteURI = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9+.-]*:[!-~]+$`)
)

// isName says whether s is a name in ASCII, without a colon: all of SAML's are.
func isName(s string) bool {
	for i, c := range []byte(s) {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', c == '_':
		case i > 0 && ('0' <= c && c <= '9' || c == '.' || c == '-'):
		default:
			return false
		}
	}
	return s != ""
}

// checkTokens reads doc once, token by token, and refuses whatever two XML
// parsers could read differently. It builds no tree, so the cost of hostile
// input is that of lexing at most 256 KiB. IDs are added to ids, which must
// not hold them already.
func checkTokens(doc []byte, limit limits, ids map[string]bool) error {
	if !utf8.Valid(doc) || bytes.IndexByte(doc, 0) >= 0 || bytes.HasPrefix(doc, []byte("\uFEFF")) {
		return malformed("xml_encoding")
	}
	// The tokens below do not tell CDATA from text; outside a comment the
	// opening can mean nothing else.
	if bytes.Contains(doc, []byte("<![CDATA[")) {
		return malformed("xml_cdata")
	}
	p := tokenPass{limit: limit, ids: ids, decoder: xml.NewDecoder(bytes.NewReader(doc))}
	for {
		start := p.decoder.InputOffset()
		token, err := p.decoder.RawToken()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return malformed("xml_syntax")
		}
		if err := p.token(token, start); err != nil {
			return err
		}
	}
	if !p.rooted || len(p.open) > 0 {
		return malformed("xml_root")
	}
	return nil
}

type tokenPass struct {
	limit    limits
	ids      map[string]bool
	decoder  *xml.Decoder
	open     []openElement
	prefixes map[string]bool
	elements int
	rooted   bool
}

type openElement struct {
	name   xml.Name
	spaces map[string]string // declared on this very element; nil for most
}

func (p *tokenPass) token(token xml.Token, start int64) error {
	switch t := token.(type) {
	case xml.StartElement:
		return p.start(t)
	case xml.EndElement:
		if len(p.open) == 0 || p.open[len(p.open)-1].name != t.Name {
			return malformed("xml_syntax")
		}
		p.open = p.open[:len(p.open)-1]
	case xml.CharData:
		if len(p.open) == 0 && len(bytes.Trim(t, xmlSpace)) > 0 {
			return malformed("xml_root")
		}
	case xml.ProcInst:
		if t.Target != "xml" || start != 0 || !xmlDeclaration.Match(t.Inst) {
			return malformed("xml_instruction")
		}
	case xml.Comment:
		if !p.limit.comments {
			return malformed("xml_comment")
		}
	default: // a DOCTYPE, or whatever else starts with <!
		return malformed("xml_doctype")
	}
	return nil
}

func (p *tokenPass) start(t xml.StartElement) error {
	if len(p.open) == 0 && p.rooted {
		return malformed("xml_root")
	}
	p.rooted = true
	p.elements++
	switch {
	case p.elements > p.limit.elements:
		return tooLarge("xml_elements")
	case len(p.open) >= p.limit.depth:
		return malformed("xml_depth")
	case len(t.Attr) > p.limit.attributes:
		return malformed("xml_attributes")
	}
	spaces, err := p.declared(t.Attr)
	if err != nil {
		return err
	}
	p.open = append(p.open, openElement{t.Name, spaces})
	if !p.nameable(t.Name) || t.Name.Space == "xml" {
		return malformed("xml_name")
	}
	return p.attributes(t.Attr)
}

// declared gives the namespaces that one element declares.
func (p *tokenPass) declared(attrs []xml.Attr) (map[string]string, error) {
	var spaces map[string]string
	for _, a := range attrs {
		var prefix string
		switch {
		case a.Name.Space == "xmlns":
			prefix = a.Name.Local
		case a.Name.Space == "" && a.Name.Local == "xmlns":
		default:
			continue
		}
		if prefix == "xml" || prefix == "xmlns" || a.Value == xmlNamespace || !absoluteURI.MatchString(a.Value) {
			return nil, malformed("xml_namespace")
		}
		if _, twice := spaces[prefix]; twice {
			return nil, malformed("xml_namespace")
		}
		if spaces == nil {
			spaces = make(map[string]string)
		}
		if p.prefixes == nil {
			p.prefixes = make(map[string]bool)
		}
		spaces[prefix], p.prefixes[prefix] = a.Value, true
	}
	if len(p.prefixes) > p.limit.prefixes {
		return nil, malformed("xml_namespace")
	}
	return spaces, nil
}

// nameable says whether a name is plain and its prefix declared. Go's decoder
// lets more pass than XML does (colons, for one), and such names are the ones
// that do not survive being written and read again.
func (p *tokenPass) nameable(n xml.Name) bool {
	if !isName(n.Local) {
		return false
	}
	if n.Space == "" || n.Space == "xml" {
		return true
	}
	_, ok := p.space(n.Space)
	return ok && n.Space != "xmlns" && isName(n.Space)
}

func (p *tokenPass) space(prefix string) (string, bool) {
	for i := len(p.open) - 1; i >= 0; i-- {
		if uri, ok := p.open[i].spaces[prefix]; ok {
			return uri, true
		}
	}
	return "", false
}

func (p *tokenPass) attributes(attrs []xml.Attr) error {
	for i, a := range attrs {
		if len(a.Value) > p.limit.value {
			return malformed("xml_attributes")
		}
		if a.Name.Space == "xmlns" {
			if !isName(a.Name.Local) {
				return malformed("xml_name")
			}
			continue
		}
		if !p.nameable(a.Name) {
			return malformed("xml_name")
		}
		for _, b := range attrs[:i] {
			if a.Name.Local == b.Name.Local && p.sameSpace(a.Name.Space, b.Name.Space) {
				return malformed("xml_attributes")
			}
		}
		if strings.EqualFold(a.Name.Local, "id") {
			if err := p.id(a); err != nil {
				return err
			}
		}
	}
	return nil
}

// sameSpace says whether two attribute prefixes mean one namespace. An
// attribute without a prefix is in none.
func (p *tokenPass) sameSpace(a, b string) bool {
	if a == b || a == "" || b == "" {
		return a == b
	}
	au, _ := p.space(a)
	bu, _ := p.space(b)
	return au == bu
}

// id keeps IDs unprefixed and unique: a signature names what it covers by ID,
// and two readers must not find two different elements.
func (p *tokenPass) id(a xml.Attr) *federation.Refusal {
	switch {
	case a.Name.Space != "":
		return refuse("id_prefixed")
	case !isName(a.Value):
		return refuse("id_invalid")
	case p.ids[a.Value]:
		return refuse("id_duplicate")
	}
	p.ids[a.Value] = true
	return nil
}

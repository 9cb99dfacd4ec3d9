package config

import (
	"fmt"
	"path/filepath"

	"github.com/goccy/go-yaml/ast"
)

// RegionFile describes a region before it is signed. It holds public keys only
// and may be shared freely; `domicile region sign` makes a record of it.
type RegionFile struct {
	Region         string
	Jurisdiction   string
	Name           string
	Hosts          []string
	Standbys       []string
	TicketKeys     [][]byte
	PublishingKeys [][]byte
}

// LoadRegion reads the description of a region.
func LoadRegion(path string) (*RegionFile, error) {
	data, err := readFile(path)
	if err != nil {
		return nil, fmt.Errorf("read region: %s", complaint(path, err))
	}
	r := newReader(path)
	r.dir = filepath.Dir(path)
	s, ok := r.root(data)
	if !ok {
		return nil, r.mistakes
	}
	f := &RegionFile{
		Region:         need(s, "region", "the region's name, such as eu-central", word(plainName, "lower-case letters, digits and hyphens, at most 40")),
		Jurisdiction:   need(s, "jurisdiction", "the legal territory, such as EU", word(jurisdiction, "upper-case letters, digits and hyphens, 2 to 12, such as EU")),
		Name:           need(s, "name", "what people read, such as Frankfurt", text),
		Hosts:          need(s, "hosts", "a list of host names where portals may live, such as \"*.eu.example.com\"", list(hostPattern)),
		Standbys:       get(s, "standbys", list(word(plainName, "the name of a region of the same jurisdiction")), nil),
		TicketKeys:     need(s, "ticket_keys", "a list of public ticket keys, the newest first", list(publicKey(TicketPublic))),
		PublishingKeys: need(s, "publishing_keys", "a list of public publishing keys", list(publicKey(PublishPublic))),
	}
	s.done()
	if len(r.mistakes) > 0 {
		r.mistakes.sort()
		return nil, r.mistakes
	}
	return f, nil
}

// hostPattern leaves the details to the signing; it catches what YAML makes of
// a star without quotes.
func hostPattern(v value) string {
	if _, alias := v.node.(*ast.AliasNode); alias {
		v.wrong("put the host in quotes: \"*.eu.example.com\"")
		return ""
	}
	return text(v)
}

func publicKey(kind Kind) func(value) []byte {
	return func(v value) []byte {
		s := text(v)
		if s == "" {
			return nil
		}
		key, err := DecodeKey(kind, s)
		if err != nil {
			v.wrong("%v", err)
		}
		return key
	}
}

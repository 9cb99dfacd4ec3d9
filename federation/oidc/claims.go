package oidc

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"math"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	maxDepth   = 12     // of arrays and objects
	maxMembers = 20_000 // of all objects and arrays of a document together
)

// An object is a JSON object in which every name occurs once and is spelled as
// it was sent. encoding/json would fold case and let the last duplicate win,
// which lets whoever can add a claim replace another one. Values are string,
// bool, nil, json.Number, []any or object.
type object map[string]any

// decode reads exactly one object. Its errors never quote the input.
func decode(data []byte) (object, error) {
	if !utf8.Valid(data) {
		return nil, errors.New("not UTF-8")
	}
	if !json.Valid(data) {
		return nil, errors.New("not JSON")
	}
	d := &decoder{json: json.NewDecoder(bytes.NewReader(data)), left: maxMembers}
	d.json.UseNumber()
	t, err := d.json.Token()
	if err != nil {
		return nil, errors.New("not JSON")
	}
	if t != json.Delim('{') {
		return nil, errors.New("not an object")
	}
	o, err := d.object(1)
	if err != nil {
		return nil, err
	}
	if _, err := d.json.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("trailing data")
	}
	return o, nil
}

type decoder struct {
	json *json.Decoder
	left int
}

func (d *decoder) object(depth int) (object, error) {
	o := object{}
	for d.json.More() {
		name, err := d.json.Token()
		if err != nil {
			return nil, errors.New("not JSON")
		}
		s, ok := name.(string)
		if !ok {
			return nil, errors.New("not JSON")
		}
		if _, twice := o[s]; twice {
			return nil, errors.New("duplicate name")
		}
		if o[s], err = d.value(depth); err != nil {
			return nil, err
		}
	}
	return o, d.end()
}

func (d *decoder) array(depth int) ([]any, error) {
	a := []any{}
	for d.json.More() {
		v, err := d.value(depth)
		if err != nil {
			return nil, err
		}
		a = append(a, v)
	}
	return a, d.end()
}

func (d *decoder) value(depth int) (any, error) {
	if d.left--; d.left < 0 {
		return nil, errors.New("too many members")
	}
	t, err := d.json.Token()
	if err != nil {
		return nil, errors.New("not JSON")
	}
	if depth >= maxDepth && (t == json.Delim('{') || t == json.Delim('[')) {
		return nil, errors.New("too deep")
	}
	switch t {
	case json.Delim('{'):
		return d.object(depth + 1)
	case json.Delim('['):
		return d.array(depth + 1)
	}
	return t, nil
}

func (d *decoder) end() error {
	if _, err := d.json.Token(); err != nil {
		return errors.New("not JSON")
	}
	return nil
}

// text is the string called name, or "" when there is none.
func (o object) text(name string) string {
	s, _ := o[name].(string)
	return s
}

// texts are the strings called name. One string alone counts as a list of one.
func (o object) texts(name string) ([]string, bool) {
	switch v := o[name].(type) {
	case string:
		return []string{v}, true
	case []any:
		list := make([]string, 0, len(v))
		for _, e := range v {
			s, ok := e.(string)
			if !ok {
				return nil, false
			}
			list = append(list, s)
		}
		return list, true
	}
	return nil, false
}

// has tells a claim that is there from one that is absent or null.
func (o object) has(name string) bool { return o[name] != nil }

// seconds is a NumericDate (RFC 7519 2): a JSON number, with or without a
// fraction, that a date can hold.
func (o object) seconds(name string) (int64, bool) {
	n, ok := o[name].(json.Number)
	if !ok {
		return 0, false
	}
	if i, err := strconv.ParseInt(string(n), 10, 64); err == nil {
		return i, i >= 0 && i < 1<<40
	}
	f, err := n.Float64()
	if err != nil || math.IsNaN(f) || f < 0 || f >= 1<<40 {
		return 0, false
	}
	return int64(f), true
}

// Claims that decide something. No other spelling of them may stand beside or
// instead of them: readers that fold case would take it for the claim.
var reserved = []string{
	"iss", "sub", "aud", "exp", "iat", "nbf", "jti", "nonce", "azp", "typ", "at_hash", "c_hash", "acr", "amr", "auth_time",
	"email", "email_verified", "sid", "tid", "oid", "xms_edov", "_claim_names", "_claim_sources",
}

// unambiguous refuses names that differ in case only, and case variants of
// reserved names. Names in exempt were chosen by the connection's mapping.
func (o object) unambiguous(exempt ...string) error {
	names := make(map[string]string, len(reserved)+len(o))
	for _, r := range reserved {
		names[fold(r)] = r
	}
	for _, e := range exempt {
		delete(names, fold(e))
	}
	for name := range o {
		if known, ok := names[fold(name)]; ok && known != name {
			return errors.New("a case variant of a claim")
		}
		names[fold(name)] = name
	}
	return nil
}

// fold maps all names that encoding/json holds equal to one: it folds as
// Unicode does, for which "ſub" is "sub".
func fold(name string) string {
	return strings.Map(func(r rune) rune {
		least := r
		for f := unicode.SimpleFold(r); f != r; f = unicode.SimpleFold(f) {
			least = min(least, f)
		}
		return least
	}, name)
}

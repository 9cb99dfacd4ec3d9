package web

import (
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/domicile-sso/domicile/discovery"
)

const (
	maxForm     = 16 << 10
	maxSAMLForm = 512 << 10
	maxFields   = 32
)

// A values is a form or a query in which every name occurs at most once.
type values map[string]string

// A field is what a form may hold, and how long it may be.
type field struct {
	name string
	max  int
}

// Fields of our own forms. An address is checked by its parser, which names what
// is wrong; the limit here only bounds the work.
var (
	fieldEmail     = field{"email", 1024}
	fieldUsername  = field{"username", 1024}
	fieldAttempt   = field{"attempt", 90}
	fieldThen      = field{"then", 2048}
	fieldLanguage  = field{"language", 35}
	fieldToken     = field{"token", 90}
	fieldPassword  = field{"password", 1024}
	fieldOld       = field{"old", 1024}
	fieldTemporary = field{"temporary", 1024}
	fieldNew       = field{"new", 1024}
	fieldConfirm   = field{"confirm", 1024}
	fieldKeep      = field{"keep", 3}
)

// form reads the body of a POST. Whatever two programs could read in two ways is
// refused: another encoding, a field twice, a field nobody asked for.
func (v *visit) form(fields ...field) (values, error) { return v.formUpTo(maxForm, fields...) }

// formUpTo is form for a page that takes more than the usual.
func (v *visit) formUpTo(limit int64, fields ...field) (values, error) {
	body, err := v.body(limit)
	if tooLarge, ok := errors.AsType[*http.MaxBytesError](err); ok {
		err = &discovery.Error{Kind: discovery.TooLarge, Field: "form", Code: "body_too_large", Err: tooLarge,
			Say: "The form is larger than anything this page needs."}
	}
	if err != nil {
		return nil, err
	}
	return parseValues(body, fields, true)
}

// query reads the query of a GET. Names that are not ours are left alone: mail
// systems and browsers add theirs to links.
func (v *visit) query(fields ...field) (values, error) {
	return parseValues(v.r.URL.RawQuery, fields, false)
}

func (v *visit) body(limit int64) (string, error) {
	kind, params, err := mime.ParseMediaType(v.r.Header.Get("Content-Type"))
	if err != nil || kind != "application/x-www-form-urlencoded" {
		return "", &discovery.Error{Kind: discovery.MediaType, Code: "body_type"}
	}
	if cs := params["charset"]; cs != "" && !strings.EqualFold(cs, "utf-8") {
		return "", &discovery.Error{Kind: discovery.MediaType, Code: "body_charset"}
	}
	b, err := io.ReadAll(http.MaxBytesReader(v.w, v.r.Body, limit))
	if err != nil {
		return "", err
	}
	return string(b), nil
}

// parseValues reads application/x-www-form-urlencoded text. closed refuses names
// that are not among fields.
func parseValues(text string, fields []field, closed bool) (values, error) {
	out := values{}
	if text == "" {
		return out, nil
	}
	pairs := strings.Split(text, "&")
	if len(pairs) > maxFields {
		return nil, badField("", "fields_many", "The form has more fields than this page has.")
	}
	for _, pair := range pairs {
		rawName, rawValue, _ := strings.Cut(pair, "=")
		name, err := url.QueryUnescape(rawName)
		if err != nil || !clean(name) {
			return nil, badField("", "field_name", "The form has a field whose name cannot be read.")
		}
		i := slices.IndexFunc(fields, func(f field) bool { return f.name == name })
		if i < 0 {
			if !closed {
				continue
			}
			return nil, badField(plainName(name), "field_unknown", "The form has a field that this page does not have: “%s”.", plainName(name))
		}
		if _, twice := out[name]; twice {
			return nil, badField(name, "field_repeated", "The field “%s” was sent more than once.", name)
		}
		if len(rawValue) > 3*fields[i].max {
			return nil, badField(name, "field_long", "The field “%s” is too long.", name)
		}
		value, err := url.QueryUnescape(rawValue)
		switch {
		case err != nil || !clean(value):
			return nil, badField(name, "field_encoding", "The field “%s” is not valid text.", name)
		case len(value) > fields[i].max:
			return nil, badField(name, "field_long", "The field “%s” is too long.", name)
		}
		out[name] = value
	}
	return out, nil
}

// clean reports whether s is text that no program cuts short.
func clean(s string) bool { return utf8.ValidString(s) && !strings.ContainsRune(s, 0) }

// plainName is an unknown field's name if it can be repeated without harm.
func plainName(s string) string {
	if len(s) > 40 || strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") != "" {
		return ""
	}
	return s
}

func badField(name, code, say string, args ...any) error {
	return &discovery.Error{Kind: discovery.Invalid, Field: name, Code: code, Say: say, Args: args}
}

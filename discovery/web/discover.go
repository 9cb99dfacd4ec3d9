package web

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/domicile-sso/domicile/discovery"
)

const maxQuestion = 4 << 10

// answer is what POST /v1/discover returns.
type answer struct {
	Portals []told `json:"portals"`
}

type told struct {
	ID           string             `json:"id"`
	Name         string             `json:"name"`
	Jurisdiction string             `json:"jurisdiction"`
	Region       string             `json:"region"`
	URL          string             `json:"url"`
	SignIn       []discovery.SignIn `json:"sign_in"`
	Continue     string             `json:"continue"` // the portal's sign-in page, with a ticket
}

// discover is the front page for programs. A partial answer is none: a program
// cannot be told that there may be more.
func (s *Site) discover(w http.ResponseWriter, r *http.Request) error {
	if err := s.allow(r, "json"); err != nil {
		return err
	}
	typed, err := question(w, r)
	if err != nil {
		return s.invalid("json", err)
	}
	a, err := discovery.ParseAddress(typed)
	if err != nil {
		return s.invalid("json", err)
	}
	found, err := s.resolve(r, "json", a)
	if err != nil {
		return err
	}
	out := answer{Portals: make([]told, len(found))}
	for i, d := range found {
		to, err := s.signIn(d, a)
		if err != nil {
			return err
		}
		out.Portals[i] = told{
			ID: d.Portal.ID, Name: d.Portal.Name, Jurisdiction: d.Jurisdiction(), Region: d.Region.Region,
			URL: d.Portal.URL, SignIn: d.SignIn, Continue: to,
		}
	}
	return writeJSON(w, r, "application/json", out)
}

func writeJSON(w http.ResponseWriter, r *http.Request, kind string, v any) error {
	var body bytes.Buffer
	if err := json.NewEncoder(&body).Encode(v); err != nil {
		return err
	}
	h := w.Header()
	h.Set("Content-Type", kind)
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Length", strconv.Itoa(body.Len()))
	w.WriteHeader(http.StatusOK)
	if r.Method != http.MethodHead {
		_, _ = w.Write(body.Bytes()) // a reader that has gone away is nobody's error
	}
	return nil
}

// question reads {"email": "…"} and nothing else. encoding/json would take the
// last of two keys, and EMAIL for email; whoever checked the first is fooled.
func question(w http.ResponseWriter, r *http.Request) (string, error) {
	if !isJSON(r.Header.Get("Content-Type")) {
		return "", &discovery.Error{Kind: discovery.MediaType, Field: "email", Code: "json_type",
			Say: "Send the question as application/json."}
	}
	body, err := readBody(w, r, "email", maxQuestion)
	if err != nil {
		return "", err
	}
	if !utf8.Valid(body) {
		return "", badJSON("email", "json_encoding", "JSON is UTF-8.")
	}
	d := json.NewDecoder(bytes.NewReader(body))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return "", badJSON("email", "json_object", `Send one JSON object: {"email": "name@company.com"}.`)
	}
	email, seen := "", false
	for d.More() {
		t, err := d.Token()
		key, isText := t.(string)
		if err != nil || !isText {
			return "", badJSON("email", "json_syntax", "That is not JSON.")
		}
		if key != "email" {
			return "", badJSON(memberName(key), "json_member", `The one member is "email", in lower case.`)
		}
		if seen {
			return "", badJSON("email", "json_repeated", `The member "email" is there more than once.`)
		}
		seen = true
		if t, err = d.Token(); err != nil {
			return "", badJSON("email", "json_syntax", "That is not JSON.")
		}
		if email, isText = t.(string); !isText {
			return "", badJSON("email", "json_string", `The member "email" is a string.`)
		}
	}
	if _, err := d.Token(); err != nil {
		return "", badJSON("email", "json_syntax", "That is not JSON.")
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return "", badJSON("email", "json_trailing", "There is something after the JSON object.")
	}
	if !seen {
		return "", badJSON("email", "json_missing", `The member "email" is missing.`)
	}
	return email, nil
}

func badJSON(field, code, say string) error {
	return &discovery.Error{Kind: discovery.Invalid, Field: field, Code: code, Say: say}
}

// memberName is a member's name as it may be repeated in an answer and a log.
func memberName(key string) string {
	plain := len(key) > 0 && len(key) <= 32
	for i := 0; plain && i < len(key); i++ {
		c := key[i] | 0x20
		plain = 'a' <= c && c <= 'z' || key[i] == '_'
	}
	if !plain {
		return "email"
	}
	return key
}

func isJSON(contentType string) bool {
	if contentType == "application/json" {
		return true
	}
	kind, params, err := mime.ParseMediaType(contentType)
	if err != nil || kind != "application/json" {
		return false
	}
	for name, value := range params {
		if name != "charset" || !strings.EqualFold(value, "utf-8") {
			return false
		}
	}
	return true
}

// readBody reads at most limit bytes.
func readBody(w http.ResponseWriter, r *http.Request, field string, limit int64) ([]byte, error) {
	tooLarge := &discovery.Error{Kind: discovery.TooLarge, Field: field, Code: "body_too_large"}
	if r.ContentLength > limit {
		return nil, tooLarge
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, limit))
	var over *http.MaxBytesError
	switch {
	case errors.As(err, &over):
		return nil, tooLarge
	case err != nil:
		return nil, &discovery.Error{Kind: discovery.Invalid, Field: field, Code: "body_unread", Err: err}
	}
	return body, nil
}

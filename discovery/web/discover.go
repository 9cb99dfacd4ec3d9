package web

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/domicile-sso/domicile/discovery"
)

const maxQuestion = 4 << 10

// told is what POST /v1/discover returns of a portal. Last comes "continue", the
// portal's sign-in page with a ticket: see [Site.tell].
type told struct {
	ID           string             `json:"id"`
	Name         string             `json:"name"`
	Jurisdiction string             `json:"jurisdiction"`
	Region       string             `json:"region"`
	URL          string             `json:"url"`
	SignIn       []discovery.SignIn `json:"sign_in"`
	Status       string             `json:"status,omitempty"` // see status
}

// discover is the front page for programs: {"portals": […]}. While not everything
// is known there may be more portals than those, and "partial" says so; of an
// address that then leads nowhere nothing is said but that it is not known now.
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
	found, failed := s.resolve(r, "json", a)
	if failed != nil && len(found) == 0 {
		return failed
	}
	page := answers.Get().(*[]byte)
	defer answers.Put(page)
	body := append((*page)[:0], `{"portals":[`...)
	for i, d := range found {
		if i > 0 {
			body = append(body, ',')
		}
		if body, err = s.tell(r.Context(), body, d, a); err != nil {
			return err
		}
	}
	body = append(body, ']')
	if failed != nil {
		body = append(body, `,"partial":true`...)
	}
	*page = append(body, "}\n"...)
	writeBody(w, r, "application/json", *page)
	return nil
}

// answers are pages to write on: a ticket makes them two kilobytes long, the
// largest thing that a lookup would otherwise leave to the garbage collector.
var answers = sync.Pool{New: func() any { page := make([]byte, 0, 4<<10); return &page }}

// tell appends one portal. Its sign-in page is a URL and a ticket, neither of
// which holds a character that JSON escapes; it is by far the longest member, and
// an encoder would copy it three times.
func (s *Site) tell(ctx context.Context, body []byte, d discovery.Destination, a discovery.Address) ([]byte, error) {
	text, err := json.Marshal(told{
		ID: d.Portal.ID, Name: d.Portal.Name, Jurisdiction: d.Jurisdiction(), Region: d.Region.Region,
		URL: d.Portal.URL, SignIn: d.SignIn, Status: status(d),
	})
	if err != nil {
		return body, err
	}
	body = append(body, text[:len(text)-1]...)
	body = append(body, `,"continue":"`...)
	if body, err = s.appendSignIn(ctx, body, d, a); err != nil {
		return body, err
	}
	return append(body, `"}`...), nil
}

func writeJSON(w http.ResponseWriter, r *http.Request, kind string, v any) error {
	var body bytes.Buffer
	if err := json.NewEncoder(&body).Encode(v); err != nil {
		return err
	}
	writeBody(w, r, kind, body.Bytes())
	return nil
}

func writeBody(w http.ResponseWriter, r *http.Request, kind string, body []byte) {
	h := w.Header()
	h.Set("Content-Type", kind)
	if h["Cache-Control"] == nil {
		h.Set("Cache-Control", "no-store")
	}
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(http.StatusOK)
	if r.Method != http.MethodHead {
		_, _ = w.Write(body) // a reader that has gone away is nobody's error
	}
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
	if email, ok := plainQuestion(body); ok {
		return email, nil
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

// plainQuestion reads the question as nearly every program writes it: the one
// member, without blanks, and a text in which JSON escapes nothing.
func plainQuestion(body []byte) (email string, ok bool) {
	rest, ok := bytes.CutPrefix(body, []byte(`{"email":"`))
	if !ok {
		return "", false
	}
	text, ok := bytes.CutSuffix(rest, []byte(`"}`))
	if !ok {
		return "", false
	}
	for _, c := range text {
		if c < ' ' || c >= utf8.RuneSelf || c == '"' || c == '\\' {
			return "", false
		}
	}
	return string(text), true
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
	if r.ContentLength > 0 && r.ContentLength <= maxForm { // so much may be believed, and no more comes
		body := make([]byte, r.ContentLength)
		if _, err := io.ReadFull(r.Body, body); err != nil {
			return nil, &discovery.Error{Kind: discovery.Invalid, Field: field, Code: "body_unread", Err: err}
		}
		return body, nil
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

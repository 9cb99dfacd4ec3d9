package page

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"math"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/domicile-sso/domicile/discovery"
	"github.com/domicile-sso/domicile/discovery/page/locale"
)

// Handle turns a handler that may fail into one that always answers. h must not
// have written anything when it returns an error.
func (s *Set) Handle(h func(http.ResponseWriter, *http.Request) error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := h(w, r); err != nil {
			s.Error(w, r, err)
		}
	})
}

// Error answers a request with what went wrong, as dull as can be, and logs the
// rest under the same reference.
func (s *Set) Error(w http.ResponseWriter, r *http.Request, err error) {
	if Reference(r.Context()) == "" {
		r = r.WithContext(WithReference(r.Context(), NewReference()))
	}
	e := translate(err)
	s.record(r, e)

	h := w.Header()
	for _, stale := range []string{"Content-Length", "Content-Encoding", "Content-Disposition", "Etag", "Last-Modified"} {
		h.Del(stale)
	}
	h.Set("Cache-Control", "no-store")
	RetryAfter(w, e.Retry)
	lang := s.language(r)
	said := say(s.Printer(lang), e)
	if e.Kind == discovery.Forbidden && len(frame(r.Context()).Links) > 0 {
		// Who is signed in has been let in: to start again would help nobody.
		said.advice = s.Printer(lang).T("If you need it for your work, ask an administrator, and give the reference below.")
	}
	if ForPrograms(r) {
		s.speak(h, lang)
		problem(w, r, e, said)
		return
	}
	data := errorPage{Title: said.title, Say: said.say, Advice: said.advice, Reference: Reference(r.Context())}
	if r.Method == http.MethodGet && (e.Kind == discovery.Unavailable || e.Kind == discovery.TooMany) {
		data.Again = r.URL.EscapedPath()
	}
	if r.URL.Path == "/" {
		data.Home = ""
	} else {
		data.Home = "/"
	}
	if err := s.Render(w, r, e.Kind.Status(), "error", data); err != nil {
		http.Error(w, said.title+" (reference "+data.Reference+")", e.Kind.Status())
	}
}

// errorPage is the struct of layout/error.html.
type errorPage struct {
	Title, Say, Advice, Reference string
	Again                         string // local path to try once more
	Home                          string // local path of the start page
}

// translate finds the one failure a person may hear of. What nobody foresaw is
// Internal, and nothing about it is said.
func translate(err error) *discovery.Error {
	var e *discovery.Error
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &e):
		c := *e
		c.Err = err
		if (c.Kind == discovery.Unavailable || c.Kind == discovery.TooMany) && c.Retry == 0 {
			c.Retry = 5 * time.Second
		}
		return &c
	case errors.As(err, &tooLarge):
		return &discovery.Error{Kind: discovery.TooLarge, Code: "body_too_large", Err: err}
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return &discovery.Error{Kind: discovery.Unavailable, Code: "gave_up", Retry: 5 * time.Second, Err: err}
	}
	return &discovery.Error{Kind: discovery.Internal, Code: "internal", Err: err}
}

// Record logs a failure that a form shows by itself, as Error would.
func (s *Set) Record(r *http.Request, err error) { s.record(r, translate(err)) }

func (s *Set) record(r *http.Request, e *discovery.Error) {
	level := slog.LevelInfo
	switch e.Kind {
	case discovery.Internal, discovery.Unavailable:
		level = slog.LevelError
	case discovery.Forbidden:
		level = slog.LevelWarn
	}
	s.log.LogAttrs(r.Context(), level, "request failed",
		slog.String("reference", Reference(r.Context())),
		slog.Int("status", e.Kind.Status()),
		slog.String("kind", kindName(e.Kind)),
		slog.String("code", e.Code),
		slog.String("field", e.Field),
		slog.String("err", scrub(e.Err)))
}

// Errors of libraries quote their input. Whoever wrapped one should have taken
// care; the log is the last place where an address or a token can be kept out.
var (
	addressLike = regexp.MustCompile(`[^\s"'<>@=&?]+@[^\s"'<>@&]+`)
	tokenLike   = regexp.MustCompile(`[A-Za-z0-9_+/%-]{43,}`)
)

func scrub(err error) string {
	if err == nil {
		return ""
	}
	return tokenLike.ReplaceAllString(addressLike.ReplaceAllString(err.Error(), "<address>"), "<token>")
}

// RetryAfter says when to come back, in whole seconds; nothing for zero.
func RetryAfter(w http.ResponseWriter, wait time.Duration) {
	if wait > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(wait.Seconds()))))
	}
}

// ForPrograms reports whether the answer is read by a program: a failure is then
// a problem document, never a form to fill in again.
func ForPrograms(r *http.Request) bool {
	if strings.HasPrefix(r.URL.Path, "/v1/") {
		return true
	}
	accept := r.Header.Get("Accept")
	return strings.Contains(accept, "json") && !strings.Contains(accept, "text/html")
}

// problem writes an RFC 9457 problem document.
func problem(w http.ResponseWriter, r *http.Request, e *discovery.Error, said phrases) {
	type fieldError struct {
		Field  string `json:"field"`
		Detail string `json:"detail"`
	}
	doc := struct {
		Type      string       `json:"type"`
		Title     string       `json:"title"`
		Status    int          `json:"status"`
		Detail    string       `json:"detail"`
		Instance  string       `json:"instance"`
		Reference string       `json:"reference"`
		Errors    []fieldError `json:"errors,omitempty"`
	}{
		Type:      "urn:domicile:problem:" + kindName(e.Kind),
		Title:     said.title,
		Status:    e.Kind.Status(),
		Detail:    said.say,
		Instance:  "urn:domicile:reference:" + Reference(r.Context()),
		Reference: Reference(r.Context()),
	}
	if e.Field != "" {
		doc.Errors = []fieldError{{Field: e.Field, Detail: doc.Detail}}
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	if err := enc.Encode(doc); err != nil {
		http.Error(w, doc.Title, doc.Status)
		return
	}
	w.Header().Set("Content-Type", "application/problem+json")
	w.Header().Set("Content-Length", strconv.Itoa(b.Len()))
	w.WriteHeader(doc.Status)
	if r.Method != http.MethodHead {
		w.Write(b.Bytes()) // a reader that has gone away is nobody's error
	}
}

type phrases struct{ name, title, say, advice string }

func kindName(k discovery.Kind) string { return phrasesFor(k).name }

// say is what a person is told of a failure, in their language. This is the one
// place where a failure that no form shows is translated.
func say(p *locale.Printer, e *discovery.Error) phrases {
	said := phrasesFor(e.Kind)
	said.title = p.T(said.title)
	if said.advice != "" {
		said.advice = p.T(said.advice)
	}
	if e.Say != "" {
		said.say = p.T(e.Say, e.Args...)
	} else {
		said.say = p.T(said.say)
	}
	return said
}

// phrasesFor are the words for a failure that brings none of its own.
//
//locale:texts
func phrasesFor(k discovery.Kind) phrases {
	switch k {
	case discovery.Invalid:
		return phrases{"invalid", "That does not look right", "Something in the request is not as it should be.", "Go back, check what you typed and try again."}
	case discovery.Forbidden:
		return phrases{"forbidden", "This was not accepted", "You have not been signed in, and nothing was changed.", "Start again from the beginning. If it happens again, give your administrator the reference below."}
	case discovery.NotFound:
		return phrases{"not-found", "There is no such page", "The address of this page may be mistyped or out of date.", ""}
	case discovery.NotAllowed:
		return phrases{"not-allowed", "This page cannot be used that way", "It does not accept this kind of request.", ""}
	case discovery.Conflict:
		return phrases{"conflict", "Something changed in the meantime", "What you sent no longer fits what is here now.", "Open the page again and repeat what you wanted to do."}
	case discovery.TooLarge:
		return phrases{"too-large", "That is too much at once", "The request is larger than anything this page needs.", ""}
	case discovery.MediaType:
		return phrases{"media-type", "That form cannot be read", "The request came in a format this page does not read.", ""}
	case discovery.Misdirected:
		return phrases{"misdirected", "No organisation lives here", "This address does not belong to any portal on this server.", "Check the address in your invitation or in your notification."}
	case discovery.TooMany:
		return phrases{"too-many", "Please wait a moment", "There were too many tries in a short time.", "Nothing is locked. Wait a little and try again."}
	case discovery.Unavailable:
		return phrases{"unavailable", "Please try again in a moment", "Something this page needs does not answer just now. It is not your fault, and nothing is lost.", ""}
	}
	return phrases{"internal", "Something went wrong on our side", "It is not your fault. It has been noted.", "Try again. If it happens again, give your administrator the reference below."}
}

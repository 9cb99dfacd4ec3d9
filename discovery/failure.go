package discovery

import (
	"fmt"
	"net/http"
	"strings"
	"time"
)

// Kind says what sort of failure an [Error] is. The zero Kind is Internal.
type Kind int

const (
	Internal    Kind = iota // 500: our fault; nothing about it is shown
	Invalid                 // 400: the input is wrong; Field names where
	Forbidden               // 403: a refusal, always dull
	NotFound                // 404
	NotAllowed              // 405
	Conflict                // 409
	TooLarge                // 413
	MediaType               // 415
	Misdirected             // 421: no such host here
	TooMany                 // 429: Retry says how long to wait
	Unavailable             // 503: "not known now", never "no such account"
)

// Status is the HTTP status a Kind is answered with.
func (k Kind) Status() int {
	switch k {
	case Invalid:
		return http.StatusBadRequest
	case Forbidden:
		return http.StatusForbidden
	case NotFound:
		return http.StatusNotFound
	case NotAllowed:
		return http.StatusMethodNotAllowed
	case Conflict:
		return http.StatusConflict
	case TooLarge:
		return http.StatusRequestEntityTooLarge
	case MediaType:
		return http.StatusUnsupportedMediaType
	case Misdirected:
		return http.StatusMisdirectedRequest
	case TooMany:
		return http.StatusTooManyRequests
	case Unavailable:
		return http.StatusServiceUnavailable
	}
	return http.StatusInternalServerError
}

// Phrases are English texts that are part of another one: as one of its Args they
// are translated with it, and follow each other with a blank between.
type Phrases []Phrase

// A Phrase is a text and what fills it in.
type Phrase struct {
	Say  string
	Args []any
}

// In says the phrases in a language.
func (ps Phrases) In(t func(key string, args ...any) string) string {
	said := make([]string, len(ps))
	for i, p := range ps {
		said[i] = t(p.Say, p.Args...)
	}
	return strings.Join(said, " ")
}

// String is the phrases in English.
func (ps Phrases) String() string {
	return ps.In(func(key string, args ...any) string { return (&Error{Say: key, Args: args}).English() })
}

// Error is a failure the person at the browser may hear about. It is the whole
// product's vocabulary of failure: rules and stores return it, and
// discovery/page alone turns it into a page, a problem document and a log line.
type Error struct {
	Kind  Kind
	Field string        // the form field or JSON member at fault, if one is
	Say   string        // shown to the person, an English text that is translated where it is; empty means the Kind's own words
	Args  []any         // what fills in Say
	Code  string        // a short constant for the operator: "assertion_replayed"
	Retry time.Duration // for TooMany and Unavailable
	Err   error         // logged, never shown
}

func (e *Error) Error() string {
	s := e.Code
	if s == "" {
		s = http.StatusText(e.Kind.Status())
	}
	if e.Field != "" {
		s = e.Field + ": " + s
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// English is what Say and Args say, for terminals and tests; pages translate.
func (e *Error) English() string {
	if len(e.Args) == 0 {
		return e.Say
	}
	return fmt.Sprintf(e.Say, e.Args...)
}

func (e *Error) Unwrap() error { return e.Err }

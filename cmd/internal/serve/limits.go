package serve

import (
	"errors"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/domicile-sso/domicile/discovery"
)

const (
	maxPath        = 1 << 10
	maxQuery       = 8 << 10
	maxQueryFields = 64
)

// Headers that steer a decision here. Two of one mean that two programs on the
// way may each believe a different one.
var single = []string{
	"Authorization", "Content-Encoding", "Content-Length", "Content-Type",
	"Host", "Origin", "Sec-Fetch-Mode", "Sec-Fetch-Site", "Transfer-Encoding",
}

// limits refuses what no browser of ours sends, before anybody parses it.
func (o Options) limits(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := o.checkRequest(r); err != nil {
			// Unread input and a kept connection do not go together.
			w.Header().Set("Connection", "close")
			o.Error(w, r, err)
			return
		}
		// A proxy and we have both read the request line by now; the host in it
		// must not turn up again in somebody's Location header.
		r.URL.Scheme, r.URL.Host, r.URL.User = "", "", nil
		for _, name := range []string{"X-Original-Url", "X-Rewrite-Url", "X-Http-Method-Override", "X-Method-Override", "X-Http-Method"} {
			delete(r.Header, name)
		}
		if r.ProtoMajor == 1 && len(r.TransferEncoding) > 0 {
			// RFC 9112 6.1: it may have had a length as well, and the proxy may
			// have believed that. Nothing more is read from this connection.
			w.Header().Set("Connection", "close")
		}
		r.Body = http.MaxBytesReader(w, r.Body, o.bodyLimit(r))
		h.ServeHTTP(w, r)
	})
}

func (o Options) bodyLimit(r *http.Request) int64 {
	for pattern, n := range o.BodyLimits {
		if match(pattern, r.URL.EscapedPath()) {
			return n
		}
	}
	return defaultBody
}

func (o Options) checkRequest(r *http.Request) error {
	if r.Method == http.MethodTrace || r.Method == http.MethodConnect || !strings.HasPrefix(r.URL.Path, "/") {
		return &discovery.Error{Kind: discovery.NotAllowed, Code: "method_refused"}
	}
	for _, name := range single {
		if len(r.Header[name]) > 1 {
			return invalid("header_repeated", name)
		}
	}
	if err := checkURL(r.URL); err != nil {
		return err
	}
	if err := checkCookies(r); err != nil {
		return err
	}
	if r.ContentLength > o.bodyLimit(r) {
		return &discovery.Error{Kind: discovery.TooLarge, Code: "body_too_large"}
	}
	if e := r.Header.Get("Content-Encoding"); e != "" && e != "identity" {
		return &discovery.Error{Kind: discovery.MediaType, Code: "body_encoded"}
	}
	if t := r.Header.Get("Content-Type"); t != "" && t != "application/x-www-form-urlencoded" && t != "application/json" {
		kind, _, err := mime.ParseMediaType(t)
		upload := kind == "multipart/form-data" && slices.ContainsFunc(o.Uploads, func(p string) bool { return match(p, r.URL.EscapedPath()) })
		if err != nil || strings.HasPrefix(kind, "multipart/") && !upload {
			return &discovery.Error{Kind: discovery.MediaType, Code: "body_type"}
		}
	}
	return nil
}

func checkURL(u *url.URL) error {
	switch {
	case len(u.EscapedPath()) > maxPath:
		return invalid("path_too_long", "")
	case !utf8.ValidString(u.Path) || strings.ContainsAny(u.Path, "\x00\r\n"):
		return invalid("path_encoding", "")
	case len(u.RawQuery) > maxQuery:
		return invalid("query_too_long", "")
	}
	if u.RawQuery == "" {
		return nil
	}
	q, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return invalid("query_encoding", "")
	}
	if len(q) > maxQueryFields {
		return invalid("query_fields", "")
	}
	for name, values := range q {
		for _, s := range append(values, name) {
			if !utf8.ValidString(s) || strings.ContainsRune(s, 0) {
				return invalid("query_encoding", "")
			}
		}
	}
	return nil
}

// checkCookies refuses two cookies of one __Host- name: a sibling that could not
// overwrite ours has put its own beside it.
func checkCookies(r *http.Request) error {
	if len(r.Header["Cookie"]) == 0 {
		return nil
	}
	seen := map[string]bool{}
	for _, c := range r.Cookies() {
		if !strings.HasPrefix(c.Name, "__Host-") {
			continue
		}
		if seen[c.Name] {
			return &discovery.Error{Kind: discovery.Invalid, Field: c.Name, Code: "cookie_repeated",
				Say: "Your browser sent a cookie of this site twice. Delete this site’s cookies and try again."}
		}
		seen[c.Name] = true
	}
	return nil
}

func invalid(code, name string) error {
	e := &discovery.Error{Kind: discovery.Invalid, Code: code}
	if name != "" {
		e.Err = errors.New(name)
	}
	return e
}

package config

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// SMS describes the gateway of an SMS provider: one HTTP request for a message.
type SMS struct {
	URL         *url.URL
	Method      string
	Token       Secret // empty: none
	Basic       bool   // the token is user:password
	ContentType string
	Body        string // with {to} and {text}
	Success     []int
	Timeout     time.Duration
}

// texting reads the section, or returns nil when there is none.
func texting(s *section) *SMS {
	sub := s.sub("sms", false)
	if sub.absent {
		return nil
	}
	defer sub.done()
	token, _, _ := sub.secret("token", "the gateway's token, or user:password", false)
	c := &SMS{
		URL:         need(sub, "url", "the address of the gateway, such as https://sms.example.com/v1/messages", gateway),
		Method:      get(sub, "method", oneOf(http.MethodPost, http.MethodPut), http.MethodPost),
		Token:       NewSecret(token),
		Basic:       get(sub, "authorization", oneOf("bearer", "basic"), "bearer") == "basic",
		ContentType: get(sub, "content_type", oneOf("application/json", "application/x-www-form-urlencoded"), "application/json"),
		Body:        need(sub, "body", `the text of a request, with {to} and {text}, such as '{"to":"{to}","text":"{text}"}'`, text),
		Success:     get(sub, "success", list(status), []int{200, 201, 202, 204}),
		Timeout:     get(sub, "timeout", duration(time.Second, 25*time.Second), 10*time.Second),
	}
	if at, ok := sub.entries["success"]; ok && len(c.Success) == 0 && at.isList() {
		at.wrong("it is empty: want the statuses that mean \"accepted\"")
	}
	if at, ok := sub.entries["body"]; ok && c.Body != "" {
		checkTemplate(at, c.ContentType, c.Body)
	}
	if at, ok := sub.entries["authorization"]; ok && c.Token.IsZero() && !sub.has("token_file") && !sub.has("token_env") {
		at.wrong("there is no token_file or token_env to authorize with")
	} else if ok && c.Basic && token != "" && !strings.Contains(token, ":") {
		at.wrong("basic wants user:password in token_file")
	}
	return c
}

// gateway reads an address with a path: https, or http where it stays on this
// machine.
func gateway(v value) *url.URL {
	s := text(v)
	if s == "" {
		return nil
	}
	u, err := url.Parse(s)
	switch {
	case err == nil && u.User != nil:
		v.wrong("a user or password does not stand in the address: use token_file, and authorization: basic if need be")
		return nil
	case err != nil || u.Hostname() == "" || u.Fragment != "" || u.Scheme != "https" && u.Scheme != "http":
		v.wrong("want an address such as https://sms.example.com/v1/messages")
		return nil
	case u.Scheme == "http" && !local(u.Hostname()):
		v.wrong("want https: codes and numbers are in every request; http is only for localhost")
		return nil
	}
	return u
}

func status(v value) int { return int(integer(200, 299)(v)) }

// checkTemplate: the number and the text stand in the body once each, and where
// they can be escaped.
func checkTemplate(at value, contentType, body string) {
	for _, name := range []string{"{to}", "{text}"} {
		if n := strings.Count(body, name); n != 1 {
			at.wrong("%s stands in it %d times: want it once", name, n)
			return
		}
	}
	if contentType == "application/json" {
		// Outside of quotes these are no JSON, and two of them are no number.
		filled := strings.NewReplacer("{to}", "+1", "{text}", "+1").Replace(body)
		if !json.Valid([]byte(filled)) {
			at.wrong("it is no JSON with {to} and {text} inside of quotes")
		}
		return
	}
	if _, err := url.ParseQuery(strings.NewReplacer("{to}", "x", "{text}", "x").Replace(body)); err != nil {
		at.wrong("it is no form such as to={to}&text={text}")
	}
}

package sms

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/domicile-sso/domicile/portal"
)

// HTTPOptions describe the gateway of an SMS provider.
type HTTPOptions struct {
	URL         string        // https; http to this very machine only
	Method      string        // POST or PUT; empty: POST
	Token       portal.Secret // sent as "Authorization: Bearer …"; empty: none
	Basic       bool          // Token is user:password, sent as "Authorization: Basic …"
	ContentType string        // application/json or application/x-www-form-urlencoded
	Body        string        // with {to} and {text}
	Success     []int         // statuses that mean "accepted"; empty: 200, 201, 202 and 204
	Timeout     time.Duration // 0: 10 s
}

// HTTP sends messages through a provider's gateway.
type HTTP struct {
	o      HTTPOptions
	client *http.Client
}

const (
	// JSON and Form are the ways a body may be written, and so how the number and
	// the text are escaped in it.
	JSON = "application/json"
	Form = "application/x-www-form-urlencoded"
)

// NewHTTP checks the options; it does not connect.
func NewHTTP(o HTTPOptions) (*HTTP, error) {
	if err := CheckURL(o.URL); err != nil {
		return nil, fmt.Errorf("sms: %w", err)
	}
	if err := CheckBody(o.ContentType, o.Body); err != nil {
		return nil, fmt.Errorf("sms: %w", err)
	}
	if o.Method == "" {
		o.Method = http.MethodPost
	}
	if len(o.Success) == 0 {
		o.Success = []int{http.StatusOK, http.StatusCreated, http.StatusAccepted, http.StatusNoContent}
	}
	if o.Timeout <= 0 {
		o.Timeout = 10 * time.Second
	}
	return &HTTP{o: o, client: &http.Client{
		Timeout: o.Timeout,
		// A gateway that sends us elsewhere would send the number there as well.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			Proxy: http.ProxyFromEnvironment, DialContext: (&net.Dialer{Timeout: o.Timeout}).DialContext,
			TLSHandshakeTimeout: o.Timeout, MaxIdleConnsPerHost: 4, IdleConnTimeout: time.Minute, ForceAttemptHTTP2: true,
		},
	}}, nil
}

// CheckURL reports why a gateway may not be at an address.
func CheckURL(s string) error {
	u, err := url.Parse(s)
	switch {
	case err != nil || u.Host == "" || u.Fragment != "" || u.Scheme != "https" && u.Scheme != "http":
		return errors.New("the gateway's url is none")
	case u.User != nil:
		return errors.New("the gateway's url holds a user or a password: they belong into token_file")
	case u.Scheme == "http" && !onThisMachine(u.Hostname()):
		return errors.New("the gateway's url begins with http://: codes are sent through https:// alone")
	}
	return nil
}

func onThisMachine(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || strings.HasSuffix(host, ".localhost") || err == nil && ip.IsLoopback()
}

// CheckBody reports why a body cannot be filled in.
func CheckBody(contentType, body string) error {
	kind, _, err := mime.ParseMediaType(contentType)
	if err != nil || kind != JSON && kind != Form {
		return errors.New("the content type is neither " + JSON + " nor " + Form)
	}
	for _, name := range []string{"{to}", "{text}"} {
		if strings.Count(body, name) != 1 {
			return fmt.Errorf("the body does not hold %s exactly once", name)
		}
	}
	if kind == Form {
		if _, err := url.ParseQuery(fill(kind, body, "+10000000000", "x")); err != nil {
			return errors.New("the body is no form")
		}
		return nil
	}
	// What is put in is escaped for the inside of a JSON string, and there alone
	// can it stand: the number and the text must come out as they went in.
	const to, text = "+10000000000", "\"}, {\\"
	var v any
	if json.Unmarshal([]byte(fill(kind, body, to, text)), &v) != nil || !holds(v, to) || !holds(v, text) {
		return errors.New("the body is no JSON with {to} and {text} inside of quotes")
	}
	return nil
}

// holds reports whether a value of v, at any depth, contains s.
func holds(v any, s string) bool {
	switch v := v.(type) {
	case string:
		return strings.Contains(v, s)
	case []any:
		return slices.ContainsFunc(v, func(e any) bool { return holds(e, s) })
	case map[string]any:
		for _, e := range v {
			if holds(e, s) {
				return true
			}
		}
	}
	return false
}

// fill puts a number and a text into a body, escaped for what the body is. Both
// at once, so that a text that says "{to}" stays as it is.
func fill(kind, body, to, text string) string {
	escape := url.QueryEscape
	if kind == JSON {
		escape = inString
	}
	return strings.NewReplacer("{to}", escape(to), "{text}", escape(text)).Replace(body)
}

// inString is s as it stands between the quotes of a JSON string.
func inString(s string) string {
	b, _ := json.Marshal(s) // a string always marshals
	return string(b[1 : len(b)-1])
}

// Send gives the message to the gateway.
func (h *HTTP) Send(ctx context.Context, to portal.E164, text string) error {
	kind, _, _ := mime.ParseMediaType(h.o.ContentType)
	body := fill(kind, h.o.Body, to.Clear(), text)
	req, err := http.NewRequestWithContext(ctx, h.o.Method, h.o.URL, bytes.NewBufferString(body))
	if err != nil {
		return errors.New("send text message: the request cannot be made")
	}
	req.Header.Set("Content-Type", h.o.ContentType)
	req.Header.Set("User-Agent", "domicile")
	switch {
	case h.o.Basic:
		user, password, _ := strings.Cut(h.o.Token.Clear(), ":")
		req.SetBasicAuth(user, password)
	case h.o.Token != "":
		req.Header.Set("Authorization", "Bearer "+h.o.Token.Clear())
	}
	res, err := h.client.Do(req)
	if err != nil {
		// The cause without the request: its URL may hold an account's name.
		var failed *url.Error
		if errors.As(err, &failed) {
			err = failed.Err
		}
		return fmt.Errorf("send text message: %w", err)
	}
	defer func() { _ = res.Body.Close() }()
	// What the gateway says may quote the number: only its status is repeated.
	_, _ = io.Copy(io.Discard, io.LimitReader(res.Body, 64<<10))
	if !slices.Contains(h.o.Success, res.StatusCode) {
		return fmt.Errorf("send text message: the gateway answered %d", res.StatusCode)
	}
	return nil
}

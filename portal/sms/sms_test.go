package sms

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/domicile-sso/domicile/portal"
)

var noon = time.Date(2026, 5, 7, 12, 0, 0, 0, time.UTC)

const number portal.E164 = "+4915112345678"

func message(language string) portal.Text {
	return portal.Text{To: number, Portal: "Acme \"&\" Sons\r\nX: {to}", URL: "https://acme.eu.example.com:8443",
		Language: language, Code: "123456", Expires: noon.Add(5 * time.Minute)}
}

func TestMessageBindsItsCodeToTheHost(t *testing.T) {
	for language, want := range map[string]string{
		"en": "123456 is your code for Acme \"&\" Sons X: {to}, good for 5 minutes. Tell it to nobody.",
		"de": "123456 ist Ihr Code für Acme \"&\" Sons X: {to}, gültig für 5 Minuten. Geben Sie ihn niemandem weiter.",
		"fr": "123456 est votre code pour Acme \"&\" Sons X: {to}, valable 5 minutes. Ne le communiquez à personne.",
		"xx": "123456 is your code for Acme \"&\" Sons X: {to}, good for 5 minutes. Tell it to nobody.",
	} {
		got, err := Write(message(language), noon)
		if want += "\n\n@acme.eu.example.com #123456"; err != nil || got != want {
			t.Errorf("%s: %q, %v", language, got, err)
		}
	}
	for name, change := range map[string]func(*portal.Text){
		"no code":   func(m *portal.Text) { m.Code = "" },
		"no number": func(m *portal.Text) { m.To = "0151 1234" },
		"no portal": func(m *portal.Text) { m.URL = "acme" },
	} {
		m := message("en")
		change(&m)
		if _, err := Write(m, noon); err == nil {
			t.Errorf("%s: was written", name)
		}
	}
}

// A gateway keeps what it was sent, and answers with a status.
type gateway struct {
	status               int
	body, kind, auth     string
	redirected, requests int
}

func (g *gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	g.requests++
	if r.URL.Path == "/elsewhere" {
		g.redirected++
		return
	}
	b, _ := io.ReadAll(r.Body)
	g.body, g.kind, g.auth = string(b), r.Header.Get("Content-Type"), r.Header.Get("Authorization")
	w.Header().Set("Location", "/elsewhere")
	w.WriteHeader(g.status)
	_, _ = io.WriteString(w, "no such number: "+number.Clear())
}

func TestBodiesAreEscaped(t *testing.T) {
	text := "line one\n\"quoted\" {to} & 100 % <b> \\ é"
	g := &gateway{status: http.StatusAccepted}
	srv := httptest.NewServer(g)
	t.Cleanup(srv.Close)
	o := HTTPOptions{URL: srv.URL + "/send", Token: "t0ken", ContentType: JSON, Body: `{"m":[{"to":"{to}","text":"pre {text}"}]}`}
	send := func() {
		t.Helper()
		h, err := NewHTTP(o)
		if err == nil {
			err = h.Send(t.Context(), number, text)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	send()
	var got struct{ M []struct{ To, Text string } }
	if err := json.Unmarshal([]byte(g.body), &got); err != nil || got.M[0].To != number.Clear() || got.M[0].Text != "pre "+text {
		t.Errorf("JSON: %s, %v", g.body, err)
	}
	if g.auth != "Bearer t0ken" || g.kind != JSON {
		t.Errorf("headers: %q %q", g.auth, g.kind)
	}

	o.ContentType, o.Body, o.Token, o.Basic = Form, "From=Acme&To={to}&Body={text}", "user:pass:word", true
	send()
	form, err := url.ParseQuery(g.body)
	if err != nil || form.Get("To") != number.Clear() || form.Get("Body") != text || form.Get("From") != "Acme" {
		t.Errorf("form: %s, %v", g.body, err)
	}
	if want := "Basic dXNlcjpwYXNzOndvcmQ="; g.auth != want {
		t.Errorf("authorization: %q", g.auth)
	}
}

func TestGatewayIsRefused(t *testing.T) {
	good := HTTPOptions{URL: "https://sms.example.com/", ContentType: JSON, Body: `{"to":"{to}","text":"{text}"}`}
	for name, change := range map[string]func(*HTTPOptions){
		"http":             func(o *HTTPOptions) { o.URL = "http://sms.example.com/" },
		"file":             func(o *HTTPOptions) { o.URL = "file:///etc/passwd" },
		"user":             func(o *HTTPOptions) { o.URL = "https://u:p@sms.example.com/" },
		"no number":        func(o *HTTPOptions) { o.Body = `{"text":"{text}"}` },
		"number twice":     func(o *HTTPOptions) { o.Body = `{"to":"{to}","from":"{to}","text":"{text}"}` },
		"outside quotes":   func(o *HTTPOptions) { o.Body = `{"to":{to},"text":"{text}"}` },
		"as a key":         func(o *HTTPOptions) { o.Body = `{"{to}":1,"text":"{text}"}` },
		"no JSON":          func(o *HTTPOptions) { o.Body = `to {to} text {text}` },
		"unknown type":     func(o *HTTPOptions) { o.ContentType = "text/xml" },
		"no form":          func(o *HTTPOptions) { o.ContentType, o.Body = Form, "to={to}&text={text}&%zz" },
		"after a bad pair": func(o *HTTPOptions) { o.ContentType, o.Body = Form, "a;b&to={to}&text={text}" },
	} {
		o := good
		change(&o)
		if _, err := NewHTTP(o); err == nil {
			t.Errorf("%s: was taken", name)
		}
	}
	if _, err := NewHTTP(good); err != nil {
		t.Error(err)
	}
}

// What goes wrong is told without the number, which the gateway's answer repeats,
// and without following it elsewhere.
func TestFailuresAreCountedAndDull(t *testing.T) {
	g := &gateway{status: http.StatusTemporaryRedirect}
	srv := httptest.NewServer(g)
	t.Cleanup(srv.Close)
	h, err := NewHTTP(HTTPOptions{URL: srv.URL, ContentType: JSON, Body: `{"to":"{to}","text":"{text}"}`, Timeout: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	reg := prometheus.NewRegistry()
	d, err := NewDesk(h, func() time.Time { return noon }, reg)
	if err != nil {
		t.Fatal(err)
	}
	for _, status := range []int{http.StatusTemporaryRedirect, http.StatusForbidden, http.StatusInternalServerError, http.StatusOK} {
		g.status = status
		err := d.Deliver(t.Context(), message("en"))
		if (err == nil) != (status == http.StatusOK) {
			t.Errorf("%d: %v", status, err)
		}
		if err != nil && (strings.Contains(err.Error(), "4915112345678") || !strings.Contains(err.Error(), fmt.Sprint(status))) {
			t.Errorf("%d: %v", status, err)
		}
	}
	if g.redirected > 0 {
		t.Error("the number was sent to where the gateway pointed")
	}
	srv.Close()
	if err := d.Deliver(t.Context(), message("en")); err == nil || strings.Contains(err.Error(), "4915112345678") {
		t.Errorf("nobody there: %v", err)
	}
	want := `
		# HELP domicile_portal_texts_total Text messages given to the SMS gateway, by outcome: sent, or failed and tried again.
		# TYPE domicile_portal_texts_total counter
		domicile_portal_texts_total{outcome="failed"} 4
		domicile_portal_texts_total{outcome="sent"} 1
	`
	if err := testutil.GatherAndCompare(reg, strings.NewReader(want)); err != nil {
		t.Error(err)
	}
}

func TestLogHasNeitherNumberNorCode(t *testing.T) {
	var log bytes.Buffer
	var kept string
	l := Log{Log: slog.New(slog.NewJSONHandler(&log, nil)), Keep: func(to portal.E164, text string) { kept = to.Clear() + text }}
	if err := l.Send(context.Background(), number, "123456 is your code"); err != nil {
		t.Fatal(err)
	}
	l.Log.Info("for the test", "number", number, "text", message("en"))
	if kept != "+4915112345678123456 is your code" || strings.Contains(log.String(), "123456") || log.Len() == 0 {
		t.Errorf("kept %q, log %s", kept, log.String())
	}
	if s := fmt.Sprintf("%s %v %q %x %+v", number, number, number, number, message("en")); strings.Contains(s, "12345") {
		t.Errorf("printed: %s", s)
	}
}

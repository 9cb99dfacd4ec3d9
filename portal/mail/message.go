package mail

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	htmltemplate "html/template"
	"net/mail"
	"net/url"
	"strings"
	"sync"
	texttemplate "text/template"
	"time"
	"unicode"

	"github.com/domicile-sso/domicile/discovery"
	"github.com/domicile-sso/domicile/discovery/page/locale"
	"github.com/domicile-sso/domicile/portal"
)

//go:embed letters locales
var files embed.FS

// book has the words of all letters. Both folders are embedded: a binary whose
// tests pass cannot fail here.
var book = sync.OnceValues(func() (*locale.Book, error) { return locale.Load(files) })

// A Message is a letter in words, ready to be sent.
type Message struct {
	ID      string       // unique: becomes part of Message-ID, so that a second try is the same mail
	ReplyTo mail.Address // zero: none
	From    mail.Address
	Sender  mail.Address // who hands it in, where that is not From; zero: From
	To      discovery.Address
	Number  portal.E164 // instead of To: it is a text message
	Subject string
	Lang    string // what it is written in
	Text    string
	HTML    string
	Links   []string // the links in it, in order
	Date    time.Time
}

// page is what every letter's template sees.
type page struct {
	portal.Letter
	Lang     string
	Greeting string
	Link     string
	Host     string
	Until    string
	Secret   string // the temporary password, in clear: this is the letter that brings it
	Address  string
	About    string // the address it is about, in clear
}

// links say which page of the portal a kind of letter leads to.
var links = map[portal.LetterKind]string{
	portal.InvitationLetter: "/invitation",
	portal.TemporaryLetter:  "/login",
	portal.ResetLetter:      "/password/reset",
	portal.SSOLetter:        "/login",
	portal.NoResetLetter:    "/login",
	portal.ChangedLetter:    "/login",
	portal.ActivationLetter: "/account/sessions",
	portal.MovedLetter:      "/password/forgot",
	portal.FactorLetter:     "/account/security",

	portal.AliasLetter:         "/account/addresses/confirm",
	portal.AliasAddedLetter:    "/account/addresses",
	portal.AliasPromotedLetter: "/account/addresses",
	portal.AliasRemovedLetter:  "/account/addresses",
	portal.AliasMergedLetter:   "/account/addresses",

	portal.RecoveryAskedLetter:   "/recovery/cancel",
	portal.RecoveryAllowedLetter: "/recovery",
	portal.RecoveryRefusedLetter: "/login",
	portal.RecoveryDoneLetter:    "/account/security",
}

// Write puts a letter into words.
func Write(id string, from mail.Address, l portal.Letter, now time.Time) (Message, error) {
	path, ok := links[l.Kind]
	if !ok {
		return Message{}, fmt.Errorf("write letter: no words for kind %q", l.Kind)
	}
	if l.To.IsZero() {
		return Message{}, errors.New("write letter: no address")
	}
	u, err := url.Parse(l.URL)
	if err != nil || u.Host == "" || (u.Scheme != "https" && u.Scheme != "http") {
		return Message{}, errors.New("write letter: the portal's URL is none")
	}
	link := u.Scheme + "://" + u.Host + path
	if l.Token != "" {
		link += "?token=" + url.QueryEscape(l.Token.Clear())
	} else if l.Kind == portal.InvitationLetter {
		link = u.Scheme + "://" + u.Host + "/login"
	}
	words, err := book()
	if err != nil {
		return Message{}, fmt.Errorf("write letter: %w", err)
	}
	say := words.Printer(l.Language)
	l.Name, l.Portal, l.Contact = oneLine(l.Name), oneLine(l.Portal), oneLine(l.Contact)
	l.App, l.Device, l.By = oneLine(l.App), oneLine(l.Device), oneLine(l.By)
	p := page{Letter: l, Lang: say.Lang(), Greeting: say.T("Hello,"), Link: link, Host: u.Host,
		Until: until(l, say.Lang()), Secret: l.Temporary.Clear(), Address: l.To.Clear(), About: l.About.Clear()}
	if l.Name != "" {
		p.Greeting = say.T("Hello %s,", l.Name)
	}
	m := Message{ID: id, From: from, To: l.To, Lang: say.Lang(), Date: now, Links: []string{link}}
	if m.Subject, m.Text, err = writeText(l.Kind, p, say); err != nil {
		return Message{}, err
	}
	if m.HTML, err = writeHTML(l.Kind, p, say); err != nil {
		return Message{}, err
	}
	return own(m, l), nil
}

// until is when what the letter brings ends, where and as the person reads it.
func until(l portal.Letter, lang string) string {
	if l.Expires.IsZero() {
		return ""
	}
	zone, err := time.LoadLocation(l.Zone) // "" is UTC
	if err != nil {
		zone = time.UTC
	}
	culture, ok := locale.ParseCulture(l.Culture)
	if !ok {
		culture = locale.CultureOf(lang)
	}
	return culture.DateTime(l.Expires.In(zone))
}

func writeText(k portal.LetterKind, p page, say *locale.Printer) (subject, text string, err error) {
	t, err := texttemplate.New("base.txt").Funcs(texttemplate.FuncMap{"t": say.T}).ParseFS(files, "letters/base.txt", "letters/"+string(k)+".txt")
	if err != nil {
		return "", "", fmt.Errorf("write letter: %w", err)
	}
	var s, b bytes.Buffer
	if err := t.ExecuteTemplate(&s, "subject", p); err != nil {
		return "", "", fmt.Errorf("write letter: %w", err)
	}
	if err := t.ExecuteTemplate(&b, "base.txt", p); err != nil {
		return "", "", fmt.Errorf("write letter: %w", err)
	}
	return oneLine(s.String()), b.String(), nil
}

func writeHTML(k portal.LetterKind, p page, say *locale.Printer) (string, error) {
	t, err := htmltemplate.New("base.html").Funcs(htmltemplate.FuncMap{"t": say.T}).ParseFS(files, "letters/base.html", "letters/"+string(k)+".html")
	if err != nil {
		return "", fmt.Errorf("write letter: %w", err)
	}
	var b bytes.Buffer
	if err := t.ExecuteTemplate(&b, "base.html", p); err != nil {
		return "", fmt.Errorf("write letter: %w", err)
	}
	return b.String(), nil
}

// oneLine keeps what goes into headers and greetings on one line: names come
// from people and identity providers.
func oneLine(s string) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == '\u2028' || r == '\u2029' {
			return ' '
		}
		return r
	}, s)
	s = strings.Join(strings.Fields(s), " ")
	if r := []rune(s); len(r) > 200 {
		s = string(r[:200])
	}
	return s
}

package demo

import (
	"embed"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/domicile-sso/domicile/discovery"
	"github.com/domicile-sso/domicile/discovery/page"
	"github.com/domicile-sso/domicile/portal/mail"
)

//go:embed pages/*.html
var pages embed.FS

// A mailPage stands for everybody's mail program.
type mailPage struct {
	set *page.Set
	box *mail.Mailbox
}

func newMailPage(box *mail.Mailbox, log *slog.Logger) (*mailPage, error) {
	set, err := page.New(pages, page.Options{Log: log})
	if err != nil {
		return nil, err
	}
	return &mailPage{set: set, box: box}, nil
}

func (b *mailPage) find(id string) (mail.Message, error) {
	if m, ok := b.box.Message(id); ok {
		return m, nil
	}
	return mail.Message{}, &discovery.Error{Kind: discovery.NotFound, Code: "no_such_mail"}
}

func (b *mailPage) handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /{$}", b.set.Handle(b.list))
	mux.Handle("GET /message/{id}", b.set.Handle(b.show))
	mux.Handle("GET /message/{id}/html", b.set.Handle(b.asHTML))
	mux.Handle("/assets/", b.set.Assets())
	mux.Handle("/", b.set.Handle(func(http.ResponseWriter, *http.Request) error {
		return &discovery.Error{Kind: discovery.NotFound, Code: "no_such_page"}
	}))
	return mux
}

type mailboxPage struct{ Messages []envelope }

type envelope struct {
	ID, Subject, To, From string
	SMS                   bool
	Sent                  struct{ Human, Machine string }
}

type messagePage struct {
	envelope
	Text [][]piece
	HTML bool
}

// A piece of a line is text or a link; Break starts a new line.
type piece struct {
	Text, Link string
	Break      bool
}

func envelopeOf(m mail.Message) envelope {
	e := envelope{ID: m.ID, Subject: m.Subject, To: m.To.Clear(), From: m.From.Address}
	if m.Number != "" {
		e.To, e.From, e.SMS = m.Number.Clear(), "", true
	}
	if m.From.Name != "" {
		e.From = m.From.Name + " <" + m.From.Address + ">"
	}
	e.Sent.Human = m.Date.UTC().Format("2 January 2006, 15:04:05 UTC")
	e.Sent.Machine = m.Date.UTC().Format(time.RFC3339)
	return e
}

func (b *mailPage) list(w http.ResponseWriter, r *http.Request) error {
	var all []envelope
	for _, m := range b.box.Messages() {
		all = append(all, envelopeOf(m))
	}
	return b.set.Render(w, framed(r), http.StatusOK, "mailbox", mailboxPage{all})
}

func (b *mailPage) show(w http.ResponseWriter, r *http.Request) error {
	m, err := b.find(r.PathValue("id"))
	if err != nil {
		return err
	}
	return b.set.Render(w, framed(r), http.StatusOK, "message", messagePage{envelopeOf(m), paragraphs(m.Text, m.Links), m.HTML != ""})
}

// asHTML shows the mail's own HTML in a sandbox without scripts, forms, remote
// content or an origin, as a careful mail program does.
func (b *mailPage) asHTML(w http.ResponseWriter, r *http.Request) error {
	m, err := b.find(r.PathValue("id"))
	if err != nil {
		return err
	}
	if m.HTML == "" {
		return &discovery.Error{Kind: discovery.NotFound, Code: "mail_without_html"}
	}
	w.Header().Set("Content-Security-Policy",
		"sandbox allow-top-navigation-by-user-activation; default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'")
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, err = io.WriteString(w, m.HTML)
	return err
}

func framed(r *http.Request) *http.Request {
	return r.WithContext(page.WithFrame(r.Context(), page.Frame{Site: "Demo mailbox"}))
}

// paragraphs cuts a plain text into paragraphs of lines, with the links that the
// message says it holds made into links.
func paragraphs(text string, links []string) [][]piece {
	var out [][]piece
	for _, block := range strings.Split(strings.ReplaceAll(text, "\r\n", "\n"), "\n\n") {
		var p []piece
		for i, line := range strings.Split(strings.Trim(block, "\n"), "\n") {
			p = append(p, piece{Break: i > 0})
			p = append(p, linked(line, links)...)
		}
		if strings.TrimSpace(block) != "" {
			out = append(out, p)
		}
	}
	return out
}

func linked(line string, links []string) []piece {
	for _, l := range links {
		if before, after, ok := strings.Cut(line, l); ok && l != "" {
			return append(append(linked(before, links), piece{Link: l}), linked(after, links)...)
		}
	}
	if line == "" {
		return nil
	}
	return []piece{{Text: line}}
}

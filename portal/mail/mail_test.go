package mail

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	netmail "net/mail"
	"regexp"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/domicile-sso/domicile/discovery"
	"github.com/domicile-sso/domicile/portal"
)

var from = netmail.Address{Name: "Acme sign-in", Address: "no-reply@eu.example.com"}

func address(t *testing.T, s string) discovery.Address {
	t.Helper()
	a, err := discovery.ParseAddress(s)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func letter(t *testing.T, kind portal.LetterKind) portal.Letter {
	return portal.Letter{
		Kind: kind, To: address(t, "max@consult.example"), Name: "Max <b>Mustermann</b>", Portal: "Acme & Sons",
		URL: "https://acme.eu.example.com", Contact: "it@acme.example", Token: "t0k_en-1", Temporary: "abcde-fghjk",
		Expires: time.Date(2026, 5, 7, 9, 0, 0, 0, time.UTC),
	}
}

var everyKind = []portal.LetterKind{portal.InvitationLetter, portal.TemporaryLetter, portal.ResetLetter,
	portal.SSOLetter, portal.NoResetLetter, portal.ChangedLetter}

var target = regexp.MustCompile(`(?:href|src|action|background)="([^"]*)"|https?://[^\s"<]+`)

func TestEveryLetter(t *testing.T) {
	for _, kind := range everyKind {
		l := letter(t, kind)
		if kind == portal.TemporaryLetter || kind == portal.SSOLetter || kind == portal.NoResetLetter || kind == portal.ChangedLetter {
			l.Token = ""
		}
		m, err := Write("id1", from, l, time.Now())
		if err != nil {
			t.Errorf("%s: %v", kind, err)
			continue
		}
		for part, text := range map[string]string{"text": m.Text, "html": m.HTML} {
			if !strings.Contains(text, "You got this message because") || !strings.Contains(text, "Questions: it@acme.example") {
				t.Errorf("%s, %s: no reason or no contact", kind, part)
			}
			for _, link := range target.FindAllString(text, -1) {
				if !strings.Contains(link, m.Links[0]) {
					t.Errorf("%s, %s: leads elsewhere: %s", kind, part, link)
				}
			}
			if !strings.Contains(text, m.Links[0]) {
				t.Errorf("%s, %s: the link is missing", kind, part)
			}
			if got, want := strings.Contains(text, "abcde-fghjk"), kind == portal.TemporaryLetter; got != want {
				t.Errorf("%s, %s: temporary password shown: %t", kind, part, got)
			}
		}
		if !strings.Contains(m.Text, "Max <b>Mustermann</b>") || strings.Contains(m.HTML, "<b>Muster") || strings.Contains(m.HTML, "<img") || strings.Contains(m.HTML, "url(") {
			t.Errorf("%s: names are not escaped, or something remote", kind)
		}
		if strings.Contains(m.Links[0], "consult") || m.Subject == "" || strings.Contains(m.Subject, "{{") {
			t.Errorf("%s: link %q, subject %q", kind, m.Links[0], m.Subject)
		}
	}
}

func TestLinks(t *testing.T) {
	for kind, want := range map[portal.LetterKind]string{
		portal.InvitationLetter: "https://acme.eu.example.com/invitation?token=t0k_en-1",
		portal.ResetLetter:      "https://acme.eu.example.com/password/reset?token=t0k_en-1",
	} {
		m, err := Write("id", from, letter(t, kind), time.Now())
		if err != nil || m.Links[0] != want {
			t.Errorf("%s: %q, %v", kind, m.Links, err)
		}
	}
	l := letter(t, portal.InvitationLetter)
	l.Token, l.Federated = "", true
	m, err := Write("id", from, l, time.Now())
	if err != nil || m.Links[0] != "https://acme.eu.example.com/login" || !strings.Contains(m.Text, "own sign-in") {
		t.Errorf("federated: %q, %v", m.Links, err)
	}
	for name, change := range map[string]func(*portal.Letter){
		"no receiver": func(l *portal.Letter) { l.To = discovery.Address{} },
		"no URL":      func(l *portal.Letter) { l.URL = "" },
		"javascript":  func(l *portal.Letter) { l.URL = "javascript:alert(1)" },
		"kind":        func(l *portal.Letter) { l.Kind = "spam" },
	} {
		l := letter(t, portal.ResetLetter)
		change(&l)
		if _, err := Write("id", from, l, time.Now()); err == nil {
			t.Errorf("%s: was written", name)
		}
	}
}

// What people and identity providers put into names stays out of the headers.
func TestHeadersCannotBeInjected(t *testing.T) {
	l := letter(t, portal.InvitationLetter)
	l.Portal, l.Name = "Acme\r\nBcc: victim@x.example\r\n\r\nbody", "Max\nX-Evil: 1"
	m, err := Write("id", netmail.Address{Name: "Sign-in\r\nCc: a@x.example", Address: from.Address}, l, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	msg, err := compose(m)
	if err != nil {
		t.Fatal(err)
	}
	var raw bytes.Buffer
	if _, err := msg.WriteTo(&raw); err != nil {
		t.Fatal(err)
	}
	parsed, err := netmail.ReadMessage(&raw)
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range []string{"Bcc", "Cc", "X-Evil"} {
		if parsed.Header.Get(h) != "" {
			t.Errorf("a header %s came in", h)
		}
	}
	if got := parsed.Header.Get("To"); got != "<max@consult.example>" {
		t.Errorf("To is %q", got)
	}
	if parsed.Header.Get("Auto-Submitted") != "auto-generated" || parsed.Header.Get("Message-Id") != "<id@domicile>" {
		t.Errorf("headers: %v", parsed.Header)
	}
}

func TestMailbox(t *testing.T) {
	var b Mailbox
	for range 2 { // a second try of the same letter is the same mail
		if err := b.Send(t.Context(), Message{ID: "1", To: address(t, "a@x.example"), Subject: "Hello there"}); err != nil {
			t.Fatal(err)
		}
	}
	got := make(chan Message)
	go func() {
		m, _ := b.Await(t.Context(), address(t, "b@x.example"), "You are")
		got <- m
	}()
	for _, m := range []Message{{ID: "2", To: address(t, "b@x.example"), Subject: "Other"}, {ID: "3", To: address(t, "b@x.example"), Subject: "You are invited"}} {
		if err := b.Send(t.Context(), m); err != nil {
			t.Fatal(err)
		}
	}
	if m := <-got; m.ID != "3" {
		t.Errorf("waited for %+v", m)
	}
	if all := b.Messages(); len(all) != 3 || all[0].ID != "3" {
		t.Errorf("messages: %+v", all)
	}
	if m, ok := b.Message("1"); !ok || m.Subject != "Hello there" {
		t.Errorf("by ID: %+v, %t", m, ok)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := b.Await(ended, address(t, "c@x.example"), ""); !errors.Is(err, context.Canceled) {
		t.Errorf("waiting for nothing: %v", err)
	}
}

// queue is a Queue in memory: what fails comes up again a minute later.
type queue struct {
	mu     sync.Mutex
	due    map[string]time.Time
	l      portal.Letter
	woken  chan struct{}
	sent   []string
	failed int
	away   error // the database's
}

func (q *queue) DueLetters(_ context.Context, limit int) (out []portal.Posted, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for id, at := range q.due {
		if !at.After(time.Now()) && len(out) < limit {
			q.due[id] = time.Now().Add(time.Minute)
			out = append(out, portal.Posted{ID: id, Letter: q.l})
		}
	}
	return out, q.away
}

func (q *queue) LetterSent(_ context.Context, id string) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	delete(q.due, id)
	q.sent = append(q.sent, id)
	return nil
}

func (q *queue) LetterFailed(context.Context, string) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.failed++
	return nil
}

func (q *queue) LetterQueued() <-chan struct{} { return q.woken }

type flaky struct {
	Mailbox
	left int // failures before it works
	mu   sync.Mutex
}

func (f *flaky) Send(ctx context.Context, m Message) error {
	f.mu.Lock()
	f.left--
	fails := f.left >= 0
	f.mu.Unlock()
	if fails {
		return errors.New("mail server is down")
	}
	return f.Mailbox.Send(ctx, m)
}

func TestWorker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		now := time.Now()
		q := &queue{woken: make(chan struct{}), l: letter(t, portal.ResetLetter),
			due: map[string]time.Time{"1": now, "2": now, "3": now, "4": now, "5": now, "6": now}}
		sender := &flaky{left: 3}
		w := &Worker{Queue: q, Sender: sender, From: from, Log: slog.New(slog.NewTextHandler(&log, nil)), Now: time.Now}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { w.Run(ctx); close(done) }()
		pass(2 * time.Minute)
		if len(q.sent) != 6 || q.failed != 3 || len(sender.Messages()) != 6 {
			t.Errorf("sent %v, failed %d", q.sent, q.failed)
		}
		q.mu.Lock()
		q.due["7"] = time.Now()
		q.mu.Unlock()
		before := time.Now()
		q.woken <- struct{}{}
		synctest.Wait()
		if len(q.sent) != 7 || time.Since(before) != 0 {
			t.Errorf("after waking: %v, %s later", q.sent, time.Since(before))
		}
		for _, err := range []error{errors.New("connection refused"), nil} {
			q.mu.Lock()
			q.away = err
			q.mu.Unlock()
			pass(time.Hour)
		}
		cancel()
		<-done
		if n := strings.Count(log.String(), "letters can"); n != 2 {
			t.Errorf("an hour without the database is logged %d times, want when it begins and when it ends", n)
		}
		if s := log.String(); strings.Contains(s, "consult.example") || strings.Contains(s, "t0k_en") {
			t.Errorf("the log tells: %s", s)
		}
	})
}

// slow takes a while for each message.
type slow struct {
	Mailbox
	takes time.Duration
}

func (s *slow) Send(ctx context.Context, m Message) error {
	select {
	case <-time.After(s.takes):
		return s.Mailbox.Send(ctx, m)
	case <-ctx.Done():
		return ctx.Err()
	}
}

// A worker that is stopped finishes the letters in hand, and puts back those that
// take too long.
func TestWorkerIsStopped(t *testing.T) {
	for takes, want := range map[time.Duration][2]int{time.Second: {1, 0}, time.Minute: {0, 1}} {
		synctest.Test(t, func(t *testing.T) {
			q := &queue{woken: make(chan struct{}), l: letter(t, portal.ResetLetter), due: map[string]time.Time{"1": time.Now()}}
			w := &Worker{Queue: q, Sender: &slow{takes: takes}, From: from, Log: slog.New(slog.DiscardHandler), Now: time.Now}
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan struct{})
			go func() { w.Run(ctx); close(done) }()
			synctest.Wait()
			cancel()
			<-done
			if got := [2]int{len(q.sent), q.failed}; got != want {
				t.Errorf("a letter that takes %s: sent and put back %v, want %v", takes, got, want)
			}
		})
	}
}

// pass lets d go by in the bubble of a synctest, and everybody come to rest.
func pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

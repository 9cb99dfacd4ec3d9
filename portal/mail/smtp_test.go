package mail

import (
	"bufio"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/domicile-sso/domicile/portal"
)

// smtpd is the least of a mail server: it takes one message, or refuses every
// receiver.
func smtpd(t *testing.T, refuse bool) (port int, got <-chan string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	out := make(chan string, 1)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			talk(c, refuse, out)
		}
	}()
	return l.Addr().(*net.TCPAddr).Port, out
}

func talk(c net.Conn, refuse bool, out chan<- string) {
	defer func() { _ = c.Close() }()
	say := func(s string) { _, _ = c.Write([]byte(s + "\r\n")) }
	say("220 test ESMTP")
	r := bufio.NewReader(c)
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return
		}
		switch verb := strings.ToUpper(strings.Fields(line + " x")[0]); {
		case verb == "EHLO":
			say("250-test")
			say("250 8BITMIME")
		case verb == "RCPT" && refuse:
			say("450 4.2.1 <max@consult.example>: mailbox busy")
		case verb == "DATA":
			say("354 go on")
			var b strings.Builder
			for {
				line, err := r.ReadString('\n')
				if err != nil || line == ".\r\n" {
					break
				}
				b.WriteString(line)
			}
			out <- b.String()
			say("250 ok")
		case verb == "QUIT":
			say("221 bye")
			return
		default:
			say("250 ok")
		}
	}
}

func TestSMTP(t *testing.T) {
	port, got := smtpd(t, false)
	s, err := NewSMTP(SMTPOptions{Host: "127.0.0.1", Port: port, TLS: "none", Hello: "localhost"})
	if err != nil {
		t.Fatal(err)
	}
	m, err := Write("id1", from, letter(t, portal.ResetLetter), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Send(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	raw := <-got
	for _, part := range []string{"multipart/alternative", "text/plain", "text/html", "Subject: Choose a new password for Acme & Sons", "To: <max@consult.example>"} {
		if !strings.Contains(raw, part) {
			t.Errorf("%q is not in\n%s", part, raw)
		}
	}
}

func TestSMTPErrorsNameNobody(t *testing.T) {
	port, _ := smtpd(t, true)
	s, err := NewSMTP(SMTPOptions{Host: "127.0.0.1", Port: port, TLS: "none", Hello: "localhost"})
	if err != nil {
		t.Fatal(err)
	}
	m, err := Write("id1", from, letter(t, portal.ResetLetter), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Send(t.Context(), m); err == nil || strings.Contains(err.Error(), "consult") {
		t.Errorf("got %v", err)
	}
}

func TestSMTPOptions(t *testing.T) {
	for name, o := range map[string]SMTPOptions{
		"no host":               {},
		"odd tls":               {Host: "mail", TLS: "maybe"},
		"password in clear":     {Host: "mail", TLS: "none", Username: "u", Password: "p"},
		"port out of its range": {Host: "mail", Port: 70000},
	} {
		if _, err := NewSMTP(o); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if _, err := NewSMTP(SMTPOptions{Host: "mail.example", Username: "u", Password: "p"}); err != nil {
		t.Error(err)
	}
}

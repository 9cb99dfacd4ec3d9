package planttest

import (
	"bufio"
	"fmt"
	"io"
	"mime/quotedprintable"
	"net"
	"net/mail"
	"regexp"
	"strings"
	"sync"
	"testing"
)

// A Sink is a mail server that keeps everything (RFC 5321, the least of it).
type Sink struct {
	URL string // smtp://…

	mu      sync.Mutex
	letters []received
}

type received struct {
	to, subject, text string
}

// NewSink starts one on a free port.
func NewSink(t testing.TB) *Sink {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	s := &Sink{URL: "smtp://" + l.Addr().String()}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go s.talk(c)
		}
	}()
	return s
}

func (s *Sink) talk(c net.Conn) {
	defer c.Close()
	in := bufio.NewReader(c)
	say := func(line string) { fmt.Fprintf(c, "%s\r\n", line) }
	say("220 sink")
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return
		}
		switch verb, _, _ := strings.Cut(strings.ToUpper(strings.TrimSpace(line)), " "); verb {
		case "EHLO", "HELO":
			say("250-sink")
			say("250 8BITMIME")
		case "DATA":
			say("354 go on")
			var text strings.Builder
			for {
				line, err := in.ReadString('\n')
				if err != nil {
					return
				}
				if line == ".\r\n" {
					break
				}
				text.WriteString(strings.TrimPrefix(line, "."))
			}
			s.take(text.String())
			say("250 kept")
		case "QUIT":
			say("221 bye")
			return
		default:
			say("250 fine")
		}
	}
}

// take keeps a message. The parts are quoted-printable, and decoding them all at
// once is enough to find a link in the plain one.
func (s *Sink) take(raw string) {
	m, err := mail.ReadMessage(strings.NewReader(raw))
	if err != nil {
		return
	}
	body, err := io.ReadAll(quotedprintable.NewReader(m.Body))
	if err != nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.letters = append(s.letters, received{m.Header.Get("To"), m.Header.Get("Subject"), string(body)})
}

// Letter waits for mail to an address and returns its text.
func (s *Sink) Letter(t testing.TB, to, subject string) string {
	t.Helper()
	var found string
	Until(t, "mail to "+to+": "+subject, func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		for _, l := range s.letters {
			if strings.Contains(l.to, to) && strings.Contains(l.subject, subject) {
				found = l.text
				return true
			}
		}
		return false
	})
	return found
}

// TemporaryPassword is the one in the text of a letter, or empty.
func TemporaryPassword(letter string) string {
	m := regexp.MustCompile(`Temporary password: (\S+)`).FindStringSubmatch(letter)
	if m == nil {
		return ""
	}
	return m[1]
}

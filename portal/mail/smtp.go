package mail

import (
	"context"
	"errors"
	"fmt"
	"time"

	gomail "github.com/wneessen/go-mail"

	"github.com/domicile-sso/domicile/portal"
)

// SMTPOptions say how to reach the region's mail server.
type SMTPOptions struct {
	Host     string
	Port     int
	Username string // empty: no authentication
	Password portal.Secret
	TLS      string // "starttls" (also when empty), "implicit", or "none" for a server on this machine
	Hello    string // the name given in EHLO; empty: this machine's
}

// SMTP hands messages to a mail server.
type SMTP struct{ client *gomail.Client }

// NewSMTP checks the options; it does not connect.
func NewSMTP(o SMTPOptions) (*SMTP, error) {
	opts := []gomail.Option{gomail.WithTimeout(15 * time.Second)}
	switch o.TLS {
	case "", "starttls":
		opts = append(opts, gomail.WithTLSPolicy(gomail.TLSMandatory))
	case "implicit":
		opts = append(opts, gomail.WithSSL())
	case "none":
		if o.Username != "" {
			return nil, errors.New("mail: a password is not sent without TLS")
		}
		opts = append(opts, gomail.WithTLSPolicy(gomail.NoTLS))
	default:
		return nil, fmt.Errorf("mail: tls is starttls, implicit or none, not %q", o.TLS)
	}
	if o.Port != 0 {
		opts = append(opts, gomail.WithPort(o.Port))
	}
	if o.Hello != "" {
		opts = append(opts, gomail.WithHELO(o.Hello))
	}
	if o.Username != "" {
		opts = append(opts, gomail.WithSMTPAuth(gomail.SMTPAuthAutoDiscover),
			gomail.WithUsername(o.Username), gomail.WithPassword(o.Password.Clear()))
	}
	c, err := gomail.NewClient(o.Host, opts...)
	if err != nil {
		return nil, fmt.Errorf("mail: %w", err)
	}
	return &SMTP{client: c}, nil
}

// Send delivers m to the mail server. Its error names no address.
func (s *SMTP) Send(ctx context.Context, m Message) error {
	msg, err := compose(m)
	if err != nil {
		return err
	}
	if err := s.client.DialAndSendWithContext(ctx, msg); err != nil {
		var se *gomail.SendError
		if errors.As(err, &se) {
			// Its text quotes the recipient; the reason alone is enough.
			return fmt.Errorf("send mail: %s (temporary %t)", se.Reason, se.IsTemp())
		}
		return fmt.Errorf("send mail: %w", err)
	}
	return nil
}

func compose(m Message) (*gomail.Msg, error) {
	msg := gomail.NewMsg()
	if err := msg.FromFormat(oneLine(m.From.Name), m.From.Address); err != nil {
		return nil, errors.New("compose mail: the sender is no address")
	}
	if err := msg.To(m.To.Clear()); err != nil {
		return nil, errors.New("compose mail: the receiver is no address")
	}
	if m.Sender.Address != "" {
		if err := msg.EnvelopeFrom(m.Sender.Address); err != nil {
			return nil, errors.New("compose mail: the operator's address is no address")
		}
		msg.SetGenHeader(gomail.Header("Sender"), m.Sender.Address)
	}
	if m.ReplyTo.Address != "" {
		if err := msg.ReplyToFormat(oneLine(m.ReplyTo.Name), m.ReplyTo.Address); err != nil {
			return nil, errors.New("compose mail: the address for answers is no address")
		}
	}
	msg.Subject(oneLine(m.Subject))
	msg.SetMessageIDWithValue(m.ID + "@domicile")
	msg.SetDateWithValue(m.Date)
	if m.Lang != "" {
		msg.SetGenHeader(gomail.Header("Content-Language"), m.Lang)
	}
	// RFC 3834: no vacation notice is to answer this.
	msg.SetGenHeader(gomail.Header("Auto-Submitted"), "auto-generated")
	msg.SetBodyString(gomail.TypeTextPlain, m.Text)
	msg.AddAlternativeString(gomail.TypeTextHTML, m.HTML)
	return msg, nil
}

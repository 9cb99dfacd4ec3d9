package app

import (
	"errors"
	"fmt"
	"log/slog"
	"net/mail"
	"net/netip"
	"net/url"
	"strconv"
	"time"

	"github.com/domicile-sso/domicile/cmd/internal/serve"
	"github.com/domicile-sso/domicile/config"
	"github.com/domicile-sso/domicile/discovery"
	"github.com/domicile-sso/domicile/discovery/store"
	"github.com/domicile-sso/domicile/discovery/web"
	"github.com/domicile-sso/domicile/federation/fetch"
	"github.com/domicile-sso/domicile/portal"
	portalmail "github.com/domicile-sso/domicile/portal/mail"
	"github.com/domicile-sso/domicile/portal/sms"
	"github.com/domicile-sso/domicile/regions/ticket"
)

// drain is how long a server says "not ready" before it stops, when it has been
// told to by a signal.
const drain = time.Second

// DiscoverySettings turns a configuration into the values the role runs on.
func DiscoverySettings(c *config.Discovery, log *slog.Logger) (DiscoveryOptions, error) {
	o := DiscoveryOptions{
		URL:       c.PublicURL.String(),
		Internal:  c.Internal.Listen,
		Tickets:   c.TicketKey.Ed25519(),
		Secrets:   c.CookieSecrets(),
		BlindKeys: blindKeys(c.BlindIDKeys),
		Roots:     c.Catalogue.RootKeys,
		Catalogue: c.Catalogue.File,
		Snapshot:  c.Snapshot,
		Reread:    c.Catalogue.Reload,
		Replica:   c.Replica.Reveal(),
		Room:      store.Room{Portals: c.Room.Portals, Routes: c.Room.Routes},
		Limits: web.Limits{
			PerClient: perSpan(c.RateLimits.PerClient, time.Minute),
			Global:    perSpan(c.RateLimits.Global, time.Second),
		},
	}
	var err error
	if o.Common, err = common(c.Listen, c.TLS, c.Metrics, c.Database, c.TrustedProxies, c.Product, log); err != nil {
		return o, err
	}
	o.Connections = c.Connections
	if c.Internal.TLS != nil {
		o.InternalCertificate, err = serve.LoadCertificate(serve.Files{Cert: c.Internal.TLS.CertFile, Key: c.Internal.TLS.KeyFile, CA: c.Internal.ClientCAFile})
		if err != nil {
			return o, err
		}
	}
	o.Tracing = traces(c.Tracing)
	if o.Consul, err = consulOptions(c.Consul); err != nil {
		return o, err
	}
	if c.Redis != nil {
		if o.Redis, err = redisClient(c.Redis); err != nil {
			return o, err
		}
		o.RedisExposed = c.Redis.Exposed()
	}
	return o, nil
}

// PortalSettings turns a configuration into the values the role runs on.
func PortalSettings(c *config.Portal, log *slog.Logger) (PortalOptions, error) {
	o := PortalOptions{
		Region:       c.Region.Name,
		RegionName:   c.Region.Title,
		Jurisdiction: c.Region.Jurisdiction,

		StandsInFor:     c.Region.StandsInFor,
		StandsInForName: c.Region.StandsInForTitle,

		HTTPS:         c.FrontDoor.PublicURL.Scheme == "https",
		CountryHeader: c.CountryHeader,
		VaultKeys:     c.Keys.DataKeys(),
		FrontDoor:     c.FrontDoor.PublicURL.String(),
		FrontDoorKeys: c.FrontDoor.TicketKeys,
		ClaimsURL:     c.FrontDoor.InternalURL.String(),
		Publishing:    c.Keys.Publishing.Ed25519(),
		Lifetimes: portal.Lifetimes{
			Idle: c.Sessions.Idle, Absolute: c.Sessions.Absolute,
			KeptIdle: min(portal.KeptIdle, c.Sessions.Keep), KeptAbsolute: c.Sessions.Keep,
		},
		BlindKeys: blindKeys(c.BlindIDKeys),
		Outbound:  fetch.New(fetch.Options{DangerouslyAllowLoopback: c.Fetch.DangerouslyAllowLoopback, Log: log}),
	}
	var err error
	if o.Common, err = common(c.Listen, c.TLS, c.Metrics, c.Database, c.TrustedProxies, c.Product, log); err != nil {
		return o, err
	}
	o.Connections = c.Connections
	o.Tracing = traces(c.Tracing)
	if t := c.FrontDoor.TLS; t != nil {
		if o.ClaimsTLS, err = serve.LoadCertificate(serve.Files{Cert: t.CertFile, Key: t.KeyFile, CA: t.CAFile}); err != nil {
			return o, err
		}
	}
	if o.Consul, err = consulOptions(c.Consul); err != nil {
		return o, err
	}
	if c.Consul != nil {
		o.Advertise = c.Consul.Advertise
	}
	for _, text := range c.Keys.Tickets {
		k, err := ticket.ParseKey(text.Reveal())
		if err != nil {
			return o, err
		}
		o.TicketKeys = append(o.TicketKeys, k)
	}
	o.Limits.PerClient = perSpan(c.RateLimits.PerClient, time.Minute)
	o.Limits.Global = perSpan(c.RateLimits.Global, time.Second)
	if o.Texts, err = texts(c.SMS); err != nil {
		return o, err
	}
	return o, o.mailing(c.Mail)
}

// texts is the gateway for text messages, or nil where there is none.
func texts(c *config.SMS) (sms.Sender, error) {
	if c == nil {
		return nil, nil
	}
	return sms.NewHTTP(sms.HTTPOptions{
		URL: c.URL.String(), Method: c.Method, Token: portal.Secret(c.Token.Reveal()), Basic: c.Basic,
		ContentType: c.ContentType, Body: c.Body, Success: c.Success, Timeout: c.Timeout,
	})
}

func (o *PortalOptions) mailing(m config.Mail) error {
	from, err := mail.ParseAddress(m.From)
	if err != nil {
		return fmt.Errorf("mail.from: %w", err)
	}
	o.MailFrom = *from
	if m.ReplyTo != "" {
		replyTo, err := mail.ParseAddress(m.ReplyTo)
		if err != nil {
			return fmt.Errorf("mail.reply_to: %w", err)
		}
		o.MailReplyTo = *replyTo
	}
	o.Mail, err = smtp(m.SMTP)
	return err
}

func common(listen string, t *config.TLS, m config.Metrics, database config.Secret, proxies []netip.Prefix, product config.Product, log *slog.Logger) (Common, error) {
	c := Common{Listen: listen, Private: m.Listen, Database: database.Reveal(), TrustedProxies: proxies, Product: product.Name, Log: log, Drain: drain}
	var err error
	c.Certificate, err = certificate(t)
	return c, err
}

func traces(t *config.Tracing) Tracing {
	if t == nil {
		return Tracing{}
	}
	return Tracing{Endpoint: t.Endpoint.String(), Sample: t.Sample}
}

func certificate(t *config.TLS) (*serve.Certificate, error) {
	if t == nil {
		return nil, nil
	}
	return serve.LoadCertificate(serve.Files{Cert: t.CertFile, Key: t.KeyFile})
}

func blindKeys(keys []config.BlindIDKey) discovery.BlindKeys {
	var out discovery.BlindKeys
	for _, k := range keys {
		out = append(out, discovery.NewBlindKey(k.Version, k.Key.Bytes()))
	}
	return out
}

// perSpan is a rate as events in another span of time, at least one.
func perSpan(r config.Rate, span time.Duration) int {
	if r.Events == 0 || r.Per == 0 {
		return 0
	}
	return max(1, int(float64(r.Events)*float64(span)/float64(r.Per)))
}

// smtp reads smtp://user:password@host:587 (STARTTLS, but plain to this very
// machine) or smtps://host:465.
func smtp(location config.Secret) (portalmail.Sender, error) {
	u, err := url.Parse(location.Reveal())
	if err != nil {
		return nil, errors.New("mail.smtp_url is not a URL") // err would quote the password
	}
	o := portalmail.SMTPOptions{Host: u.Hostname(), Username: u.User.Username(), TLS: "starttls"}
	password, _ := u.User.Password()
	o.Password = portal.Secret(password)
	switch {
	case u.Scheme == "smtps":
		o.TLS = "implicit"
	case o.Username == "" && onThisMachine(o.Host):
		o.TLS = "none"
	}
	if port := u.Port(); port != "" {
		if o.Port, err = strconv.Atoi(port); err != nil {
			return nil, fmt.Errorf("mail.smtp_url: port %q", port)
		}
	}
	return portalmail.NewSMTP(o)
}

func onThisMachine(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

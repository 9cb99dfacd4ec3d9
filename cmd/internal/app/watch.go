package app

import (
	"context"
	"log/slog"
	"runtime"
	"runtime/debug"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/domicile-sso/domicile/cmd/internal/serve"
	"github.com/domicile-sso/domicile/portal/store"
)

// version is what the Go command recorded of this binary.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" && info.Main.Version == "(devel)" {
			return s.Value
		}
	}
	return info.Main.Version
}

// build tells which binary this is.
func build() prometheus.Collector {
	g := prometheus.NewGauge(prometheus.GaugeOpts{Name: "domicile_build_info",
		Help: "Which binary this is. Always 1.", ConstLabels: prometheus.Labels{"version": version(), "go": runtime.Version()}})
	g.Set(1)
	return g
}

// watchCertificate reads a certificate of ours again now and then, and tells
// when it ends. What it is for is the name of a listener, or claims_client.
func (p *process) watchCertificate(what string, cert *serve.Certificate) {
	if cert == nil {
		return
	}
	// Whatever renews certificates need not know of us.
	p.every(time.Minute, "reading the certificate of "+what+" again", func(context.Context) error { return cert.Reload() })
	if cert.Expires().IsZero() {
		return // it only says whom to believe
	}
	p.Registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "domicile_tls_certificate_expiry_timestamp_seconds", Help: "When the certificate that is shown ends, by where: a listener, or claims_client.",
		ConstLabels: prometheus.Labels{"listener": what},
	}, func() float64 { return float64(cert.Expires().Unix()) }))
}

// An observer keeps the gauges of a region's database.
type observer struct {
	store    *store.Store
	now      func() time.Time
	log      *slog.Logger
	said     map[string]time.Time // ends that were logged, by connection
	letters  prometheus.Gauge
	age      prometheus.Gauge
	expiring *prometheus.GaugeVec
}

// The days before the end of an identity provider's certificate that are told
// of. 0 counts those that have ended.
var days = []int{0, 7, 30}

// watchStore adds the gauges of a region's database, and the job that keeps them.
func (p *process) watchStore(s *store.Store) {
	o := &observer{store: s, now: p.Now, log: p.Log, said: map[string]time.Time{},
		letters: prometheus.NewGauge(prometheus.GaugeOpts{Name: "domicile_mail_queue_letters", Help: "Letters that wait to be sent."}),
		age:     prometheus.NewGauge(prometheus.GaugeOpts{Name: "domicile_mail_queue_age_seconds", Help: "For how long the oldest letter has waited."}),
		expiring: prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "domicile_idp_certificates_expiring",
			Help: "SAML connections whose identity provider has no certificate left in so many days; 0: now."}, []string{"days"}),
	}
	p.Registry.MustRegister(o.letters, o.age, o.expiring)
	p.every(15*time.Second, "looking at the mail queue", o.mail)
	p.every(time.Hour, "looking at the certificates of identity providers", o.certificates)
}

func (o *observer) mail(ctx context.Context) error {
	n, age, err := o.store.MailQueue(ctx)
	if err != nil {
		return err
	}
	o.letters.Set(float64(n))
	o.age.Set(age.Seconds())
	return nil
}

func (o *observer) certificates(ctx context.Context) error {
	ends, err := o.store.CertificateEnds(ctx)
	if err != nil {
		return err
	}
	for _, d := range days {
		n := 0
		for _, e := range ends {
			if e.End.Before(o.now().Add(time.Duration(d) * 24 * time.Hour)) {
				n++
			}
		}
		o.expiring.WithLabelValues(strconv.Itoa(d)).Set(float64(n))
	}
	for _, e := range ends {
		if e.End.Before(o.now().AddDate(0, 0, days[len(days)-1])) && !o.said[e.Connection].Equal(e.End) {
			o.said[e.Connection] = e.End
			o.log.Warn("an identity provider's last certificate ends", "portal", e.Portal, "connection", e.Connection, "end", e.End.Format(time.DateOnly))
		}
	}
	return nil
}

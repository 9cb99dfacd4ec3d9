package page

import (
	"context"
	"math/rand/v2"
	"net/netip"
)

type key int

const (
	referenceKey key = iota
	clientKey
	frameKey
	languageKey
	countryKey
)

// WithReference gives a request the reference that its log line, its audit row
// and its error page share.
func WithReference(ctx context.Context, reference string) context.Context {
	return context.WithValue(ctx, referenceKey, reference)
}

// Reference is the request's reference, or "" outside a request.
func Reference(ctx context.Context) string {
	s, _ := ctx.Value(referenceKey).(string)
	return s
}

// NewReference makes a reference a person can read out: eight letters and digits
// of base32 in two groups, "K3XQ-7MTA". It is no secret: every request gets one,
// and so it is not worth a call to the system's source of randomness.
func NewReference() string {
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
	var s [9]byte
	for i, n := 0, rand.Uint64(); i < len(s); i, n = i+1, n>>5 {
		s[i] = letters[n%32]
	}
	s[4] = '-'
	return string(s[:])
}

// WithClient gives a request the address it came from, as the trusted proxies
// tell it.
func WithClient(ctx context.Context, client netip.Addr) context.Context {
	return context.WithValue(ctx, clientKey, client)
}

// Client is where the request came from; the zero Addr when that is unknown.
func Client(ctx context.Context) netip.Addr {
	a, _ := ctx.Value(clientKey).(netip.Addr)
	return a
}

// WithCountry gives a request the country it came from, as a trusted proxy tells
// it: an ISO 3166-1 code, or "".
func WithCountry(ctx context.Context, country string) context.Context {
	if country == "" {
		return ctx
	}
	return context.WithValue(ctx, countryKey, country)
}

// Country is where the request came from; "" when nobody said so.
func Country(ctx context.Context) string {
	s, _ := ctx.Value(countryKey).(string)
	return s
}

// A Frame is what surrounds every page of a site: whose page it is, and where
// the data lives. The zero Frame is the product's own.
type Frame struct {
	Site         string // "Acme Corporation"; empty: the product's name
	Jurisdiction string // "EU"; empty: not said
	Links        []Link // what whoever is signed in finds at the top of every page

	product string // set by [Set.Render]
}

// A Link leads to another page; with Post it is a button that does something.
type Link struct {
	Name, Path string
	Post       bool
}

// WithLinks is the frame of the request with these links at its top.
func WithLinks(ctx context.Context, links []Link) context.Context {
	f := frame(ctx)
	f.Links = links
	return WithFrame(ctx, f)
}

// Product is what the whole is called.
func (f Frame) Product() string { return f.product }

// WithFrame puts the frame around all pages, and error pages, of a request.
func WithFrame(ctx context.Context, f Frame) context.Context {
	return context.WithValue(ctx, frameKey, f)
}

func frame(ctx context.Context) Frame {
	f, _ := ctx.Value(frameKey).(Frame)
	return f
}

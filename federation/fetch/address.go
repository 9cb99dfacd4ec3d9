package fetch

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"syscall"

	"code.dny.dev/ssrf"
)

// maxURL is longer than any address an IdP has a use for.
const maxURL = 2048

// Check says whether client would send anything to raw, without asking the
// network. It is for settings about to be saved: the error is an *Error.
func Check(client *http.Client, raw string) error {
	var o Options
	if client != nil {
		if g, ok := client.Transport.(*guarded); ok {
			o = g.options
		}
	}
	if err := o.check(raw); err != nil {
		return &Error{err}
	}
	return nil
}

// check refuses every spelling that some parser on the way could read
// differently than we do.
func (o Options) check(raw string) error {
	if len(raw) > maxURL {
		return fmt.Errorf("%w: too long", ErrAddress)
	}
	for i := range len(raw) {
		// Controls and blanks split requests, a backslash is a slash to some,
		// and bytes above ASCII become digits and dots by way of IDNA.
		if b := raw[i]; b <= ' ' || b >= 0x7f || b == '\\' {
			return fmt.Errorf("%w: character %#02x", ErrAddress, b)
		}
	}
	u, err := url.Parse(raw)
	if err != nil {
		return fmt.Errorf("%w: not a URL", ErrAddress)
	}
	switch {
	case u.User != nil:
		return fmt.Errorf("%w: user information", ErrAddress)
	case u.Opaque != "" || u.Host == "":
		return fmt.Errorf("%w: no host", ErrAddress)
	case u.Fragment != "" || strings.Contains(raw, "#"):
		return fmt.Errorf("%w: fragment", ErrAddress)
	case strings.Contains(u.Host, "%"):
		return fmt.Errorf("%w: zone or escape in the host", ErrAddress)
	}
	loopback := o.DangerouslyAllowLoopback && isLoopback(u.Hostname())
	switch {
	case loopback && (u.Scheme == "http" || u.Scheme == "https"):
		return nil
	case u.Scheme != "https":
		return fmt.Errorf("%w: not https", ErrAddress)
	case u.Port() != "" && u.Port() != "443", strings.HasSuffix(u.Host, ":"):
		return fmt.Errorf("%w: port", ErrAddress)
	}
	return checkHost(u.Hostname())
}

// checkHost takes a DNS name of two labels or more, or a public IP literal.
func checkHost(host string) error {
	if ip, err := netip.ParseAddr(host); err == nil {
		return checkAddr(ip)
	}
	labels := strings.Split(strings.ToLower(host), ".")
	if len(host) > 253 || len(labels) < 2 {
		return fmt.Errorf("%w: host", ErrAddress)
	}
	for _, l := range labels {
		if l == "" || len(l) > 63 || l[0] == '-' || l[len(l)-1] == '-' {
			return fmt.Errorf("%w: host", ErrAddress)
		}
		for i := range len(l) {
			if b := l[i]; b != '-' && b != '_' && (b < '0' || b > '9') && (b < 'a' || b > 'z') {
				return fmt.Errorf("%w: host", ErrAddress)
			}
		}
	}
	// 127.1, 0x7f.1 and 0177.0.0.1 are addresses to some resolvers. No
	// top-level domain begins with a digit.
	last := labels[len(labels)-1]
	if last[0] >= '0' && last[0] <= '9' {
		return fmt.Errorf("%w: numeric host", ErrAddress)
	}
	if last == "localhost" {
		return fmt.Errorf("%w: localhost", ErrAddress)
	}
	return nil
}

// isLoopback knows the spellings the demo and tests use; a public name that
// resolves to 127.0.0.1 is not among them.
func isLoopback(host string) bool {
	if ip, err := netip.ParseAddr(host); err == nil {
		return ip.IsLoopback() && !ip.Is4In6() && ip.Zone() == ""
	}
	host = strings.ToLower(host)
	return host == "localhost" || strings.HasSuffix(host, ".localhost")
}

// The platform addresses that look public: Azure's host channel (DHCP, metadata
// and health of every virtual machine) lies outside every special range.
var platform = []netip.Prefix{
	netip.MustParsePrefix("168.63.129.16/32"),
}

// Ranges of IPv6 that carry an IPv4 address inside. Whatever they lead to was
// not looked at, so none of them is dialled, not even for a public one.
var carriers = []netip.Prefix{
	netip.MustParsePrefix("::/96"),           // IPv4-compatible
	netip.MustParsePrefix("::ffff:0:0/96"),   // IPv4-mapped
	netip.MustParsePrefix("::ffff:0:0:0/96"), // IPv4-translated (SIIT)
	netip.MustParsePrefix("64:ff9b::/96"),    // NAT64
	netip.MustParsePrefix("64:ff9b:1::/48"),  // local NAT64
	netip.MustParsePrefix("2001::/32"),       // Teredo
	netip.MustParsePrefix("2002::/16"),       // 6to4
	netip.MustParsePrefix("fec0::/10"),       // site-local, of old
}

var guardian = ssrf.New(ssrf.WithAnyPort(), ssrf.WithDeniedV4Prefixes(platform...))

// checkAddr refuses whatever is not a plain public address.
func checkAddr(ip netip.Addr) error {
	if ip.Zone() != "" {
		return fmt.Errorf("%w: zone", ErrAddress)
	}
	for _, p := range carriers {
		if ip.Is6() && prefixContains(p, ip) {
			return fmt.Errorf("%w: carries another address", ErrAddress)
		}
	}
	if err := guardian.SafeAddr(ip); err != nil {
		return fmt.Errorf("%w: %w", ErrAddress, err)
	}
	return nil
}

// prefixContains is Prefix.Contains that does not answer "no" for every mapped
// address.
func prefixContains(p netip.Prefix, ip netip.Addr) bool {
	q, err := netip.AddrFrom16(ip.As16()).Prefix(p.Bits())
	return err == nil && q.Addr() == p.Masked().Addr()
}

// dial resolves, looks at every address, and dials one that was looked at.
func (g *guarded) dial(ctx context.Context, network, address string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	if g.options.DangerouslyAllowLoopback && isLoopback(host) {
		return g.dialLoopback(ctx, host, port)
	}
	ips, err := g.resolve(ctx, host)
	if err != nil {
		return nil, err
	}
	d := &net.Dialer{Timeout: Timeout, Control: control}
	var failed error
	for _, ip := range ips {
		conn, err := d.DialContext(ctx, network, net.JoinHostPort(ip.String(), port))
		if err == nil {
			return conn, nil
		}
		failed = errors.Join(failed, err)
	}
	return nil, failed
}

// resolve fails as a whole if one address is bad: a name with a public and a
// private address is an attempt, not an accident.
func (g *guarded) resolve(ctx context.Context, host string) ([]netip.Addr, error) {
	if ip, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{ip}, checkAddr(ip)
	}
	ips, err := g.options.lookup(ctx, "ip", host)
	if err != nil {
		return nil, err
	}
	if len(ips) == 0 {
		return nil, fmt.Errorf("%w: no address", ErrAddress)
	}
	for i, ip := range ips {
		ips[i] = ip.Unmap() // some resolvers hand out A records in mapped form
		if err := checkAddr(ips[i]); err != nil {
			return nil, err
		}
	}
	return ips, nil
}

// control sees the address the kernel is about to connect to, whatever happened
// before.
func control(network, address string, _ syscall.RawConn) error {
	if network != "tcp4" && network != "tcp6" {
		return fmt.Errorf("%w: network", ErrAddress)
	}
	ap, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("%w: not an address", ErrAddress)
	}
	if ap.Port() != 443 {
		return fmt.Errorf("%w: port", ErrAddress)
	}
	return checkAddr(ap.Addr())
}

func (g *guarded) dialLoopback(ctx context.Context, host, port string) (net.Conn, error) {
	target, ok := g.options.Dial[net.JoinHostPort(strings.ToLower(host), port)]
	if !ok {
		target = net.JoinHostPort("127.0.0.1", port)
		if ip, err := netip.ParseAddr(host); err == nil {
			target = net.JoinHostPort(ip.String(), port)
		}
	}
	d := &net.Dialer{Timeout: Timeout, Control: func(_, address string, _ syscall.RawConn) error {
		if ap, err := netip.ParseAddrPort(address); err != nil || !ap.Addr().IsLoopback() {
			return fmt.Errorf("%w: not loopback", ErrAddress)
		}
		return nil
	}}
	return d.DialContext(ctx, "tcp", target)
}

package config

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/netip"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"
)

// text reads a string.
func text(v value) string {
	switch n := v.node.(type) {
	case *ast.StringNode:
		if strings.TrimSpace(n.Value) == "" {
			v.wrong("it is blank: give a value, or take the line out")
			return ""
		}
		return n.Value
	case *ast.LiteralNode:
		return n.Value.Value
	case *ast.AliasNode, *ast.AnchorNode, *ast.TagNode:
		v.wrong("anchors, aliases and tags are not used here: write the value out")
	case *ast.MappingNode, *ast.MappingValueNode, *ast.SequenceNode:
		v.wrong("want a single value; between brackets, text with a colon needs quotes")
	default:
		v.wrong("want text: put it in quotes")
	}
	return ""
}

// oneOf reads one of a few words.
func oneOf(words ...string) func(value) string {
	return func(v value) string {
		s := text(v)
		if s != "" && !slices.Contains(words, s) {
			v.wrong("%q is none of %s", s, strings.Join(words, ", "))
		}
		return s
	}
}

// plainName is the form of names that stand in URLs and in other systems' keys.
var plainName = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$`)

// word reads text of a form that an expression describes to the machine and
// want to the person.
func word(form *regexp.Regexp, want string) func(value) string {
	return func(v value) string {
		s := text(v)
		if s != "" && !form.MatchString(s) {
			v.wrong("%q: want %s", s, want)
		}
		return s
	}
}

func boolean(v value) bool {
	n, ok := v.node.(*ast.BoolNode)
	if !ok {
		v.wrong("want true or false")
		return false
	}
	return n.Value
}

// integer reads a whole number between two bounds.
func integer(low, high int64) func(value) int64 {
	return func(v value) int64 {
		n, ok := v.node.(*ast.IntegerNode)
		if ok {
			i, err := strconv.ParseInt(n.GetToken().Value, 10, 64)
			if err == nil && i >= low && i <= high {
				return i
			}
		}
		v.wrong("want a whole number from %d to %d", low, high)
		return 0
	}
}

// duration reads "30s", "5m", "12h" or "90d" between two bounds.
func duration(low, high time.Duration) func(value) time.Duration {
	return func(v value) time.Duration {
		if _, number := v.node.(*ast.IntegerNode); number {
			v.wrong("want a unit: %ss, %[1]sm, %[1]sh or %[1]sd", v.node.GetToken().Value)
			return low
		}
		s := text(v)
		if s == "" {
			return low
		}
		d, err := ParseDuration(s)
		switch {
		case err != nil:
			v.wrong("%q is not a duration: write 30s, 5m, 12h or 90d", s)
		case d < low || d > high:
			v.wrong("%s is out of bounds: want %s to %s", s, short(low), short(high))
		}
		return d
	}
}

// ParseDuration is time.ParseDuration that knows days, alone: "90d".
func ParseDuration(s string) (time.Duration, error) {
	if days, ok := strings.CutSuffix(s, "d"); ok {
		n, err := strconv.ParseUint(days, 10, 16)
		if err != nil {
			return 0, fmt.Errorf("%q is not a number of days", s)
		}
		return time.Duration(n) * 24 * time.Hour, nil
	}
	return time.ParseDuration(s)
}

func short(d time.Duration) string {
	switch {
	case d >= 48*time.Hour && d%(24*time.Hour) == 0:
		return fmt.Sprintf("%dd", d/(24*time.Hour))
	case d%time.Hour == 0:
		return fmt.Sprintf("%dh", d/time.Hour)
	case d%time.Minute == 0:
		return fmt.Sprintf("%dm", d/time.Minute)
	}
	return d.String()
}

// A Rate is so many events in a span of time. The zero Rate allows none.
type Rate struct {
	Events int
	Per    time.Duration
}

// rate reads "30/m".
func rate(v value) Rate {
	if _, number := v.node.(*ast.IntegerNode); number {
		v.wrong("want a span of time: %s/s, %[1]s/m or %[1]s/h", v.node.GetToken().Value)
		return Rate{}
	}
	s := text(v)
	if s == "" {
		return Rate{}
	}
	events, unit, _ := strings.Cut(s, "/")
	per := map[string]time.Duration{"s": time.Second, "m": time.Minute, "h": time.Hour}[unit]
	n, err := strconv.Atoi(events)
	if err != nil || n < 1 || n > 10_000_000 || per == 0 {
		v.wrong("%q is not a rate: write 10/s, 30/m or 1000/h", s)
		return Rate{}
	}
	return Rate{n, per}
}

// listenAddress reads ":8443" or "127.0.0.1:8443".
func listenAddress(v value) string {
	if _, number := v.node.(*ast.IntegerNode); number {
		v.wrong("want an address and a port: \":%s\" in quotes", v.node.GetToken().Value)
		return ""
	}
	s := text(v)
	if s == "" {
		return ""
	}
	host, port, err := net.SplitHostPort(s)
	if err == nil {
		_, err = strconv.ParseUint(port, 10, 16)
	}
	if err == nil && host != "" && host != "localhost" {
		_, err = netip.ParseAddr(host)
	}
	if err != nil {
		v.wrong("%q is not an address to listen on: write \":8443\" or \"127.0.0.1:8443\"", s)
	}
	return s
}

// loopback reports whether only this machine reaches a listen address.
func loopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

func hostOf(address string) string {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return address
	}
	return host
}

// origin reads a bare origin: https, or http where it stays on this machine.
func origin(v value) *url.URL {
	s := text(v)
	if s == "" {
		return nil
	}
	u, err := url.Parse(s)
	switch {
	case strings.Contains(s, "@"): // a password may stand in front of it
		v.wrong("want an origin without a user: write https://name.example.com")
		return nil
	case err != nil || u.Host == "" || u.Hostname() == "" || u.Scheme+"://"+u.Host != strings.TrimSuffix(s, "/"):
		v.wrong("%q is not an origin: write https://name.example.com, in lower case, with no path", s)
		return nil
	case u.Host != strings.ToLower(u.Host):
		v.wrong("%q: write the host in lower case", s)
		return nil
	case u.Scheme != "https" && !(u.Scheme == "http" && local(u.Hostname())):
		v.wrong("%q: want https; http is only for localhost", s)
		return nil
	}
	u.Path = ""
	return u
}

func local(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || strings.HasSuffix(host, ".localhost") || err == nil && ip.IsLoopback()
}

// network reads "10.0.0.0/8" or a single address.
func network(v value) netip.Prefix {
	s := text(v)
	if s == "" {
		return netip.Prefix{}
	}
	p, err := netip.ParsePrefix(s)
	if a, e := netip.ParseAddr(s); e == nil && a.Zone() == "" {
		p, err = netip.PrefixFrom(a.Unmap(), a.Unmap().BitLen()), nil
	}
	switch {
	case err != nil:
		v.wrong("%q is not a network: write 10.0.0.0/8 or 192.0.2.7", s)
	case p != p.Masked():
		v.wrong("%q has bits beyond its mask: write %s", s, p.Masked())
	case p.Bits() == 0:
		v.wrong("%q trusts everybody to say who the client is: name the proxies' networks", s)
	}
	return p
}

// logLevel reads a level of log/slog.
func logLevel(v value) slog.Level {
	var l slog.Level
	if s := oneOf("debug", "info", "warn", "error")(v); s != "" {
		_ = l.UnmarshalText([]byte(s)) // the words above all parse
	}
	return l
}

// hostPort reads "redis.internal:6379".
func hostPort(v value) string {
	s := text(v)
	if s == "" {
		return ""
	}
	host, port, err := net.SplitHostPort(s)
	if n, e := strconv.ParseUint(port, 10, 16); err != nil || e != nil || n == 0 || host == "" {
		v.wrong("%q is not a server: write host:port", s)
	}
	return s
}

// readableFile reads the path of a file that must be there.
func readableFile(v value) string { return named(v, value.wrong) }

// hopefullyReadable is readableFile for what a server that is started can do
// without for a while: only "domicile check" insists on it.
func hopefullyReadable(v value) string { return named(v, value.warn) }

func named(v value, complain func(value, string, ...any)) string {
	s := text(v)
	if s == "" {
		return ""
	}
	path := v.r.absolute(s)
	f, err := openFile(path)
	if err != nil {
		complain(v, "%s", complaint(path, err))
		return path
	}
	_ = f.Close() // nothing was written
	return path
}

// writableFolder reads the path of a folder that is ours to keep files in.
func writableFolder(v value) string {
	s := text(v)
	if s == "" {
		return ""
	}
	path := v.r.absolute(s)
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		v.wrong("there is no folder %s: make it first", path)
	case err != nil:
		v.wrong("%s", complaint(path, err))
	case !info.IsDir():
		v.wrong("%s is not a folder", path)
	case info.Mode().Perm()&0o022 != 0 && info.Mode()&fs.ModeSticky == 0:
		v.warn("others may change what is in %s: chmod go-w it", path)
	}
	return path
}

func isFolder(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

func (v value) isList() bool {
	_, ok := v.node.(*ast.SequenceNode)
	return ok
}

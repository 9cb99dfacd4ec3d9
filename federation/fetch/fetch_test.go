package fetch

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// resolving returns a client whose resolver knows one answer.
func resolving(addrs ...string) *http.Client {
	return New(Options{lookup: func(context.Context, string, string) ([]netip.Addr, error) {
		var ips []netip.Addr
		for _, a := range addrs {
			ips = append(ips, netip.MustParseAddr(a))
		}
		return ips, nil
	}})
}

// wantReason says whether err is the one error there is, for this reason.
func wantReason(t *testing.T, err, reason error) {
	t.Helper()
	e, ok := errors.AsType[*Error](err)
	if !ok {
		t.Errorf("got %v (%T), want an *Error", err, err)
		return
	}
	if !errors.Is(err, reason) {
		t.Errorf("reason is %v, want %v", e.reason, reason)
	}
	if e.Error() != "the address could not be read" {
		t.Errorf("the outside hears %q", e.Error())
	}
}

// Every spelling of an address that is not public, by the row it belongs to.
var inside = map[string][]string{
	"SRF-01": {"127.0.0.1", "127.255.255.254", "0.0.0.0", "0.1.2.3", "::1", "::", "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1"},
	"SRF-02": {"::ffff:127.0.0.1", "::127.0.0.1", "::ffff:0:127.0.0.1", "::ffff:8.8.8.8", "::8.8.8.8"},
	"SRF-03": {"64:ff9b::7f00:1", "64:ff9b::808:808", "64:ff9b:1::7f00:1", "2002:7f00:1::", "2002:808:808::1", "2001::1", "2001:0:53aa:64c:0:0:80ff:fffe"},
	"SRF-04": {
		"169.254.169.254", "169.254.170.2", "fd00:ec2::254", "168.63.129.16", "100.64.0.1", "100.127.255.255", "100.100.100.200",
		"192.0.0.1", "192.0.0.192", "198.18.0.1", "198.19.255.255", "240.0.0.1", "255.255.255.255", "224.0.0.1", "ff02::1",
		"fec0::1", "fe80::1", "fc00::1", "192.0.2.1", "198.51.100.1", "203.0.113.1", "2001:db8::1", "100::1", "5f00::1",
	},
}

func TestSRFAddressesInside(t *testing.T) {
	for row, addrs := range inside {
		for _, a := range addrs {
			t.Run(row+" "+a, func(t *testing.T) {
				ip := netip.MustParseAddr(a)
				if err := checkAddr(ip); !errors.Is(err, ErrAddress) {
					t.Errorf("checkAddr: %v", err)
				}
				if err := control("tcp4", netip.AddrPortFrom(ip, 443).String(), nil); !errors.Is(err, ErrAddress) {
					t.Errorf("control: %v", err)
				}
				literal := "https://" + a + "/"
				if ip.Is6() {
					literal = "https://[" + a + "]/"
				}
				_, err := Get(t.Context(), New(Options{}), literal)
				wantReason(t, err, ErrAddress)

				if ip.Is4In6() && !strings.Contains(a, "127") {
					return // a resolver may hand out A records like that
				}
				_, err = Get(t.Context(), resolving(a), "https://op.example/")
				wantReason(t, err, ErrAddress)
			})
		}
	}
}

func TestAddressesOutside(t *testing.T) {
	for _, a := range []string{"8.8.8.8", "1.1.1.1", "172.32.0.1", "100.128.0.1", "2606:4700:4700::1111", "2a00:1450:4001::1"} {
		if err := checkAddr(netip.MustParseAddr(a)); err != nil {
			t.Errorf("%s: %v", a, err)
		}
	}
}

func TestSRFSpellings(t *testing.T) {
	tests := []struct{ row, url string }{
		{"SRF-01", "https://localhost/"},
		{"SRF-01", "https://idp.localhost/"},
		{"SRF-01", "https://LOCALHOST/"},
		{"SRF-01", "https://localhost./"},
		{"SRF-05", "https://127.1/"},
		{"SRF-05", "https://2130706433/"},
		{"SRF-05", "https://0x7f.1/"},
		{"SRF-05", "https://0177.0.0.1/"},
		{"SRF-05", "https://a.0x7f000001/"},
		{"SRF-05", "https://①②⑦.0.0.1/"},
		{"SRF-05", "https://op。example/"},
		{"SRF-05", "https://[::1%25eth0]/"},
		{"SRF-05", "https://[fe80::1%25eth0]/"},
		{"SRF-08", "https://op.example:8443/"},
		{"SRF-08", "https://op.example:80/"},
		{"SRF-08", "https://op.example:/"},
		{"SRF-08", "https://op.example:443443/"},
		{"SRF-08", "https://user:pass@op.example/"},
		{"SRF-08", "https://user@op.example/"},
		{"SRF-08", "https://@op.example/"},
		{"SRF-08", `https://op.example\@evil.example/`},
		{"SRF-08", "https://op.example\t/"},
		{"SRF-08", "https://op.example\r\nHost: evil.example/"},
		{"SRF-08", "https://op.example%00.evil.example/"},
		{"SRF-08", "https://op%2eexample/"},
		{"SRF-08", "https://op.example#@evil.example/"},
		{"SRF-08", "https://op.example/#fragment"},
		{"SRF-08", "https://op.example/#"},
		{"SRF-08", " https://op.example/"},
		{"SRF-08", "https://op..example/"},
		{"SRF-08", "https://-op.example/"},
		{"SRF-08", "https://intranet/"},
		{"SRF-08", "https:op.example"},
		{"SRF-08", "https:///op.example"},
		{"SRF-08", "https://"},
		{"SRF-08", ""},
		{"SRF-08", "//op.example/"},
		{"SRF-08", "http://op.example/"},
		{"SRF-08", "file:///etc/passwd"},
		{"SRF-08", "gopher://op.example/"},
		{"SRF-08", "javascript:alert(1)"},
		{"SRF-08", "data:text/html,x"},
		{"SRF-08", "https://op.example/" + strings.Repeat("a", 2048)},
	}
	client := New(Options{lookup: func(context.Context, string, string) ([]netip.Addr, error) {
		t.Error("a name was looked up")
		return nil, errors.New("no such host")
	}})
	for _, tt := range tests {
		t.Run(tt.row+" "+tt.url[:min(len(tt.url), 40)], func(t *testing.T) {
			wantReason(t, Check(client, tt.url), ErrAddress)
			wantReason(t, Check(nil, tt.url), ErrAddress)
			_, err := Get(t.Context(), client, tt.url)
			wantReason(t, err, ErrAddress)
		})
	}
	for _, good := range []string{"https://op.example", "https://op.example:443/a?b=c", "https://xn--p-8la.example/", "https://8.8.8.8/", "https://a_b.op.example/", "https://[2606:4700:4700::1111]/"} {
		if err := Check(client, good); err != nil {
			t.Errorf("%s: %v", good, errors.Unwrap(err))
		}
	}
}

// SRF-06: the addresses that were looked at are the ones that are dialled, and
// one bad address fails them all.
func TestSRF06Rebinding(t *testing.T) {
	for _, addrs := range [][]string{
		{"8.8.8.8", "127.0.0.1"}, {"8.8.8.8", "fd00::1"}, {"2606:4700:4700::1111", "10.0.0.1"}, {"::ffff:10.0.0.1"}, {"169.254.169.254", "8.8.8.8"},
	} {
		_, err := Get(t.Context(), resolving(addrs...), "https://op.example/")
		wantReason(t, err, ErrAddress)
	}
	var asked atomic.Int32
	g := &guarded{options: Options{lookup: func(context.Context, string, string) ([]netip.Addr, error) {
		if asked.Add(1) > 1 {
			return []netip.Addr{netip.MustParseAddr("127.0.0.1")}, nil
		}
		return []netip.Addr{netip.MustParseAddr("::ffff:8.8.8.8")}, nil
	}}}
	ips, err := g.resolve(t.Context(), "op.example")
	if err != nil || len(ips) != 1 || ips[0].String() != "8.8.8.8" {
		t.Errorf("resolve = %v, %v", ips, err)
	}
	if asked.Load() != 1 {
		t.Errorf("asked %d times", asked.Load())
	}
	_, err = Get(t.Context(), resolving(), "https://op.example/")
	wantReason(t, err, ErrAddress)
}

func TestControl(t *testing.T) {
	for _, tt := range []struct{ network, address string }{
		{"tcp4", "8.8.8.8:80"}, {"tcp4", "8.8.8.8:0"}, {"udp4", "8.8.8.8:443"}, {"unix", "/run/socket"}, {"tcp4", "op.example:443"}, {"tcp6", "[fe80::1%eth0]:443"},
	} {
		if err := control(tt.network, tt.address, nil); !errors.Is(err, ErrAddress) {
			t.Errorf("%s %s: %v", tt.network, tt.address, err)
		}
	}
	if err := control("tcp4", "8.8.8.8:443", nil); err != nil {
		t.Error(err)
	}
}

// local starts a server that the dangerous option lets us reach.
func local(t *testing.T, h http.HandlerFunc) (*http.Client, string) {
	t.Helper()
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	return New(Options{DangerouslyAllowLoopback: true}), srv.URL
}

func TestGet(t *testing.T) {
	var sent http.Header
	client, at := local(t, func(w http.ResponseWriter, r *http.Request) {
		sent = r.Header
		fmt.Fprint(w, "hello")
	})
	body, err := Get(t.Context(), client, at)
	if err != nil || string(body) != "hello" {
		t.Fatalf("Get = %q, %v", body, err)
	}
	if got := sent.Get("Accept-Encoding"); got != "" {
		t.Errorf("asked for %q", got)
	}
}

func TestSRF07Redirects(t *testing.T) {
	for _, status := range []int{301, 302, 303, 307, 308, 300, 304} {
		for _, to := range []string{"/again", "http://169.254.169.254/", "https://other.example/", "file:///etc/passwd"} {
			var asked atomic.Int32
			client, at := local(t, func(w http.ResponseWriter, r *http.Request) {
				asked.Add(1)
				w.Header().Set("Location", to)
				w.WriteHeader(status)
			})
			_, err := Get(t.Context(), client, at)
			wantReason(t, err, ErrRedirect)
			res, err := client.Post(at, "application/x-www-form-urlencoded", strings.NewReader("secret=s"))
			if err == nil {
				res.Body.Close()
			}
			wantReason(t, err, ErrRedirect)
			if asked.Load() != 2 {
				t.Errorf("%d to %s: %d requests for 2", status, to, asked.Load())
			}
		}
	}
}

// SRF-09: nothing of one exchange is left for the next, and nothing of the
// environment gets between.
func TestSRF09NoState(t *testing.T) {
	t.Setenv("HTTP_PROXY", "http://127.0.0.1:1")
	t.Setenv("HTTPS_PROXY", "http://127.0.0.1:1")
	t.Setenv("ALL_PROXY", "http://127.0.0.1:1")
	var conns atomic.Int32
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if len(r.Cookies()) != 0 {
			t.Error("a cookie came back")
		}
		http.SetCookie(w, &http.Cookie{Name: "a", Value: "b"})
	}))
	srv.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			conns.Add(1)
		}
	}
	srv.Start()
	defer srv.Close()
	client := New(Options{DangerouslyAllowLoopback: true})
	for range 3 {
		if _, err := Get(t.Context(), client, srv.URL); err != nil {
			t.Fatal(err)
		}
	}
	if conns.Load() != 3 {
		t.Errorf("%d connections for 3 requests", conns.Load())
	}
	tr := client.Transport.(*guarded).transport
	if tr.Proxy != nil || client.Jar != nil || tr.TLSClientConfig.MinVersion < 0x0303 || tr.TLSClientConfig.InsecureSkipVerify {
		t.Error("a proxy, a jar or a weak TLS version")
	}
}

func TestSRF10Bodies(t *testing.T) {
	var bomb bytes.Buffer
	z := gzip.NewWriter(&bomb)
	z.Write(make([]byte, 8<<20))
	z.Close()
	endless := func(w http.ResponseWriter, _ *http.Request) {
		for {
			if _, err := w.Write(make([]byte, 64<<10)); err != nil {
				return
			}
		}
	}
	tests := []struct {
		name   string
		serve  http.HandlerFunc
		types  []string
		reason error
	}{
		{"announced 2 MiB", func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Content-Length", "2097152") }, nil, ErrTooLarge},
		{"endless", endless, nil, ErrTooLarge},
		{"one byte too many", func(w http.ResponseWriter, _ *http.Request) {
			w.(http.Flusher).Flush()
			w.Write(make([]byte, MaxBytes+1))
		}, nil, ErrTooLarge},
		{"gzip bomb", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			w.Write(bomb.Bytes())
		}, nil, ErrEncoding},
		{"unasked br", func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Content-Encoding", "br") }, nil, ErrEncoding},
		{"huge header", func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("X", strings.Repeat("x", 1<<20)) }, nil, nil},
		{"500", func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "stack", 500) }, nil, ErrStatus},
		{"204", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) }, nil, ErrStatus},
		{"page for JSON", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html>") }, []string{"application/json", "+json"}, ErrType},
		{"no type", func(w http.ResponseWriter, _ *http.Request) { w.Header()["Content-Type"] = nil; fmt.Fprint(w, "{}") }, []string{"application/json"}, ErrType},
		{"SVG for PNG", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "image/png")
			fmt.Fprint(w, "<svg xmlns='http://www.w3.org/2000/svg'/>")
		}, []string{"image/png"}, ErrType},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			client, at := local(t, tt.serve)
			_, err := Get(t.Context(), client, at, tt.types...)
			if tt.reason == nil {
				if _, ok := errors.AsType[*Error](err); !ok {
					t.Errorf("got %v, want an *Error", err)
				}
				return
			}
			wantReason(t, err, tt.reason)
		})
	}
	client, at := local(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/jwk-set+json; charset=utf-8")
		w.Write(make([]byte, MaxBytes))
	})
	if body, err := Get(t.Context(), client, at, "+json"); err != nil || len(body) != MaxBytes {
		t.Errorf("exactly the limit: %d bytes, %v", len(body), err)
	}
}

// SRF-10: a byte now and then does not keep us waiting for ever. The server is
// a pipe, so that the clock can be the test's.
func TestSRF10SlowDrip(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var server sync.WaitGroup
		client := New(Options{DangerouslyAllowLoopback: true})
		g := client.Transport.(*guarded)
		g.transport.DialContext = func(context.Context, string, string) (net.Conn, error) {
			ours, theirs := net.Pipe()
			server.Go(func() {
				defer theirs.Close()
				buf := make([]byte, 4096)
				theirs.Read(buf)
				io.WriteString(theirs, "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
				for range time.Tick(time.Second) { // of the test's clock
					if _, err := theirs.Write([]byte("x")); err != nil {
						return
					}
				}
			})
			return ours, nil
		}
		defer server.Wait()
		begun := time.Now()
		_, err := Get(t.Context(), client, "http://idp.localhost/")
		if _, ok := errors.AsType[*Error](err); !ok {
			t.Errorf("got %v, want an *Error", err)
		}
		if took := time.Since(begun); took != Timeout {
			t.Errorf("took %v, want %v", took, Timeout)
		}
	})
}

// SRF-11: whatever goes wrong, the outside hears the same and the log the rest.
func TestSRF11OneError(t *testing.T) {
	var log bytes.Buffer
	logger := slog.New(slog.NewTextHandler(&log, nil))
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { http.Error(w, "internal detail", 500) }))
	closed := srv.URL
	srv.Close()
	client, failing := local(t, func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "internal detail", 500) })
	client.Transport.(*guarded).options.Log = logger
	var said []string
	for _, u := range []string{closed, failing, "https://10.0.0.1/", "https://user:secret@op.example/", "https://127.0.0.1:1/"} {
		_, err := Get(t.Context(), client, u)
		if err == nil {
			t.Fatalf("%s was read", u)
		}
		said = append(said, err.Error())
		logger.Info("save failed", "err", err)
	}
	for _, s := range said {
		if s != said[0] || strings.Contains(s, "detail") {
			t.Errorf("the outside hears %q and %q", said[0], s)
		}
	}
	for _, want := range []string{"connection refused", "status is not 200: 500", "user information"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("the log does not say %q:\n%s", want, &log)
		}
	}
	for _, never := range []string{"secret", "internal detail"} {
		if strings.Contains(log.String(), never) {
			t.Errorf("the log says %q", never)
		}
	}
}

func TestLoopbackOption(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.Host) }))
	defer srv.Close()
	listener := strings.TrimPrefix(srv.URL, "http://")
	client := New(Options{DangerouslyAllowLoopback: true, Dial: map[string]string{"idp.localhost:8080": listener, "out.localhost:8080": "8.8.8.8:8080"}})
	if body, err := Get(t.Context(), client, "http://idp.localhost:8080/"); err != nil || string(body) != "idp.localhost:8080" {
		t.Errorf("Get = %q, %v", body, err)
	}
	port := listener[strings.LastIndexByte(listener, ':'):]
	if _, err := Get(t.Context(), client, "http://any.localhost"+port+"/"); err != nil {
		t.Errorf("a localhost name without an entry: %v", errors.Unwrap(err))
	}
	_, err := Get(t.Context(), client, "http://out.localhost:8080/")
	wantReason(t, err, ErrAddress)
	// The option is about localhost, not about everything near it.
	for _, u := range []string{"http://op.example/", "https://10.0.0.1/", "https://169.254.169.254/", "http://[::ffff:127.0.0.1]/", "http://127.0.0.1.nip.example/", "http://localhost.example/"} {
		wantReason(t, Check(client, u), ErrAddress)
	}
	// Without it, a map changes nothing.
	_, err = Get(t.Context(), New(Options{Dial: map[string]string{"idp.localhost:8080": listener}}), "http://idp.localhost:8080/")
	wantReason(t, err, ErrAddress)
	// A public name that resolves to this machine is no localhost name.
	public := New(Options{DangerouslyAllowLoopback: true, lookup: func(context.Context, string, string) ([]netip.Addr, error) {
		return []netip.Addr{netip.MustParseAddr("127.0.0.1")}, nil
	}})
	_, err = Get(t.Context(), public, "https://op.example/")
	wantReason(t, err, ErrAddress)
}

// FuzzCheck: whatever passes the check is a plain https address on port 443.
func FuzzCheck(f *testing.F) {
	for _, s := range []string{"https://op.example/", "https://[::1]/", "https://①②⑦.0.0.1/", "https://a@b.c", `https://a.b\c`, "https://0x7f.1", "https://a.b:443"} {
		f.Add(s)
	}
	client := New(Options{})
	f.Fuzz(func(t *testing.T, raw string) {
		if Check(client, raw) != nil {
			return
		}
		req, err := http.NewRequest(http.MethodGet, raw, nil)
		if err != nil {
			t.Fatalf("net/http refuses what was accepted: %v", err)
		}
		u := req.URL
		if u.Scheme != "https" || u.User != nil || (u.Port() != "" && u.Port() != "443") {
			t.Fatalf("accepted %q", raw)
		}
		if ip, err := netip.ParseAddr(u.Hostname()); err == nil && checkAddr(ip) != nil {
			t.Fatalf("accepted %q", raw)
		}
	})
}

func TestTLS(t *testing.T) {
	for _, old := range []bool{false, true} {
		srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "hello") }))
		srv.Config.ErrorLog = log.New(io.Discard, "", 0)
		srv.TLS = &tls.Config{}
		if old {
			srv.TLS.MinVersion, srv.TLS.MaxVersion = tls.VersionTLS10, tls.VersionTLS11
		}
		srv.StartTLS()
		defer srv.Close()
		roots := x509.NewCertPool()
		roots.AddCert(srv.Certificate())
		_, err := Get(t.Context(), New(Options{DangerouslyAllowLoopback: true, RootCAs: roots}), srv.URL)
		if (err != nil) != old {
			t.Errorf("TLS 1.1 at most %t: %v", old, err)
		}
		if _, err := Get(t.Context(), New(Options{DangerouslyAllowLoopback: true}), srv.URL); err == nil {
			t.Error("a certificate of nobody's was believed")
		}
	}
}

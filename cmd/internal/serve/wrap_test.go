package serve

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"

	"github.com/domicile-sso/domicile/discovery/page"
	"github.com/gorilla/mux"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// site is a router with one route of every sort behind the chain.
func site(t *testing.T, change func(*Options)) (h http.Handler, log *bytes.Buffer) {
	t.Helper()
	m := mux.NewRouter()
	m.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, "home") }).Methods("GET")
	m.HandleFunc("/panic", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Set-Cookie", "half=done")
		panic(errors.New("marked-panic-text"))
	})
	m.HandleFunc("/half", func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, strings.Repeat("x", 10000))
		panic("late")
	})
	m.HandleFunc("/client", func(w http.ResponseWriter, r *http.Request) {
		_, _ = fmt.Fprint(w, page.Client(r.Context()), r.Header["X-Forwarded-For"], r.Header["Forwarded"], r.Header["X-Original-Url"])
	})
	m.HandleFunc("/where", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, r.URL.String()+"there", http.StatusSeeOther)
	})
	post := func(w http.ResponseWriter, r *http.Request) {
		if err := r.ParseForm(); err != nil {
			var tooLarge *http.MaxBytesError
			if errors.As(err, &tooLarge) {
				w.WriteHeader(http.StatusRequestEntityTooLarge)
				return
			}
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		_, _ = fmt.Fprint(w, "posted ", len(r.PostForm.Get("a")))
	}
	m.HandleFunc("/", post).Methods("POST")
	m.HandleFunc("/saml/{id}/acs", post).Methods("POST")
	log = new(bytes.Buffer)
	o := Options{
		Site: "test", HTTPS: true, SessionCookie: "__Host-session",
		Log:        slog.New(slog.NewJSONHandler(log, nil)),
		Metrics:    prometheus.NewRegistry(),
		CrossSite:  []string{"/saml/*/acs"},
		BodyLimits: map[string]int64{"/saml/*/acs": 512 << 10},
	}
	if change != nil {
		change(&o)
	}
	h = Wrap(OnlyHost("portal.test", m, plainError), o)
	return h, log
}

func do(h http.Handler, r *http.Request) *http.Response {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Result()
}

func request(method, target, body string, headers ...string) *http.Request {
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	r.Host = "portal.test"
	if body != "" {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for i := 0; i < len(headers); i += 2 {
		if headers[i] == "Host" {
			r.Host = headers[i+1]
			continue
		}
		r.Header.Add(headers[i], headers[i+1])
	}
	return r
}

// HDR-01, HDR-04, ADM-11, DIS-29, LOG-05: no answer goes without the headers,
// and none says what went wrong inside.
func TestHeadersOnEveryAnswer(t *testing.T) {
	big := strings.Repeat("a", 70<<10)
	for _, tt := range []struct {
		name   string
		r      *http.Request
		status int
	}{
		{"200", request("GET", "/", ""), 200},
		{"clean path", request("GET", "//x/../", ""), 301},
		{"404", request("GET", "/nothing", ""), 404},
		{"405", request("PUT", "/", "", "Sec-Fetch-Site", "same-origin"), 405},
		{"trace", request("TRACE", "/", ""), 405},
		{"options", request("OPTIONS", "*", ""), 405},
		{"413 by length", request("POST", "/", "a="+big), 413},
		{"panic", request("GET", "/panic", ""), 500},
		{"421", request("GET", "/", "", "Host", "evil.test"), 421},
		{"host in capitals", request("GET", "/", "", "Host", "PORTAL.test"), 200},
		{"host with another port", request("GET", "/", "", "Host", "portal.test:81"), 421},
		{"cross-site", request("POST", "/", "a=b", "Sec-Fetch-Site", "cross-site"), 403},
		{"multipart", request("POST", "/", "a", "Content-Type", "x"), 400},
		{"long query", request("GET", "/?q="+big[:9000], ""), 400},
		{"long path", request("GET", "/"+big[:2000], ""), 400},
		{"healthz", request("GET", "/healthz", "", "Host", "10.0.0.1"), 200},
		{"readyz", request("GET", "/readyz", ""), 200},
		{"post healthz", request("POST", "/healthz", ""), 405},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h, _ := site(t, nil)
			res := do(h, tt.r)
			if res.StatusCode != tt.status {
				t.Errorf("status %d, want %d", res.StatusCode, tt.status)
			}
			for name, want := range map[string]string{
				"Content-Security-Policy":    page.Policy,
				"Strict-Transport-Security":  "max-age=63072000; includeSubDomains",
				"X-Content-Type-Options":     "nosniff",
				"X-Frame-Options":            "DENY",
				"Referrer-Policy":            "no-referrer",
				"Cross-Origin-Opener-Policy": "same-origin",
				"Cache-Control":              "no-store",
			} {
				if got := res.Header.Get(name); got != want {
					t.Errorf("%s: %q, want %q", name, got, want)
				}
			}
			if res.Header.Get("X-Request-Id") == "" || res.Header.Get("Permissions-Policy") == "" || res.Header.Get("Cross-Origin-Resource-Policy") == "" {
				t.Errorf("headers missing: %v", res.Header)
			}
			if res.Header.Get("Set-Cookie") != "" {
				t.Error("a cookie of the answer that panicked came through")
			}
			body, _ := io.ReadAll(res.Body)
			if bytes.Contains(body, []byte("marked-panic-text")) || bytes.Contains(body, []byte(".go:")) {
				t.Errorf("the answer shows what happened: %s", body)
			}
		})
	}
}

func TestPanicHalfWay(t *testing.T) {
	h, _ := site(t, nil)
	s := httptest.NewServer(h)
	defer s.Close()
	r, _ := http.NewRequest("GET", s.URL+"/half", nil)
	r.Host = "portal.test"
	res, err := s.Client().Do(r)
	if err == nil {
		_, err = io.ReadAll(res.Body)
		_ = res.Body.Close()
	}
	if err == nil {
		t.Error("half an answer looks like a whole one")
	}
}

// LOG-01: one line for a request whatever is in it; nothing of the query, the
// path, a header or the client's address.
func TestAccessLog(t *testing.T) {
	h, log := site(t, nil)
	r := request("GET", "/secret-path-canary?email=ada%40canary.example", "",
		"User-Agent", "canary-agent \x1b[31m", "Referer", "https://canary.example/", "Cookie", "a=canary", "X-Request-Id", "canary")
	r.RemoteAddr = "192.0.2.77:1234"
	do(h, r)
	do(h, request("GET", "/panic?x=canary%0d%0ainjected", ""))
	for _, line := range strings.Split(strings.TrimSpace(log.String()), "\n") {
		if !strings.HasPrefix(line, `{"time"`) {
			t.Errorf("not a record: %s", line)
		}
	}
	for _, never := range []string{"canary", "192.0.2.77", "\x1b", "injected", "marked-panic-text"} {
		if strings.Contains(log.String(), never) {
			t.Errorf("the log has %q:\n%s", never, log)
		}
	}
	if n := strings.Count(log.String(), `"msg":"request"`); n != 2 {
		t.Errorf("%d access lines for 2 requests:\n%s", n, log)
	}
	if !strings.Contains(log.String(), `"status":500`) {
		t.Errorf("the panic's status is missing:\n%s", log)
	}
}

func TestMetricsAreBounded(t *testing.T) {
	reg := prometheus.NewRegistry()
	h, _ := site(t, func(o *Options) { o.Metrics = reg })
	for i := range 50 {
		do(h, request("GET", fmt.Sprintf("/x%d?y=%d", i, i), ""))
		do(h, request(fmt.Sprintf("VERB%d", i), "/login/acme-saml", ""))
	}
	w := httptest.NewRecorder()
	promhttp.HandlerFor(reg, promhttp.HandlerOpts{}).ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	got := 0
	for line := range strings.Lines(w.Body.String()) {
		if strings.HasPrefix(line, "domicile_http_requests_total{") {
			got++
		}
	}
	if got != 2 {
		t.Errorf("%d series, want 2:\n%s", got, w.Body)
	}
}

// SES-06, SES-07, SES-09: who may post.
func TestForgery(t *testing.T) {
	const session = "__Host-session=x"
	for _, tt := range []struct {
		name   string
		r      *http.Request
		status int
	}{
		{"own form", request("POST", "/", "a=b", "Sec-Fetch-Site", "same-origin", "Origin", "null", "Cookie", session), 200},
		{"typed address", request("POST", "/", "a=b", "Sec-Fetch-Site", "none"), 200},
		{"cross-site", request("POST", "/", "a=b", "Sec-Fetch-Site", "cross-site", "Origin", "https://evil.test"), 403},
		{"sibling", request("POST", "/", "a=b", "Sec-Fetch-Site", "same-site", "Origin", "https://other.test"), 403},
		{"origin null", request("POST", "/", "a=b", "Origin", "null"), 403},
		{"text/plain JSON", request("POST", "/", `{"a":"b"}`, "Content-Type", "text/plain", "Origin", "https://evil.test"), 400},
		{"foreign origin", request("POST", "/", "a=b", "Origin", "https://evil.test"), 403},
		{"own origin", request("POST", "/", "a=b", "Origin", "https://portal.test", "Cookie", session), 200},
		{"own origin over http", request("POST", "/", "a=b", "Origin", "http://portal.test"), 403},
		{"own origin, another port", request("POST", "/", "a=b", "Origin", "https://portal.test:8443"), 403},
		{"no word, a session", request("POST", "/", "a=b", "Cookie", session), 403},
		{"no word, a session, DELETE", request("DELETE", "/", "", "Cookie", session), 403},
		{"no word, no session", request("POST", "/", "a=b"), 200},
		{"get is not for this", request("GET", "/", "", "Sec-Fetch-Site", "cross-site"), 200},
		{"two origins", request("POST", "/", "a=b", "Origin", "https://portal.test", "Origin", "https://evil.test"), 400},

		{"acs", request("POST", "/saml/acme-saml/acs", "a=b", "Sec-Fetch-Site", "cross-site", "Origin", "https://idp.test"), 200},
		{"acs with a slash", request("POST", "/saml/t/acs/", "a=b", "Sec-Fetch-Site", "cross-site"), 403},
		{"acs with two slashes", request("POST", "//saml/t/acs", "a=b", "Sec-Fetch-Site", "cross-site"), 403},
		{"acs and back", request("POST", "/saml/t/acs/../../../admin", "a=b", "Sec-Fetch-Site", "cross-site"), 403},
		{"acs of dots", request("POST", "/saml/../acs", "a=b", "Sec-Fetch-Site", "cross-site"), 403},
		{"acs escaped", request("POST", "/saml/t%2fx/acs", "a=b", "Sec-Fetch-Site", "cross-site"), 403},
		{"acs by another verb", request("PUT", "/saml/t/acs", "a=b", "Sec-Fetch-Site", "cross-site"), 403},
		{"longer than acs", request("POST", "/saml/t/acs/x", "a=b", "Sec-Fetch-Site", "cross-site"), 403},
		{"acs in capitals", request("POST", "/saml/T/ACS", "a=b", "Sec-Fetch-Site", "cross-site"), 403},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h, _ := site(t, nil)
			if res := do(h, tt.r); res.StatusCode != tt.status {
				t.Errorf("status %d, want %d", res.StatusCode, tt.status)
			}
		})
	}
}

// HDR-09, DIS-28: who may say where a request comes from and which host it means.
func TestForwarding(t *testing.T) {
	proxies := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}
	for _, tt := range []struct {
		name, peer, want string
		forwarded        []string
	}{
		{"no proxy", "192.0.2.1:1", "192.0.2.1", nil},
		{"stranger speaks", "192.0.2.1:1", "192.0.2.1", []string{"198.51.100.9"}},
		{"proxy speaks", "10.1.1.1:1", "198.51.100.9", []string{"198.51.100.9"}},
		{"client made up a hop", "10.1.1.1:1", "198.51.100.9", []string{"203.0.113.5, 198.51.100.9"}},
		{"two proxies", "10.1.1.1:1", "198.51.100.9", []string{"203.0.113.5, 198.51.100.9, 10.2.2.2"}},
		{"two headers", "10.1.1.1:1", "198.51.100.9", []string{"203.0.113.5", "198.51.100.9"}},
		{"only proxies", "10.1.1.1:1", "10.9.9.9", []string{"10.9.9.9"}},
		{"nonsense", "10.1.1.1:1", "10.1.1.1", []string{"203.0.113.5, <script>"}},
		{"empty", "10.1.1.1:1", "10.1.1.1", []string{""}},
		{"mapped", "[::ffff:10.1.1.1]:1", "198.51.100.9", []string{"::ffff:198.51.100.9"}},
		{"v6", "[fd00::1]:1", "2001:db8::7", []string{"2001:db8::7"}},
		{"with its port", "10.1.1.1:1", "198.51.100.9", []string{"203.0.113.5, 198.51.100.9:40312"}},
		{"v6 with its port", "[fd00::1]:1", "2001:db8::7", []string{"[2001:db8::7]:40312"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h, _ := site(t, func(o *Options) { o.TrustedProxies = proxies })
			r := request("GET", "/client", "", "X-Forwarded-Host", "evil.test", "Forwarded", "for=1.2.3.4", "X-Original-URL", "/admin")
			r.RemoteAddr = tt.peer
			for _, f := range tt.forwarded {
				r.Header.Add("X-Forwarded-For", f)
			}
			body, _ := io.ReadAll(do(h, r).Body)
			if got := string(body); got != tt.want+"[][][]" && got != tt.want+" [] [] []" {
				t.Errorf("client is %q, want %q", got, tt.want)
			}
		})
	}
}

// DIS-28: the host in an absolute-form request line comes back in no Location.
func TestAbsoluteForm(t *testing.T) {
	h, _ := site(t, nil)
	for target, want := range map[string]string{
		"http://portal.test//x/../where": "/where",
		"http://portal.test/where":       "/wherethere",
	} {
		r := httptest.NewRequest("GET", target, nil)
		if got := do(h, r).Header.Get("Location"); got != want {
			t.Errorf("%s leads to %q, want %q", target, got, want)
		}
	}
	if res := do(h, httptest.NewRequest("GET", "http://evil.test//x/../where", nil)); res.StatusCode != http.StatusMisdirectedRequest {
		t.Errorf("absolute form of a stranger: %d", res.StatusCode)
	}
}

// HDR-08 and the bad inputs that never reach a page.
func TestLimits(t *testing.T) {
	form := func(n int) string { return "a=" + strings.Repeat("x", n-2) }
	many := make(url.Values)
	for i := range 65 {
		many.Set(fmt.Sprint("k", i), "")
	}
	for _, tt := range []struct {
		name   string
		r      *http.Request
		status int
	}{
		{"form at the limit", request("POST", "/", form(64<<10)), 200},
		{"form over it", request("POST", "/", form(64<<10+1)), 413},
		{"acs at its limit", request("POST", "/saml/x/acs", form(512<<10)), 200},
		{"acs over it", request("POST", "/saml/x/acs", form(512<<10+1)), 413},
		{"10 MB", request("POST", "/saml/x/acs", form(10<<20)), 413},
		{"many fields", request("GET", "/?"+many.Encode(), ""), 400},
		{"semicolon", request("GET", "/?a;b", ""), 400},
		{"bad escape", request("GET", "/?a=%zz", ""), 400},
		{"not UTF-8", request("GET", "/?a=%ff", ""), 400},
		{"NUL", request("GET", "/?a=%00", ""), 400},
		{"NUL in the path", request("GET", "/%00", ""), 400},
		{"not UTF-8 in the path", request("GET", "/%ff", ""), 400},
		{"gzip", request("POST", "/", "a=b", "Content-Encoding", "gzip"), 415},
		{"two types", request("POST", "/", "a=b", "Content-Type", "application/json"), 400},
		{"two cookies of one name", request("GET", "/", "", "Cookie", "__Host-session=a; __Host-session=b"), 400},
		{"two cookies of another name", request("GET", "/", "", "Cookie", "x=a; x=b"), 200},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h, _ := site(t, nil)
			if res := do(h, tt.r); res.StatusCode != tt.status {
				t.Errorf("status %d, want %d", res.StatusCode, tt.status)
			}
		})
	}
	t.Run("multipart", func(t *testing.T) {
		h, _ := site(t, nil)
		r := request("POST", "/", "")
		r.Header.Set("Content-Type", "multipart/form-data; boundary=x")
		if res := do(h, r); res.StatusCode != http.StatusUnsupportedMediaType {
			t.Errorf("status %d", res.StatusCode)
		}
	})
	t.Run("length not told", func(t *testing.T) {
		h, _ := site(t, nil)
		r := request("POST", "/", form(64<<10+1))
		r.ContentLength = -1
		if res := do(h, r); res.StatusCode != http.StatusRequestEntityTooLarge {
			t.Errorf("status %d", res.StatusCode)
		}
	})
}

// HDR-07: what two programs could read differently is refused on the wire.
func TestSmuggling(t *testing.T) {
	h, _ := site(t, nil)
	s, err := Listen("test", "127.0.0.1:0", nil, h, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	defer func() { _ = s.Stop(context.Background()) }()
	const start = "POST / HTTP/1.1\r\nHost: portal.test\r\nContent-Type: application/x-www-form-urlencoded\r\n"
	for name, raw := range map[string]string{
		"two lengths":       start + "Content-Length: 3\r\nContent-Length: 4\r\n\r\na=bb",
		"signed length":     start + "Content-Length: +3\r\n\r\na=b",
		"unknown coding":    start + "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
		"two codings":       start + "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n",
		"two hosts":         "GET / HTTP/1.1\r\nHost: portal.test\r\nHost: evil.test\r\n\r\n",
		"no host":           "GET / HTTP/1.1\r\n\r\n",
		"bad host":          "GET / HTTP/1.1\r\nHost: a b\r\n\r\n",
		"host with a path":  "GET / HTTP/1.1\r\nHost: portal.test/x\r\n\r\n",
		"space before name": "GET / HTTP/1.1\r\nHost: portal.test\r\n X: y\r\n\r\n",
		"space after name":  "GET / HTTP/1.1\r\nHost: portal.test\r\nX : y\r\n\r\n",
		"NUL in a value":    "GET / HTTP/1.1\r\nHost: portal.test\r\nX: a\x00b\r\n\r\n",
		"huge header":       "GET / HTTP/1.1\r\nHost: portal.test\r\nX: " + strings.Repeat("a", 64<<10) + "\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			c, err := net.Dial("tcp", s.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = c.Close() }()
			go func() { _, _ = io.WriteString(c, raw) }()
			res, err := http.ReadResponse(bufio.NewReader(c), nil)
			if err != nil {
				return // cut off: as good
			}
			if res.StatusCode < 400 {
				t.Errorf("answered %d", res.StatusCode)
			}
		})
	}
	t.Run("length and chunks", func(t *testing.T) {
		c, err := net.Dial("tcp", s.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = c.Close() }()
		// Chunks win and the connection is not used again (RFC 9112 6.1), so
		// what follows is never taken for a second request.
		_, _ = io.WriteString(c, start+"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /panic HTTP/1.1\r\nHost: portal.test\r\n\r\n")
		all, _ := io.ReadAll(c)
		if n := bytes.Count(all, []byte("HTTP/1.1 ")); n > 1 {
			t.Errorf("%d answers to one request:\n%s", n, all)
		}
	})
}

// A country is believed of a trusted proxy alone, in one header and as a code.
func TestCountry(t *testing.T) {
	for _, tt := range []struct {
		name, peer string
		said       []string
		want       string
	}{
		{"a code", "10.0.0.1", []string{"CH"}, "CH"},
		{"untrusted peer", "203.0.113.9", []string{"CH"}, ""},
		{"nobody said so", "10.0.0.1", nil, ""},
		{"two of them", "10.0.0.1", []string{"CH", "DE"}, ""},
		{"lower case", "10.0.0.1", []string{"ch"}, ""},
		{"unknown", "10.0.0.1", []string{"XX"}, ""},
		{"unknown to CLDR", "10.0.0.1", []string{"ZZ"}, ""},
		{"Tor", "10.0.0.1", []string{"T1"}, ""},
		{"three letters", "10.0.0.1", []string{"CHE"}, ""},
		{"the former name of Myanmar", "10.0.0.1", []string{"BU"}, ""},
		{"an alias of GB", "10.0.0.1", []string{"UK"}, ""},
		{"a list", "10.0.0.1", []string{"CH, DE"}, ""},
		{"markup", "10.0.0.1", []string{"<b"}, ""},
		{"empty", "10.0.0.1", []string{""}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, passed := "?", []string{"?"}
			h := Wrap(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				got, passed = page.Country(r.Context()), r.Header.Values("CF-IPCountry")
			}), Options{TrustedProxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}, CountryHeader: "CF-IPCountry"})
			r := request("GET", "/", "")
			r.RemoteAddr = tt.peer + ":1234"
			for _, s := range tt.said {
				r.Header.Add("CF-IPCountry", s)
			}
			do(h, r)
			if got != tt.want || len(passed) != 0 {
				t.Errorf("got %q, want %q; the header was passed on: %q", got, tt.want, passed)
			}
		})
	}
}

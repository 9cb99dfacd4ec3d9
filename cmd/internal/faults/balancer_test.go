package faults

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/domicile-sso/domicile/cmd/internal/planttest"
)

// A balancer is what stands in front of several processes that do the same: as
// plain as load balancers come. It asks each whether it is ready, hands requests
// out in turn, tries the next process where one takes no connection, and asks
// another again where one broke off before it answered and asking twice does no
// harm. Else it says 502.
type balancer struct {
	url       string // "http://127.0.0.1:…"
	processes []*process
	again     func(*http.Request) bool // may be asked twice
	next      atomic.Uint32
}

// A process is one that requests are handed to.
type process struct {
	addr string

	mu    sync.Mutex
	ready bool
	late  int                // times in a row that it did not say whether it is ready
	cut   context.CancelFunc // ends the requests it has
	under context.Context    // of the requests it has
}

const (
	askEvery = 200 * time.Millisecond
	askFor   = 2 * time.Second
	tooLate  = 2
)

// balance listens on a port of this machine until the test ends.
func balance(t testing.TB, port int, again func(*http.Request) bool, addrs ...string) *balancer {
	t.Helper()
	b := &balancer{again: again, url: "http://" + planttest.Loopback(port)}
	stopped := make(chan struct{})
	var asking sync.WaitGroup
	for _, addr := range addrs {
		p := &process{addr: addr}
		p.turn(false)
		b.processes = append(b.processes, p)
		asking.Go(func() { p.watch(stopped) })
	}
	transport := &http.Transport{MaxIdleConnsPerHost: 256, DialContext: (&net.Dialer{Timeout: 2 * time.Second}).DialContext}
	proxy := &httputil.ReverseProxy{
		Transport: b.through(transport),
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetXForwarded()
			r.Out.URL.Scheme, r.Out.URL.Host = "http", r.In.Host
			if r.Out.Body == nil {
				r.Out.Body = http.NoBody
			}
		},
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) {
			w.Header().Set("Balancer", err.Error())
			w.WriteHeader(http.StatusBadGateway)
		},
		ErrorLog: log.New(io.Discard, "", 0), // clients that hang up
	}
	l, err := net.Listen("tcp", planttest.Loopback(port))
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: proxy}
	go func() { _ = server.Serve(l) }()
	t.Cleanup(func() {
		close(stopped)
		asking.Wait()
		_ = server.Close()
		transport.CloseIdleConnections()
	})
	return b
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

var errNobody = errors.New("no process takes the request")

// through sends a request to one process after the other until one answers.
func (b *balancer) through(transport *http.Transport) roundTripper {
	return func(r *http.Request) (*http.Response, error) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		last := errNobody
		for _, p := range b.inTurn() {
			res, err := p.send(transport, r, body)
			if err == nil {
				return res, nil
			}
			last = err
			var refused *net.OpError
			if r.Context().Err() != nil || !b.again(r) && !(errors.As(err, &refused) && refused.Op == "dial") {
				break
			}
		}
		return nil, last
	}
}

// inTurn are the processes that are ready, another one first each time.
func (b *balancer) inTurn() []*process {
	var all []*process
	n := int(b.next.Add(1))
	for i := range b.processes {
		p := b.processes[(n+i)%len(b.processes)]
		p.mu.Lock()
		if p.ready {
			all = append(all, p)
		}
		p.mu.Unlock()
	}
	return all
}

func (p *process) send(transport *http.Transport, r *http.Request, body []byte) (*http.Response, error) {
	p.mu.Lock()
	under := p.under
	p.mu.Unlock()
	ctx, cancel := context.WithCancel(r.Context())
	stop := context.AfterFunc(under, cancel)
	out := r.Clone(ctx)
	out.URL.Host = p.addr
	if len(body) > 0 {
		out.Body = io.NopCloser(bytes.NewReader(body))
	}
	res, err := transport.RoundTrip(out)
	if err != nil {
		stop()
		cancel()
		var refused *net.OpError
		if errors.As(err, &refused) && refused.Op == "dial" {
			p.turn(false)
		}
		return nil, err
	}
	res.Body = &answer{res.Body, func() { stop(); cancel() }}
	return res, nil
}

// An answer tells when it has been read.
type answer struct {
	io.ReadCloser
	read func()
}

func (a *answer) Close() error {
	defer a.read()
	return a.ReadCloser.Close()
}

// watch asks the process whether it is ready.
func (p *process) watch(stopped <-chan struct{}) {
	client := &http.Client{Timeout: askFor, Transport: &http.Transport{DisableKeepAlives: true}}
	tick := time.NewTicker(askEvery)
	defer tick.Stop()
	for {
		res, err := client.Get("http://" + p.addr + "/readyz")
		var late net.Error
		switch {
		case err == nil:
			_ = res.Body.Close()
			p.late = 0
			p.turn(res.StatusCode == http.StatusOK)
		case errors.As(err, &late) && late.Timeout():
			if p.late++; p.late >= tooLate {
				p.turn(false)
				p.hangUp()
			}
		default:
			p.turn(false)
		}
		select {
		case <-stopped:
			return
		case <-tick.C:
		}
	}
}

func (p *process) turn(ready bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ready = ready
	if p.under == nil {
		p.under, p.cut = context.WithCancel(context.Background())
	}
}

// hangUp ends the requests of a process that no longer says anything.
func (p *process) hangUp() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cut()
	p.under, p.cut = context.WithCancel(context.Background())
}

// port is where it listens.
func (b *balancer) port() string { return b.url[strings.LastIndex(b.url, ":")+1:] }

// alive is how many processes are ready.
func (b *balancer) alive() int { return len(b.inTurn()) }

// readOnly requests may be asked twice anywhere; lookups, too, which change
// nothing.
func readOnly(r *http.Request) bool { return r.Method == http.MethodGet || r.Method == http.MethodHead }

func lookups(r *http.Request) bool {
	return readOnly(r) || r.URL.Path == "/" || r.URL.Path == "/v1/discover"
}

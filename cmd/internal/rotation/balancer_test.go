package rotation

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"sync"
	"syscall"

	"github.com/prometheus/client_golang/prometheus"
)

// A node is one process of a role.
type node struct {
	public, claims string // listeners
	registry       *prometheus.Registry
	stop           func(context.Context) error

	out  bool           // no more requests: it is about to stop
	busy sync.WaitGroup // requests it has
}

// A role is two processes that do the same, behind a load balancer.
type role struct {
	start func() (*node, error)

	mu    sync.Mutex
	nodes [2]*node
	turn  int
}

// take chooses the next node that takes requests. The caller calls busy.Done.
func (r *role) take() *node {
	r.mu.Lock()
	defer r.mu.Unlock()
	for {
		r.turn++
		if n := r.nodes[r.turn%len(r.nodes)]; !n.out { // only one is, at a time
			n.busy.Add(1)
			return n
		}
	}
}

// all are the nodes there are now.
func (r *role) all() []*node {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.nodes[:]
}

// begin starts both processes.
func (r *role) begin() (err error) {
	for i := range r.nodes {
		if r.nodes[i], err = r.start(); err != nil {
			return err
		}
	}
	return nil
}

// restart is a rolling restart: each process in turn gets no more requests, ends
// those it has, and is replaced by one with the settings of now. While the two
// have different settings, meanwhile is called.
func (r *role) restart(ctx context.Context, meanwhile func()) error {
	for i := range r.nodes {
		if i > 0 {
			meanwhile()
		}
		r.mu.Lock()
		old := r.nodes[i]
		old.out = true
		r.mu.Unlock()
		old.busy.Wait()
		if err := old.stop(ctx); err != nil {
			return err
		}
		fresh, err := r.start()
		if err != nil {
			return err
		}
		r.mu.Lock()
		r.nodes[i] = fresh
		r.mu.Unlock()
	}
	return nil
}

func (r *role) end(ctx context.Context) (err error) {
	for _, n := range r.nodes {
		if n != nil {
			err = errors.Join(err, n.stop(ctx))
		}
	}
	return err
}

// send hands a request to a listener of a node, and to another node where the
// first takes no connection. The answer is whole before the node counts as free.
func (r *role) send(transport *http.Transport, req *http.Request, listener func(*node) string) (*http.Response, error) {
	var body []byte
	if req.Body != nil {
		var err error
		if body, err = io.ReadAll(req.Body); err != nil {
			return nil, err
		}
	}
	for tries := 0; ; tries++ {
		res, err := r.sendOnce(transport, req, body, listener)
		if err == nil || !errors.Is(err, syscall.ECONNREFUSED) || tries == 2 {
			return res, err
		}
	}
}

func (r *role) sendOnce(transport *http.Transport, req *http.Request, body []byte, listener func(*node) string) (*http.Response, error) {
	n := r.take()
	defer n.busy.Done()
	out := req.Clone(req.Context())
	out.Host = req.URL.Host
	out.URL.Scheme, out.URL.Host = "http", listener(n) // TLS has ended here
	out.Body = io.NopCloser(bytes.NewReader(body))
	res, err := transport.RoundTrip(out)
	if err != nil {
		return nil, err
	}
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		return nil, err
	}
	res.Body, res.Request = io.NopCloser(bytes.NewReader(text)), req
	return res, nil
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

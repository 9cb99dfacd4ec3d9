package e2e

import (
	"io"
	"net"
	"net/url"
	"sync"
	"testing"
)

// A gate stands between a server and its database, and can be shut (the server
// is gone: connections end and are refused) or jammed (it is there and says
// nothing), as databases do.
type gate struct {
	addr string // where it listens
	to   string

	mu     sync.Mutex
	door   net.Listener
	open   map[net.Conn]bool
	jam    chan struct{} // closed when data may pass
	jammed bool
}

// before puts a gate before the PostgreSQL at a URL, and returns the URL that
// leads through it.
func before(t testing.TB, database string) (*gate, string) {
	t.Helper()
	u, err := url.Parse(database)
	if err != nil {
		t.Fatal(err)
	}
	g := &gate{addr: loopback(free(t, 1)[0]), to: u.Host, open: map[net.Conn]bool{}, jam: make(chan struct{})}
	close(g.jam)
	g.unlock(t)
	t.Cleanup(func() { g.free(); g.shut() })
	u.Host = g.addr
	return g, u.String()
}

// unlock lets connections in.
func (g *gate) unlock(t testing.TB) {
	t.Helper()
	l, err := net.Listen("tcp", g.addr)
	if err != nil {
		t.Fatal(err)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.door, g.addr = l, l.Addr().String()
	go g.serve(l)
}

func (g *gate) serve(l net.Listener) {
	for {
		in, err := l.Accept()
		if err != nil {
			return
		}
		out, err := net.Dial("tcp", g.to)
		if err != nil {
			in.Close()
			continue
		}
		g.mu.Lock()
		g.open[in], g.open[out] = true, true
		g.mu.Unlock()
		go g.pass(in, out)
		go g.pass(out, in)
	}
}

// pass copies until either end is closed.
func (g *gate) pass(to, from net.Conn) {
	defer to.Close()
	defer from.Close()
	buffer := make([]byte, 32<<10)
	for {
		n, err := from.Read(buffer)
		g.mu.Lock()
		jam := g.jam
		g.mu.Unlock()
		<-jam
		if n > 0 {
			if _, err := to.Write(buffer[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// shut ends all connections and refuses new ones.
func (g *gate) shut() {
	g.mu.Lock()
	defer g.mu.Unlock()
	var all []io.Closer
	if g.door != nil {
		all = append(all, g.door)
	}
	for c := range g.open {
		all = append(all, c)
	}
	for _, c := range all {
		c.Close()
	}
	g.door = nil
	clear(g.open)
}

// stick holds back whatever is said from now on.
func (g *gate) stick() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.jam, g.jammed = make(chan struct{}), true
}

// free lets it pass.
func (g *gate) free() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.jammed {
		close(g.jam)
		g.jammed = false
	}
}

package planttest

import (
	"io"
	"net"
	"net/url"
	"sync"
	"testing"
)

// A Gate stands between two processes, and can be shut (the server is gone:
// connections end and are refused) or jammed (it is there and says nothing), as
// databases do.
type Gate struct {
	addr string // where it listens
	to   string

	mu     sync.Mutex
	door   net.Listener
	open   map[net.Conn]bool
	jam    chan struct{} // closed when data may pass
	jammed bool
}

// Before puts a gate before the server at a URL, and returns the URL that leads
// through it.
func Before(t testing.TB, to string) (*Gate, string) {
	t.Helper()
	u, err := url.Parse(to)
	if err != nil {
		t.Fatal(err)
	}
	g := &Gate{addr: Loopback(Free(t, 1)[0]), to: u.Host, open: map[net.Conn]bool{}, jam: make(chan struct{})}
	close(g.jam)
	g.Open(t)
	t.Cleanup(func() { g.Free(); g.Shut() })
	u.Host = g.addr
	return g, u.String()
}

// Open lets connections in.
func (g *Gate) Open(t testing.TB) {
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

func (g *Gate) serve(l net.Listener) {
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
func (g *Gate) pass(to, from net.Conn) {
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

// Shut ends all connections and refuses new ones.
func (g *Gate) Shut() {
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

// Stick holds back whatever is said from now on.
func (g *Gate) Stick() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.jam, g.jammed = make(chan struct{}), true
}

// Free lets it pass.
func (g *Gate) Free() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.jammed {
		close(g.jam)
		g.jammed = false
	}
}

package serve

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"
)

// A Server is one listener and what is served on it. It is bound by [Listen],
// so that its address is known, and an address in use reported, before anything
// else of the process starts.
type Server struct {
	name     string
	log      *slog.Logger
	listener net.Listener
	http     http.Server
	failed   chan error
	started  atomic.Bool

	mu     sync.Mutex
	silent map[net.Conn]bool // connected, and nothing asked yet
}

// Listen binds addr ("127.0.0.1:0" picks a free port). With a certificate the
// server speaks TLS 1.2 and newer.
func Listen(name, addr string, cert *Certificate, h http.Handler, log *slog.Logger) (*Server, error) {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("%s listener: %w", name, err)
	}
	s := &Server{name: name, log: log, listener: l, failed: make(chan error, 1), silent: map[net.Conn]bool{}}
	s.http = http.Server{
		Handler:                      h,
		ReadHeaderTimeout:            5 * time.Second,
		ReadTimeout:                  15 * time.Second,
		WriteTimeout:                 30 * time.Second,
		IdleTimeout:                  60 * time.Second,
		MaxHeaderBytes:               32 << 10,
		DisableGeneralOptionsHandler: true, // OPTIONS * gets our headers, too
		HTTP2: &http.HTTP2Config{
			MaxConcurrentStreams:          100,
			MaxReceiveBufferPerConnection: 1 << 20,
			MaxReceiveBufferPerStream:     256 << 10,
			WriteByteTimeout:              30 * time.Second, // a client that reads nothing holds nothing for long
		},
		ConnState: s.listenTo,
		ErrorLog:  slog.NewLogLogger(noisy{log.Handler()}, slog.LevelDebug),
	}
	if cert != nil {
		s.http.TLSConfig = cert.server()
	}
	return s, nil
}

// Addr is the address the server is bound to.
func (s *Server) Addr() net.Addr { return s.listener.Addr() }

// Failed yields the error that ended the server, if something other than Stop
// did.
func (s *Server) Failed() <-chan error { return s.failed }

// Start serves in the background.
func (s *Server) Start() {
	s.started.Store(true)
	s.log.Info("listening", "listener", s.name, "addr", s.Addr().String(), "tls", s.http.TLSConfig != nil)
	go func() {
		var err error
		if s.http.TLSConfig != nil {
			err = s.http.ServeTLS(s.listener, "", "")
		} else {
			err = s.http.Serve(s.listener)
		}
		if !errors.Is(err, http.ErrServerClosed) {
			s.failed <- fmt.Errorf("%s listener: %w", s.name, err)
		}
	}()
}

// Stop takes no new requests, lets those under way finish until ctx ends, and
// then cuts them off.
func (s *Server) Stop(ctx context.Context) error {
	if s == nil {
		return nil
	}
	if !s.started.Load() {
		return s.listener.Close()
	}
	s.hangUp()
	if err := s.http.Shutdown(ctx); err != nil {
		_ = s.http.Close()
		return fmt.Errorf("%s listener: requests were cut off: %w", s.name, err)
	}
	return nil
}

// listenTo remembers connections on which nothing was asked yet.
func (s *Server) listenTo(c net.Conn, state http.ConnState) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if state == http.StateNew {
		s.silent[c] = true
	} else {
		delete(s.silent, c)
	}
}

// hangUp closes the connections that browsers opened ahead of need. Shutdown
// would give each of them five seconds to ask something.
func (s *Server) hangUp() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.silent {
		_ = c.Close()
	}
}

// noisy keeps net/http's own complaints (a scanner's bad handshake, a client that
// hung up) at debug level, where they belong: they quote what the client sent.
type noisy struct{ slog.Handler }

func (n noisy) Enabled(ctx context.Context, _ slog.Level) bool {
	return n.Handler.Enabled(ctx, slog.LevelDebug)
}

// Tune lets the collector run less often than usual. What a server keeps alive is
// small beside what it allocates for requests, so memory stays modest and a tenth
// of the processor is saved. GOGC in the environment wins.
func Tune() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(300)
	}
}

// Logger writes to standard error: "json", or text for people.
func Logger(format string, level slog.Level) *slog.Logger {
	o := &slog.HandlerOptions{Level: level}
	if format == "json" {
		return slog.New(slog.NewJSONHandler(os.Stderr, o))
	}
	return slog.New(slog.NewTextHandler(os.Stderr, o))
}

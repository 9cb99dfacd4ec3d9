package app

import (
	"context"
	"net"
	"testing"
	"time"

	"github.com/domicile-sso/domicile/config"
)

// Whoever asks Redis says how long it may take. One that takes connections and
// never answers must not take longer.
func TestRedisKeepsToTheCallersPatience(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	rdb := testRedis(t, &config.Redis{Addresses: []string{l.Addr().String()}})
	defer rdb.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	start := time.Now()
	if err := rdb.Get(ctx, "key").Err(); err == nil {
		t.Fatal("an answer from a server that gives none")
	}
	if took := time.Since(start); took > 400*time.Millisecond {
		t.Errorf("given up after %v, not after 20 ms", took)
	}
}

package servertest

import (
	"context"
	"errors"
	"os"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"
)

func consulAs(t *testing.T, s *ConsulServer, token string) *api.KV {
	t.Helper()
	c, err := api.NewClient(&api.Config{Address: s.Addr, Token: token})
	if err != nil {
		t.Fatal(err)
	}
	return c.KV()
}

// What is written survives SIGKILL, nobody writes without a token, and a paused
// server answers once it is resumed.
func TestConsulComesBack(t *testing.T) {
	s := Consul(t)
	writer := consulAs(t, s, s.Token(t, `key_prefix "x/" { policy = "write" }`))
	if _, err := writer.Put(&api.KVPair{Key: "x/1", Value: []byte("kept")}, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := writer.Put(&api.KVPair{Key: "y"}, nil); err == nil {
		t.Error("a token writes what it may not")
	}
	if _, err := consulAs(t, s, "").Put(&api.KVPair{Key: "x/1"}, nil); err == nil {
		t.Error("a stranger may write")
	}

	s.Kill()
	if err := answers(s.Addr)(t.Context()); err == nil {
		t.Error("a killed server answers")
	}
	s.Start()
	got, _, err := writer.Get("x/1", nil)
	if err != nil || got == nil || string(got.Value) != "kept" {
		t.Errorf("after a restart: %v, %v", got, err)
	}

	s.Pause()
	hangs := func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		defer cancel()
		_, _, err := writer.Get("x/1", (&api.QueryOptions{}).WithContext(ctx))
		return errors.Is(err, context.DeadlineExceeded)
	}
	for range 100 { // a thread of it may have been at work yet
		if hangs() {
			break
		}
	}
	if !hangs() {
		t.Error("a paused server answers")
	}
	s.Resume()
	if _, _, err := writer.Get("x/1", nil); err != nil {
		t.Errorf("a resumed server: %v", err)
	}
}

// However a test leaves its server, no folder and no process stay behind.
func TestControlledServersEnd(t *testing.T) {
	for name, leave := range map[string]func(*Control){
		"running": func(*Control) {},
		"killed":  (*Control).Kill,
		"paused":  (*Control).Pause,
	} {
		var s *ConsulServer
		t.Run(name, func(t *testing.T) {
			s = OpenConsul(t)
			leave(s.Control)
		})
		if s == nil {
			continue
		}
		if _, err := os.Stat(s.dir); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s: its folder: %v", name, err)
		}
		if err := answers(s.Addr)(t.Context()); err == nil {
			t.Errorf("%s: it still answers", name)
		}
	}
}

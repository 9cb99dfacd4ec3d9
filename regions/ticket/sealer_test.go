package ticket

import (
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/domicile-sso/domicile/regions"
)

func (w *world) sealer(t testing.TB) *Sealer {
	t.Helper()
	s, err := NewSealer(w.frontDoor, func() time.Time { return w.now })
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func mustSeal(t testing.TB, s *Sealer, to regions.Record, tk Ticket) string {
	t.Helper()
	sealed, err := s.Seal(to, tk)
	if err != nil {
		t.Fatal(err)
	}
	return sealed
}

func TestSealerSealsWhatOpens(t *testing.T) {
	w := newWorld(t)
	s := w.sealer(t)
	first, second := mustSeal(t, s, w.eu, w.ticket()), mustSeal(t, s, w.eu, w.ticket())
	if first == second || len(first) != len(second) || len(first) > 2500 {
		t.Errorf("two tickets of %d and %d characters", len(first), len(second))
	}
	want := w.ticket()
	want.Region, want.Expires = "eu-central", start.Add(Life)
	for _, sealed := range []string{first, second} {
		got, err := w.opener().Open(sealed, "acme")
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(fields(want), fields(got)); diff != "" {
			t.Error(diff)
		}
	}
	if first[:headSize] != second[:headSize] {
		t.Error("two tickets of one moment do not share a channel")
	}
	w.now = w.now.Add(Life)
	_, err := w.opener().Open(first, "acme")
	wantRefusal(t, err, "expired")
	anew := w.ticket()
	anew.ID = ""
	got, err := w.opener().Open(mustSeal(t, s, w.eu, anew), "acme")
	if err != nil || got.ID == "" || !got.Issued.Equal(w.now) {
		t.Errorf("a minute on: %v, %v", got, err)
	}
}

func TestSealerRefuses(t *testing.T) {
	w := newWorld(t)
	s := w.sealer(t)
	for name, change := range map[string]func(*regions.Record, *Ticket){
		"another region": func(_ *regions.Record, tk *Ticket) { tk.Region = "us-east" },
		"no portal":      func(_ *regions.Record, tk *Ticket) { tk.Portal = "" },
		"no address":     func(_ *regions.Record, tk *Ticket) { tk.Address = "" },
		"no key":         func(r *regions.Record, _ *Ticket) { r.TicketKeys = nil },
		"a broken key":   func(r *regions.Record, _ *Ticket) { r.TicketKeys = []regions.TicketKey{{Public: []byte("x")}} },
		"a huge address": func(_ *regions.Record, tk *Ticket) { tk.Address = strings.Repeat("a", 5000) },
	} {
		r, tk := w.eu, w.ticket()
		change(&r, &tk)
		for range 2 {
			if _, err := s.Seal(r, tk); err == nil || strings.Contains(err.Error(), "ada@") {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	if _, err := NewSealer(nil, time.Now); err == nil {
		t.Error("a sealer without a front door's key")
	}
}

func TestChannelsAreOpenedAnew(t *testing.T) {
	w := newWorld(t)
	s := w.sealer(t)
	head := func() string { return mustSeal(t, s, w.eu, w.ticket())[:headSize] }
	first := head()
	w.now = w.now.Add(channelLife + time.Second)
	second := head()
	w.now = w.now.Add(-time.Hour) // a clock that was put right
	third := head()
	w.eu.TicketKeys = []regions.TicketKey{w.usKey.Public()}
	fourth := head()
	if first == second || second == third || third == fourth {
		t.Error("a channel outlives its time or its key")
	}
}

func TestSealerInParallel(t *testing.T) {
	w := newWorld(t)
	s, o := w.sealer(t), w.opener()
	var sealing sync.WaitGroup
	for range 20 {
		sealing.Go(func() {
			sealed, err := s.Seal(w.eu, w.ticket())
			if err == nil {
				_, err = o.Open(sealed, "acme")
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	sealing.Wait()
	if len(s.channels) != 1 {
		t.Errorf("%d channels to one portal", len(s.channels))
	}
}

func BenchmarkSealer(b *testing.B) {
	w := newWorld(b)
	s := w.sealer(b)
	tk := w.ticket()
	for b.Loop() {
		if _, err := s.Seal(w.eu, tk); err != nil {
			b.Fatal(err)
		}
	}
}

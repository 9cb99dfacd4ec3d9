package main

import (
	"bufio"
	"math"
	"strings"
	"testing"
	"time"
)

// Every measurement runs, in turns too short to say anything.
func TestMeasures(t *testing.T) {
	b := &bench{dir: t.TempDir(), round: 10 * time.Millisecond, rounds: 1, clients: 2, small: 200, large: 400, huge: 400}
	if err := b.discovery(t.Context()); err != nil {
		t.Error(err)
	}
	b.samples = 20
	if err := b.timing(t.Context()); err != nil {
		t.Error(err)
	}
	if err := b.stores(t.Context()); err != nil {
		t.Error(err)
	}
	if err := b.federation(t.Context()); err != nil {
		t.Error(err)
	}
	b.accountsLarge, b.events, b.lines = 300, 2000, 50
	if err := b.accounts(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestAnswer(t *testing.T) {
	for text, good := range map[string]bool{
		"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nab":       true,
		"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab":       false,
		"HTTP/1.1 200 OK\r\n\r\n":                              false,
		"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n":         false,
		"HTTP/1.1 200 OK\r\nContent-Length: two\r\n\r\n":       false,
		"HTTP/1.1 200 OK\r\nX: y\r\nContent-Length: 0\r\n\r\n": true,
	} {
		if err := answer(bufio.NewReader(strings.NewReader(text))); (err == nil) != good {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// By hand, for small samples.
func TestMannWhitney(t *testing.T) {
	count := func(from, to, by int) (d []time.Duration) {
		for i := from; i < to; i += by {
			d = append(d, time.Duration(i))
		}
		return d
	}
	for name, tt := range map[string]struct {
		a, b   []time.Duration
		auc, p float64
	}{
		"the same":      {count(0, 100, 1), count(0, 100, 1), 0.5, 1},
		"apart":         {count(100, 110, 1), count(0, 10, 1), 1, 0.000157},
		"the other way": {count(0, 10, 1), count(100, 110, 1), 0, 0.000157},
		"one in front":  {[]time.Duration{1, 2, 3, 4}, []time.Duration{2, 3, 4, 5}, 0.28125, 0.3035},
	} {
		auc, p := mannWhitney(tt.a, tt.b)
		if math.Abs(auc-tt.auc) > 1e-9 || math.Abs(p-tt.p) > 0.002 {
			t.Errorf("%s: %.4f, p %.4f; want %.4f, %.4f", name, auc, p, tt.auc, tt.p)
		}
	}
}

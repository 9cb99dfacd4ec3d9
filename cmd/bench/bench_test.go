package main

import (
	"bufio"
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

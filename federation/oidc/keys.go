package oidc

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/domicile-sso/domicile/federation/fetch"
)

const (
	// keysLive is how long a published key is believed without being seen
	// again: a withdrawn one is refused after that at the latest.
	keysLive = time.Hour
	// keysFresh is when a set in use is read again, early enough that a
	// provider's outage of three quarters of an hour is not noticed.
	keysFresh = 15 * time.Minute
	// keysPause lies between two readings of one set, whoever asks: a provider,
	// or someone who can make us look at tokens, must not choose our traffic.
	keysPause = 30 * time.Second
	// maxKeys bounds one set, maxSets the number of sets.
	maxKeys = 64
	maxSets = 2048
)

// KeySets keeps the public keys of every provider, by where they are published.
// A slow or hostile provider delays nobody but its own users.
type KeySets struct {
	client *http.Client
	now    func() time.Time

	mu   sync.Mutex // guards sets, and is never held while waiting
	sets map[string]*keySet
}

// NewKeySets returns an empty cache that reads with client, made by fetch.New.
func NewKeySets(client *http.Client, now func() time.Time) *KeySets {
	return &KeySets{client: client, now: now, sets: map[string]*keySet{}}
}

// A keySet is what one URL publishes.
type keySet struct {
	used time.Time // guarded by KeySets.mu

	mu    sync.Mutex
	keys  []key
	read  time.Time     // when keys were read; zero: never
	tried time.Time     // when reading was last begun; zero: never
	busy  chan struct{} // closed when the reading under way ends; nil: none is
}

// at returns the set of url, and makes room for it by dropping the one unused
// for longest.
func (k *KeySets) at(url string) *keySet {
	k.mu.Lock()
	defer k.mu.Unlock()
	s, ok := k.sets[url]
	if !ok {
		if len(k.sets) >= maxSets {
			var oldest string
			for u, s := range k.sets {
				if oldest == "" || s.used.Before(k.sets[oldest].used) {
					oldest = u
				}
			}
			delete(k.sets, oldest)
		}
		s = &keySet{}
		k.sets[url] = s
	}
	s.used = k.now()
	return s
}

// get returns the keys published at url, none of them older than keysLive. With
// since set, it returns only keys read after that moment or, when it is too
// early to read again, those there are: the caller has already tried the others.
func (k *KeySets) get(ctx context.Context, url string, since time.Time) ([]key, time.Time, error) {
	s := k.at(url)
	s.mu.Lock()
	now := k.now()
	live := !s.read.IsZero() && now.Sub(s.read) < keysLive
	stale := !live || now.Sub(s.read) >= keysFresh || !since.IsZero() && !s.read.After(since)
	if stale && s.busy == nil && (s.tried.IsZero() || now.Sub(s.tried) >= keysPause) {
		s.tried, s.busy = now, make(chan struct{})
		go s.fetch(k.client, url, now)
	}
	// Whoever has usable keys goes on with them; the others wait.
	if busy := s.busy; busy != nil && (!live || !since.IsZero()) {
		s.mu.Unlock()
		select {
		case <-busy:
		case <-ctx.Done():
			return nil, time.Time{}, unavailable("keys_unavailable", "")
		}
		s.mu.Lock()
	}
	defer s.mu.Unlock()
	if s.read.IsZero() || k.now().Sub(s.read) >= keysLive {
		return nil, time.Time{}, unavailable("keys_unavailable", "")
	}
	return s.keys, s.read, nil
}

// fetch belongs to the set, not to the sign-in that began it: that person may
// have gone when the answer is there.
func (s *keySet) fetch(client *http.Client, url string, begun time.Time) {
	ctx, cancel := context.WithTimeout(context.Background(), fetch.Timeout)
	defer cancel()
	keys, err := readKeys(ctx, client, url)

	s.mu.Lock()
	defer s.mu.Unlock()
	close(s.busy)
	s.busy = nil
	if err == nil {
		s.keys, s.read = keys, begun
	}
}

// readKeys runs in a goroutine of its own, where a panic over what a provider
// published would end the process.
func readKeys(ctx context.Context, client *http.Client, url string) (keys []key, err error) {
	defer func() {
		if r := recover(); r != nil {
			keys, err = nil, errors.New("the key set cannot be parsed")
		}
	}()
	body, err := fetch.Get(ctx, client, url)
	if err != nil {
		return nil, err
	}
	return parseKeys(body)
}

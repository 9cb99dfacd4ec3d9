package oidc

import (
	"net/http"
	"time"
)

// KeySets keeps the public keys of every provider, by where they are published.
type KeySets struct {
	client *http.Client
	now    func() time.Time
}

// NewKeySets returns an empty cache that reads with client, made by fetch.New.
func NewKeySets(client *http.Client, now func() time.Time) *KeySets {
	return &KeySets{client: client, now: now}
}

package oidc

import (
	"strconv"
	"testing"
	"time"
)

// The set unused for longest makes room.
func TestKeySetsBounded(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	k := NewKeySets(nil, func() time.Time { now = now.Add(time.Second); return now })
	kept := k.at("https://op.example/kept")
	for i := range maxSets + 10 {
		k.at("https://op.example/" + strconv.Itoa(i))
		if i%100 == 0 {
			k.at("https://op.example/kept")
		}
	}
	if len(k.sets) != maxSets {
		t.Errorf("%d sets kept, want %d", len(k.sets), maxSets)
	}
	if k.at("https://op.example/kept") != kept {
		t.Error("a set in use was dropped")
	}
}

package page

import (
	"net/netip"
	"testing"
	"time"
)

// The memory of clients does not grow with their number.
func TestLimiterForgets(t *testing.T) {
	l := NewLimiter(Limits{ClientBurst: 1}.Or(600, 500))
	now := time.Unix(1e9, 0)
	for i := range 2 * maxClients {
		l.Wait(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}), now)
		if n := len(l.young) + len(l.old); n > maxClients {
			t.Fatalf("%d clients are remembered", n)
		}
	}
}

package e2e

import (
	"context"
	"slices"
	"sync"
	"testing"

	"github.com/domicile-sso/domicile/cmd/internal/planttest"
)

// suite is the one browser that all tests of this process share. It ends with
// the process.
var suite shared

type shared struct {
	chromium string // path of the browser, set before it is started

	mu  sync.Mutex
	end []context.CancelFunc
}

func TestMain(m *testing.M) {
	planttest.Main(m, func() {
		for _, f := range slices.Backward(suite.end) {
			f()
		}
	})
}

// atEnd is called after the last test.
func (s *shared) atEnd(f context.CancelFunc) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.end = append(s.end, f)
}

// both walks a flow with scripts and without.
func both(t *testing.T, walk func(t *testing.T, scripts bool)) {
	t.Run("scripts", func(t *testing.T) { walk(t, true) })
	t.Run("no scripts", func(t *testing.T) { walk(t, false) })
}

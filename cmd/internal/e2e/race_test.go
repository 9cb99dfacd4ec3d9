//go:build race

package e2e

// raced says that these tests run under the race detector; then the binary
// does too.
const raced = true

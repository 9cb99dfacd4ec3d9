//go:build race

package planttest

// Raced says that these tests run under the race detector; then the binary
// does too.
const Raced = true

//go:build !linux

package store

import "time"

// A moment is when an answer began to be fetched. Servers run on Linux; elsewhere the
// wait is about a millisecond.
type moment struct{}

func clock() moment { return moment{} }

func (moment) wait() { <-time.After(time.Millisecond) }

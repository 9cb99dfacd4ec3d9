// Package rotation drills the replacing of every key of a fleet: two processes
// of a front door and two of a region, each pair on one PostgreSQL database and
// behind a load balancer, restarted one after the other with new settings while
// people sign in. A clock that the drill moves makes a week of it.
//
// The steps are those of docs/operating.md, "Rotating keys", under their names.
package rotation

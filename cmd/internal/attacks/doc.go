// Package attacks plays every attack, every bad input and every message that
// must be accepted against the whole product, through its real endpoints.
//
// A world is a front door and two regions in two jurisdictions, wired, started
// and stopped by package app as in production, each on a database file of its
// own and a port of its own; identity providers on loopback; one clock that only
// tests move; one log that holds every line anybody wrote. A browser keeps its
// cookies by the rules of RFC 6265bis, says where a request comes from as
// browsers do, reaches every host name at the right listener, and follows no
// redirect unless it is told to. Every refusal is held to the same promises:
// see refused.
//
// The product runs as behind a proxy that ends TLS: names are https, the
// listeners are plain.
package attacks

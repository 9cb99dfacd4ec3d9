// Package faults kills everything the product stands on, one thing after the
// other, while people sign in.
//
// It has tests only. They build a fleet out of the real binary, with the commands
// an operator types: two front doors behind a load balancer; three regions in two
// jurisdictions, one of them of two processes with another region that stands in
// for it; Consul with a token per role, Redis, the directory on a PostgreSQL
// primary with a streaming replica, each region on a database of its own. Then
// hundreds of visitors are on their way in all the time, and programs look people
// up beside them. Each knows in advance where the product must lead; anything
// else is a wrong answer, and there may be none.
//
// A fault is struck, lasts for a while, and is mended. During it operators go on
// changing what the regions hold. Afterwards the directory must hold exactly what
// the regions do, at the same place in the sequence of their claims: nothing was
// lost and nothing applied twice.
//
// People reload a page that does not come and start again from the front door
// when that does not help. Who got in like that needed another try, which is
// counted; who lost patience was failed, which is an error. One fault may fail
// people: the loss of a whole region that nobody stands in for. They are told so
// by the front door.
//
// Figures are printed as a table and never judged: a busy machine is slow, and
// not wrong. `make faults` runs it at length, the ordinary tests in short;
// `make soak` keeps a load up and watches memory, goroutines and file
// descriptors of every process.
package faults

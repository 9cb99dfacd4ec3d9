// Package discovery is the vocabulary of the front door: addresses, blind IDs,
// portals, routes, entries and claims, and the rules that turn a typed address
// into the portals it leads to. It does no I/O.
//
// # The life of one lookup
//
// A person types an address, or a program posts one. [ParseAddress] makes it an
// [Address], or an *[Error] that names the field. The same function runs in
// every plane and over both databases, so that two spellings of one address
// never become two people and two people never become one.
//
// [Resolver.Resolve] then does the same work for every address:
//
//	address ──► BlindKeys.IDs ─────────► Directory.Entries   (the one store call)
//	   └──────► Snapshot.Routes(domain)        │
//	                  └────────── merge ◄──────┘
//	                                │  drop what disclosure hides from this browser
//	                                │  look up each region's signed Record
//	                                ▼  order by name
//	                          []Destination
//
// Entries are found by [BlindID] under every live key version at once, so that
// a rotation changes neither the answer nor the cost. Routes and portals come
// from the [Snapshot] in memory: exact domains before wildcards, the longest
// wildcard first, and every portal that shares the most specific pattern.
//
// What a person may see is decided by the portal and the domain: a portal that
// is [Proven] is shown only to a browser that proved itself, and where a domain
// routes to a portal the route, not the account, says how one signs in there.
//
// A redirect goes only where a signature points: a portal is told only while
// the root-signed record of its region is valid and covers the portal's URL.
// When something matched and cannot be told, the answer is "not known now"
// ([Unavailable]), never "no such account".
//
// # When something is away
//
// Where no process of a portal's region is ready, the [Destination] is a standby
// of the same jurisdiction that is, if the signed records of both regions agree;
// else it is Down, and the person is told so. What is known of processes is hearsay:
// it picks among what was signed and leads nobody anywhere else.
//
// While the directory cannot be read, the [Snapshot] goes on leading domains where
// they led, for a start from [Contents] that were kept. It is then Doubtful: what
// is not in it is not known. What is found beside an error may be offered, and is
// never followed unasked.
//
// # What becomes of the answer
//
// discovery/web turns no destination into the neutral page, one into a redirect
// with a sealed ticket and several into the chooser. discovery/store keeps the
// directory, and takes in the [Claim]s that regions sign and discovery/client
// sends. What front doors make for themselves (cookies, cached answers, tags of
// rows, the kept directory) is under their [Secrets], each purpose with its own key.
package discovery

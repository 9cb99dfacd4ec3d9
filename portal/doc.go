// Package portal is the vocabulary and the rules of one organisation's space:
// who belongs to it, how they come in, and what ends their stay. Nothing here
// does I/O; portal/store asks these rules inside its transactions.
//
// # The life of a person in a portal
//
// An [Account] comes to be in one of two ways. An [Invitation] reserves an
// address, and two mails bring a link and a temporary password, which has to be
// replaced on the way in. Or the organisation's own identity provider vouches
// for somebody in a domain that is proven for this portal, and the domain allows
// accounts just in time.
//
// Signing in is an [Attempt], bound to one browser. It ends in one of two
// rules. A password must match, at a cost that is the same for people who do not
// exist, and within the limits of [GuessBuckets], which slow guessing down
// without keeping the guessed-at person out. An identity provider's word goes
// through [Arrival.Decide]: it counts only for addresses in domains which that
// very connection serves here, and (connection, issuer, subject) says who it is,
// never the address.
//
// What comes of it is a [Session]: a row with an idle and an absolute end and
// the generation of its account. A new password, a reset and a disabling raise
// the generation, and every older session is over with its next request.
//
// Nobody is deleted. A disabled account keeps its addresses and its history, is
// found by nobody, and can be enabled again.
//
// Mailed links are [Token]s: random, stored as digests, good for one purpose,
// naming the address they prove, and used up by a POST alone. Everything that
// happened is an [Event] in a chain of hashes; everything that may be found
// otherwise from now on is a [Change] for the directory.
//
// # Who works on a region's data
//
// Any number of processes share the region's database, which alone decides what
// happens once. All seal with the newest key of their [Vault] and open with each;
// one list of blinding keys at a time is published under ([HoldFor]). Processes of
// a standby region may work on it as well: they serve each portal under its second
// address ([Addresses]), say so on every page and in every audit row, and publish
// nothing.
package portal

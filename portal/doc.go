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
// Whoever is let through by the first step, a passkey's included, meets
// [NeedsFactor]: it says whether a second [Factor] is shown, or set up, before
// there is a session. The same attempt can prove an account for another end: a
// sensitive change, a merge, or a [Recovery], which is the way back for somebody
// who has lost every factor and takes an administrator's word as well.
//
// What comes of it is a [Session]: a row with an idle and an absolute end and
// the generation of its account. A new password, a reset, another role, a change
// of factors and a disabling raise the generation, and every older session is
// over with its next request. What apps may do is an [Activation], with a
// generation of its own.
//
// An account has one primary address and any number of others ([Alias]), each
// proven by a mail or by an identity provider. Two accounts of a person are
// joined in a [Joining] after both were proved. What an account may send and show
// is its [Licence]; what it may do to others is its [Role], of which
// [MayManage] lets nobody reach upwards.
//
// An organisation changes its own space: the [Settings] that bind everybody in
// it, the words of its mails ([MailText]), people by the file ([ImportRow]), and
// the [Way] by which a domain signs in, which can be undone for a while.
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

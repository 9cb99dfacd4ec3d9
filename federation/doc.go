// Package federation is the vocabulary of signing in through an enterprise's
// own identity provider: connection, attempt, identity, refusal. It has rules
// and no I/O; saml and oidc below it speak the protocols, fetch is the one
// client they use, and idptest has providers to try it all against.
//
// # The life of one sign-in
//
// A person types ada@acme.example at Acme's portal, or arrives with a ticket
// that says so. The portal has Acme's domain, proven, and with it a
// [Connection]: what we know of Acme's IdP, and what the IdP was told about us
// when the connection was made.
//
//	browser             portal                     federation         IdP
//	   |  address          |                            |               |
//	   |------------------>|  start an Attempt, bound   |               |
//	   |                   |  to this browser's cookie  |               |
//	   |                   |-- NewRequest / AuthURL --->|               |
//	   |<-- 303 -----------|<---------- URL ------------|               |
//	   |-------------------------------------------------------------->|
//	   |                        signs in there, however it is done there|
//	   |<--------------------------------------------------------------|
//	   |  answer           |                            |               |
//	   |------------------>|  find the Attempt by state |               |
//	   |                   |  and cookie                |               |
//	   |                   |---- Verify / Callback ---->|  (OIDC: code) |
//	   |                   |                            |-------------->|
//	   |                   |                            |<--------------|
//	   |                   |<-- Identity, or Refusal ---|               |
//	   |                   |  decide, in one transaction                |
//	   |<-- 303 -----------|                            |               |
//
// The [Attempt] carries what must come back unchanged: the SAML request ID, or
// state, nonce and PKCE verifier. It lives ten minutes and is good for one
// browser and one answer. The address goes along as a hint only if the
// connection serves its domain: an IdP learns nothing about other people's
// users.
//
// The answer is bytes from a stranger until a signature says otherwise. The
// protocol packages bound its size, refuse what two readers could read
// differently, verify, and then read only what the signature covered. What is
// left is an [Identity], or a [Refusal] with a short constant code. Neither
// package has a database, a cookie or a clock of its own: the same bytes and
// the same expectation give the same verdict.
//
// An Identity is a claim, not an account. The portal decides, in the
// transaction that also records the one-time fact (Issuer, OnceID), which makes
// every answer good for one session: is the connection one of this portal; is
// the domain of the address proven here and served by this connection; is there
// an account for (Connection, Issuer, Subject), the only key there is; may one
// be made; is it disabled. An address never finds an account by itself, because
// an IdP can write any address it likes.
//
// Whatever went wrong, the person sees one dull page with a reference, and the
// operator finds the Refusal's code under it.
package federation

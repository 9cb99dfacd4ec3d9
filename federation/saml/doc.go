// Package saml is a SAML 2.0 service provider as pure protocol code: bytes and
// an expectation go in, an identity or a typed refusal comes out. It has no
// database, no cookie, no client and no clock.
//
// # The life of one answer
//
// [Verify] is a gate of many doors, and their order is the point. Each door is
// cheaper than the next, and none trusts what a later one has yet to prove.
//
//	form value      512 KiB at most, strict base64, 256 KiB at most decoded (413)
//	tokens          UTF-8, no DOCTYPE, comment, CDATA or processing instruction,
//	                depth 32, 5,000 elements, 32 attributes each, plain names,
//	                absolute namespaces, every ID unprefixed and unique
//	tree            a closed list of elements and attributes, by exact namespace
//	status          Success, or the IdP's own reason why not
//	one assertion   plain or encrypted, exactly one
//	signature       over SignedInfo, by a pinned certificate, KeyInfo unread
//	digest          of the signature's own parent, and of nothing else
//	re-parse        everything below is read out of the bytes that were digested
//	rules           issuers, versions, audience, destination, times, InResponseTo,
//	                bearer confirmation, AuthnStatement, authentication context
//	person          subject, address, names, groups
//
// The tokens come before the tree because libraries that build trees were
// stopped by five kilobytes of hostile input, and because two parsers that
// disagree about a document are how a signature comes to cover one thing while
// another is read. The closed list comes before the signature because every
// wrapping attack needs a place to put the second assertion: Object, Advice,
// Extensions, a Signature's insides. There is none. Re-parsing the digested
// bytes makes the remaining question, whether what we read is what was signed,
// one that cannot be answered wrongly.
//
// What is left to the caller is what needs a memory: that (Issuer, OnceID) is
// inserted once until OnceUntil, that the request IDs are this browser's, and
// that the address lies in a domain the portal has proof of.
//
// # Decisions
//
// Canonicalisation is goxmldsig's; digest and signature are checked here. The
// library wants a KeyInfo, takes ECDSA in a form that XML does not have, and
// gives up at a thousand elements. Its canonicaliser does not order attributes
// of several foreign namespaces on one element as it should; such a message is
// refused, never misread.
//
// Signatures are RSA of 2048 bits or more, or ECDSA on P-256 or better, with
// SHA-256 or better. A certificate outside its dates signs nothing. Inclusive
// canonicalisation is a policy of the connection; comments never are.
//
// Encryption is AES-GCM with RSA-OAEP. Whatever fails behind the choice of
// algorithm fails alike. An encrypted assertion must be signed inside, or the
// Response around it must be. EncryptedID and EncryptedAttribute are refused.
//
// OneTimeUse is always kept, ProxyRestriction concerns nobody here, any other
// condition is refused. The clock may be off by a minute at most.
//
// The subject is the NameID. A transient one would make a new account at every
// sign-in and is refused, unless a pairwise-id or subject-id attribute stands
// beside it and takes its place.
//
// More than 5,000 elements or 2,000 mapped groups are answered 413: 1,500
// groups fit. A mapped value is 1 KiB at most.
//
// Messages come in by HTTP-POST alone. The artifact binding is not spoken, so
// that nothing a browser carries makes us connect anywhere, and nothing that
// comes in is inflated.
package saml

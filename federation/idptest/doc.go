// Package idptest has small identity providers, one for SAML and one for OpenID
// Connect, that sign several people in through a plain page that works without
// scripts. The demo runs them as they are. Tests also make them lie: they mint
// any message an attacker could send, misbehave as a server, and carry the
// lists of attacks that every verifier here is played against.
//
// They keep everything in memory and protect nobody: never run one where a real
// person signs in.
package idptest

// Package saml is a SAML 2.0 service provider as pure protocol code: bytes and
// an expectation go in, an identity or a typed refusal comes out.
package saml

// Package token makes and checks stream tokens: a stream, or more of a
// reseller's, may be played, published, relayed or caught up until a given
// second. An edge decides from the token and its own memory alone.
//
// The text of a token is claims ":" expiry ":" signature, where the signature
// is the lowercase hexadecimal HMAC-SHA256 of all that stands before it:
//
//	1.k2.r42.u1007.s501.m2:1893459600:<64 digits>    long form
//	501:1893459600:<64 digits>                       short form: play this one stream
//
// [Mint] writes tokens. A [Verifier] reads them; it is immutable, and
// [Verifier.Verify] neither allocates nor locks. [ValidateStreamToken] is the
// reference: it accepts every token that a Verifier accepts, and more.
//
// Times are UNIX seconds throughout.
package token

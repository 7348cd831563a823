package token

// Reason says why a token was refused; the zero Reason is acceptance. The set
// is closed: metrics use it as a label.
type Reason uint8

// The reasons, in the order in which a verifier tests for them: where several
// apply, the first one counts.
const (
	Accepted           Reason = iota
	Malformed                 // not a token by the grammar
	UnknownKey                // no live key of that reseller and key id, or no default key for the short form
	BadSignature              // the signature is not that key's
	Expired                   // past the expiry, or for a segment past expiry and grace
	NotYetValid               // before the token's lower bound, less the leeway
	WrongOperation            // the request asks for another operation
	WrongStream               // the scope does not cover the stream
	NotEntitled               // the reseller has no grant of the stream for this operation
	WrongAddress              // the client is outside the token's network
	Revoked                   // the user is denied
	TooManyConnections        // the user has as many sessions open as the token allows
)

var reasonNames = [...]string{
	Accepted:           "accepted",
	Malformed:          "malformed",
	UnknownKey:         "unknown_key",
	BadSignature:       "bad_signature",
	Expired:            "expired",
	NotYetValid:        "not_yet_valid",
	WrongOperation:     "wrong_operation",
	WrongStream:        "wrong_stream",
	NotEntitled:        "not_entitled",
	WrongAddress:       "wrong_address",
	Revoked:            "revoked",
	TooManyConnections: "too_many_connections",
}

// String returns the reason as it is written in metrics and logs, in snake
// case; "accepted" for the zero Reason.
func (r Reason) String() string {
	if int(r) < len(reasonNames) {
		return reasonNames[r]
	}
	return "unknown"
}

// Reasons returns every reason, Accepted first, in the order of the tests.
func Reasons() []Reason {
	all := make([]Reason, len(reasonNames))
	for i := range all {
		all[i] = Reason(i)
	}
	return all
}

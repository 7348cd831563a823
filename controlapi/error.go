package controlapi

import (
	"errors"
	"fmt"
)

// Code says what kind of error it is. The set is closed; httpapi maps it to HTTP in one
// place, and clients decide by it.
type Code string

// The codes.
const (
	// CodeInvalid: the input breaks a rule that Field names.
	CodeInvalid Code = "invalid"
	// CodeNotFound: there is no such thing, or none that the caller may know of.
	CodeNotFound Code = "not_found"
	// CodeConflict: the state of things forbids it.
	CodeConflict Code = "conflict"
	// CodeExists: the id is taken.
	CodeExists Code = "exists"
	// CodeForbidden: the caller may know of the thing, but not do that.
	CodeForbidden Code = "forbidden"
	// CodeUnauthenticated: no credential, or one that is not known, ended or revoked.
	CodeUnauthenticated Code = "unauthenticated"
	// CodeInsufficientCredits: the account does not cover the movement.
	CodeInsufficientCredits Code = "insufficient_credits"
	// CodePreconditionFailed: the thing has changed since the caller read it.
	CodePreconditionFailed Code = "precondition_failed"
	// CodePreconditionRequired: the caller must say which version it changes.
	CodePreconditionRequired Code = "precondition_required"
	// CodeIdempotencyKeyMissing: creating and moving credits need a key.
	CodeIdempotencyKeyMissing Code = "idempotency_key_missing"
	// CodeIdempotencyKeyReused: the key came with another request before.
	CodeIdempotencyKeyReused Code = "idempotency_key_reused"
	// CodeIdempotencyKeyInFlight: the request with that key is being carried out.
	CodeIdempotencyKeyInFlight Code = "idempotency_key_in_flight"
	// CodeTooManyRequests: the caller is over its rate.
	CodeTooManyRequests Code = "too_many_requests"
	// CodeUnavailable: the database cannot be reached; nothing was done. Try again.
	CodeUnavailable Code = "unavailable"
	// CodeInternal: a fault of ours; details are in the log.
	CodeInternal Code = "internal"
)

// Error is every error of the control plane that a caller can do something about.
type Error struct {
	Code Code
	// Message is one sentence that names the item and the remedy, for the caller. It
	// never holds a secret.
	Message string
	// Field is the path of the input that is at fault, "sources"; empty: none is.
	Field string
	// Err is the cause, for the log only; nil: none.
	Err error
}

// Error gives code, field, message and cause.
func (e *Error) Error() string {
	text := string(e.Code) + ": " + e.Message
	if e.Field != "" {
		text = string(e.Code) + " " + e.Field + ": " + e.Message
	}
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	return text
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }

// Errorf makes an error with a code and a message.
func Errorf(code Code, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

// Invalid makes the error of an input that breaks a rule.
func Invalid(field, message string) *Error {
	return &Error{Code: CodeInvalid, Field: field, Message: message}
}

// NotFound is the one answer for a thing that is not there and one that is out of the
// caller's scope.
func NotFound(what string) *Error {
	return &Error{Code: CodeNotFound, Message: "there is no such " + what}
}

// CodeOf gives the code of an error; CodeInternal for one that has none, and an empty
// one for nil.
func CodeOf(err error) Code {
	if err == nil {
		return ""
	}
	var e *Error
	if errors.As(err, &e) {
		return e.Code
	}
	return CodeInternal
}

package guard

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"os"
	"strings"
	"unicode"

	"github.com/headrace/headrace/ingest/ffmpeg"
	"github.com/headrace/headrace/ingest/source"
)

// longestText is how much of an error's text is kept: a source can have a part in it.
const longestText = 300

// Explain says what an error of a connection or an answer means for the source. The
// texts of errors come from the network; nothing of the source's URL is in them but
// its host.
func Explain(err error) *source.Error {
	var explained *source.Error
	if errors.As(err, &explained) {
		return explained
	}
	return &source.Error{Failure: classify(err), Err: errors.New(printable(err.Error()))}
}

func classify(err error) ffmpeg.Failure {
	var (
		forbidden *ForbiddenError
		answered  *answeredError
		timeout   net.Error
	)
	switch {
	case errors.As(err, &forbidden):
		return ffmpeg.FailureForbidden
	case errors.As(err, &answered):
		if answered.status == http.StatusUnauthorized || answered.status == http.StatusForbidden {
			return ffmpeg.FailureRefused
		}
		return ffmpeg.FailureStatus
	case untrusted(err):
		return ffmpeg.FailureUnreachable
	case errors.Is(err, errSilent), errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded):
		return ffmpeg.FailureTimeout
	case errors.As(err, &timeout) && timeout.Timeout():
		return ffmpeg.FailureTimeout
	}
	return ffmpeg.FailureUnreachable
}

// untrusted tells whether the source's certificate was not accepted.
func untrusted(err error) bool {
	var verification *tls.CertificateVerificationError
	var authority x509.UnknownAuthorityError
	return errors.As(err, &verification) || errors.As(err, &authority)
}

// printable cuts a text and takes what is no text out of it.
func printable(text string) string {
	if len(text) > longestText {
		text = text[:longestText] + "…"
	}
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, strings.ToValidUTF8(text, "?"))
}

func invalid(err error) *source.Error {
	return &source.Error{Failure: ffmpeg.FailureInvalid, Err: err}
}

func forbidden(err error) *source.Error {
	return &source.Error{Failure: ffmpeg.FailureForbidden, Err: err}
}

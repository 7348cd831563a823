package ffmpeg

import "strings"

// Failure is what FFmpeg's own words say of its end. The set is closed.
type Failure string

const (
	// FailureNone means that its words tell nothing.
	FailureNone Failure = ""
	// FailureUnreachable means that the source's host, port, path or file could not be opened.
	FailureUnreachable Failure = "source_unreachable"
	// FailureStatus means that the source's host answered, with an error (HTTP 404, 5xx).
	FailureStatus Failure = "source_error_status"
	// FailureRefused means that the source answered with a refusal (HTTP 401, 403).
	FailureRefused Failure = "source_refused"
	// FailureForbidden means that the source is, or leads to, where it may not be.
	FailureForbidden Failure = "source_forbidden"
	// FailureInvalid means that what came is not media that FFmpeg can read.
	FailureInvalid Failure = "source_invalid"
	// FailureTimeout means that the source stopped answering.
	FailureTimeout Failure = "source_timeout"
	// FailureNoPublisher means that nobody pushes the stream, or nobody does any more.
	FailureNoPublisher Failure = "no_publisher"
	// FailureChanged means that the source changed to another format, for which FFmpeg begins anew.
	FailureChanged Failure = "source_changed"
	// FailureNoTrack means that the source has no sound in a language that a rendition
	// is to have, or none at all for one that is sound only.
	FailureNoTrack Failure = "source_track_missing"
	// FailureUnsupported means that this FFmpeg lacks a protocol, encoder or filter.
	FailureUnsupported Failure = "ffmpeg_unsupported"
)

// The messages of FFmpeg 5.1 and 7.1 (libavutil/error.c, libavformat/http.c and
// tcp.c, fftools). First match in this order wins: a precise one before a vague one.
var failures = []struct {
	text    string
	failure Failure
}{
	{"matches no streams", FailureNoTrack},
	{"Server returned 401", FailureRefused},
	{"Server returned 403", FailureRefused},
	{"HTTP error 401", FailureRefused},
	{"HTTP error 403", FailureRefused},
	{"Server returned 4", FailureStatus},
	{"Server returned 5", FailureStatus},
	{"HTTP error ", FailureStatus},
	{"Connection refused", FailureUnreachable},
	{"Failed to resolve hostname", FailureUnreachable},
	{"No route to host", FailureUnreachable},
	{"Network is unreachable", FailureUnreachable},
	{"No such file or directory", FailureUnreachable},
	{"Permission denied", FailureUnreachable},
	{"Is a directory", FailureUnreachable},
	{"Connection timed out", FailureTimeout},
	{"Operation timed out", FailureTimeout},
	{"Protocol not found", FailureUnsupported},
	{"Unknown encoder", FailureUnsupported},
	{"No such filter", FailureUnsupported},
	{"Unrecognized option", FailureUnsupported},
	{"not on whitelist", FailureUnsupported},
	{"Invalid data found", FailureInvalid},
	{"does not contain any stream", FailureInvalid},
	{"could not find codec parameters", FailureInvalid},
	{"moov atom not found", FailureInvalid},
	{"Input/output error", FailureUnreachable},
}

// Classify reads the last lines that FFmpeg printed and gives the most precise
// failure that they tell.
func Classify(lines []string) Failure {
	for _, f := range failures {
		for i := len(lines) - 1; i >= 0; i-- {
			if strings.Contains(lines[i], f.text) {
				return f.failure
			}
		}
	}
	return FailureNone
}

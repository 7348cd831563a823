package auditor

// Rule names what was broken. The set is closed.
type Rule string

// The rules, with where each comes from.
const (
	// RuleSyntax: a playlist cannot be read (RFC 8216 §4).
	RuleSyntax Rule = "syntax"
	// RuleLive: EXT-X-ENDLIST or EXT-X-PLAYLIST-TYPE in a live list (RFC 8216bis §6.2.2).
	RuleLive Rule = "live"
	// RuleTargetDuration: TARGETDURATION changed, or an EXTINF, rounded, is above
	// it (RFC 8216bis §6.2.1, §4.4.3.1).
	RuleTargetDuration Rule = "target_duration"
	// RuleMediaSequence: MEDIA-SEQUENCE went back, skipped numbers, or the end of
	// the list went back (RFC 8216bis §6.2.2).
	RuleMediaSequence Rule = "media_sequence"
	// RuleDiscontinuitySequence: DISCONTINUITY-SEQUENCE did not move by exactly
	// the tags that left the list (RFC 8216bis §6.2.2).
	RuleDiscontinuitySequence Rule = "discontinuity_sequence"
	// RuleRewritten: a listed number changed its name, length, date, gap or
	// discontinuity (RFC 8216bis §6.2.1).
	RuleRewritten Rule = "rewritten"
	// RuleName: a segment's name is not its number (our numbering rule).
	RuleName Rule = "name"
	// RuleWindow: a list that once was 3 target durations long became shorter
	// (RFC 8216bis §6.2.2).
	RuleWindow Rule = "window"
	// RuleCadence: a new segment came later than 1.5 target durations after the
	// last (RFC 8216bis §6.2.1), or later than a declared fault's budget.
	RuleCadence Rule = "cadence"
	// RuleDateTime: PROGRAM-DATE-TIME is missing, overlaps, or does not continue
	// where no discontinuity says so (our rule; RFC 8216bis §6.2.1).
	RuleDateTime Rule = "date_time"
	// RuleRenditions: renditions of one stream, or edges, disagree about a number
	// (RFC 8216bis §6.2.4).
	RuleRenditions Rule = "renditions"
	// RuleRestart: after a declared cold restart, numbers are not above the old
	// ones (our numbering rule).
	RuleRestart Rule = "restart"
	// RuleUnavailable: a playlist or a listed segment was refused, failed, or came
	// slower than it plays (RFC 8216bis §6.2.1).
	RuleUnavailable Rule = "unavailable"
	// RuleServerError: an answer of 5xx.
	RuleServerError Rule = "server_error"
	// RuleContent: a segment has a wrong type or length, or does not begin with
	// a PAT (RFC 8216bis §3.1.1).
	RuleContent Rule = "content"
	// RuleBytes: the same number had other bytes (our numbering rule).
	RuleBytes Rule = "bytes"
	// RuleRetention: a segment was gone before its duration plus that of the
	// longest list had passed since it left the list (RFC 8216bis §6.2.2).
	RuleRetention Rule = "retention"
	// RuleHeaders: Content-Type, Cache-Control, CORS or ETag are not as our
	// header table says.
	RuleHeaders Rule = "headers"
	// RuleConditional: If-None-Match is ignored, or an ETag stands for two texts
	// (RFC 9110 §13.1.2, §8.8.1).
	RuleConditional Rule = "conditional"
	// RuleGzip: the compressed playlist is missing or differs from the plain one
	// (RFC 8216bis §6.2.1).
	RuleGzip Rule = "gzip"
)

// noMSN stands for "about no segment in particular".
const noMSN = -1

// finding is one broken rule. Equal findings are one violation.
type finding struct {
	rule   Rule
	msn    int64
	detail string
}

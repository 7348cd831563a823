package ingest

import "time"

// State is what a stream is doing. The set is closed:
//
//	state       | meaning                                                 | leaves it when
//	------------|---------------------------------------------------------|-------------------------------
//	starting    | a child was started and has not delivered a segment yet | segment: live; end: waiting
//	live        | segments come                                           | end: waiting
//	no_keyframe | bytes come, but no keyframe within TARGETDURATION       | segment: live; end: waiting
//	waiting     | no child; the next start is due, or a publisher must come | start: starting
//	idle        | on demand, and nobody watches                           | request: starting
//	failed      | every source failed again and again; tried each minute  | segment: live
//	stopped     | the stream was taken away                               | never
type State string

// The states of a stream.
const (
	StateStarting   State = "starting"
	StateLive       State = "live"
	StateNoKeyframe State = "no_keyframe"
	StateWaiting    State = "waiting"
	StateIdle       State = "idle"
	StateFailed     State = "failed"
	StateStopped    State = "stopped"
)

// States lists them all, for metric labels.
func States() []State {
	return []State{StateStarting, StateLive, StateNoKeyframe, StateWaiting, StateIdle, StateFailed, StateStopped}
}

// Reason says why a child ended, was ended, or why a stream is in its state.
// The set is closed.
type Reason string

// The reasons. Those that begin with source_ and ffmpeg_ are FFmpeg's own words.
const (
	ReasonNone              Reason = ""
	ReasonExit              Reason = "exit"                 // FFmpeg ended with an error that it did not explain
	ReasonSourceEnded       Reason = "source_ended"         // FFmpeg ended in good order: for a live source a failure as well
	ReasonKilled            Reason = "killed"               // a signal that we did not send ended it
	ReasonSourceUnreachable Reason = "source_unreachable"   // host, port, path or file could not be opened
	ReasonSourceStatus      Reason = "source_error_status"  // the source's host answered with an error: 404, 5xx
	ReasonSourceRefused     Reason = "source_refused"       // the source answered 401 or 403
	ReasonSourceInvalid     Reason = "source_invalid"       // what came is not media
	ReasonSourceForbidden   Reason = "source_forbidden"     // it is, or leads to, an address that the guard does not allow
	ReasonSourceTimeout     Reason = "source_timeout"       // the source stopped answering
	ReasonOriginDown        Reason = "origin_down"          // its host is down; another stream tries it, the rest wait
	ReasonNoPublisher       Reason = "no_publisher"         // nobody pushes the stream, or nobody does any more
	ReasonSourceChanged     Reason = "source_changed"       // the source went over to another format
	ReasonNoTrack           Reason = "source_track_missing" // it has no sound in a language that is to be shown
	ReasonUnsupported       Reason = "ffmpeg_unsupported"   // this FFmpeg lacks a protocol, encoder or filter
	ReasonStartFailed       Reason = "start_failed"         // the program could not be started at all
	ReasonNoOutput          Reason = "no_output"            // it never delivered a byte
	ReasonStalled           Reason = "stalled"              // its bytes stopped
	ReasonFrozen            Reason = "frozen"               // bytes come, timestamps stand still
	ReasonNoSegment         Reason = "no_segment"           // timestamps move, segments do not come
	ReasonNoKeyframe        Reason = "no_keyframe"          // keyframes are further apart than TARGETDURATION allows
	ReasonDrift             Reason = "av_drift"             // sound and picture are too far apart
	ReasonOOM               Reason = "oom"                  // it used up the memory that its limit gives it
	ReasonPIDs              Reason = "pids"                 // it used up the processes and threads that its limit gives it
	ReasonCPUThrottled      Reason = "cpu_throttled"        // its limit gives it too little processor time to keep up
	ReasonChanged           Reason = "config_changed"       // its configuration changed
	ReasonPreferred         Reason = "preferred_source"     // a more preferred source delivers again
	ReasonOperator          Reason = "operator"             // an operator asked for a restart
	ReasonIdle              Reason = "idle"                 // nobody watched a stream on demand
)

// Reasons lists them all but the empty one, for metric labels.
func Reasons() []Reason {
	return []Reason{
		ReasonExit, ReasonSourceEnded, ReasonKilled, ReasonSourceUnreachable, ReasonSourceStatus, ReasonSourceRefused, ReasonSourceInvalid,
		ReasonSourceForbidden, ReasonSourceTimeout, ReasonOriginDown, ReasonNoPublisher, ReasonSourceChanged, ReasonNoTrack, ReasonUnsupported, ReasonStartFailed, ReasonNoOutput, ReasonStalled, ReasonFrozen,
		ReasonNoSegment, ReasonNoKeyframe, ReasonDrift, ReasonOOM, ReasonPIDs, ReasonCPUThrottled, ReasonChanged, ReasonPreferred, ReasonOperator, ReasonIdle,
	}
}

// Status is what an operator sees of a stream. It holds no secret.
type Status struct {
	ID string `json:"id"`
	// State and Reason tell what it does, Since when.
	State  State     `json:"state"`
	Reason Reason    `json:"reason,omitempty"`
	Since  time.Time `json:"since"`
	// Source is the one being read, without its secrets; SourceIndex its place in
	// the order of preference, from 0.
	Source      string `json:"source"`
	SourceIndex int    `json:"source_index"`
	// Standby is the source that runs beside it: a more preferred one that proves
	// itself, or the next one while this one is silent.
	Standby string `json:"standby,omitempty"`
	// PID is the child's process id, 0 without one.
	PID int `json:"pid"`
	// Restarts counts the children that ended, by reason.
	Restarts map[Reason]int64 `json:"restarts"`
	// LastMSN and DiscontinuitySequence are those of the newest listed segment.
	LastMSN               int64     `json:"last_msn"`
	DiscontinuitySequence int64     `json:"discontinuity_sequence"`
	LastSegmentAt         time.Time `json:"last_segment_at"`
	// Void counts sets of segments that were lost, by cause.
	Void map[string]int64 `json:"void,omitempty"`
	// RingBytes is the memory that its segments take.
	RingBytes int64 `json:"ring_bytes"`
	// Cores is about how many processor cores its child keeps busy; 0 while none runs.
	Cores float64 `json:"cores"`
	// Speed is media time over wall time as FFmpeg reports it; below 1 it cannot keep up.
	Speed      float64           `json:"speed"`
	Renditions []RenditionStatus `json:"renditions"`
	// Usage is what its children have used, and what their limits did.
	Usage Usage `json:"usage"`
	// Log holds FFmpeg's last lines, secrets replaced.
	Log []LogLine `json:"log"`
}

// RenditionStatus is what is measured of one rendition.
type RenditionStatus struct {
	Name             string  `json:"name"`
	Codecs           string  `json:"codecs"`
	Width            int     `json:"width"`
	Height           int     `json:"height"`
	FrameRate        float64 `json:"frame_rate"`
	Bandwidth        int     `json:"bandwidth"`
	AverageBandwidth int     `json:"average_bandwidth"`
}

// LogLine is one line that a child printed.
type LogLine struct {
	Time time.Time `json:"time"`
	Text string    `json:"text"`
}

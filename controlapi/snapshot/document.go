// Package snapshot is the document that tells the edges of a group what to do, and its checks.
//
// It is a leaf: the control plane writes documents, edges read them, and both
// check them with the same code. An edge without a control plane makes one from
// its Caddyfile, so that there is one path from configuration to streams.
package snapshot

// Document is everything that the edges of one group must know. It is always
// whole: an edge replaces what it knew by it. Unknown members are ignored.
//
// A member that is added after the first release is tagged omitempty, which makes it
// one that may be missing: see [Decode].
type Document struct {
	// Epoch is raised when a control plane was restored from a backup: versions
	// count anew within it.
	Epoch int64 `json:"epoch"`
	// Version grows with every change; an edge refuses a lower one of its epoch.
	Version int64 `json:"version"`
	// IssuedAt is the second (UNIX time) at which the version was counted: the same for
	// everybody who builds it.
	IssuedAt int64 `json:"issued_at"`
	// Group is the edge group that the document is for.
	Group string `json:"group"`
	// Edges lists the edges of the group. An edge refuses a document without it.
	Edges []Edge `json:"edges"`
	// SteerURL is the base URL of content steering; empty: no steering.
	SteerURL string `json:"steer_url"`
	// Keys are the signing keys that the edges of the group accept.
	Keys []Key `json:"keys"`
	// Grants tells what each reseller may do; the key is the reseller's id.
	Grants map[string]Grant `json:"grants"`
	// Streams are the streams of the group.
	Streams []Stream `json:"streams"`
	// Denied lists viewer accounts whose tokens are refused although they verify.
	Denied []Denial `json:"denied"`
}

// Edge is one edge of the group.
type Edge struct {
	ID string `json:"id"`
	// URL is its base URL, "https://edge-1.example.com"; empty where it is not known.
	URL string `json:"url"`
}

// Key is a signing key of a (reseller, edge group) pair.
type Key struct {
	Reseller string `json:"reseller"`
	KeyID    string `json:"kid"`
	// Secret is 32 to 64 characters of A-Za-z0-9_-, used as that text.
	Secret string `json:"secret"`
	// NotAfter is the last second (UNIX time) of a key that is being retired; 0: no end.
	NotAfter int64 `json:"not_after"`
}

// Grant is what one reseller may do with which streams.
type Grant struct {
	// Show lists the streams it may play and catch up.
	Show []string `json:"show"`
	// Publish lists the streams that its encoders may feed.
	Publish []string `json:"publish"`
	// Relay lists the streams that may be pulled by edges; only for the reseller "edge".
	Relay []string `json:"relay"`
	// Bouquets names lists of streams that a token may cover at once.
	Bouquets map[string][]string `json:"bouquets"`
}

// Denial is a viewer account that is cut off.
type Denial struct {
	Reseller string `json:"reseller"`
	User     string `json:"user"`
	// Until is the last second (UNIX time) of the denial.
	Until int64 `json:"until"`
}

// Stream is one live stream and who carries it.
type Stream struct {
	ID string `json:"id"`
	// AssignmentRev grows each time that the stream is given to other edges.
	AssignmentRev int64 `json:"assignment_rev"`
	// Primary is the id of the edge that packages the stream.
	Primary string `json:"primary"`
	// Relays are the ids of the edges that hold it warm.
	Relays []string `json:"relays"`
	// Sources are URLs in order of preference (see CheckSource); a slate is the last.
	Sources []string `json:"sources"`
	// Renditions is the ladder, best first.
	Renditions []Rendition `json:"renditions"`
	// Encoding is how the renditions that are not copied are encoded.
	Encoding Encoding `json:"encoding"`
	// Audio are the languages that viewers may choose from, the first one played
	// unless they do; none: the source's first track, and no choice.
	Audio []AudioTrack `json:"audio"`
	// Captions name the captions that the pictures carry.
	Captions []CaptionTrack `json:"captions"`
	// SegmentSeconds is T: no segment is shorter.
	SegmentSeconds float64 `json:"segment_seconds"`
	// LongestGOPSeconds is the longest distance of keyframes that is accepted;
	// TARGETDURATION is the sum of both, rounded up.
	LongestGOPSeconds float64 `json:"longest_gop_seconds"`
	// Window is the number of segments in a media playlist.
	Window int `json:"window"`
	// Limits bounds what one stream's FFmpeg may use.
	Limits Limits `json:"limits"`
	// OnDemand streams start with their first viewer.
	OnDemand bool `json:"on_demand"`
	// IdleSeconds is how long a stream on demand goes on without viewers.
	IdleSeconds float64 `json:"idle_seconds"`
	// ReturnAfterSeconds is how long a preferred source must have delivered again
	// until the stream leaves a backup for it.
	ReturnAfterSeconds float64 `json:"return_after_seconds"`
	// MinMSN is the lowest media sequence number that a packager without a window may use.
	MinMSN int64 `json:"min_msn"`
	// MinDiscontinuity is the same for the discontinuity sequence.
	MinDiscontinuity int64 `json:"min_discontinuity"`
}

// Rendition is one rung of a stream's ladder.
type Rendition struct {
	// Name is its path segment: 1 to 32 characters of A-Za-z0-9_-.
	Name string `json:"name"`
	// Copy passes the source's video and audio on as they are.
	Copy bool `json:"copy"`
	// Height is the picture's height in pixels; 0: as the source.
	Height int `json:"height"`
	// VideoBitrate and AudioBitrate are in bits per second.
	VideoBitrate int `json:"video_bitrate"`
	AudioBitrate int `json:"audio_bitrate"`
	// AudioOnly leaves the pictures out.
	AudioOnly bool `json:"audio_only"`
}

// Encoding is how renditions are encoded.
type Encoding struct {
	// Preset is one of libx264's from ultrafast to medium; empty: veryfast.
	Preset string `json:"preset"`
	// Deinterlace makes whole pictures out of fields.
	Deinterlace bool `json:"deinterlace"`
	// Loudness in LUFS to which the sound is brought, -70 to -5; 0 leaves it.
	Loudness float64 `json:"loudness"`
}

// AudioTrack is a language of the source's sound.
type AudioTrack struct {
	// Language is as the source writes it: two or three letters, "deu".
	Language string `json:"language"`
	// Label is what a player's menu shows.
	Label string `json:"label"`
}

// CaptionTrack is CEA-608 or CEA-708 captions within the pictures.
type CaptionTrack struct {
	// InstreamID is CC1 to CC4 or SERVICE1 to SERVICE63.
	InstreamID string `json:"instream_id"`
	// Language is two or three letters.
	Language string `json:"language"`
	// Label is what a player's menu shows.
	Label string `json:"label"`
}

// Limits bounds one stream's FFmpeg. Zero means: no limit.
type Limits struct {
	// CPU is in cores.
	CPU float64 `json:"cpu"`
	// Memory is in bytes.
	Memory int64 `json:"memory"`
	// PIDs is the number of processes and threads.
	PIDs int `json:"pids"`
}

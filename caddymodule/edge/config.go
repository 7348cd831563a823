package edge

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/headrace/headrace/controlapi/snapshot"
	"github.com/headrace/headrace/ingest"
	"github.com/headrace/headrace/ingest/ffmpeg"
)

// Capacity is what a node may be given. It steers who is sent here; only the
// number of streams is a hard bound.
type Capacity struct {
	// How many streams the node carries at most. A configuration with more is
	// refused. Default: 200.
	Streams int `json:"streams,omitempty"`

	// How many processor cores the FFmpeg processes of all streams may keep busy, as
	// estimated from what they encode. A configuration that asks for more is refused.
	// Default: no bound.
	CPU float64 `json:"cpu,omitempty"`

	// What the node can send, in bits per second. It is the scale of the egress
	// in `/-/health` and of the score there. Default: unknown.
	Egress int64 `json:"egress,omitempty"`
}

// Limits bounds one FFmpeg.
type Limits struct {
	// Processor time, in cores: 1.5 is one and a half of them. An FFmpeg that wants
	// more is slowed down; if it falls silent over that it is started anew, with
	// the reason `cpu_throttled`. Default: no limit.
	CPU float64 `json:"cpu,omitempty"`

	// Memory, in bytes, with what it reads of files. Nothing is swapped. An FFmpeg
	// that wants more is killed and started anew, with the reason `oom`. Default:
	// no limit.
	Memory int64 `json:"memory,omitempty"`

	// Processes and threads; an encoder makes some for every core. An FFmpeg that
	// ends for want of them has the reason `pids`. Default: no limit.
	PIDs int `json:"pids,omitempty"`
}

// HWAccel is a video encoder outside the processor.
type HWAccel struct {
	// The interface that it is reached by: `vaapi`, `nvenc` or `qsv`.
	Kind string `json:"kind"`

	// Its file in /dev, for `vaapi` and `qsv`. Default: `/dev/dri/renderD128`.
	Device string `json:"device,omitempty"`
}

// Location is a place on earth, in degrees.
type Location struct {
	// Latitude, -90 to 90, north is positive.
	Lat float64 `json:"lat"`

	// Longitude, -180 to 180, east is positive.
	Lon float64 `json:"lon"`
}

// KeyName names a key: the reseller that it belongs to and its id there.
type KeyName struct {
	// The reseller: 1 to 32 characters of A-Z a-z 0-9 - _. `edge` is reserved.
	Reseller string `json:"reseller"`

	// The key's id: 1 to 8 characters of 0-9 a-z. Never use one again for another
	// secret.
	KeyID string `json:"kid"`
}

// Key is a key with which a reseller signs tokens. It has either a secret or a
// file that holds it.
type Key struct {
	KeyName

	// The secret: 32 to 64 characters of A-Z a-z 0-9 - _. Write a placeholder,
	// `{env.HEADRACE_KEY}`: a secret in the configuration itself is shown by
	// Caddy's admin endpoint and kept in its autosaved configuration.
	Secret string `json:"secret,omitempty"`

	// The path of a file that holds the secret alone; one newline at its end is
	// left out. It is read when the configuration starts.
	SecretFile string `json:"secret_file,omitempty"`
}

// Stream is one live stream.
type Stream struct {
	// Its name in URLs and tokens: 1 to 32 characters of A-Z a-z 0-9 - _.
	ID string `json:"id"`

	// Where it comes from, in order of preference: http, https, rtmp, rtmps, srt or
	// udp URLs, `push:`, what an encoder pushes to the `rtmp` port, `file:/path`
	// (looped), or `test:`, a test pattern. While one fails the next is used; the
	// stream returns to a more preferred one when that delivers again. Required.
	Sources []string `json:"sources,omitempty"`

	// Its renditions, best first. Default: one named `source` that copies.
	Renditions []Rendition `json:"renditions,omitempty"`

	// A ladder of renditions that are encoded, from this one down: `1080p`, `720p` or
	// `480p`. It stands in the place of `renditions`. Default: none.
	Ladder string `json:"ladder,omitempty"`

	// How much work goes into encoding, one of libx264's presets from `ultrafast` to
	// `medium`. Default: `veryfast`.
	Preset string `json:"preset,omitempty"`

	// Whether pictures of two fields are made into whole ones before they are
	// encoded. Default: false.
	Deinterlace bool `json:"deinterlace,omitempty"`

	// The loudness in LUFS, -70 to -5, to which encoded sound is brought (EBU R 128
	// asks for -23). Default: as in the source.
	Loudness float64 `json:"loudness,omitempty"`

	// The languages of the source's sound that viewers may choose from. The first one
	// is in the renditions; each further one becomes a rendition of sound only.
	// Default: the source's first track, and no choice.
	Audio []AudioTrack `json:"audio,omitempty"`

	// What the CEA-608 and CEA-708 captions are that the pictures carry. They are
	// always passed through; those that are not named here are listed as CC1.
	Captions []CaptionTrack `json:"captions,omitempty"`

	// The shortest duration of a segment. A segment ends at the first keyframe
	// after it. Streams with copied renditions want at least twice the distance of
	// the source's keyframes. Default: 2s.
	Segment caddy.Duration `json:"segment,omitempty"`

	// The longest distance of keyframes that the source may have. With `segment`
	// it makes the target duration, which cannot change while a stream has viewers.
	// Default: the same as `segment`.
	LongestGOP caddy.Duration `json:"longest_gop,omitempty"`

	// How many segments a playlist lists, 6 to 120 and no less than three target
	// durations. Default: the least such number, but not below 8.
	Window int `json:"window,omitempty"`

	// What viewers see while no source delivers: `card`, a still picture with the
	// stream's name and no sound, or `file:/path` to a picture (PNG, JPEG, BMP, WebP) or
	// a film, which is looped. It stands behind all sources, and is left as soon as one
	// of them delivers. Default: none, and viewers wait.
	Slate string `json:"slate,omitempty"`

	// How long a more preferred source must have delivered without a fault, beside the
	// backup that runs, until the stream returns to it. Default: 10s.
	ReturnAfter caddy.Duration `json:"return_after,omitempty"`

	// Whether it runs only while somebody watches: its first viewer starts it and
	// waits for its first segment. Default: false.
	OnDemand bool `json:"on_demand,omitempty"`

	// How long a stream on demand goes on without viewers, 1s to 24h.
	// Default: 60s.
	IdleAfter caddy.Duration `json:"idle_after,omitempty"`
}

// Rendition is one rung of a stream's ladder.
type Rendition struct {
	// Its name in URLs: 1 to 32 characters of A-Z a-z 0-9 - _.
	Name string `json:"name"`

	// Whether the source's video and audio are passed on as they are. Then none of
	// the fields below may be set.
	Copy bool `json:"copy,omitempty"`

	// The picture's height in pixels, an even number. Default: the number in a name
	// like `480p`, else the source's height.
	Height int `json:"height,omitempty"`

	// Bits per second of the video, 50,000 to 100,000,000. Required unless `copy`
	// or `audio_only` is set.
	VideoBitrate int `json:"video_bitrate,omitempty"`

	// Bits per second of the audio, 16,000 to 512,000. Default: 128,000.
	AudioBitrate int `json:"audio_bitrate,omitempty"`

	// Whether it has sound only. Default: false.
	AudioOnly bool `json:"audio_only,omitempty"`
}

// AudioTrack is a language of the source's sound.
type AudioTrack struct {
	// The language as the source writes it, two or three letters: `deu`.
	Language string `json:"language"`

	// What a player's menu shows. Default: the language's own name for itself.
	Label string `json:"label,omitempty"`
}

// CaptionTrack is captions within the pictures.
type CaptionTrack struct {
	// `CC1` to `CC4` for CEA-608, `SERVICE1` to `SERVICE63` for CEA-708.
	InstreamID string `json:"instream_id"`

	// The language, two or three letters.
	Language string `json:"language"`

	// What a player's menu shows. Default: the language's own name for itself.
	Label string `json:"label,omitempty"`
}

// ladders are what `ladder` stands for: the rungs that players expect, at bit
// rates that H.264 needs for them.
var ladders = []Rendition{
	{Name: "1080p", Height: 1080, VideoBitrate: 4_500_000, AudioBitrate: 128_000},
	{Name: "720p", Height: 720, VideoBitrate: 2_500_000, AudioBitrate: 128_000},
	{Name: "480p", Height: 480, VideoBitrate: 1_200_000, AudioBitrate: 96_000},
	{Name: "360p", Height: 360, VideoBitrate: 700_000, AudioBitrate: 64_000},
}

// ladder gives the renditions of a ladder by its highest rung; nil if there is none.
func ladder(name string) []Rendition {
	from := slices.IndexFunc(ladders[:3], func(r Rendition) bool { return r.Name == name })
	if from < 0 {
		return nil
	}
	return slices.Clone(ladders[from:])
}

func (s *Stream) setDefaults() {
	setDefault(&s.Segment, caddy.Duration(2*time.Second))
	setDefault(&s.LongestGOP, s.Segment)
	setDefault(&s.ReturnAfter, caddy.Duration(10*time.Second))
	if s.OnDemand {
		setDefault(&s.IdleAfter, caddy.Duration(time.Minute))
	}
	if len(s.Renditions) == 0 {
		s.Renditions = ladder(s.Ladder)
	}
	if len(s.Renditions) == 0 {
		s.Renditions = []Rendition{{Name: "source", Copy: true}}
	}
	for i := range s.Renditions {
		s.Renditions[i].setDefaults()
	}
	for i := range s.Audio {
		setDefault(&s.Audio[i].Label, ownName(s.Audio[i].Language))
	}
	for i := range s.Captions {
		setDefault(&s.Captions[i].Label, ownName(s.Captions[i].Language))
	}
	if s.Window == 0 {
		doc := s.document(nil)
		s.Window = max(8, doc.LeastWindow())
	}
}

func (r *Rendition) setDefaults() {
	if r.Copy {
		return
	}
	if !r.AudioOnly {
		setDefault(&r.Height, heightOf(r.Name))
	}
	setDefault(&r.AudioBitrate, 128_000)
}

// drawnSlate is the value of Slate for a card that the edge draws.
const drawnSlate = "card"

// heightOf reads the height out of a name like "480p" or "720p50"; 0 for others.
func heightOf(name string) int {
	digits, rate, found := strings.Cut(name, "p")
	if !found || strings.Trim(digits+rate, "0123456789") != "" {
		return 0
	}
	height, err := strconv.Atoi(digits)
	if err != nil {
		return 0
	}
	return height
}

// check looks at what the document does not hold.
func (a *App) check() error {
	if err := a.checkNumbers(); err != nil {
		return err
	}
	for _, s := range a.Streams {
		if s.Ladder != "" && ladder(s.Ladder) == nil {
			return fmt.Errorf("stream %q: ladder %q is not known; choose 1080p, 720p or 480p, or write the renditions yourself", s.ID, s.Ladder)
		}
	}
	if h := a.HWAccel; h != nil {
		if kind := ffmpeg.HardwareKind(h.Kind); !slices.Contains(ffmpeg.HardwareKinds(), kind) {
			return fmt.Errorf("hwaccel %q is not known; choose one of %v", h.Kind, ffmpeg.HardwareKinds())
		}
		if h.Device != "" && !strings.HasPrefix(h.Device, "/dev/") {
			return fmt.Errorf("hwaccel %s: its device is a file below /dev", h.Kind)
		}
	}
	if a.URL != "" {
		if u, err := url.Parse(a.URL); err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || u.User != nil {
			return errors.New("url: write it as https://host, without user and password")
		}
	}
	if l := a.Location; l != nil && !(l.Lat >= -90 && l.Lat <= 90 && l.Lon >= -180 && l.Lon <= 180) {
		return fmt.Errorf("location %g %g: a latitude is -90 to 90 degrees, a longitude -180 to 180", l.Lat, l.Lon)
	}
	if a.Control != nil {
		return a.checkControl()
	}
	if err := a.checkPushed(); err != nil {
		return err
	}
	return a.checkKeys()
}

func (a *App) checkNumbers() error {
	if a.Capacity.Streams < 0 || a.Capacity.Egress < 0 || !(a.Capacity.CPU >= 0) || a.StartsPerSecond < 0 {
		return errors.New("capacity and starts_per_second cannot be negative")
	}
	if err := a.checkSandbox(); err != nil {
		return err
	}
	if !(a.Limits.CPU >= 0) || a.Limits.Memory < 0 || a.Limits.PIDs < 0 {
		return errors.New("limits cannot be negative")
	}
	return nil
}

func (a *App) checkSandbox() error {
	switch ingest.SandboxMode(a.Sandbox) {
	case ingest.SandboxRequire, ingest.SandboxAuto, ingest.SandboxOff:
		return nil
	}
	return fmt.Errorf("sandbox %q: use require, auto or off", a.Sandbox)
}

func (a *App) checkKeys() error {
	found := a.DefaultKey == nil
	for _, k := range a.Keys {
		switch {
		case k.Secret == "" && k.SecretFile == "":
			return fmt.Errorf("%v has no secret; give it a secret or a secret_file", k.KeyName)
		case k.Secret != "" && k.SecretFile != "":
			return fmt.Errorf("%v has a secret and a secret_file; leave one out", k.KeyName)
		}
		found = found || k.KeyName == *a.DefaultKey
	}
	if !found {
		return fmt.Errorf("default_key: there is no %v; name one of the keys", *a.DefaultKey)
	}
	return nil
}

// String names the key, "key r1/k1". What is too long for a name is left out: it
// may be a secret that stands in the wrong place.
func (k KeyName) String() string {
	reseller, id := k.Reseller, k.KeyID
	if len(reseller) > 31 {
		reseller = "…"
	}
	if len(id) > 8 {
		id = "…"
	}
	return "key " + reseller + "/" + id
}

// document is the stream as a snapshot has it. The sources are those with their
// placeholders replaced.
func (s *Stream) document(sources []string) snapshot.Stream {
	renditions := make([]snapshot.Rendition, len(s.Renditions))
	for i, r := range s.Renditions {
		renditions[i] = snapshot.Rendition(r)
	}
	doc := snapshot.Stream{
		ID:                 s.ID,
		Sources:            sources,
		Renditions:         renditions,
		SegmentSeconds:     time.Duration(s.Segment).Seconds(),
		LongestGOPSeconds:  time.Duration(s.LongestGOP).Seconds(),
		Window:             s.Window,
		ReturnAfterSeconds: time.Duration(s.ReturnAfter).Seconds(),
		OnDemand:           s.OnDemand,
		IdleSeconds:        time.Duration(s.IdleAfter).Seconds(),
		Encoding:           snapshot.Encoding{Preset: s.Preset, Deinterlace: s.Deinterlace, Loudness: s.Loudness},
	}
	for _, track := range s.Audio {
		doc.Audio = append(doc.Audio, snapshot.AudioTrack(track))
	}
	for _, track := range s.Captions {
		doc.Captions = append(doc.Captions, snapshot.CaptionTrack(track))
	}
	return doc
}

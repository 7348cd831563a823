package httpapi

import (
	"github.com/headrace/headrace/controlapi"
	"github.com/headrace/headrace/controlapi/snapshot"
)

// Rendition is one rung of a stream's ladder.
type Rendition struct {
	Name         string `json:"name" minLength:"1" maxLength:"32" pattern:"^[A-Za-z0-9_-]+$" doc:"Its part of the path." example:"720p"`
	Copy         bool   `json:"copy,omitempty" doc:"Passes the source's video and audio on as they are." example:"false"`
	Height       int    `json:"height,omitempty" minimum:"0" maximum:"4320" doc:"The picture's height in pixels; 0: as the source." example:"720"`
	VideoBitrate int    `json:"video_bitrate,omitempty" minimum:"0" maximum:"200000000" doc:"Bits per second." example:"2800000"`
	AudioBitrate int    `json:"audio_bitrate,omitempty" minimum:"0" maximum:"1000000" doc:"Bits per second." example:"128000"`
	AudioOnly    bool   `json:"audio_only,omitempty" doc:"Leaves the pictures out." example:"false"`
}

func presentRendition(r snapshot.Rendition) Rendition { return Rendition(r) }
func (r Rendition) domain() snapshot.Rendition        { return snapshot.Rendition(r) }

// Encoding is how renditions are encoded.
type Encoding struct {
	Preset      string  `json:"preset,omitempty" maxLength:"16" pattern:"^[a-z]*$" doc:"One of libx264's, ultrafast to medium. Default: veryfast." example:"veryfast"`
	Deinterlace bool    `json:"deinterlace,omitempty" doc:"Makes whole pictures out of fields." example:"false"`
	Loudness    float64 `json:"loudness,omitempty" minimum:"-70" maximum:"0" doc:"LUFS to which the sound is brought, -70 to -5; 0 leaves it." example:"-23"`
}

func (e Encoding) domain() snapshot.Encoding { return snapshot.Encoding(e) }

// AudioTrack is a language of the source's sound.
type AudioTrack struct {
	Language string `json:"language" minLength:"2" maxLength:"3" pattern:"^[A-Za-z]+$" doc:"As the source writes it." example:"deu"`
	Label    string `json:"label" maxLength:"64" pattern:"^[^\\x00-\\x1f\\x7f]*$" doc:"What a player's menu shows." example:"Deutsch"`
}

func presentAudio(t snapshot.AudioTrack) AudioTrack { return AudioTrack(t) }
func (t AudioTrack) domain() snapshot.AudioTrack    { return snapshot.AudioTrack(t) }

// CaptionTrack is CEA-608 or CEA-708 captions within the pictures.
type CaptionTrack struct {
	InstreamID string `json:"instream_id" minLength:"3" maxLength:"9" pattern:"^(CC[1-4]|SERVICE[1-9][0-9]?)$" doc:"CC1 to CC4 or SERVICE1 to SERVICE63." example:"CC1"`
	Language   string `json:"language" minLength:"2" maxLength:"3" pattern:"^[A-Za-z]+$" doc:"Two or three letters." example:"deu"`
	Label      string `json:"label" maxLength:"64" pattern:"^[^\\x00-\\x1f\\x7f]*$" doc:"What a player's menu shows." example:"Deutsch"`
}

func presentCaptions(t snapshot.CaptionTrack) CaptionTrack { return CaptionTrack(t) }
func (t CaptionTrack) domain() snapshot.CaptionTrack       { return snapshot.CaptionTrack(t) }

// Limits bounds one stream's FFmpeg; 0 is no limit.
type Limits struct {
	CPU    float64 `json:"cpu,omitempty" minimum:"0" maximum:"1024" doc:"Cores." example:"2"`
	Memory int64   `json:"memory,omitempty" minimum:"0" maximum:"1099511627776" doc:"Octets." example:"1073741824"`
	PIDs   int     `json:"pids,omitempty" minimum:"0" maximum:"4194304" doc:"Processes and threads." example:"64"`
}

func (l Limits) domain() snapshot.Limits { return snapshot.Limits(l) }

// Pin is the operator's choice of edges for a stream.
type Pin struct {
	Primary string   `json:"primary,omitempty" minLength:"1" maxLength:"32" pattern:"^[A-Za-z0-9_-]+$" doc:"The edge that packages it; absent: the control plane chooses." example:"edge-1"`
	Relays  []string `json:"relays" nullable:"false" maxItems:"7" uniqueItems:"true" doc:"Edges that hold it warm besides." example:"[\"edge-2\"]"`
}

func presentPin(p controlapi.Pin) Pin { return Pin{Primary: p.Primary, Relays: listed(p.Relays)} }

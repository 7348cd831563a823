package edge

import (
	"fmt"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
)

func init() {
	httpcaddyfile.RegisterGlobalOption("edge", parseGlobalOption)
}

// parseGlobalOption sets up the app from the global option "edge". See
// App.UnmarshalCaddyfile for its syntax.
func parseGlobalOption(d *caddyfile.Dispenser, existing any) (any, error) {
	if existing != nil {
		d.Next() // so that the error can tell its line
		return nil, d.Err("option 'edge' is given twice")
	}
	app := new(App)
	if err := app.UnmarshalCaddyfile(d); err != nil {
		return nil, err
	}
	return httpcaddyfile.App{Name: "edge", Value: caddyconfig.JSON(app, nil)}, nil
}

// UnmarshalCaddyfile sets up the app from Caddyfile tokens. Syntax:
//
//	edge {
//		id       <name>
//		state    <folder>
//		group    <name>
//		url      <base URL>
//		ffmpeg   <program>
//		starts_per_second <number>
//		hwaccel  vaapi|nvenc|qsv [<device>]
//		capacity {
//			streams <number>
//			cpu     <cores>
//			egress  <bit rate>
//		}
//		limits {
//			cpu    <cores>
//			memory <size>
//			pids   <number>
//		}
//		sandbox  require|auto|off
//		guard {
//			allow <address or prefix>...
//		}
//		location <latitude> <longitude>
//		rtmp <address> {
//			tls  [<host name>...]
//			hold <duration>
//		}
//		control <URL> {
//			token_file  <path>
//			fingerprint <SHA-256 of its certificate>
//		}
//		key <reseller> <key id> [<secret>] {
//			secret_file <path>
//		}
//		default_key <reseller> <key id>
//		stream <id> {
//			source      <URL>
//			rendition   <name> copy
//			rendition   <name> audio copy|<bit rate>
//			rendition   <name> <video bit rate> [<audio bit rate>] {
//				height <pixels>
//			}
//			segment     <duration>
//			longest_gop <duration>
//			window      <segments>
//			slate       [file:<path>]
//			return_after <duration>
//			on_demand   [<duration without viewers>]
//			ladder      1080p|720p|480p
//			preset      <name>
//			deinterlace
//			loudness    <LUFS>
//			audio       <language> [<label>]
//			captions    <channel> <language> [<label>]
//		}
//	}
//
// rtmp, key, allow, stream, source, rendition, audio and captions may be repeated,
// everything else is given once. Bit rates are in bits per second with decimal
// units: 1200k, 3m, 10gbit.
// Sizes are in bytes: 512MiB. The fields of App tell the meanings and defaults.
func (a *App) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the option's name
	return options{
		"id":                text(&a.ID),
		"state":             text(&a.State),
		"group":             text(&a.Group),
		"url":               text(&a.URL),
		"ffmpeg":            text(&a.FFmpeg),
		"starts_per_second": count(&a.StartsPerSecond),
		"hwaccel":           once(a.parseHWAccel),
		"capacity": block(options{
			"streams": count(&a.Capacity.Streams),
			"cpu":     number(&a.Capacity.CPU),
			"egress":  rate(&a.Capacity.Egress),
		}),
		"limits": block(options{
			"cpu":    number(&a.Limits.CPU),
			"memory": size(&a.Limits.Memory),
			"pids":   count(&a.Limits.PIDs),
		}),
		"sandbox":     argument(a.parseSandbox),
		"guard":       block(options{"allow": many(a.Guard.parseAllow)}),
		"location":    once(a.parseLocation),
		"key":         many(a.parseKey),
		"default_key": once(a.parseDefaultKey),
		"stream":      many(a.parseStream),
		"control":     once(a.parseControl),
		"consul":      later,
		"rtmp":        many(a.parseRTMP),
	}.parse(d)
}

func (a *App) parseLocation(d *caddyfile.Dispenser) error {
	a.Location = new(Location)
	if err := number(&a.Location.Lat).parse(d); err != nil {
		return err
	}
	return number(&a.Location.Lon).parse(d)
}

func (a *App) parseSandbox(d *caddyfile.Dispenser) error {
	a.Sandbox = d.Val()
	if err := a.checkSandbox(); err != nil {
		return d.WrapErr(err)
	}
	return nil
}

func (a *App) parseControl(d *caddyfile.Dispenser) error {
	a.Control = new(Control)
	if !d.Args(&a.Control.URL) {
		return d.ArgErr()
	}
	if err := a.checkControl(); err != nil {
		return d.WrapErr(err)
	}
	return options{
		"token_file":  text(&a.Control.TokenFile),
		"fingerprint": text(&a.Control.Fingerprint),
	}.parse(d)
}

func (a *App) parseKey(d *caddyfile.Dispenser) error {
	var k Key
	if !d.Args(&k.Reseller, &k.KeyID) {
		return d.ArgErr()
	}
	if d.NextArg() {
		k.Secret = d.Val()
	}
	if a.Control != nil {
		return d.WrapErr(fmt.Errorf("%v: %w", k.KeyName, errControlled))
	}
	if slices.ContainsFunc(a.Keys, func(o Key) bool { return o.KeyName == k.KeyName }) {
		return d.Errf("%v is given twice", k.KeyName)
	}
	if err := (options{"secret_file": text(&k.SecretFile)}).parse(d); err != nil {
		return err
	}
	a.Keys = append(a.Keys, k)
	return nil
}

func (a *App) parseDefaultKey(d *caddyfile.Dispenser) error {
	a.DefaultKey = new(KeyName)
	if !d.Args(&a.DefaultKey.Reseller, &a.DefaultKey.KeyID) {
		return d.ArgErr()
	}
	return nil
}

func (a *App) parseHWAccel(d *caddyfile.Dispenser) error {
	a.HWAccel = new(HWAccel)
	if !d.Args(&a.HWAccel.Kind) {
		return d.ArgErr()
	}
	if d.NextArg() {
		a.HWAccel.Device = d.Val()
	}
	return nil
}

func (a *App) parseStream(d *caddyfile.Dispenser) error {
	var s Stream
	if !d.Args(&s.ID) {
		return d.ArgErr()
	}
	if a.Control != nil {
		return d.WrapErr(fmt.Errorf("stream %q: %w", s.ID, errControlled))
	}
	if slices.ContainsFunc(a.Streams, func(o Stream) bool { return o.ID == s.ID }) {
		return d.Errf("stream %q is given twice", s.ID)
	}
	err := options{
		"source":       many(s.parseSource),
		"rendition":    many(s.parseRendition),
		"segment":      duration(&s.Segment),
		"longest_gop":  duration(&s.LongestGOP),
		"window":       count(&s.Window),
		"slate":        once(s.parseSlate),
		"return_after": duration(&s.ReturnAfter),
		"on_demand":    once(s.parseOnDemand),
		"ladder":       text(&s.Ladder),
		"preset":       text(&s.Preset),
		"deinterlace":  flag(&s.Deinterlace),
		"loudness":     number(&s.Loudness),
		"audio":        many(s.parseAudio),
		"captions":     many(s.parseCaptions),
	}.parse(d)
	if err == nil && s.Ladder != "" && len(s.Renditions) > 0 {
		err = d.Errf("stream %q has a ladder and renditions; leave one of them out", s.ID)
	}
	a.Streams = append(a.Streams, s)
	return err
}

func (s *Stream) parseSource(d *caddyfile.Dispenser) error {
	if !d.NextArg() {
		return d.ArgErr()
	}
	s.Sources = append(s.Sources, d.Val())
	return nil
}

func (s *Stream) parseSlate(d *caddyfile.Dispenser) error {
	s.Slate = drawnSlate
	if !d.NextArg() {
		return nil
	}
	if s.Slate = d.Val(); !strings.HasPrefix(s.Slate, "file:/") {
		return d.Errf("slate '%s' names no file; write file:/path/to/card.png, or nothing for a card with the stream's name", d.Val())
	}
	return nil
}

func (s *Stream) parseOnDemand(d *caddyfile.Dispenser) error {
	s.OnDemand = true
	if d.CountRemainingArgs() == 0 {
		return nil
	}
	return duration(&s.IdleAfter).parse(d)
}

func (s *Stream) parseAudio(d *caddyfile.Dispenser) error {
	var a AudioTrack
	if !d.Args(&a.Language) {
		return d.ArgErr()
	}
	if d.NextArg() {
		a.Label = d.Val()
	}
	s.Audio = append(s.Audio, a)
	return nil
}

func (s *Stream) parseCaptions(d *caddyfile.Dispenser) error {
	var c CaptionTrack
	if !d.Args(&c.InstreamID, &c.Language) {
		return d.ArgErr()
	}
	if d.NextArg() {
		c.Label = d.Val()
	}
	s.Captions = append(s.Captions, c)
	return nil
}

func (s *Stream) parseRendition(d *caddyfile.Dispenser) error {
	var r Rendition
	var video string
	if !d.Args(&r.Name, &video) {
		return d.ArgErr()
	}
	if slices.ContainsFunc(s.Renditions, func(o Rendition) bool { return o.Name == r.Name }) {
		return d.Errf("rendition %q is given twice", r.Name)
	}
	if err := r.parseRates(d, video); err != nil {
		return err
	}
	if err := (options{"height": count(&r.Height)}).parse(d); err != nil {
		return err
	}
	s.Renditions = append(s.Renditions, r)
	return nil
}

// parseRates reads what follows a rendition's name; video is the word that the
// dispenser stands on.
func (r *Rendition) parseRates(d *caddyfile.Dispenser, video string) (err error) {
	switch video {
	case "copy":
		r.Copy = true
		return nil
	case "audio":
		return r.parseAudioOnly(d)
	}
	if r.VideoBitrate, err = bitrate(d); err != nil || !d.NextArg() {
		return err
	}
	r.AudioBitrate, err = bitrate(d)
	return err
}

// parseAudioOnly reads what follows "audio".
func (r *Rendition) parseAudioOnly(d *caddyfile.Dispenser) (err error) {
	r.AudioOnly = true
	if !d.NextArg() {
		return d.ArgErr()
	}
	if r.Copy = d.Val() == "copy"; !r.Copy {
		r.AudioBitrate, err = bitrate(d)
	}
	return err
}

// later answers for options that the configuration will have.
var later = once(func(d *caddyfile.Dispenser) error {
	return d.Errf("option '%s' is not part of this release: an edge takes its streams and keys from its Caddyfile", d.Val())
})

// Interface guard
var _ caddyfile.Unmarshaler = (*App)(nil)

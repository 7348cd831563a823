package edge

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/headrace/headrace/controlapi/snapshot"
	"github.com/headrace/headrace/controlapi/token"
	"github.com/headrace/headrace/ingest"
	"github.com/headrace/headrace/ingest/ffmpeg"
	"github.com/headrace/headrace/ingest/source"
)

// document is the configuration as a snapshot: the one path from configuration
// to streams. This edge packages all its streams, and each reseller with a key
// may show and publish all of them. Epoch and version are 0: no control plane
// counted them.
func (a *App) document(t texts) (*snapshot.Document, error) {
	doc := &snapshot.Document{
		Group:  a.Group,
		Edges:  []snapshot.Edge{{ID: a.ID, URL: a.URL}},
		Grants: make(map[string]snapshot.Grant, len(a.Keys)),
	}
	for _, s := range a.Streams {
		stream, err := a.stream(s, t)
		if err != nil {
			return nil, fmt.Errorf("stream %q: %w", s.ID, err)
		}
		doc.Streams = append(doc.Streams, stream)
	}
	ids := make([]string, len(a.Streams))
	for i, s := range a.Streams {
		ids[i] = s.ID
	}
	for _, k := range a.Keys {
		secret, err := t.secret(k)
		if err != nil {
			return nil, fmt.Errorf("%v: %w", k.KeyName, err)
		}
		doc.Keys = append(doc.Keys, snapshot.Key{Reseller: k.Reseller, KeyID: k.KeyID, Secret: secret})
		doc.Grants[k.Reseller] = snapshot.Grant{Show: ids, Publish: ids}
	}
	return doc, nil
}

func (a *App) stream(s Stream, t texts) (snapshot.Stream, error) {
	sources := make([]string, len(s.Sources))
	for i, text := range s.Sources {
		var err error
		if sources[i], err = t.source(text); err != nil {
			return snapshot.Stream{}, fmt.Errorf("source %d: %w", i+1, err)
		}
	}
	if s.Slate != "" {
		sources = append(sources, "slate:"+strings.TrimPrefix(strings.TrimPrefix(s.Slate, drawnSlate), "file:"))
	}
	stream := s.document(sources)
	stream.Primary = a.ID
	stream.Limits = snapshot.Limits(a.Limits)
	return stream, nil
}

func (a *App) defaultKey() token.KeyRef {
	if a.DefaultKey == nil {
		return token.KeyRef{}
	}
	return token.KeyRef{Reseller: a.DefaultKey.Reseller, Kid: a.DefaultKey.KeyID}
}

// streamSpecs is what the engine must carry: the streams whose primary is the edge.
func streamSpecs(doc *snapshot.Document, edgeID string) ([]ingest.StreamSpec, error) {
	var specs []ingest.StreamSpec
	for _, s := range doc.Streams {
		if s.Primary != edgeID {
			continue
		}
		spec, err := streamSpec(s)
		if err != nil {
			return nil, fmt.Errorf("stream %q: %w", s.ID, err)
		}
		specs = append(specs, spec)
	}
	return specs, nil
}

func streamSpec(s snapshot.Stream) (ingest.StreamSpec, error) {
	spec := ingest.StreamSpec{
		ID:               s.ID,
		SegmentDuration:  seconds(s.SegmentSeconds),
		LongestGOP:       seconds(s.LongestGOPSeconds),
		Limits:           ingest.Limits(s.Limits),
		Window:           s.Window,
		MinMSN:           s.MinMSN,
		MinDiscontinuity: s.MinDiscontinuity,
	}
	spec.ReturnAfter = seconds(s.ReturnAfterSeconds)
	if s.OnDemand {
		spec.IdleAfter = seconds(s.IdleSeconds)
	}
	spec.Encoding = ffmpeg.Encoding{Preset: s.Encoding.Preset, Deinterlace: s.Encoding.Deinterlace, Loudness: s.Encoding.Loudness}
	for i, text := range s.Sources {
		src, err := source.Parse(text)
		if err != nil {
			return spec, fmt.Errorf("source %d: %w", i+1, err)
		}
		spec.Sources = append(spec.Sources, src)
	}
	addRenditions(&spec, s)
	return spec, nil
}

// addRenditions adds the ladder, and for each language but the first a rendition
// of sound only, which is made like the ladder's best: copied, or encoded.
func addRenditions(spec *ingest.StreamSpec, s snapshot.Stream) {
	track := ""
	if len(s.Audio) > 0 {
		track = s.Audio[0].Language
	}
	for _, r := range s.Renditions {
		spec.Renditions = append(spec.Renditions, ffmpeg.Rendition{
			Name: r.Name, Copy: r.Copy, Height: r.Height, VideoBitrate: r.VideoBitrate, AudioBitrate: r.AudioBitrate, AudioOnly: r.AudioOnly, Track: track,
		})
	}
	for i, a := range s.Audio {
		choice := ingest.AudioTrack{Language: languageTag(a.Language), Label: a.Label}
		if i > 0 {
			choice.Rendition = "audio-" + a.Language
			best := spec.Renditions[0]
			spec.Renditions = append(spec.Renditions, ffmpeg.Rendition{
				Name: choice.Rendition, AudioOnly: true, Track: a.Language, Copy: best.Copy, AudioBitrate: best.AudioBitrate,
			})
		}
		spec.Audio = append(spec.Audio, choice)
	}
	for _, c := range s.Captions {
		spec.Captions = append(spec.Captions, ingest.CaptionTrack{InstreamID: c.InstreamID, Language: languageTag(c.Language), Label: c.Label})
	}
}

// seconds is rounded to the microsecond, which is finer than media clocks and
// coarser than what binary fractions add.
func seconds(s float64) time.Duration {
	return time.Duration(s * float64(time.Second)).Round(time.Microsecond)
}

// tokenConfig is what a verifier must know of the document at a UNIX second.
func tokenConfig(doc *snapshot.Document, defaultKey token.KeyRef, now int64) token.Config {
	c := token.Config{DefaultKey: defaultKey, Grants: make(map[string]token.Grant, len(doc.Grants)), Now: now}
	for _, k := range doc.Keys {
		c.Keys = append(c.Keys, token.Key{
			KeyRef:   token.KeyRef{Reseller: k.Reseller, Kid: k.KeyID},
			Secret:   k.Secret,
			NotAfter: k.NotAfter,
		})
	}
	for reseller, g := range doc.Grants {
		c.Grants[reseller] = token.Grant(g)
	}
	for _, d := range doc.Denied {
		c.Denied = append(c.Denied, token.Denial(d))
	}
	return c
}

// withoutSecrets is a copy that may be shown. Sources are left out as well:
// their URLs can hold passwords.
func withoutSecrets(doc *snapshot.Document) *snapshot.Document {
	shown := *doc
	shown.Keys = slices.Clone(doc.Keys)
	for i := range shown.Keys {
		shown.Keys[i].Secret = ""
	}
	shown.Streams = slices.Clone(doc.Streams)
	for i := range shown.Streams {
		shown.Streams[i].Sources = nil
	}
	return &shown
}

package edge

import (
	"cmp"
	"fmt"
	"strings"
)

// Config is what differs between the edges of tests. The zero value carries no
// stream.
type Config struct {
	// Streams that the edge carries.
	Streams []Stream
	// ID is the edge's; empty: edge-1.
	ID string
	// Control is the URL of the control plane that the edge has joined (Node.Join): it
	// tells the streams and keys then.
	Control string
	// Options are further lines of the global option "edge".
	Options []string
	// Guard are the lines of the option "guard"; nil allows this machine, where the
	// sources of tests are.
	Guard []string
	// Global are further lines of the global options.
	Global []string
	// Site are further lines of the site.
	Site []string
	// State is the state folder; empty: one of the node's own.
	State string
	// FFmpeg is the program; empty: the one on PATH.
	FFmpeg string
}

// Stream is one "stream" block.
type Stream struct {
	ID string
	// Sources in order of preference.
	Sources []string
	// Lines are the rest of the block; without one that begins with "rendition"
	// the stream has the rendition "source copy".
	Lines []string
}

// Copy is a stream that is passed on as it comes, in segments of 2 s.
func Copy(id string, sources ...string) Stream { return Stream{ID: id, Sources: sources} }

// Rendition is the name of the rendition that a stream has by default.
const Rendition = "source"

// With adds lines to the block.
func (s Stream) With(lines ...string) Stream {
	s.Lines = append(append([]string(nil), s.Lines...), lines...)
	return s
}

func (s Stream) lines() []string {
	var lines []string
	for _, source := range s.Sources {
		lines = append(lines, "source "+source)
	}
	lines = append(lines, s.Lines...)
	for _, line := range s.Lines {
		if strings.HasPrefix(line, "rendition ") {
			return lines
		}
	}
	return append(lines, "rendition "+Rendition+" copy")
}

// caddyfile is the configuration of a node.
func (n *Node) caddyfile(c Config) string {
	var b strings.Builder
	state := c.State
	if state == "" {
		state = n.path("state")
	}
	options := []string{"id " + cmp.Or(c.ID, "edge-1"), "state " + state}
	if c.Control != "" {
		options = append(options, fmt.Sprintf("url http://%s", n.Address()), fmt.Sprintf("control %s {\n\t\t\ttoken_file %s\n\t\t}", c.Control, n.path("edge.token")))
	} else {
		options = append(options, fmt.Sprintf("key %s %s {\n\t\t\tsecret_file %s\n\t\t}", Reseller, keyID, n.path("key")), fmt.Sprintf("default_key %s %s", Reseller, keyID))
	}
	guard := c.Guard
	if guard == nil {
		guard = []string{"allow 127.0.0.0/8 ::1"}
	}
	options = append(options, "guard {\n\t\t\t"+strings.Join(guard, "\n\t\t\t")+"\n\t\t}")
	if c.FFmpeg != "" {
		options = append(options, "ffmpeg "+c.FFmpeg)
	}
	b.WriteString("{\n")
	for _, line := range append([]string{
		"admin unix/" + n.path("admin.sock"), "persist_config off", "auto_https off", "grace_period 10s",
		"log {\n\t\tlevel DEBUG\n\t\tformat json\n\t\texclude admin.api\n\t}",
	}, c.Global...) {
		fmt.Fprintf(&b, "\t%s\n", line)
	}
	b.WriteString("\tedge {\n")
	for _, line := range append(options, c.Options...) {
		fmt.Fprintf(&b, "\t\t%s\n", line)
	}
	for _, s := range c.Streams {
		fmt.Fprintf(&b, "\t\tstream %s {\n", s.ID)
		for _, line := range s.lines() {
			fmt.Fprintf(&b, "\t\t\t%s\n", line)
		}
		b.WriteString("\t\t}\n")
	}
	fmt.Fprintf(&b, "\t}\n}\nhttp://:%d {\n\tbind 127.0.0.1\n\t@viewer stream_token\n\thls @viewer\n\thls\n\tedge_status\n", n.port)
	for _, line := range c.Site {
		fmt.Fprintf(&b, "\t%s\n", line)
	}
	b.WriteString("}\n")
	return b.String()
}

package source

import "net/url"

// Surrogate is the host by which a child knows its http source. Which one that is,
// and how it is reached, only the guard's proxy knows.
const Surrogate = "source"

// surrogateURL is what a child is told to read: a name for the operator who looks at
// the process list, and an end that tells FFmpeg what kind of source it is.
func (s Source) surrogateURL(stream string) string {
	end := "stream"
	if s.isPlaylist() {
		end = "index.m3u8"
	}
	return "http://" + Surrogate + "/" + stream + "/" + end
}

// URL is the source's address with its secrets; nil if it has none. It is for those
// who connect to it, never for logs or arguments.
func (s Source) URL() *url.URL {
	switch s.kind {
	case HTTP, RTMP, SRT, UDP:
	default:
		return nil
	}
	u, err := url.Parse(s.url)
	if err != nil {
		return nil // Parse has read it before
	}
	return u
}

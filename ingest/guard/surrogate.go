package guard

import (
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/headrace/headrace/ingest/source"
)

// role is what a child asks for, as far as the guard told it to.
type role string

const (
	whole    role = source.Surrogate // the source itself: media, or a playlist of either kind
	playlist role = "playlist"       // what a multivariant playlist lists: a media playlist
	media    role = "media"          // what a media playlist lists: never a playlist
)

// surrogate is the address by which the child knows a URL that a playlist named:
// http://media/https/cdn.example:8443/path?query. It has no state, so that a
// playlist that lives for weeks costs nothing.
func surrogate(r role, u *url.URL) string {
	return "http://" + string(r) + "/" + u.Scheme + "/" + u.Host + u.RequestURI()
}

// requested is the inverse of surrogate.
func (p *Proxy) requested(u *url.URL) (role, *url.URL, error) {
	switch r := role(u.Hostname()); r {
	case whole:
		return r, p.source, nil
	case playlist, media:
		scheme, rest, _ := strings.Cut(strings.TrimPrefix(u.EscapedPath(), "/"), "/")
		text := scheme + "://" + rest
		if u.RawQuery != "" || u.ForceQuery {
			text += "?" + u.RawQuery
		}
		target, err := url.Parse(text)
		if err != nil {
			return "", nil, forbidden(errors.New("the child asked for an address that no playlist named"))
		}
		return r, target, checkURL(target)
	}
	return "", nil, forbidden(fmt.Errorf("the child asked for the host %.80q, which no playlist named", u.Hostname()))
}

// checkURL refuses what the guard does not fetch.
func checkURL(u *url.URL) error {
	if u.Scheme != "http" && u.Scheme != "https" {
		return forbidden(fmt.Errorf("the source leads to an address of scheme %.20q; only http and https are followed", u.Scheme))
	}
	if u.Hostname() == "" {
		return invalid(errors.New("the source leads to an address without a host"))
	}
	return nil
}

package guard

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// maxRedirects is how many are followed in a row, as many as FFmpeg would.
const maxRedirects = 8

// errSilent says that a source stopped answering.
var errSilent = fmt.Errorf("the source sent nothing for %s", patience)

// answeredError says that a source answered with something else than media.
type answeredError struct{ status int }

func (e *answeredError) Error() string {
	return fmt.Sprintf("the source answered %d %s", e.status, http.StatusText(e.status))
}

// brokenOffError says that an answer ended before it was whole.
type brokenOffError struct{ err error }

func (e *brokenOffError) Error() string { return "the source broke off: " + e.err.Error() }

func (e *brokenOffError) Unwrap() error { return e.err }

// relay fetches what the child asked for and hands it on.
func (p *Proxy) relay(w http.ResponseWriter, r *http.Request, as role, target *url.URL) error {
	ctx, cancel := context.WithCancelCause(r.Context())
	defer cancel(nil)
	// The timer runs only while the source is awaited: a child that reads slowly, as
	// one does that plays a file, is no fault of the source.
	silence := time.AfterFunc(patience, func() { cancel(errSilent) })
	defer silence.Stop()
	resp, err := p.fetch(ctx, target, r.Header)
	if err != nil {
		return because(ctx, err)
	}
	defer func() { _ = resp.Body.Close() }()
	body := bufio.NewReaderSize(&watched{resp.Body, silence}, 32<<10)
	isPlaylist, err := beginsPlaylist(body)
	if err != nil {
		return because(ctx, err)
	}
	if isPlaylist {
		text, err := p.readPlaylist(body, resp, as)
		if err != nil {
			return because(ctx, err)
		}
		w.Header().Set("Content-Type", "application/vnd.apple.mpegurl")
		w.Header().Set("Content-Length", strconv.Itoa(len(text)))
		_, _ = w.Write(text) //nolint:gosec // a playlist for FFmpeg, not a page; a child that is gone needs no answer
		return nil
	}
	if as == playlist {
		return invalid(errors.New("what the source lists as a playlist is none"))
	}
	if err := p.stream(w, body, resp, as); err != nil {
		return because(ctx, err)
	}
	return nil
}

// beginsPlaylist looks at the first bytes. It waits for no more than it needs: the
// second packet of a live stream may be long in coming.
func beginsPlaylist(body *bufio.Reader) (bool, error) {
	begin, err := body.Peek(1)
	if err == nil && begin[0] == firstTag[0] {
		begin, err = body.Peek(len(firstTag))
	}
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return false, err
	}
	return string(begin) == firstTag, nil
}

// because puts the cause of a context's end in the place of the error that it made.
func because(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); errors.Is(cause, errSilent) {
		var broken *brokenOffError
		if errors.As(err, &broken) {
			return &brokenOffError{cause}
		}
		return cause
	}
	return err
}

// watched stops the timer of silence while nobody reads.
type watched struct {
	from    io.Reader
	silence *time.Timer
}

func (w *watched) Read(b []byte) (int, error) {
	w.silence.Reset(patience)
	n, err := w.from.Read(b)
	w.silence.Stop()
	return n, err
}

// stream hands media on as they come.
func (p *Proxy) stream(w http.ResponseWriter, body io.Reader, resp *http.Response, as role) error {
	for _, name := range []string{"Content-Type", "Content-Length", "Content-Range", "Accept-Ranges"} {
		if v := resp.Header.Get(name); v != "" {
			w.Header().Set(name, v)
		}
	}
	w.WriteHeader(resp.StatusCode)
	if as == media {
		body = io.LimitReader(body, maxMedia)
	}
	out := http.NewResponseController(w)
	buf := make([]byte, 32<<10)
	for {
		n, err := body.Read(buf)
		if n > 0 {
			p.delivered()
			if _, err := w.Write(buf[:n]); err != nil || out.Flush() != nil {
				return nil // the child is gone
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return &brokenOffError{err}
		}
	}
}

// fetch asks the source for a URL and follows its redirects. The answer is good: it
// has a status of success, and an encoding that cannot grow. resp.Request.URL is
// where it came from.
func (p *Proxy) fetch(ctx context.Context, target *url.URL, asked http.Header) (*http.Response, error) {
	for range maxRedirects {
		resp, err := p.ask(ctx, target, asked)
		if err != nil {
			return nil, err
		}
		next, err := redirection(resp)
		if err != nil || next == nil {
			return resp, err
		}
		_ = resp.Body.Close()
		if err := checkURL(next); err != nil {
			return nil, err
		}
		target = next
	}
	return nil, fmt.Errorf("the source redirected more than %d times", maxRedirects)
}

// ask sends one request.
func (p *Proxy) ask(ctx context.Context, target *url.URL, asked http.Header) (*http.Response, error) {
	plain := *target
	plain.User, plain.Fragment, plain.RawFragment = nil, "", ""
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, plain.String(), nil) //nolint:gosec // the dialer checks every address
	if err != nil {
		return nil, invalid(errors.New("the source leads to an address that is none"))
	}
	req.Header.Set("Accept", "*/*")
	req.Header.Set("Accept-Encoding", "identity")
	req.Header.Set("User-Agent", asked.Get("User-Agent"))
	// FFmpeg asks for all from the first byte on, which is what it gets anyway.
	if span := asked.Get("Range"); span != "bytes=0-" && span != "" {
		req.Header.Set("Range", span)
	}
	if user := p.source.User; user != nil && sameOrigin(target, p.source) {
		password, _ := user.Password()
		req.SetBasicAuth(user.Username(), password)
	}
	p.cookies.add(req)
	resp, err := p.transport.RoundTrip(req)
	if err != nil {
		var refused *ForbiddenError
		if errors.As(err, &refused) {
			err = refused // which says it all
		}
		return nil, fmt.Errorf("asking %s: %w", target.Host, err)
	}
	p.cookies.keep(resp)
	return resp, nil
}

// redirection is where an answer sends us; nil: it is the answer. What is neither is
// an error, and the body is closed then.
func redirection(resp *http.Response) (next *url.URL, err error) {
	defer func() {
		if err != nil {
			_ = resp.Body.Close()
		}
	}()
	switch resp.StatusCode {
	case http.StatusOK, http.StatusPartialContent:
		if e := resp.Header.Get("Content-Encoding"); e != "" && e != "identity" {
			return nil, invalid(fmt.Errorf("the source answers in the encoding %.40q, though it was asked for none", e))
		}
		return nil, nil
	case http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther, http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
		if next, err = resp.Location(); err != nil {
			return nil, invalid(errors.New("the source redirects to an address that is none"))
		}
		return next, nil
	}
	return nil, &answeredError{resp.StatusCode}
}

// readPlaylist reads a playlist and gives it as the child may see it.
func (p *Proxy) readPlaylist(body io.Reader, resp *http.Response, as role) ([]byte, error) {
	if as == media {
		return nil, invalid(errors.New("what the source lists as media is a playlist"))
	}
	if resp.StatusCode != http.StatusOK {
		return nil, invalid(errors.New("the source gave a part of a playlist"))
	}
	text, err := io.ReadAll(io.LimitReader(body, maxPlaylist+1))
	if err != nil {
		return nil, err
	}
	if len(text) > maxPlaylist {
		return nil, invalid(fmt.Errorf("the source's playlist has more than %d bytes", maxPlaylist))
	}
	return rewrite(text, resp.Request.URL, as)
}

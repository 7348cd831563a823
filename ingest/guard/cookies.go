package guard

import (
	"net/http"
	"net/http/cookiejar"
	"sync"
)

// maxCookies is how many different cookies a proxy keeps; one more, and it forgets
// them all.
const maxCookies = 256

// cookies are those of one child's sources: some origins keep their sessions in them.
type cookies struct {
	mu   sync.Mutex
	jar  *cookiejar.Jar
	kept map[string]struct{} // by host and name
}

// add puts the cookies that belong to a request into it.
func (c *cookies) add(req *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.jar == nil {
		return
	}
	for _, cookie := range c.jar.Cookies(req.URL) {
		req.AddCookie(cookie)
	}
}

// keep takes the cookies of an answer.
func (c *cookies) keep(resp *http.Response) {
	set := resp.Cookies()
	if len(set) == 0 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, cookie := range set {
		if c.jar == nil || len(c.kept) == maxCookies {
			c.jar, _ = cookiejar.New(nil) // without options it does not fail
			c.kept = make(map[string]struct{})
		}
		c.kept[resp.Request.URL.Host+" "+cookie.Name] = struct{}{}
		c.jar.SetCookies(resp.Request.URL, []*http.Cookie{cookie})
	}
}

package hls

import (
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/certmagic"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/headrace/headrace/caddymodule/streamtoken"
)

// accessLog writes the lines that the server leaves out because of the token: to
// the same logs, in the same form, without it.
type accessLog struct {
	logger *zap.Logger
}

// httpApp has the name of Caddy's HTTP app, whose logger is the access log's parent.
type httpApp struct{}

// CaddyModule returns the Caddy module information.
func (httpApp) CaddyModule() caddy.ModuleInfo { return caddy.ModuleInfo{ID: "http"} }

func newAccessLog(ctx caddy.Context) accessLog {
	return accessLog{ctx.Logger(httpApp{}).Named("log.access")}
}

// write writes the line of a finished answer, if the server has an access log for
// its host.
func (l accessLog) write(a *answer) {
	server, _ := a.r.Context().Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server)
	if server == nil || server.Logs == nil || !streamtoken.Logged(a.r.Context()) {
		return
	}
	level := zapcore.InfoLevel
	if a.status >= http.StatusInternalServerError {
		level = zapcore.ErrorLevel
	}
	for _, name := range namesFor(a.r, server.Logs) {
		logger := l.logger
		if name != "" {
			logger = logger.Named(name)
		}
		if c := logger.Check(level, "handled request"); c != nil {
			c.Write(fields(a, server.Logs.ShouldLogCredentials)...)
		}
	}
}

func fields(a *answer, credentials bool) []zap.Field {
	bearer := ""
	if a.grant != nil {
		bearer = a.grant.Claims.Reseller + "/" + a.grant.Claims.User
	}
	return []zap.Field{
		zap.Object("request", caddyhttp.LoggableHTTPRequest{Request: redact(a.r, a.verdict), ShouldLogCredentials: credentials}),
		zap.Int("bytes_read", 0),
		zap.String("user_id", bearer),
		zap.Duration("duration", time.Since(a.began)),
		zap.Int("size", a.sent),
		zap.Int("status", a.status),
		zap.Object("resp_headers", caddyhttp.LoggableHTTPHeader{Header: a.header, ShouldLogCredentials: credentials}),
	}
}

// redact returns a copy of the request, for the log only, with the bearer's name
// in the place of the token and without other fields that may hold one.
func redact(r *http.Request, v streamtoken.Verdict) *http.Request {
	c := r.WithContext(r.Context())
	c.RequestURI = redactURI(r.URL.Path, r.URL.RawQuery, v.String())
	for name, values := range r.Header {
		if slices.ContainsFunc(values, mayQuoteURL) {
			c.Header = c.Header.Clone()
			c.Header[name] = []string{redacted}
		}
	}
	return c
}

// mayQuoteURL reports whether a header's value might hold the URL of this request or
// of another one with a token, as Referer and the fields of proxies do.
func mayQuoteURL(value string) bool {
	return strings.Contains(value, streamtoken.Prefix) || strings.Contains(strings.ToLower(value), "%2flive")
}

// redacted stands for what might be a token, or a part of one.
const redacted = "-"

// redactURI puts who in the place of the token, and a dash in that of everything
// else that has a token's colon, or may be decoded to have one: people paste
// tokens where they do not belong.
func redactURI(path, query, who string) string {
	if rest, ok := strings.CutPrefix(path, streamtoken.Prefix); ok {
		_, rest, _ = strings.Cut(rest, "/")
		path = streamtoken.Prefix + who + "/" + redactWords(rest)
	} else {
		path = redactWords(path)
	}
	if query != "" {
		return path + "?" + redactWord(query)
	}
	return path
}

func redactWords(path string) string {
	words := strings.Split(path, "/")
	for i, word := range words {
		words[i] = redactWord(word)
	}
	return strings.Join(words, "/")
}

func redactWord(word string) string {
	if strings.ContainsAny(word, ":%") {
		return redacted
	}
	return word
}

// namesFor lets the directive log_name go before what the server maps hosts to.
func namesFor(r *http.Request, logs *caddyhttp.ServerLogConfig) []string {
	chosen, ok := caddyhttp.GetVar(r.Context(), caddyhttp.AccessLoggerNameVarKey).([]any)
	if !ok {
		return loggerNames(logs, r.Host)
	}
	names := make([]string, 0, len(chosen))
	for _, name := range chosen {
		if name, ok := name.(string); ok {
			names = append(names, name)
		}
	}
	return names
}

// loggerNames returns the names below http.log.access of the logs that a server
// keeps for a host, the empty one for the access log itself, by the rules of
// Caddy, which does not export them.
func loggerNames(logs *caddyhttp.ServerLogConfig, host string) []string {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	host = strings.ToLower(host)
	if names, ok := mappedNames(logs.LoggerNames, host); ok {
		return names
	}
	isSkipped := func(pattern string) bool { return certmagic.MatchWildcard(host, pattern) }
	if logs.SkipUnmappedHosts || slices.ContainsFunc(logs.SkipHosts, isSkipped) {
		return nil
	}
	return []string{logs.DefaultLoggerName}
}

// mappedNames looks a host up, itself first, then with more and more of its labels
// replaced by asterisks from the left.
func mappedNames(mapped map[string]caddyhttp.StringArray, host string) ([]string, bool) {
	if names, ok := mapped[host]; ok {
		return names, true
	}
	labels := strings.Split(host, ".")
	for i := range labels {
		labels[i] = "*"
		if names, ok := mapped[strings.Join(labels, ".")]; ok {
			return names, true
		}
	}
	return nil, false
}

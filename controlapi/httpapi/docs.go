package httpapi

import (
	"bytes"
	"embed"
	"net/http"
	"time"
)

// swaggerUI is the page that shows the document, with all that it loads.
//
//go:embed swaggerui/page.html swaggerui/start.js swaggerui/swagger-ui-bundle.js swaggerui/swagger-ui.css
var swaggerUI embed.FS

// docsPolicy lets the page load from this server and from nowhere else. Swagger UI sets
// style attributes and draws its icons from data URLs.
const docsPolicy = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; " +
	"connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// mountDocs serves the human side of the document under /docs.
func mountDocs(mux *http.ServeMux) {
	for path, file := range map[string]struct{ name, contentType string }{
		"/docs":                      {"page.html", "text/html; charset=utf-8"},
		"/docs/start.js":             {"start.js", "text/javascript; charset=utf-8"},
		"/docs/swagger-ui-bundle.js": {"swagger-ui-bundle.js", "text/javascript; charset=utf-8"},
		"/docs/swagger-ui.css":       {"swagger-ui.css", "text/css; charset=utf-8"},
	} {
		content, err := swaggerUI.ReadFile("swaggerui/" + file.name)
		if err != nil {
			panic(err) // it is embedded by this very list
		}
		mux.HandleFunc("GET "+path, func(w http.ResponseWriter, r *http.Request) {
			h := w.Header()
			h.Set("Content-Type", file.contentType)
			h.Set("Content-Security-Policy", docsPolicy)
			h.Set("Cache-Control", "no-cache")
			http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(content))
		})
	}
}

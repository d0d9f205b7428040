package serve

import (
	"embed"
	"net/http"
)

//go:embed page
var page embed.FS

// policy lets the page load nothing but its own files, and show pictures that its user chose.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// routePage adds the page and its files.
func (s *Server) routePage(handle func(pattern string, f http.HandlerFunc)) {
	for address, f := range map[string]struct{ name, kind string }{
		"/{$}":      {"page/page.html", "text/html; charset=utf-8"},
		"/page.css": {"page/page.css", "text/css; charset=utf-8"},
		"/page.js":  {"page/page.js", "text/javascript; charset=utf-8"},
		"/icon.svg": {"page/icon.svg", "image/svg+xml"},
	} {
		b, err := page.ReadFile(f.name)
		if err != nil {
			panic(err)
		}
		handle("GET "+address, func(w http.ResponseWriter, _ *http.Request) {
			h := w.Header()
			h.Set("Content-Type", f.kind)
			h.Set("Content-Security-Policy", policy)
			h.Set("Referrer-Policy", "no-referrer")
			h.Set("Cross-Origin-Opener-Policy", "same-origin")
			_, _ = w.Write(b)
		})
	}
}

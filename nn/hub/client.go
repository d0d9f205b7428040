package hub

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"fewshot/nn/quote"
)

// A Client fetches from one hub into one cache. Its methods may be used concurrently if its functions may.
type Client struct {
	Endpoint    *url.URL
	Cache       string // HF_HUB_CACHE
	OpenAICache string // where the clip package keeps its archives
	Offline     bool   // ask the cache alone
	UserAgent   string

	// Note is told what a person should know: what is fetched, waits, answers from the cache. May be nil.
	Note func(string)
	// Begin is told before the first byte of what, which will be size bytes in all, some perhaps there already;
	// Advance of bytes that came (less than 0: had to be given up), End at last. May be nil.
	Begin   func(what string, size int64)
	Advance func(n int64)
	End     func()

	token                    secret
	noLinks                  bool
	maxJSON                  int64
	openAIBase, vocabulary   string
	answerWithin, readWithin time.Duration

	http  *http.Client
	now   func() time.Time
	sleep func(context.Context, time.Duration) error
	after func(time.Duration, func()) timer
}

// A timer is a *time.Timer.
type timer interface {
	Reset(time.Duration) bool
	Stop() bool
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (c *Client) note(format string, a ...any) {
	if c.Note != nil {
		c.Note(fmt.Sprintf(format, a...))
	}
}

// Bounds of what is believed.
const (
	maxRedirects = 10
	maxRetries   = 5
	maxWait      = 5 * time.Minute
	maxJSON      = 32 << 20 // of one answer
	maxFile      = 1 << 40
)

// isRedirect tells the answers that Location goes with.
func isRedirect(status int) bool {
	switch status {
	case 301, 302, 303, 307, 308:
		return true
	}
	return false
}

// once sends one request. The answer's body is closed by the caller; reading it fails when nothing comes for
// readWithin.
func (c *Client) once(ctx context.Context, method string, u *url.URL, from int64) (*http.Response, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	silent := fmt.Errorf("no answer within %v", c.answerWithin)
	watch := c.after(c.answerWithin, func() { cancel(silent) })
	req, err := http.NewRequestWithContext(ctx, method, u.String(), nil)
	if err != nil {
		cancel(nil)
		return nil, err
	}
	req.Header.Set("User-Agent", c.UserAgent)
	req.Header.Set("Accept-Encoding", "identity")
	if from > 0 {
		req.Header.Set("Range", "bytes="+strconv.FormatInt(from, 10)+"-")
	}
	if c.token != "" && sameOrigin(u, c.Endpoint) {
		req.Header.Set("Authorization", "Bearer "+string(c.token))
	}
	resp, err := c.http.Do(req)
	watch.Stop()
	if err != nil {
		if cause := context.Cause(ctx); cause == silent {
			err = cause
		}
		cancel(nil)
		var wrapped *url.Error
		if errors.As(err, &wrapped) {
			err = wrapped.Err // its text has the query
		}
		return nil, &transportError{bare(u), err}
	}
	resp.Body = &watchedBody{resp.Body, c, ctx, cancel, nil}
	return resp, nil
}

// A transportError is no answer at all.
type transportError struct {
	url string
	err error
}

func (e *transportError) Error() string { return fmt.Sprintf("%s: %v", e.url, e.err) }
func (e *transportError) Unwrap() error { return e.err }

// A watchedBody fails when nothing arrives for a while.
type watchedBody struct {
	io.ReadCloser
	c      *Client
	ctx    context.Context
	cancel context.CancelCauseFunc
	watch  timer
}

func (b *watchedBody) Read(p []byte) (int, error) {
	if b.watch == nil {
		b.watch = b.c.after(b.c.readWithin, func() { b.cancel(fmt.Errorf("nothing came for %v", b.c.readWithin)) })
	} else {
		b.watch.Reset(b.c.readWithin)
	}
	n, err := b.ReadCloser.Read(p)
	b.watch.Stop()
	if cause := context.Cause(b.ctx); err != nil && err != io.EOF && cause != nil {
		err = cause
	}
	return n, err
}

func (b *watchedBody) Close() error {
	b.cancel(nil)
	return b.ReadCloser.Close()
}

// send sends a request until it has an answer that a repetition would not change, at most 1+retries times.
func (c *Client) send(ctx context.Context, method string, u *url.URL, from int64, retries int) (*http.Response, error) {
	for attempt := 0; ; attempt++ {
		resp, err := c.once(ctx, method, u, from)
		wait := min(time.Second<<attempt, 8*time.Second)
		switch {
		case ctx.Err() != nil:
			if err == nil {
				resp.Body.Close()
			}
			return nil, ctx.Err()
		case err != nil:
			if attempt == retries || final(err, attempt) {
				return nil, err
			}
		case resp.StatusCode == http.StatusRequestTimeout, resp.StatusCode == http.StatusTooManyRequests, resp.StatusCode >= 500:
			err = statusError(resp)
			asked := c.askedWait(resp.Header)
			resp.Body.Close()
			if asked > maxWait && retries > 0 {
				return nil, fmt.Errorf("%w; it asks to wait for %v, try again then", err, asked)
			}
			if attempt == retries || resp.StatusCode == http.StatusNotImplemented {
				return nil, err
			}
			wait = cmp.Or(asked, wait)
		default:
			return resp, nil
		}
		c.note("%v; trying again in %v", err, wait)
		if err := c.sleep(ctx, wait); err != nil {
			return nil, err
		}
	}
}

// final tells failures of the network that a few seconds do not mend. Who resolves names has asked each name server
// twice before it fails: one that refuses is asked once more, as it may be overrun by the jobs of a cluster that begin
// together, and where none answers there is no network.
func final(err error, attempt int) bool {
	var dns *net.DNSError
	return errors.As(err, &dns) && (dns.IsNotFound || dns.IsTimeout || attempt > 0)
}

// askedWait is how long an answer asks to wait, 0 where it does not say: Retry-After in seconds or as a date, or the
// seconds to the end of the window of RateLimit ("api";r=0;t=55).
func (c *Client) askedWait(h http.Header) time.Duration {
	if v := strings.TrimSpace(h.Get("Retry-After")); v != "" {
		if s, err := strconv.ParseUint(v, 10, 31); err == nil {
			return time.Duration(s) * time.Second
		}
		if at, err := http.ParseTime(v); err == nil {
			return max(at.Sub(c.now()), 0).Round(time.Second)
		}
	}
	spent := false
	for _, field := range strings.Split(h.Get("RateLimit"), ";") {
		field = strings.TrimSpace(field)
		spent = spent || field == "r=0"
		if s, err := strconv.ParseUint(strings.TrimPrefix(field, "t="), 10, 31); spent && err == nil && strings.HasPrefix(field, "t=") {
			return time.Duration(s) * time.Second
		}
	}
	return 0
}

// get sends a GET, following redirects anywhere, and returns the answer if its status is 2xx, or 416 where a range was
// asked for.
func (c *Client) get(ctx context.Context, u *url.URL, from int64, retries int) (*http.Response, error) {
	for range maxRedirects + 1 {
		resp, err := c.send(ctx, http.MethodGet, u, from, retries)
		if err != nil {
			return nil, err
		}
		switch {
		case resp.StatusCode/100 == 2, from > 0 && resp.StatusCode == http.StatusRequestedRangeNotSatisfiable:
			return resp, nil
		case !isRedirect(resp.StatusCode):
			resp.Body.Close()
			return nil, statusError(resp)
		}
		resp.Body.Close()
		if u, err = target(resp); err != nil {
			return nil, err
		}
	}
	return nil, lief("%s: more than %d redirects", bare(u), maxRedirects)
}

// target is where a redirect leads.
func target(resp *http.Response) (*url.URL, error) {
	from := resp.Request.URL
	to, err := resp.Location()
	switch {
	case err != nil:
		return nil, lief("%s answered %d without an address to go to", bare(from), resp.StatusCode)
	case to.Scheme != "http" && to.Scheme != "https" || to.Host == "":
		return nil, lief("%s redirects to a %s address", bare(from), quote.String(to.Scheme))
	case from.Scheme == "https" && to.Scheme == "http":
		return nil, lief("%s redirects from https to http", bare(from))
	}
	to.User = nil
	return to, nil
}

// sameOrigin compares scheme, host and port.
func sameOrigin(a, b *url.URL) bool {
	port := func(u *url.URL) string {
		return cmp.Or(u.Port(), map[string]string{"http": "80", "https": "443"}[u.Scheme])
	}
	return a.Scheme == b.Scheme && strings.EqualFold(a.Hostname(), b.Hostname()) && port(a) == port(b)
}

// ofHub tells addresses whose redirects are followed before the answer counts: the request's own origin, the
// endpoint's, and Hugging Face's.
func (c *Client) ofHub(to, from *url.URL) bool {
	if sameOrigin(to, from) || sameOrigin(to, c.Endpoint) {
		return true
	}
	switch to.Host {
	case "huggingface.co", "hf.co":
		return to.Scheme == "https"
	}
	return false
}

// at is an address at the endpoint. Segments are escaped as RFC 3986 demands, with nothing but unreserved characters
// bare: the / in a revision becomes %2F.
func (c *Client) at(query string, segments ...string) *url.URL {
	u := *c.Endpoint
	raw, path := u.EscapedPath(), u.Path
	for _, s := range segments {
		raw += "/" + escape(s)
		path += "/" + s
	}
	u.Path, u.RawPath, u.RawQuery = path, raw, query
	return &u
}

func escape(s string) string {
	const hex = "0123456789ABCDEF"
	var b strings.Builder
	for _, c := range []byte(s) {
		if 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("-._~", c) >= 0 {
			b.WriteByte(c)
		} else {
			b.Write([]byte{'%', hex[c>>4], hex[c&15]})
		}
	}
	return b.String()
}

// resolve is the address of a file.
func (c *Client) resolve(repo, rev, file string) *url.URL {
	return c.at("", append(append(strings.Split(repo, "/"), "resolve", rev), strings.Split(file, "/")...)...)
}

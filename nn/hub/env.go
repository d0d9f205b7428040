package hub

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"
)

// DefaultEndpoint is Hugging Face's.
const DefaultEndpoint = "https://huggingface.co"

// FromEnvironment makes a client as the variables say that huggingface_hub reads: HF_HUB_CACHE, HUGGINGFACE_HUB_CACHE,
// HF_HOME, XDG_CACHE_HOME; HF_ENDPOINT; HF_HUB_OFFLINE, TRANSFORMERS_OFFLINE; HF_TOKEN, HUGGING_FACE_HUB_TOKEN, HF_TOKEN_PATH,
// HF_HUB_DISABLE_IMPLICIT_TOKEN; HF_HUB_DISABLE_SYMLINKS; HF_HUB_ETAG_TIMEOUT, HF_HUB_DOWNLOAD_TIMEOUT. A variable that
// is set and empty counts as not set, where Python would take the working folder for the cache. Use [os.LookupEnv].
func FromEnvironment(lookup func(string) (string, bool)) (*Client, error) {
	env := func(names ...string) string {
		for _, n := range names {
			if v, ok := lookup(n); ok && v != "" {
				return v
			}
		}
		return ""
	}
	user := env("HOME", "USERPROFILE")
	expand := func(path string) string {
		if rest, ok := strings.CutPrefix(path, "~"); ok && (rest == "" || os.IsPathSeparator(rest[0])) {
			path = user + rest
		}
		return os.Expand(path, func(n string) string { v, _ := lookup(n); return v })
	}
	var home string
	switch {
	case env("HF_HOME") != "":
		home = expand(env("HF_HOME"))
	case env("XDG_CACHE_HOME") != "":
		home = filepath.Join(expand(env("XDG_CACHE_HOME")), "huggingface")
	case user != "":
		home = filepath.Join(user, ".cache", "huggingface")
	}
	cache := filepath.Join(home, "hub")
	if v := env("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"); v != "" {
		cache = expand(v)
	} else if home == "" {
		return nil, errors.New("no folder for downloads: HOME is not set; set HF_HOME")
	}
	endpoint, err := parseEndpoint(env("HF_ENDPOINT"))
	if err != nil {
		return nil, err
	}
	offline, ok := lookup("HF_HUB_OFFLINE")
	if !ok || offline == "" {
		offline = env("TRANSFORMERS_OFFLINE")
	}
	c := New(endpoint, cache)
	c.OpenAICache = filepath.Join(user, ".cache", "clip")
	c.Offline = isTrue(offline)
	c.noLinks = isTrue(env("HF_HUB_DISABLE_SYMLINKS"))
	for _, t := range []struct {
		name string
		to   *time.Duration
	}{{"HF_HUB_ETAG_TIMEOUT", &c.answerWithin}, {"HF_HUB_DOWNLOAD_TIMEOUT", &c.readWithin}} {
		if v := env(t.name); v != "" {
			s, err := strconv.Atoi(strings.TrimSpace(v))
			if err != nil || s < 0 || s > 86400 {
				return nil, fmt.Errorf("%s=%q: want seconds", t.name, v)
			}
			if s > 0 {
				*t.to = time.Duration(s) * time.Second
			}
		}
	}
	return c, c.findToken(env, expand, home)
}

// isTrue is Python's reading of a switch.
func isTrue(v string) bool {
	switch strings.ToUpper(v) {
	case "1", "ON", "YES", "TRUE":
		return true
	}
	return false
}

func parseEndpoint(s string) (*url.URL, error) {
	if s == "" {
		s = DefaultEndpoint
	}
	u, err := url.Parse(strings.TrimRight(s, "/"))
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.RawQuery != "" || u.User != nil {
		return nil, errors.New("HF_ENDPOINT: want an address such as https://huggingface.co, without user and query")
	}
	return u, nil
}

const maxToken = 4096

// findToken takes the token of the environment, or of the file that huggingface's login writes.
func (c *Client) findToken(env func(...string) string, expand func(string) string, home string) error {
	token, from := strings.TrimSpace(env("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN")), "HF_TOKEN"
	if token == "" && !isTrue(env("HF_HUB_DISABLE_IMPLICIT_TOKEN")) {
		from = filepath.Join(home, "token")
		if p := env("HF_TOKEN_PATH"); p != "" {
			from = expand(p)
		}
		b, err := readBounded(from, maxToken)
		if errors.Is(err, fs.ErrNotExist) {
			return nil // not logged in
		}
		if err != nil {
			return fmt.Errorf("reading the token: %w; HF_TOKEN_PATH names the file, HF_HUB_DISABLE_IMPLICIT_TOKEN=1 goes without", err)
		}
		token = strings.TrimSpace(string(b))
	}
	for _, r := range token {
		if r <= ' ' || r >= 0x7f {
			return fmt.Errorf("%s: the token has characters that no token has", from)
		}
	}
	if len(token) > maxToken {
		return fmt.Errorf("%s: longer than a token", from)
	}
	c.token = secret(token)
	return nil
}

// A secret does not print.
type secret string

func (secret) String() string   { return "(secret)" }
func (secret) GoString() string { return "(secret)" }

// New is a client with an endpoint and a cache, and nothing else from the environment but HTTP's proxies.
func New(endpoint *url.URL, cache string) *Client {
	c := &Client{
		Endpoint:     endpoint,
		Cache:        cache,
		OpenAICache:  filepath.Join(cache, "openai"),
		maxJSON:      maxJSON,
		openAIBase:   openAIBase,
		vocabulary:   vocabularyURL,
		answerWithin: 10 * time.Second,
		readWithin:   10 * time.Second,
		now:          time.Now,
		sleep:        sleep,
		after:        func(d time.Duration, f func()) timer { return time.AfterFunc(d, f) },
		UserAgent:    "fewshot (" + runtime.GOOS + "; " + runtime.GOARCH + ")",
	}
	c.http = &http.Client{
		Transport: &http.Transport{
			Proxy:                  http.ProxyFromEnvironment,
			DialContext:            (&net.Dialer{Timeout: 8 * time.Second}).DialContext, // before answerWithin, to say why
			TLSHandshakeTimeout:    10 * time.Second,
			MaxResponseHeaderBytes: 1 << 20,
			DisableCompression:     true, // lengths are those of the file
			ForceAttemptHTTP2:      true,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return c
}

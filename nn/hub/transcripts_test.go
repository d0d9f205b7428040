package hub

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const commitA = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa1"

// recording is testdata/transcripts.json.
type recording struct {
	Environments []struct {
		Env       map[string]string
		Constants string
	}
	Scenarios []scenario
}

type scenario struct {
	Name, Cache string
	Environment map[string]string
	Calls       []struct {
		Repo, Revision, File string
		Allow                []string
	}
	Exchanges  []exchange
	Failed     bool
	CacheAfter []string `json:"cache_after"`
}

type exchange struct {
	Request, Range, Body string
	Status, Length, Cut  int
	Token                bool
	Headers              map[string]string
}

func readRecording(t *testing.T) (r recording) {
	t.Helper()
	b, err := os.ReadFile("testdata/transcripts.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &r); err != nil {
		t.Fatal(err)
	}
	return r
}

// modelBin is the large file of the recorded repositories.
func modelBin(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(7*i + i/251)
	}
	return b
}

// A replay answers requests as the recorded hub and file host did, in their order, and from then on as they did last.
type replay struct {
	t        *testing.T
	hub, cdn *httptest.Server
	mu       sync.Mutex
	last     map[string]exchange
	queue    map[string][]exchange
	common   map[string]exchange // 200s of any scenario, for what only we ask for
	tree     string
	requests []string
}

func newReplay(t *testing.T, r recording) *replay {
	p := &replay{t: t, common: map[string]exchange{}}
	p.hub = httptest.NewServer(p.handler("hub"))
	p.cdn = httptest.NewServer(p.handler("cdn"))
	t.Cleanup(p.hub.Close)
	t.Cleanup(p.cdn.Close)
	var pages []string
	for _, s := range r.Scenarios {
		for _, e := range s.Exchanges {
			if e.Status == 200 || e.Status == 302 {
				p.common[e.Request] = e
			}
			if s.Name == "tree_pages" && strings.Contains(e.Request, "/tree/") {
				pages = append(pages, strings.Trim(e.Body, "[]"))
			}
		}
	}
	p.tree = "[" + strings.Join(pages, ",") + "]"
	return p
}

func (p *replay) play(s scenario) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.queue, p.last, p.requests = map[string][]exchange{}, map[string]exchange{}, nil
	for _, e := range s.Exchanges {
		p.queue[e.Request] = append(p.queue[e.Request], e)
	}
}

func (p *replay) handler(host string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		key := r.Method + " " + host + " " + r.URL.RequestURI()
		p.mu.Lock()
		said := key
		if v := r.Header.Get("Range"); v != "" {
			said += " " + v
		}
		if r.Header.Get("Authorization") == "Bearer hf_secret" {
			said += " token"
		}
		p.requests = append(p.requests, said)
		e, ok := p.last[key]
		if q := p.queue[key]; len(q) > 0 {
			e, ok = q[0], true
			p.queue[key], p.last[key] = q[1:], e
		}
		if !ok {
			e, ok = p.common[key]
		}
		p.mu.Unlock()
		if !ok {
			p.t.Errorf("a request that was not recorded: %s", key)
			w.WriteHeader(http.StatusTeapot)
			return
		}
		for k, v := range e.Headers {
			w.Header().Set(k, strings.NewReplacer("$HUB", p.hub.URL, "$CDN", p.cdn.URL).Replace(v))
		}
		body := p.body(e)
		w.Header().Set("Content-Length", fmt.Sprint(len(body)))
		var from int
		if n, _ := fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-", &from); n == 1 && e.Status == 200 && from < len(body) {
			w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, len(body)-1, len(body)))
			w.Header().Set("Content-Length", fmt.Sprint(len(body)-from))
			e.Status, body = http.StatusPartialContent, body[from:]
		}
		w.WriteHeader(e.Status)
		if r.Method == http.MethodHead {
			return
		}
		if e.Cut > 0 && e.Cut < len(body) {
			w.Write(body[:e.Cut])
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler) // the connection breaks
		}
		w.Write(body)
	}
}

func (p *replay) body(e exchange) []byte {
	switch {
	case e.Headers["Content-Encoding"] == "gzip":
		var b bytes.Buffer
		z := gzip.NewWriter(&b)
		z.Write([]byte("{\"model_type\": \"clip\"}\n"))
		z.Close()
		return b.Bytes()
	case e.Body != "":
		return []byte(e.Body)
	case strings.Contains(e.Request, "/tree/"):
		return []byte(p.tree)
	}
	b := modelBin(e.Length)
	if strings.Contains(e.Request, "wronghash") {
		b[len(b)/2]++
	}
	return b
}

// client is one as the environment wants it, that neither waits nor reads the clock. slept is what it would have waited.
func (p *replay) client(cache string, env map[string]string) (c *Client, notes *[]string, slept *[]time.Duration) {
	p.t.Helper()
	all := map[string]string{"HF_HOME": cache, "HOME": cache, "HF_ENDPOINT": p.hub.URL, "HF_HUB_DISABLE_IMPLICIT_TOKEN": "1"}
	for k, v := range env {
		all[k] = v
	}
	c, err := FromEnvironment(func(k string) (string, bool) { v, ok := all[k]; return v, ok })
	if err != nil {
		p.t.Fatal(err)
	}
	notes, slept = new([]string), new([]time.Duration)
	quiet(c, notes, slept)
	return c, notes, slept
}

func quiet(c *Client, notes *[]string, slept *[]time.Duration) {
	c.Note = func(s string) { *notes = append(*notes, s) }
	c.sleep = func(ctx context.Context, d time.Duration) error { *slept = append(*slept, d); return ctx.Err() }
	c.now = func() time.Time { return time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC) }
	c.after = func(time.Duration, func()) timer { return never{} }
}

// never is a timer that does not fire.
type never struct{}

func (never) Reset(time.Duration) bool { return true }
func (never) Stop() bool               { return true }

// tree lists a cache as the recording does, without locks, the tag and the sizes of listings.
func tree(t *testing.T, root string) []string {
	t.Helper()
	out := []string{}
	err := filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		rel := filepath.ToSlash(strings.TrimPrefix(strings.TrimPrefix(p, root), string(filepath.Separator)))
		switch {
		case err != nil:
			return err
		case rel == ".locks":
			return fs.SkipDir
		case d.IsDir() || rel == "CACHEDIR.TAG":
			return nil
		case d.Type()&fs.ModeSymlink != 0:
			to, err := os.Readlink(p)
			out = append(out, rel+" -> "+filepath.ToSlash(to))
			return err
		}
		st, err := d.Info()
		if err != nil {
			return err
		}
		line := fmt.Sprint(rel, " ", st.Size())
		if strings.Contains(rel, "/refs/") {
			b, err := os.ReadFile(p)
			if err != nil {
				return err
			}
			line += fmt.Sprintf(" '%s'", b)
		}
		out = append(out, shortTree(line))
		return nil
	})
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	slices.Sort(out)
	return out
}

func shortTree(line string) string {
	if at := strings.Index(line, "/trees/"); at >= 0 {
		line, _, _ = strings.Cut(line, " ")
	}
	return line
}

// prepared is what was in some caches before.
func prepare(t *testing.T, name, hub string) {
	t.Helper()
	repo := filepath.Join(hub, "models--acme--tiny")
	put := func(name, content string) {
		t.Helper()
		if err := replace(filepath.Join(repo, filepath.FromSlash(name)), []byte(content)); err != nil {
			t.Fatal(err)
		}
	}
	const etag = "5a67e7e545f6c42a3662c41aa6e0ede53d2a9011915681169310b402a518bf24"
	snapshot := "snapshots/" + commitA + "/"
	switch {
	case name == "stale_incomplete":
		put("blobs/"+etag+".incomplete", string(modelBin(1000)))
	case name == "existing_blob_truncated":
		put("blobs/"+etag, "truncated")
	case name == "dangling_pointer":
		put(snapshot+"x", "")
		os.Remove(filepath.Join(repo, filepath.FromSlash(snapshot+"x")))
		if err := os.Symlink("../../blobs/"+etag, filepath.Join(repo, filepath.FromSlash(snapshot+"model.bin"))); err != nil {
			t.Skip(err)
		}
	case strings.HasPrefix(name, "hand_"), strings.HasPrefix(name, "tree_cache_"):
		ref := commitA
		if name == "hand_ref_newline" {
			ref += "\n"
		}
		put("refs/main", ref)
		put(snapshot+"config.json", "{\"model_type\": \"clip\"}\n")
		switch name {
		case "tree_cache_corrupt_offline":
			put("trees/"+commitA+".json", "{")
		case "tree_cache_incomplete_offline":
			put("trees/"+commitA+".json", `{"format_version":1,"files":{"config.json":{"size":23,"blob_id":"9dd700276d7d6bab7c4bd98be3471263188ca9a3"},`+
				`"model.bin":{"size":300000,"blob_id":"92c1b194a288f7fd223929d98140d0337823657a"}}}`)
		}
	}
}

// A difference is where this client does not do what Python did, with the reason.
type difference struct {
	why      string
	failed   bool
	requests []string       // in place of the recorded
	repeat   map[string]int // so many requests more of a kind
	after    func([]string) []string
}

const (
	headModel = "HEAD hub /acme/%s/resolve/main/model.bin"
	getModel  = "GET cdn /blob/acme/%s/model.bin?sig=1"
)

func nothing([]string) []string { return []string{} }

// without leaves out lines that contain a word.
func without(word string) func([]string) []string {
	return func(lines []string) []string {
		return slices.DeleteFunc(slices.Clone(lines), func(l string) bool { return strings.Contains(l, word) })
	}
}

func requests(name string, formats ...string) (out []string) {
	for _, f := range formats {
		out = append(out, strings.Replace(f, "%s", name, 1))
	}
	return out
}

var differences = map[string]difference{
	"get_500": {why: "5xx on content is tried again; a failure leaves no ref", failed: true, after: nothing,
		repeat: map[string]int{strings.Replace(getModel, "%s", "get500", 1): 5}},
	"short_body":        {why: "a failure leaves no ref", failed: true, after: nothing},
	"wrong_hash":        {why: "the hash is checked", failed: true, after: nothing},
	"no_linked_headers": {why: "what has no hash cannot be checked", failed: true, requests: requests("nolinked", headModel), after: nothing},
	"snap_503_api_cold": {why: "503 is tried again", failed: true, repeat: map[string]int{"GET hub /api/models/acme/h503api/revision/main": 5}},
	"api_429":           {why: "429 is tried again", failed: true, repeat: map[string]int{"GET hub /api/models/acme/api429/revision/main": 5}},
	"snap_503_warm":     {why: "what the cache cannot answer is tried again", failed: true, repeat: map[string]int{"GET hub /api/models/acme/later503/revision/main": 5}},
	"hand_ref_newline":  {why: "a newline at the end of a ref does no harm here"},
	"cut_small":         {why: "it goes on where it was cut, by bytes", requests: requests("cut", headModel, getModel, getModel+" bytes=100000-", getModel+" bytes=200000-")},
	"stale_incomplete":  {why: "what an earlier call left is continued", requests: requests("tiny", headModel, getModel+" bytes=1000-"), after: without(".incomplete")},
	"existing_blob_truncated": {why: "a blob of another length is fetched again", requests: requests("tiny", headModel, getModel),
		after: func(l []string) []string {
			return strings.Split(strings.Replace(strings.Join(l, "\n"), "bf24 9\n", "bf24 300000\n", 1), "\n")
		}},
}

func TestTranscripts(t *testing.T) {
	rec := readRecording(t)
	p := newReplay(t, rec)
	caches := map[string]string{}
	for _, s := range rec.Scenarios {
		cache, ok := caches[s.Cache]
		if !ok {
			cache = t.TempDir()
			caches[s.Cache] = cache
			prepare(t, s.Name, filepath.Join(cache, "hub"))
		}
		t.Run(s.Name, func(t *testing.T) {
			p.play(s)
			c, notes, _ := p.client(cache, s.Environment)
			var err error
			var snapshot bool
			for _, call := range s.Calls {
				var path string
				if call.File != "" {
					path, err = c.File(t.Context(), call.Repo, call.Revision, call.File)
				} else {
					snapshot = true
					path, _, err = c.Snapshot(t.Context(), call.Repo, call.Revision, matching(call.Allow))
				}
				if err == nil {
					if _, err := os.Stat(path); err != nil {
						t.Error(err)
					}
				} else {
					t.Log(err)
				}
			}
			d, differs := differences[s.Name]
			want := wantedRequests(s)
			if !differs {
				d.failed = s.Failed
			}
			if d.requests != nil {
				want = d.requests
			}
			for r, n := range d.repeat {
				want = append(want, slices.Repeat([]string{r}, n)...)
			}
			if (err != nil) != d.failed {
				t.Errorf("error %v, want failure %v", err, d.failed)
			}
			got := p.requests
			if snapshot {
				slices.Sort(got)
				slices.Sort(want)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("requests (-recorded +ours):\n%s", diff)
			}
			after := slices.Clone(s.CacheAfter)
			for i := range after {
				after[i] = shortTree(after[i])
			}
			if d.after != nil {
				after = d.after(after)
			}
			slices.Sort(after)
			if diff := cmp.Diff(after, tree(t, filepath.Join(cache, "hub"))); diff != "" {
				t.Errorf("cache (-recorded +ours):\n%s", diff)
			}
			if strings.Contains(s.Name, "_warm") && strings.HasPrefix(s.Name, "head_") && err == nil && len(*notes) == 0 {
				t.Error("the cache answered in place of the network without a word")
			}
			if err != nil && strings.Contains(err.Error(), "sig=") {
				t.Errorf("the message has a signature: %v", err)
			}
		})
	}
}

func wantedRequests(s scenario) (out []string) {
	for _, e := range s.Exchanges {
		line := e.Request
		if e.Range != "" {
			line += " " + e.Range
		}
		if e.Token {
			line += " token"
		}
		out = append(out, line)
	}
	return out
}

// matching chooses as allow_patterns does.
func matching(patterns []string) func([]File, func(string) bool) ([]string, error) {
	return func(all []File, _ func(string) bool) (out []string, _ error) {
		for _, f := range all {
			if slices.ContainsFunc(patterns, func(p string) bool {
				ok, _ := path.Match(strings.ReplaceAll(p, "/", "\x00"), strings.ReplaceAll(f.Path, "/", "\x00"))
				return ok
			}) {
				out = append(out, f.Path)
			}
		}
		return out, nil
	}
}

// TestEnvironment reads the variables as Python was seen to; set and empty is the one difference.
func TestEnvironment(t *testing.T) {
	for _, e := range readRecording(t).Environments {
		f := strings.Fields(e.Constants) // cache, token's file, scheme, offline, time-outs
		home := false
		for _, k := range []string{"HF_HOME", "HF_HUB_CACHE", "HF_ENDPOINT"} {
			if v, ok := e.Env[k]; ok && v == "" {
				home = true // Python takes the empty string
			}
		}
		env := map[string]string{"HOME": "/home/user"}
		for k, v := range e.Env {
			env[k] = v
		}
		c, err := FromEnvironment(func(k string) (string, bool) { v, ok := env[k]; return v, ok })
		if err != nil {
			t.Errorf("%v: %v", e.Env, err)
			continue
		}
		if home {
			if !filepath.IsAbs(c.Cache) || c.Endpoint.String() != DefaultEndpoint {
				t.Errorf("%v: cache %q, endpoint %v", e.Env, c.Cache, c.Endpoint)
			}
			continue
		}
		endpoint := DefaultEndpoint
		if v := e.Env["HF_ENDPOINT"]; v != "" {
			endpoint = strings.TrimRight(v, "/")
		}
		offline := map[bool]string{true: "True", false: "False"}[c.Offline]
		got := []string{filepath.ToSlash(c.Cache), offline, fmt.Sprint(c.answerWithin.Seconds()), fmt.Sprint(c.readWithin.Seconds()), c.Endpoint.String()}
		want := []string{strings.Replace(f[0], "$HOME", "/home/user", 1), f[3], f[4], f[5], endpoint}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%v:\n%s", e.Env, diff)
		}
	}
}

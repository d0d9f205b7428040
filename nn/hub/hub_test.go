package hub

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// A liar is a hub of one repository, a/b, whose answers a test bends.
type liar struct {
	files   map[string][]byte
	head    func(w http.ResponseWriter, file string) bool // true: it has answered
	content func(w http.ResponseWriter, r *http.Request, file string) bool
	list    func(page int) (body, next string)
	count   atomic.Int32
	tokens  atomic.Int32
}

func (l *liar) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	l.count.Add(1)
	if r.Header.Get("Authorization") != "" {
		l.tokens.Add(1)
	}
	switch {
	case r.URL.Path == "/api/models/a/b/revision/main":
		fmt.Fprintf(w, `{"id":"a/b","modelId":"a/b","sha":%q,"private":false,"tags":[],"downloads":0,"likes":0,"siblings":[]}`, commitA)
	case strings.HasPrefix(r.URL.Path, "/api/models/a/b/tree/"):
		var page int
		fmt.Sscanf(r.URL.Query().Get("cursor"), "%d", &page)
		body, next := l.listing(), ""
		if l.list != nil {
			body, next = l.list(page)
		}
		if next != "" {
			w.Header().Set("Link", "<"+next+`>; rel="next"`)
		}
		io.WriteString(w, body)
	default:
		_, file, _ := strings.Cut(r.URL.Path, "/resolve/")
		_, file, _ = strings.Cut(file, "/")
		if r.Method == http.MethodHead {
			if l.head == nil || !l.head(w, file) {
				l.announce(w, file)
			}
			return
		}
		if l.content == nil || !l.content(w, r, file) {
			http.ServeContent(w, r, "", time.Time{}, strings.NewReader(string(l.files[file])))
		}
	}
}

func (l *liar) announce(w http.ResponseWriter, file string) {
	w.Header().Set("X-Repo-Commit", commitA)
	w.Header().Set("X-Linked-Etag", `"`+hashOf(l.files[file])+`"`)
	w.Header().Set("X-Linked-Size", fmt.Sprint(len(l.files[file])))
}

func hashOf(b []byte) string {
	h := sha256.Sum256(b)
	return hex.EncodeToString(h[:])
}

func listed(path string, content []byte) map[string]any {
	return map[string]any{"type": "file", "path": path, "oid": strings.Repeat("0", 40), "size": 130,
		"lfs": map[string]any{"oid": hashOf(content), "size": len(content), "pointerSize": 130}}
}

func (l *liar) listing() string {
	var all []any
	for name, b := range l.files {
		all = append(all, listed(name, b))
	}
	b, _ := json.Marshal(all)
	return string(b)
}

// open starts the hub and a client of it.
func (l *liar) open(t *testing.T) (c *Client, notes *[]string, slept *[]time.Duration) {
	t.Helper()
	s := httptest.NewServer(l)
	t.Cleanup(s.Close)
	u, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	c = New(u, filepath.Join(t.TempDir(), "hub"))
	notes, slept = new([]string), new([]time.Duration)
	quiet(c, notes, slept)
	c.maxJSON = 1 << 16
	return c, notes, slept
}

func model() map[string][]byte {
	return map[string][]byte{"config.json": []byte("{}"), "model.safetensors": modelBin(5000), "merges.txt": []byte("#version"),
		"vocab.json": []byte("{}"), "tf_model.h5": modelBin(9000), "README.md": []byte("#")}
}

func TestModel(t *testing.T) {
	l := &liar{files: model()}
	c, notes, _ := l.open(t)
	var what string
	var size, came int64
	c.Begin = func(w string, n int64) { what, size = w, n }
	c.Advance = func(n int64) { came += n }
	dir, err := c.Model(t.Context(), Name{Repo: "a/b", Revision: "main"})
	if err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range entries {
		got = append(got, e.Name())
	}
	if diff := cmp.Diff([]string{"config.json", "merges.txt", "model.safetensors", "vocab.json"}, got); diff != "" {
		t.Error(diff)
	}
	if want := int64(2 + 5000 + 8 + 2); what != "a/b" || size != want || came != want {
		t.Errorf("told of %q, %d bytes, of which %d came; want %d", what, size, came, want)
	}
	// From now on: one question, or none without a network; and the hub's own word that it cannot answer.
	l.count.Store(0)
	if again, err := c.Model(t.Context(), Name{Repo: "a/b", Revision: "main"}); err != nil || again != dir || l.count.Load() != 1 {
		t.Errorf("%s, %v after %d requests", again, err, l.count.Load())
	}
	c.Offline = true
	if again, err := c.Model(t.Context(), Name{Repo: "a/b", Revision: "main"}); err != nil || again != dir || l.count.Load() != 1 {
		t.Errorf("%s, %v after %d requests", again, err, l.count.Load())
	}
	c.Offline = false
	c.Endpoint, _ = url.Parse("http://127.0.0.1:1")
	if again, err := c.Model(t.Context(), Name{Repo: "a/b", Revision: "main"}); err != nil || again != dir || len(*notes) != 1 {
		t.Errorf("%s, %v; said %q", again, err, *notes)
	}
}

func TestModelFiles(t *testing.T) {
	for _, c := range []struct {
		name        string
		all, cached string
		openCLIP    bool
		want        string
	}{
		{"transformers", "README.md config.json flax_model.msgpack merges.txt model.safetensors pytorch_model.bin vocab.json", "", false, "config.json model.safetensors vocab.json merges.txt"},
		{"a pickle alone", "config.json pytorch_model.bin", "", false, "config.json pytorch_model.bin"},
		{"shards", "config.json model-00001-of-00002.safetensors model-00002-of-00002.safetensors model.safetensors.index.json", "", false,
			"config.json model.safetensors.index.json model-00001-of-00002.safetensors model-00002-of-00002.safetensors"},
		{"both", "config.json model.safetensors open_clip_config.json open_clip_model.safetensors open_clip_pytorch_model.bin", "", false,
			"open_clip_config.json open_clip_model.safetensors"},
		{"both, one there", "config.json model.safetensors open_clip_config.json open_clip_model.safetensors", "config.json model.safetensors", false,
			"config.json model.safetensors open_clip_config.json"},
		{"hf-hub:", "config.json model.safetensors open_clip_config.json open_clip_pytorch_model.bin", "config.json model.safetensors", true,
			"open_clip_config.json open_clip_pytorch_model.bin"},
		{"hf-hub: of transformers' alone", "config.json model.safetensors", "", true, "config.json model.safetensors"},
		{"none", "config.json model.onnx README.md", "", false, ""},
	} {
		var all []File
		for _, p := range strings.Fields(c.all) {
			all = append(all, File{Path: p})
		}
		got, err := modelFiles(all, func(p string) bool { return slices.Contains(strings.Fields(c.cached), p) }, c.openCLIP)
		if strings.Join(got, " ") != c.want || (err != nil) != (c.want == "") {
			t.Errorf("%s: %v, %v; want %s", c.name, got, err, c.want)
		}
	}
}

func TestParseName(t *testing.T) {
	for s, want := range map[string]Name{
		"openai/clip-vit-base-patch16":                 {Repo: "openai/clip-vit-base-patch16", Revision: "main"},
		"hf-hub:laion/CLIP-ViT-B-32-laion2B-s34B-b79K": {Repo: "laion/CLIP-ViT-B-32-laion2B-s34B-b79K", Revision: "main", OpenCLIP: true},
		"a/b@refs/pr/1":                                {Repo: "a/b", Revision: "refs/pr/1"},
		"ViT-B/16":                                     {OpenAI: "ViT-B/16"},
		"ViT-L/14@336px":                               {OpenAI: "ViT-L/14@336px"},
	} {
		if got, ok, err := ParseName(s); !ok || err != nil || got != want {
			t.Errorf("%s: %+v, %v, %v", s, got, ok, err)
		}
	}
	for _, s := range []string{"", "clip.pt", "models/clip.pt", "a/b.safetensors", "./a/b", "/a/b", "../b", "a/b/c", `a\b`, "~/b", "a/b@../c", "a--b/c", "a/b.git", "embedded"} {
		if got, ok, err := ParseName(s); ok || err != nil {
			t.Errorf("%s: %+v, %v, %v; want a path", s, got, ok, err)
		}
	}
	for _, s := range []string{"hf-hub:", "hf-hub:x", "hf-hub:a/b/c", "hf-hub:a/b@"} {
		if _, ok, err := ParseName(s); ok || err == nil {
			t.Errorf("%s passes", s)
		}
	}
}

// TestLies has a hub that contradicts itself in every way, and looks for what that leaves in the cache.
func TestLies(t *testing.T) {
	answer := func(status int, headers ...string) func(w http.ResponseWriter, file string) bool {
		return func(w http.ResponseWriter, file string) bool {
			for i := 0; i < len(headers); i += 2 {
				w.Header().Set(headers[i], headers[i+1])
			}
			w.WriteHeader(status)
			return true
		}
	}
	page := func(paths ...string) func(int) (string, string) {
		return func(int) (string, string) {
			all := []any{listed("config.json", []byte("{}")), listed("model.safetensors", nil)}
			for _, p := range paths {
				all = append(all, listed(p, nil))
			}
			b, _ := json.Marshal(all)
			return string(b), ""
		}
	}
	send := func(change func([]byte) []byte) func(http.ResponseWriter, *http.Request, string) bool {
		return func(w http.ResponseWriter, r *http.Request, file string) bool {
			w.Write(change(modelBin(5000)))
			return true
		}
	}
	for name, l := range map[string]*liar{
		"content longer":  {content: send(func(b []byte) []byte { return append(b, 1) })},
		"content shorter": {content: send(func(b []byte) []byte { return b[:4000] })},
		"content other":   {content: send(func(b []byte) []byte { b[77]++; return b })},
		"content of no length, longer": {content: func(w http.ResponseWriter, r *http.Request, _ string) bool {
			w.(http.Flusher).Flush() // chunked
			w.Write(modelBin(5001))
			return true
		}},
		"content of no length, endless": {content: func(w http.ResponseWriter, r *http.Request, _ string) bool {
			for range 1000 {
				if _, err := w.Write(make([]byte, 1<<16)); err != nil {
					return true
				}
			}
			return true
		}},
		"content encoded unasked": {content: func(w http.ResponseWriter, r *http.Request, _ string) bool {
			w.Header().Set("Content-Encoding", "br")
			w.Write(modelBin(5000))
			return true
		}},
		"another length than listed": {head: answer(200, "X-Repo-Commit", commitA, "X-Linked-Etag", hashOf(modelBin(5000)), "X-Linked-Size", "4999")},
		"another hash than listed":   {head: answer(200, "X-Repo-Commit", commitA, "X-Linked-Etag", hashOf(nil), "X-Linked-Size", "5000")},
		"another commit":             {head: answer(200, "X-Repo-Commit", strings.Repeat("b", 40), "X-Linked-Etag", hashOf(modelBin(5000)), "X-Linked-Size", "5000")},
		"etag is a path":             {head: answer(200, "X-Repo-Commit", commitA, "X-Linked-Etag", `"../../../evil"`, "X-Linked-Size", "5000")},
		"length is negative":         {head: answer(200, "X-Repo-Commit", commitA, "X-Linked-Etag", hashOf(modelBin(5000)), "X-Linked-Size", "-1")},
		"redirects for ever":         {head: answer(307, "Location", "/a/b/resolve/main/config.json")},
		"redirect to a file":         {head: answer(302, "Location", "file:///etc/passwd")},
		"redirect to nowhere":        {head: answer(302)},
		"path in a name":             {list: page("../../evil")},
		"absolute name":              {list: page("/etc/evil")},
		"drive in a name":            {list: page("C:evil")},
		"backslash in a name":        {list: page(`..\evil`)},
		"newline in a name":          {list: page("a\nb")},
		"listed twice":               {list: page("config.json")},
		"listing is no JSON":         {list: func(int) (string, string) { return "<html>", "" }},
		"listing without end": {list: func(n int) (string, string) {
			return "[]", fmt.Sprintf("/api/models/a/b/tree/%s?cursor=%d", commitA, n+1)
		}},
		"listing continues elsewhere": {list: func(n int) (string, string) { return "[]", "http://127.0.0.1:1/api" }},
		"hash in the listing": {list: func(int) (string, string) {
			return `[{"type":"file","path":"config.json","oid":"../x","size":3}]`, ""
		}},
		"size in the listing": {list: func(int) (string, string) {
			return `[{"type":"file","path":"config.json","oid":"` + strings.Repeat("a", 40) + `","size":-3}]`, ""
		}},
		"listing is huge": {list: func(n int) (string, string) { return "[" + strings.Repeat(" ", 1<<16) + "]", "" }},
	} {
		t.Run(name, func(t *testing.T) {
			l.files = map[string][]byte{"model.safetensors": modelBin(5000), "config.json": []byte("{}")}
			// What is told of config.json is true, so that the lie is about a file of which others are there.
			if lieAbout, send := l.head, l.content; lieAbout != nil || send != nil {
				l.head = func(w http.ResponseWriter, file string) bool {
					return file != "config.json" && lieAbout != nil && lieAbout(w, file)
				}
				l.content = func(w http.ResponseWriter, r *http.Request, file string) bool {
					return file != "config.json" && send != nil && send(w, r, file)
				}
			}
			c, _, _ := l.open(t)
			_, err := c.Model(t.Context(), Name{Repo: "a/b", Revision: "main"})
			if err == nil {
				t.Fatal("believed")
			}
			t.Log(err)
			if got := l.count.Load(); got > 3*maxPages {
				t.Errorf("%d requests", got)
			}
			for _, line := range tree(t, c.Cache) {
				// config.json came first and was true; it makes no model.
				if !strings.Contains(line, hashOf([]byte("{}"))) {
					t.Errorf("left behind: %s", line)
				}
			}
			c.Offline = true
			if dir, err := c.Model(t.Context(), Name{Repo: "a/b", Revision: "main"}); err == nil {
				t.Errorf("%s opens afterwards", dir)
			}
		})
	}
}

// TestToken: the endpoint gets it, a file host and a redirect's target do not, and no message has it.
func TestToken(t *testing.T) {
	host := &liar{files: model()}
	other := httptest.NewServer(host)
	defer other.Close()
	l := &liar{files: model()}
	l.head = func(w http.ResponseWriter, file string) bool {
		if file == "config.json" {
			return false
		}
		l.announce(w, file)
		w.Header().Set("Location", other.URL+"/x/resolve/main/"+file+"?X-Signature=hidden")
		w.WriteHeader(http.StatusFound)
		return true
	}
	l.content = func(w http.ResponseWriter, r *http.Request, file string) bool {
		http.Redirect(w, r, other.URL+"/x/resolve/main/"+file+"?X-Signature=hidden", http.StatusFound)
		return true
	}
	c, notes, _ := l.open(t)
	c.token = "hf_verysecret"
	if _, err := c.Model(t.Context(), Name{Repo: "a/b", Revision: "main"}); err != nil {
		t.Fatal(err)
	}
	if l.tokens.Load() != l.count.Load() || l.tokens.Load() == 0 || host.tokens.Load() != 0 || host.count.Load() == 0 {
		t.Errorf("the hub saw %d tokens in %d requests, the file host %d in %d", l.tokens.Load(), l.count.Load(), host.tokens.Load(), host.count.Load())
	}
	host.content = func(w http.ResponseWriter, r *http.Request, file string) bool { w.WriteHeader(500); return true }
	c.Cache = t.TempDir()
	_, err := c.Model(t.Context(), Name{Repo: "a/b", Revision: "main"})
	said := fmt.Sprintf("%v %q %+v %#v", err, *notes, c.token, c.token)
	if err == nil || strings.Contains(said, "verysecret") || strings.Contains(said, "hidden") {
		t.Errorf("%s", said)
	}
}

// TestRetryAfter: the first demand counts, in seconds or as a date; one that is too long is passed on.
func TestRetryAfter(t *testing.T) {
	for _, c := range []struct {
		header, value string
		want          time.Duration
	}{
		{"Retry-After", "7", 7 * time.Second},
		{"Retry-After", "Sun, 29 Nov 2026 12:00:42 GMT", 42 * time.Second},
		{"Retry-After", "Wed, 21 Oct 2015 07:28:00 GMT", time.Second},
		{"RateLimit", `"api";r=0;t=55`, 55 * time.Second},
		{"RateLimit", `"api";r=3;t=55`, time.Second},
		{"Retry-After", "soon", time.Second},
		{"Retry-After", "86400", 0},
	} {
		l := &liar{files: model()}
		first := true
		l.head = func(w http.ResponseWriter, file string) bool {
			if !first {
				return false
			}
			first = false
			w.Header().Set(c.header, c.value)
			w.WriteHeader(http.StatusTooManyRequests)
			return true
		}
		client, _, slept := l.open(t)
		_, err := client.File(t.Context(), "a/b", "main", "config.json")
		if c.want == 0 {
			if err == nil || !strings.Contains(err.Error(), "24h0m0s") {
				t.Errorf("%s: %v", c.value, err)
			}
			continue
		}
		if err != nil || !slices.Equal(*slept, []time.Duration{c.want}) {
			t.Errorf("%s %s: waited %v, %v; want %v", c.header, c.value, *slept, err, c.want)
		}
	}
}

// TestUnreached: what is not there is not waited for, and what may be again is, for as long as the Python library does.
func TestUnreached(t *testing.T) {
	seconds := func(n ...time.Duration) (d []time.Duration) {
		for _, s := range n {
			d = append(d, s*time.Second)
		}
		return d
	}
	for _, c := range []struct {
		err  error
		want []time.Duration
	}{
		{&net.DNSError{Err: "no such host", IsNotFound: true}, nil},
		{&net.DNSError{Err: "i/o timeout", IsTimeout: true, IsTemporary: true}, nil},
		{&net.DNSError{Err: "server misbehaving", IsTemporary: true}, seconds(1)},
		{&net.DNSError{Err: "connection refused"}, seconds(1)},
		{&net.OpError{Op: "dial", Err: errors.New("connection refused")}, seconds(1, 2, 4, 8, 8)},
	} {
		client, _, slept := (&liar{files: model()}).open(t)
		client.http.Transport.(*http.Transport).DialContext = func(context.Context, string, string) (net.Conn, error) { return nil, c.err }
		if _, _, err := client.Snapshot(t.Context(), "a/b", "main", nil); !errors.Is(err, c.err) || !slices.Equal(*slept, c.want) {
			t.Errorf("%v: %v after waiting %v, want %v", c.err, err, *slept, c.want)
		}
	}
}

// TestResume interrupts a download, and goes on at the byte in another call.
func TestResume(t *testing.T) {
	l := &liar{files: model()}
	var ranges []string
	ctx, cancel := context.WithCancel(t.Context())
	cut := true
	l.content = func(w http.ResponseWriter, r *http.Request, file string) bool {
		ranges = append(ranges, r.Header.Get("Range"))
		if !cut {
			return false
		}
		w.Header().Set("Content-Length", "5000")
		w.Write(modelBin(5000)[:1234])
		w.(http.Flusher).Flush()
		<-r.Context().Done() // the client gives up
		return true
	}
	c, _, _ := l.open(t)
	c.Advance = func(n int64) {
		if n == 1234 {
			cancel()
		}
	}
	if _, err := c.File(ctx, "a/b", "main", "model.safetensors"); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	c.Advance, cut = nil, false
	p, err := c.File(t.Context(), "a/b", "main", "model.safetensors")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"", "bytes=1234-"}, ranges); diff != "" {
		t.Error(diff)
	}
	if b, err := os.ReadFile(p); err != nil || hashOf(b) != hashOf(modelBin(5000)) {
		t.Error("wrong content", err)
	}
	// What was left may be of anything: the hash finds that, and all of it comes again.
	if err := os.RemoveAll(c.Cache); err != nil {
		t.Fatal(err)
	}
	blob := filepath.Join(c.Cache, "models--a--b", "blobs", hashOf(modelBin(5000)))
	if err := replace(blob+incompleteSuffix, []byte("something else")); err != nil {
		t.Fatal(err)
	}
	ranges = nil
	if p, err = c.File(t.Context(), "a/b", "main", "model.safetensors"); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"bytes=14-", ""}, ranges); diff != "" {
		t.Error(diff)
	}
	if b, err := os.ReadFile(p); err != nil || hashOf(b) != hashOf(modelBin(5000)) {
		t.Error("wrong content", err)
	}
}

// TestStall: what sends nothing is left and asked again for the rest.
func TestStall(t *testing.T) {
	l := &liar{files: model()}
	var c *Client
	stalled := make(chan struct{})
	first := true
	l.content = func(w http.ResponseWriter, r *http.Request, file string) bool {
		if !first {
			return false
		}
		first = false
		w.Header().Set("Content-Length", "5000")
		w.Write(modelBin(5000)[:2000])
		w.(http.Flusher).Flush()
		close(stalled)
		<-r.Context().Done()
		return true
	}
	c, notes, _ := l.open(t)
	c.after = func(d time.Duration, f func()) timer {
		if d == c.readWithin {
			go func() { <-stalled; f() }() // the time is up once the server has sent all that it will
		}
		return never{}
	}
	c.readWithin++ // to be told from the wait for an answer
	if _, err := c.File(t.Context(), "a/b", "main", "model.safetensors"); err != nil {
		t.Fatal(err)
	}
	if len(*notes) == 0 {
		t.Error("not a word")
	}
}

// TestLockWaits: a file that another program is fetching is waited for, and not fetched again.
func TestLockWaits(t *testing.T) {
	l := &liar{files: model()}
	c, notes, _ := l.open(t)
	sum := hashOf(l.files["config.json"])
	unlock, locked, err := c.lock(t.Context(), "a/b", sum)
	if err != nil || !locked {
		t.Skip("no locks here", err)
	}
	other := *c
	l.content = func(http.ResponseWriter, *http.Request, string) bool {
		t.Error("fetched though another did")
		return false
	}
	other.sleep = func(context.Context, time.Duration) error { // meanwhile the other is done
		if err := replace(filepath.Join(c.folder("a/b"), "blobs", sum), l.files["config.json"]); err != nil {
			t.Error(err)
		}
		unlock()
		return nil
	}
	if _, err := other.File(t.Context(), "a/b", "main", "config.json"); err != nil {
		t.Fatal(err)
	}
	if len(*notes) != 1 || !strings.Contains((*notes)[0], "another program") {
		t.Errorf("%q", *notes)
	}
}

// TestSharedStore: a blob that is a link into the store which repositories share is read through, and one that leads
// nowhere is replaced without touching what it named.
func TestSharedStore(t *testing.T) {
	l := &liar{files: model()}
	c, _, _ := l.open(t)
	content := l.files["model.safetensors"]
	blob := filepath.Join(c.folder("a/b"), "blobs", hashOf(content))
	payload := filepath.Join(c.Cache, "blobs", "ab", "abcd")
	if err := errors.Join(replace(payload, content), os.Chmod(payload, 0o444), os.MkdirAll(filepath.Dir(blob), 0o777)); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Join("..", "..", "blobs", "ab", "abcd"), blob); err != nil {
		t.Skip(err)
	}
	l.content = func(w http.ResponseWriter, r *http.Request, file string) bool { t.Error("fetched"); return false }
	p, err := c.File(t.Context(), "a/b", "main", "model.safetensors")
	if err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(p); err != nil || hashOf(b) != hashOf(content) {
		t.Error("wrong content", err)
	}
	if err := errors.Join(os.Remove(payload), os.WriteFile(payload, []byte("short"), 0o444)); err != nil {
		t.Fatal(err)
	}
	l.content = nil
	if _, err := c.File(t.Context(), "a/b", "main", "model.safetensors"); err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(payload); err != nil || string(b) != "short" {
		t.Errorf("the shared store was written through a link: %d bytes, %v", len(b), err)
	}
}

// TestNoExist: the record that there is no file goes when there is one.
func TestNoExist(t *testing.T) {
	l := &liar{files: model()}
	c, _, _ := l.open(t)
	record := c.missing("a/b", commitA, "config.json")
	if err := replace(record, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := c.File(t.Context(), "a/b", "main", "config.json"); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(record); !os.IsNotExist(err) {
		t.Error("still recorded as missing")
	}
}

func TestOpenAI(t *testing.T) {
	archive, vocabulary := modelBin(3000), []byte("not the vocabulary")
	var damaged bool
	mux := http.NewServeMux()
	mux.HandleFunc("/models/"+openAIModels["ViT-B/16"].sha256+"/ViT-B-16.pt", func(w http.ResponseWriter, r *http.Request) {
		http.ServeContent(w, r, "", time.Time{}, strings.NewReader(string(archive)))
	})
	mux.HandleFunc("/vocabulary", func(w http.ResponseWriter, r *http.Request) { w.Write(vocabulary) })
	s := httptest.NewServer(mux)
	defer s.Close()
	c := New(&url.URL{Scheme: "http", Host: "127.0.0.1:1"}, t.TempDir())
	c.openAIBase, c.vocabulary = s.URL+"/models", s.URL+"/vocabulary"
	var notes []string
	var slept []time.Duration
	quiet(c, &notes, &slept)
	_, err := c.Model(t.Context(), Name{OpenAI: "ViT-B/16"})
	if err == nil || !strings.Contains(err.Error(), "hash") {
		t.Fatalf("another archive than OpenAI's: %v", err)
	}
	if left := tree(t, c.OpenAICache); !slices.Equal(left, []string{"ViT-B-16.pt.lock 0"}) {
		t.Errorf("left behind: %q", left)
	}
	// The same road with a known hash.
	path := filepath.Join(c.OpenAICache, "x.pt")
	fetch := func() error {
		return c.archive(t.Context(), "x", path, c.openAIBase+"/"+openAIModels["ViT-B/16"].sha256+"/ViT-B-16.pt", hashOf(archive))
	}
	if err := fetch(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("damaged"), 0o666); err != nil {
		t.Fatal(err)
	}
	c.Note = func(string) { damaged = true }
	if err := fetch(); err != nil || !damaged || checkSHA256(path, hashOf(archive)) != nil {
		t.Error("a damaged archive stays", err)
	}
	c.Offline = true
	s.Close()
	if err := fetch(); err != nil {
		t.Error(err)
	}
}

func FuzzTree(f *testing.F) {
	f.Add([]byte(`[{"type":"file","oid":"9dd700276d7d6bab7c4bd98be3471263188ca9a3","size":23,"path":"a/config.json","lfs":{"oid":"x","size":1}}]`))
	f.Add([]byte(`[{"type":"file","oid":"9dd700276d7d6bab7c4bd98be3471263188ca9a3","size":23,"path":"../config.json"}]`))
	f.Fuzz(func(t *testing.T, b []byte) {
		files, err := parseTree(b)
		if err != nil {
			return
		}
		for _, f := range files {
			if !filepath.IsLocal(filepath.FromSlash(f.Path)) || !isHash(f.etag) || f.Size < 0 {
				t.Errorf("%+v", f)
			}
		}
	})
}

func FuzzHeaders(f *testing.F) {
	f.Add("bytes 1-2/3", "W/\"9dd700276d7d6bab7c4bd98be3471263188ca9a3\"", "23", `"api";r=0;t=5`, "openai/clip@main")
	f.Fuzz(func(t *testing.T, span, etag, size, rate, name string) {
		if start, total, ok := contentRange(span); ok && (start < 0 || total >= 0 && start >= total) {
			t.Error(span)
		}
		resp := &http.Response{Header: http.Header{"X-Repo-Commit": {commitA}, "Etag": {etag}, "Content-Length": {size}},
			Request: &http.Request{URL: &url.URL{}}}
		if h, err := readHead(resp, false); err == nil && (!isHash(h.etag) || h.size < 0 || h.size > maxFile) {
			t.Errorf("%+v", h)
		}
		c := &Client{now: func() time.Time { return time.Time{} }}
		if d := c.askedWait(http.Header{"Ratelimit": {rate}, "Retry-After": {size}}); d < 0 {
			t.Error(d)
		}
		if n, ok, err := ParseName(name); ok && (err != nil || n.OpenAI == "" && (!filepath.IsLocal(n.Revision) || strings.Count(n.Repo, "/") != 1)) {
			t.Errorf("%q: %+v", name, n)
		}
	})
}

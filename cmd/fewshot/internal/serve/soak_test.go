package serve

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// TestSoak sends a server what nobody should, over the loopback interface, while slow clients hold connections and others break them off:
//
//	FEWSHOT_SOAK=1000000 go test -run Soak -v -timeout 0 ./cmd/fewshot/internal/serve
//
// With FEWSHOT_SOAK_SEED, a number, they are others, so that several shorter ones are as good as a long one, but for memory.
// Nothing may end it, no answer may be a fault of the program, all places, bytes and connections are given back, and memory is what it was
// after the first tenth. Clients and server are one process, whose memory is told.
func TestSoak(t *testing.T) {
	n, _ := strconv.Atoi(os.Getenv("FEWSHOT_SOAK"))
	variant, _ := strconv.ParseUint(os.Getenv("FEWSHOT_SOAK_SEED"), 10, 64)
	if n == 0 {
		t.Skip("FEWSHOT_SOAK=1000000 sends as many requests")
	}
	var faults atomic.Int64
	s := unserved(t, func(c *Config, o *Options) {
		o.Control, o.Body, o.Bodies, o.Header, o.Request, o.Connections = true, 1<<18, 4<<20, 2*time.Second, 5*time.Second, 64
		c.Note = func(format string, a ...any) {
			if strings.Contains(format, "fault") {
				faults.Add(1)
				t.Errorf(format, a...)
			}
		}
	})
	server, end, ended := served(t, s)
	address := strings.TrimPrefix(server, "http://")
	seeds := soakSeeds(t)
	logits := func() string {
		r, err := http.Post("http://"+address+"/v2/models/m/infer", "", bytes.NewReader(oipJSON(picture(1))))
		if err != nil {
			t.Fatal(err)
		}
		defer r.Body.Close()
		b, _ := io.ReadAll(r.Body)
		return string(b)
	}
	want := logits()

	stop := make(chan struct{})
	var slow sync.WaitGroup
	for i := range 16 {
		slow.Go(func() { slowClient(address, i, stop) })
	}
	var sent, raw, broken atomic.Int64
	var mu sync.Mutex
	statuses := map[int]int{}
	var clients sync.WaitGroup
	var early, late int64
	for c := range 8 {
		clients.Go(func() {
			random := rand.New(rand.NewPCG(1+variant, uint64(c)))
			client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 1, DisableCompression: true}, Timeout: 30 * time.Second}
			defer client.CloseIdleConnections()
			for {
				i := sent.Add(1)
				if i > int64(n) {
					return
				}
				if c == 0 && early == 0 && i > int64(n)/10 {
					early = resident()
					t.Logf("after %d requests %d MiB", i, early>>20)
				}
				if i%100_000 == 0 {
					t.Logf("after %d requests %d MiB", i, resident()>>20)
				}
				if i%50 == 0 { // as no client of HTTP would
					rawClient(address, random, seeds)
					raw.Add(1)
					continue
				}
				r := seeds[random.IntN(len(seeds))].mutate(random, address)
				a, err := client.Do(r)
				if err != nil {
					broken.Add(1)
					continue
				}
				b, err := io.ReadAll(a.Body)
				a.Body.Close()
				if err != nil {
					broken.Add(1)
					continue
				}
				if kind := a.Header.Get("Content-Type"); kind == "application/json" && r.Method != "HEAD" && !json.Valid(b) {
					t.Errorf("%d %q is no JSON", a.StatusCode, b)
				}
				if a.StatusCode == 500 {
					t.Errorf("%s %s: 500 %s", r.Method, r.URL, b)
				}
				mu.Lock()
				statuses[a.StatusCode]++
				mu.Unlock()
			}
		})
	}
	clients.Wait()
	late = resident()
	close(stop)
	slow.Wait()
	if got := logits(); got != want {
		// Another request may have unloaded the task.
		if r, err := http.Post("http://"+address+"/v2/repository/models/m/load", "", nil); err == nil {
			r.Body.Close()
		}
		if got = logits(); got != want {
			t.Errorf("in the end %s, in the beginning %s", got, want)
		}
	}
	s.engine.mu.Lock()
	left := s.engine.queue.length()
	s.engine.mu.Unlock()
	t.Logf("%d requests, of which %d were no HTTP or broken off, and %d found the connection closed; answers by status %v",
		n, raw.Load(), broken.Load(), statuses)
	t.Logf("resident memory %d MiB after a tenth, %d MiB in the end; %d goroutines", early>>20, late>>20, runtime.NumGoroutine())
	if left != 0 || s.bodies.used.Load() != 0 || faults.Load() != 0 {
		t.Errorf("%d places and %d bytes are still taken, %d faults", left, s.bodies.used.Load(), faults.Load())
	}
	// A connection that the server closes, after a body that it does not read or one that was too slow, may have the next
	// request on it already. That is rare; a server that answers nobody would be, too, but for this.
	if broken.Load() > 10+int64(n)/1000 || statuses[http.StatusOK] < n/20 {
		t.Errorf("%d requests have no answer, and %d are answered", broken.Load(), statuses[http.StatusOK])
	}
	if early > 0 && late > early+early/4+(16<<20) {
		t.Errorf("memory grew from %d to %d bytes", early, late)
	}
	end()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// resident is the process's memory, where the system says it.
func resident() int64 {
	b, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(b))
	pages, _ := strconv.ParseInt(fields[1], 10, 64)
	return pages * int64(os.Getpagesize())
}

// seed is a request that others are made of.
type seed struct {
	method, path string
	header       map[string]string
	body         []byte
}

func soakSeeds(t *testing.T) (all []seed) {
	b, err := os.ReadFile("testdata/clients.json")
	if err != nil {
		t.Fatal(err)
	}
	var recorded []struct {
		Method, Path, Body string
		Headers            map[string]string
	}
	if err := json.Unmarshal(b, &recorded); err != nil {
		t.Fatal(err)
	}
	for _, r := range recorded {
		body, err := base64.StdEncoding.DecodeString(r.Body)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, seed{r.Method, r.Path, r.Headers, body})
	}
	for i := range 4 {
		bin, header := oipBinary(picture(i))
		var packed bytes.Buffer
		z := gzip.NewWriter(&packed)
		z.Write(bin)
		z.Close()
		length := map[string]string{"Inference-Header-Content-Length": strconv.Itoa(header)}
		all = append(all, seed{"POST", "/models/m", nil, picture(i)}, seed{"POST", "/models/m", nil, photo(60, 50, i)}, seed{"POST", "/compare/m", nil, picture(i)},
			seed{"POST", "/v2/models/m/infer", length, bin}, seed{"POST", "/v2/models/m/infer", nil, oipJSON(picture(i), picture(i+1))},
			seed{"POST", "/v2/models/m/infer", map[string]string{"Inference-Header-Content-Length": strconv.Itoa(header), "Content-Encoding": "gzip"}, packed.Bytes()})
	}
	for _, path := range []string{"/", "/tasks", "/metrics", "/healthz", "/readyz", "/page.js", "/nothing"} {
		all = append(all, seed{"GET", path, nil, nil})
	}
	return all
}

// mutate is the seed with one thing or several wrong, or none.
func (s seed) mutate(random *rand.Rand, address string) *http.Request {
	body, header, path, method := slices.Clone(s.body), map[string]string{}, s.path, s.method
	for k, v := range s.header {
		header[k] = v
	}
	for range random.IntN(4) {
		switch random.IntN(10) {
		case 0, 1, 2: // other bytes
			for range 1 + random.IntN(8) {
				if len(body) > 0 {
					body[random.IntN(len(body))] = byte(random.Uint32())
				}
			}
		case 3:
			body = body[:random.IntN(len(body)+1)]
		case 4: // a piece twice
			if len(body) > 0 {
				at := random.IntN(len(body))
				body = slices.Concat(body[:at], body[random.IntN(len(body)):])
			}
		case 5:
			body = append(body, bytes.Repeat([]byte{byte(random.Uint32())}, random.IntN(1<<12))...)
		case 6:
			header["Inference-Header-Content-Length"] = strconv.Itoa(random.IntN(len(body)+2) - 1)
		case 7:
			header["Content-Encoding"] = []string{"gzip", "deflate", "br", "identity"}[random.IntN(4)]
		case 8:
			path = []string{"/", "/models/m", "/models/clip", "/compare/m", "/v2/models/m/infer", "/v2/models/clip/infer", "/v2/models/%2e%2e/infer", "/models/m/../../etc/passwd",
				"/v2/repository/models/m/load", "/v2/repository/index", "//", "/v2/models/m/versions/1/infer"}[random.IntN(12)]
		case 9:
			method = []string{"GET", "POST", "PUT", "DELETE", "OPTIONS", "HEAD"}[random.IntN(6)]
		}
	}
	r, err := http.NewRequest(method, "http://"+address+path, bytes.NewReader(body))
	if err != nil {
		r, _ = http.NewRequest("GET", "http://"+address+"/", nil)
	}
	for k, v := range header {
		r.Header.Set(k, v)
	}
	return r
}

// rawClient sends what is no HTTP, or breaks off.
func rawClient(address string, random *rand.Rand, seeds []seed) {
	c, err := net.Dial("tcp", address)
	if err != nil {
		return
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	s := seeds[random.IntN(len(seeds))]
	text := fmt.Sprintf("%s %s HTTP/1.1\r\nHost: %s\r\nContent-Length: %d\r\n\r\n", s.method, s.path, address, len(s.body)+random.IntN(3)*1000)
	raw := append([]byte(text), s.body...)
	switch random.IntN(4) {
	case 0: // breaks off
		_, _ = c.Write(raw[:random.IntN(len(raw))])
		return
	case 1: // bytes
		for i := range raw {
			if random.IntN(4) == 0 {
				raw[i] = byte(random.Uint32())
			}
		}
	case 2: // a header without end
		raw = append(raw[:16], bytes.Repeat([]byte("x: yyyyyyyyyyyyyyyyyyyyyyyy\r\n"), 2000)...)
	}
	_, _ = c.Write(raw)
	if random.IntN(2) == 0 {
		_ = c.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
		_, _ = bufio.NewReader(c).ReadString('\n')
	}
}

// slowClient holds a connection: it sends a byte now and then, or announces what never comes.
func slowClient(address string, i int, stop <-chan struct{}) {
	for {
		c, err := net.Dial("tcp", address)
		if err != nil {
			return
		}
		fmt.Fprintf(c, "POST /models/m HTTP/1.1\r\nHost: %s\r\n", address)
		if i%2 == 0 {
			fmt.Fprintf(c, "Content-Length: 200000\r\n\r\n")
		}
		for err == nil {
			select {
			case <-stop:
				c.Close()
				return
			case <-time.After(100 * time.Millisecond):
			}
			_, err = c.Write([]byte("x"))
		}
		c.Close()
	}
}

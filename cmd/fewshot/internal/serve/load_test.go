package serve

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"math"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"fewshot/autograd"
	"fewshot/rmt/clip"
	"fewshot/tensor"
)

// BenchmarkServe compares what clients get with what the device can do: images a second of clients, each of which sends an image and waits
// for its answer over the loopback interface, beside those of batches of random numbers, as fewshot bench -only inference measures
// them, in turn. The server is a process of its own, so that its processor time is told apart from that of the clients; they, HTTP, decoding
// and the encoder share the processors.
//
//	go test -run - -bench Serve -benchtime 8000x ./cmd/fewshot/internal/serve
//	FEWSHOT_SERVE_MODEL=ViT-B-32.safetensors go test -run - -bench Serve -benchtime 300x ./cmd/fewshot/internal/serve
//
// FEWSHOT_SERVE_VOCAB is the vocabulary of a model that has none beside it, and FEWSHOT_SERVE_PROFILE the file for a profile of the server's time.
//
// Of the images' forms, small has the model's size, and photo is JPEG of 500 by 375 pixels. What has 32 in its name is of batches of 32 images; what
// has same, of as many as there are clients, which are the largest that a server can make of their requests.
func BenchmarkServe(b *testing.B) {
	dev, m := loadModel(b)
	mask := filepath.Join(b.TempDir(), "m.safetensors")
	saveMask(b, m, mask, 3, testClasses)
	size := m.Transform.Size
	for _, form := range []struct {
		name string
		w, h int
	}{{"small", size, size}, {"photo", 500, 375}} {
		for _, clients := range []int{1, 16} {
			b.Run(form.name+"/clients="+strconv.Itoa(clients), func(b *testing.B) {
				var images [][]byte
				for i := range 16 {
					images = append(images, photo(form.w, form.h, i))
				}
				load(b, dev, m, startProcess(b, mask), images, clients)
			})
		}
	}
}

// loadModel is the model that a benchmark is of.
func loadModel(t testing.TB) (*tensor.Device, *clip.Model) {
	dev, err := tensor.Open("cpu", tensor.Options{Strassen: tensor.StrassenPays()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { dev.Close() })
	path := os.Getenv("FEWSHOT_SERVE_MODEL")
	if path == "" {
		path = clip.Embedded
	}
	m, err := clip.Options{Path: path, Vocab: os.Getenv("FEWSHOT_SERVE_VOCAB")}.Open(dev)
	if err != nil {
		t.Fatal(err)
	}
	return dev, m
}

// process is a server that is another process.
type process struct {
	address string
	pid     int
}

// startProcess starts the test program anew, as a server of a mask as task m, which lives as long as its standard input.
func startProcess(b *testing.B, mask string) process {
	c := exec.Command(os.Args[0], "-test.run", "^TestServerProcess$")
	if path := os.Getenv("FEWSHOT_SERVE_PROFILE"); path != "" {
		c.Args = append(c.Args, "-test.cpuprofile", path)
	}
	c.Env = append(os.Environ(), "FEWSHOT_SERVE_MASK="+mask)
	c.Stderr = os.Stderr
	in, err := c.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	out, err := c.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := c.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		in.Close()
		if err := c.Wait(); err != nil {
			b.Error(err)
		}
	})
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if address, ok := strings.CutPrefix(lines.Text(), "serving on "); ok {
			go func() { _, _ = io.Copy(io.Discard, out) }()
			return process{address, c.Process.Pid}
		}
	}
	b.Fatal("the server did not start")
	return process{}
}

// TestServerProcess is what startProcess starts.
func TestServerProcess(t *testing.T) {
	mask := os.Getenv("FEWSHOT_SERVE_MASK")
	if mask == "" {
		t.Skip("is for BenchmarkServe")
	}
	dev, m := loadModel(t)
	f := prepare(t, dev, m, wallClock{}, nil, func(c *Config, _ *Options) { c.Tasks = []Spec{{Name: "m", Tuned: mask}} })
	address, end, ended := served(t, f)
	fmt.Println("serving on " + address)
	_, _ = io.Copy(io.Discard, os.Stdin)
	end()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// processor is the time that a process has had of all processors, in seconds, where the system says it.
func processor(pid int) float64 {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return math.NaN()
	}
	f := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
	user, _ := strconv.ParseFloat(f[11], 64)
	system, _ := strconv.ParseFloat(f[12], 64)
	return (user + system) / 100
}

// figures are those of rounds: images a second, and processor time an image in milliseconds.
type figures struct{ speed, server, client []float64 }

func median(v []float64) float64 {
	v = slices.Sorted(slices.Values(v))
	return v[len(v)/2]
}

// batches are as many images as will make n, in batches.
type batches struct {
	size    int
	program *tensor.Program
	figures
}

func newBatches(b *testing.B, dev *tensor.Device, m *clip.Model, size int) *batches {
	x := dev.New(tensor.Compute, size, 3, m.Transform.Size, m.Transform.Size)
	b.Cleanup(x.Release)
	tensor.Normal(x, tensor.NewKey(1))
	program, err := dev.Record(func() {
		t := autograd.NoGrad(dev)
		defer t.Release()
		m.Image.Encode(t.Const(x))
	})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = program.Release() })
	program.Run()
	return &batches{size: size, program: program}
}

func (r *batches) run(b *testing.B, dev *tensor.Device, n int) {
	cpu, start, done := processor(os.Getpid()), time.Now(), 0
	for ; done < n; done += r.size {
		r.program.Run()
	}
	if err := dev.Sync(); err != nil {
		b.Fatal(err)
	}
	r.speed = append(r.speed, float64(done)/time.Since(start).Seconds())
	r.server = append(r.server, 1000*(processor(os.Getpid())-cpu)/float64(done))
}

// load measures b.N requests, and as many images in batches, in up to nine rounds.
func load(b *testing.B, dev *tensor.Device, m *clip.Model, p process, images [][]byte, clients int) {
	rounds := min(9, max(3, b.N/64)) // of more images than one batch
	whole, same := newBatches(b, dev, m, 32), newBatches(b, dev, m, clients)
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: clients}}
	defer client.CloseIdleConnections()
	address := p.address + "/v2/models/m/infer"
	var mu sync.Mutex
	var took []float64 // milliseconds
	serve := func(n int) float64 {
		start := time.Now()
		var next atomic.Int64
		var all sync.WaitGroup
		for range clients {
			all.Go(func() {
				for i := int(next.Add(1)); i <= n; i = int(next.Add(1)) {
					body, header := oipBinary(images[i%len(images)])
					r, err := http.NewRequest("POST", address, bytes.NewReader(body))
					if err != nil {
						b.Error(err)
						return
					}
					r.Header.Set("Inference-Header-Content-Length", strconv.Itoa(header))
					began := time.Now()
					a, err := client.Do(r)
					if err != nil {
						b.Error(err)
						return
					}
					text, err := io.ReadAll(a.Body)
					a.Body.Close()
					if err != nil || a.StatusCode != 200 {
						b.Errorf("%d %s %v", a.StatusCode, text, err)
						return
					}
					mu.Lock()
					took = append(took, float64(time.Since(began).Microseconds())/1000)
					mu.Unlock()
				}
			})
		}
		all.Wait()
		return float64(n) / time.Since(start).Seconds()
	}
	serve(2 * clients)
	took = nil
	before := batchCounts(b, p)
	var f figures
	var ratio []float64
	n := max(b.N/rounds, 1)
	for range rounds {
		server, own := processor(p.pid), processor(os.Getpid())
		f.speed = append(f.speed, serve(n))
		f.server = append(f.server, 1000*(processor(p.pid)-server)/float64(n))
		f.client = append(f.client, 1000*(processor(os.Getpid())-own)/float64(n))
		whole.run(b, dev, n)
		same.run(b, dev, n)
		ratio = append(ratio, 100*f.speed[len(f.speed)-1]/whole.speed[len(whole.speed)-1])
	}
	slices.Sort(took)
	slices.Sort(ratio)
	after, serving := batchCounts(b, p), 0.0
	for _, v := range f.speed {
		serving += float64(n) / v
	}
	for name, v := range map[string]float64{
		"served/s": median(f.speed), "batched32/s": median(whole.speed), "batchedsame/s": median(same.speed),
		"least-%": ratio[0], "ratio-%": ratio[rounds/2], "most-%": ratio[rounds-1],
		"p50-ms": took[len(took)/2], "p99-ms": took[len(took)*99/100],
		"server-cpu-ms": median(f.server), "client-cpu-ms": median(f.client), "cpu32-ms": median(whole.server), "cpusame-ms": median(same.server),
		"cpu32-%": 100 * median(whole.server) / median(f.server), "cpusame-%": 100 * median(same.server) / median(f.server),
		"images/batch": (after.images - before.images) / (after.batches - before.batches), "computing-%": 100 * (after.seconds - before.seconds) / serving,
	} {
		b.ReportMetric(v, name)
	}
	b.ReportMetric(0, "ns/op")
}

// batchCounts are how many images a server has computed, in how many batches, and in how many seconds.
func batchCounts(b *testing.B, p process) (c struct{ images, batches, seconds float64 }) {
	r, err := http.Get(p.address + "/metrics")
	if err != nil {
		b.Fatal(err)
	}
	defer r.Body.Close()
	of := map[string]*float64{"fewshot_batch_images_sum": &c.images, "fewshot_batch_images_count": &c.batches, "fewshot_batch_seconds_sum": &c.seconds}
	for lines := bufio.NewScanner(r.Body); lines.Scan(); {
		name, value, _ := strings.Cut(lines.Text(), " ")
		if to := of[name]; to != nil {
			*to, _ = strconv.ParseFloat(value, 64)
		}
	}
	return c
}

package serve

import (
	"bytes"
	"context"
	"io"
	"math"
	"net/http"
	"os"
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

// BenchmarkServe compares what clients get with what the device can do: images a second of 16 clients, each of which sends an image and waits
// for its answer over the loopback interface, beside those of batches of 32 of random numbers, as fewshot bench -only inference measures
// them, in turn in the same process. Clients, HTTP, decoding and the encoder share the processors.
//
//	go test -run - -bench Serve -benchtime 4000x ./cmd/fewshot/internal/serve
//	FEWSHOT_SERVE_MODEL=ViT-B-32.safetensors go test -run - -bench Serve -benchtime 400x ./cmd/fewshot/internal/serve
//
// Of the images' forms, small has the model's size, and photo is JPEG of 500 by 375 pixels.
func BenchmarkServe(b *testing.B) {
	dev, err := tensor.Open("cpu", tensor.Options{Strassen: tensor.StrassenPays()})
	if err != nil {
		b.Fatal(err)
	}
	defer dev.Close()
	path := os.Getenv("FEWSHOT_SERVE_MODEL")
	if path == "" {
		path = clip.Embedded
	}
	m, err := clip.Options{Path: path, Vocab: os.Getenv("FEWSHOT_SERVE_VOCAB")}.Open(dev)
	if err != nil {
		b.Fatal(err)
	}
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
				load(b, dev, m, images, clients)
			})
		}
	}
}

// processor is the time that the process has had of all processors, in seconds, where the system says it.
func processor() float64 {
	b, err := os.ReadFile("/proc/self/stat")
	if err != nil {
		return math.NaN()
	}
	f := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
	user, _ := strconv.ParseFloat(f[11], 64)
	system, _ := strconv.ParseFloat(f[12], 64)
	return (user + system) / 100
}

// load measures b.N requests, and as many images in batches, in up to nine rounds.
func load(b *testing.B, dev *tensor.Device, m *clip.Model, images [][]byte, clients int) {
	const batch = 32
	rounds := min(9, max(3, b.N/64)) // of more images than one batch
	x := dev.New(tensor.Compute, batch, 3, m.Transform.Size, m.Transform.Size)
	defer x.Release()
	tensor.Normal(x, tensor.NewKey(1))
	program, err := dev.Record(func() {
		t := autograd.NoGrad(dev)
		defer t.Release()
		m.Image.Encode(t.Const(x))
	})
	if err != nil {
		b.Fatal(err)
	}
	defer program.Release()
	program.Run()

	f := prepare(b, dev, m, wallClock{}, []string{"m"}, nil)
	server, end, ended := served(b, f)
	defer func() {
		end()
		if err := <-ended; err != nil {
			b.Error(err)
		}
	}()
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: clients}}
	defer client.CloseIdleConnections()
	address := server + "/v2/models/m/infer"
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
	var served, batched, ratio []float64
	var servedCPU, batchedCPU float64
	n := max(b.N/rounds, 1)
	for range rounds {
		cpu := processor()
		served = append(served, serve(n))
		servedCPU += processor() - cpu
		cpu = processor()
		start, done := time.Now(), 0
		var whole error
		whole = f.engine.do(context.Background(), func() error { // the device is the engine's
			for ; done < n; done += batch {
				program.Run()
			}
			return dev.Sync()
		})
		if whole != nil {
			b.Fatal(whole)
		}
		batched = append(batched, float64(done)/time.Since(start).Seconds())
		batchedCPU += (processor() - cpu) * float64(n) / float64(done)
		ratio = append(ratio, 100*served[len(served)-1]/batched[len(batched)-1])
	}
	slices.Sort(took)
	slices.Sort(ratio)
	slices.Sort(served)
	slices.Sort(batched)
	b.ReportMetric(served[rounds/2], "served/s")
	b.ReportMetric(batched[rounds/2], "batched/s")
	b.ReportMetric(ratio[0], "least-%")
	b.ReportMetric(ratio[rounds/2], "ratio-%")
	b.ReportMetric(ratio[rounds-1], "most-%")
	b.ReportMetric(took[len(took)/2], "p50-ms")
	b.ReportMetric(took[len(took)*99/100], "p99-ms")
	b.ReportMetric(100*batchedCPU/servedCPU, "cpu-ratio-%")
	b.ReportMetric(1000*servedCPU/float64(n*rounds), "served-cpu-ms")
	families, err := f.metrics.registry.Gather()
	if err != nil {
		b.Fatal(err)
	}
	for _, family := range families {
		if family.GetName() == "fewshot_batch_images" {
			h := family.GetMetric()[0].GetHistogram()
			b.ReportMetric(h.GetSampleSum()/float64(h.GetSampleCount()), "images/batch")
		}
	}
	b.ReportMetric(0, "ns/op")
}

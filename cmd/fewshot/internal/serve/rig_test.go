package serve

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"net"
	"net/http/httptest"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"fewshot/rmt"
	"fewshot/rmt/clip"
	"fewshot/rmt/run"
	"fewshot/tensor"
)

// stopped is a clock that stands still but when somebody waits: then it is later at once.
type stopped struct{ nanoseconds atomic.Int64 }

func (c *stopped) Now() time.Time { return time.Unix(0, c.nanoseconds.Load()) }

func (c *stopped) After(d time.Duration) (<-chan time.Time, func()) {
	now := make(chan time.Time, 1)
	now <- time.Unix(0, c.nanoseconds.Add(int64(d)))
	return now, func() {}
}

var testClasses = []string{"a red circle", "a blue square", "a green star"}

// device and model are the embedded CLIP.
func embedded(t testing.TB) (*tensor.Device, *clip.Model) {
	t.Helper()
	dev, err := tensor.Open("cpu", tensor.Options{Workers: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { dev.Close() })
	m, err := clip.Options{Path: clip.Embedded}.Open(dev)
	if err != nil {
		t.Fatal(err)
	}
	return dev, m
}

// saveMask writes a mask that hides every n-th weight of the image encoder's attention.
func saveMask(t testing.TB, m *clip.Model, path string, n int, classes []string) {
	t.Helper()
	picked, err := rmt.Select(m.Share().Image.Params(), []string{"*.attn.*weight"})
	if err != nil {
		t.Fatal(err)
	}
	var masks []*rmt.Mask
	for _, p := range picked {
		keep := make([]bool, p.Value.Len())
		for i := range keep {
			keep[i] = i%n != 0
		}
		masks = append(masks, rmt.Fixed(p, keep))
	}
	about := map[string]string{}
	if classes != nil {
		names, err := json.Marshal(classes)
		if err != nil {
			t.Fatal(err)
		}
		about[run.ClassesKey] = string(names)
	}
	if err := rmt.SaveMasks(path, masks, m.Digest, about); err != nil {
		t.Fatal(err)
	}
}

// fixture is a server in a test.
type fixture struct {
	*Server
	t   testing.TB
	dir string // of its tasks' files
}

// prepare makes a server of a model with tasks of these names, each a mask of its own, and whatever else a test changes. Nothing runs yet.
func prepare(t testing.TB, dev *tensor.Device, m *clip.Model, now clock, names []string, change func(*Config, *Options)) *fixture {
	t.Helper()
	c, o, dir := Config{Dev: dev, Model: m}, Defaults(), t.TempDir()
	for i, name := range names {
		path := filepath.Join(dir, name+".safetensors")
		saveMask(t, m, path, 3+4*i, testClasses)
		c.Tasks = append(c.Tasks, Spec{Name: name, Tuned: path})
	}
	if change != nil {
		change(&c, &o)
	}
	if err := o.Validate(); err != nil {
		t.Fatal(err)
	}
	s, err := newServer(c, o, now)
	if err != nil {
		t.Fatal(err)
	}
	return &fixture{s, t, dir}
}

// start starts a server with tasks m and other, without a network and with a clock that stands still.
func start(t testing.TB, change func(*Config, *Options)) *fixture {
	t.Helper()
	dev, m := embedded(t)
	f := prepare(t, dev, m, &stopped{}, []string{"m", "other"}, change)
	f.loopback.Store(true)
	failed := make(chan error, 1)
	go func() { failed <- f.engine.run() }()
	t.Cleanup(func() {
		f.engine.end()
		if err := <-failed; err != nil {
			t.Error(err)
		}
	})
	if err := f.Server.start(context.Background()); err != nil {
		t.Fatal(err)
	}
	f.ready.Store(true)
	return f
}

// unserved is a server with task m whose engine does not run yet.
func unserved(t testing.TB, change func(*Config, *Options)) *fixture {
	t.Helper()
	dev, m := embedded(t)
	return prepare(t, dev, m, wallClock{}, []string{"m"}, change)
}

// served has a server listen, and waits until it is ready. Its context is the test's to end.
func served(t testing.TB, f *fixture) (address string, end func(), ended chan error) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended = make(chan error, 1)
	go func() {
		defer func() {
			if p := recover(); p != nil {
				ended <- fmt.Errorf("panic: %v", p)
			}
		}()
		ended <- f.Serve(ctx, l, nil)
	}()
	t.Cleanup(cancel)
	for !f.ready.Load() {
		select {
		case err := <-ended:
			t.Fatal(err)
		default:
			runtime.Gosched()
		}
	}
	return "http://" + l.Addr().String(), cancel, ended
}

// block keeps the engine busy until the returned function is called.
func (f *fixture) block() (release func()) {
	begun, over := make(chan struct{}), make(chan struct{})
	go f.engine.do(context.Background(), func() error {
		close(begun)
		<-over
		return nil
	})
	<-begun
	return sync.OnceFunc(func() { close(over) })
}

// waiting returns when so many images are in the queue.
func (f *fixture) waiting(n int) {
	for {
		f.engine.mu.Lock()
		there := len(f.engine.queue.items)
		f.engine.mu.Unlock()
		if there == n {
			return
		}
		runtime.Gosched()
	}
}

// ask sends a request, and is its answer.
func (f *fixture) ask(method, path string, body []byte, header ...string) *httptest.ResponseRecorder {
	f.t.Helper()
	r := httptest.NewRequest(method, "http://localhost"+path, bytes.NewReader(body))
	for i := 0; i < len(header); i += 2 {
		if header[i] == "Host" {
			r.Host = header[i+1]
		}
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	f.handler.ServeHTTP(w, r)
	return w
}

// picture is a PNG file, another for each number.
func picture(n int) []byte {
	img := image.NewRGBA(image.Rect(0, 0, 40+n%7, 30))
	for y := range 30 {
		for x := range img.Rect.Dx() {
			img.Set(x, y, color.RGBA{uint8(x*n + 7), uint8(y * (n + 3)), uint8(40 * n), 255})
		}
	}
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		panic(err)
	}
	return b.Bytes()
}

// oipJSON is a request for images, all in JSON.
func oipJSON(images ...[]byte) []byte {
	var data []string
	for _, b := range images {
		data = append(data, base64.StdEncoding.EncodeToString(b))
	}
	b, err := json.Marshal(map[string]any{"inputs": []any{map[string]any{"name": "image", "shape": []int{len(images)}, "datatype": "BYTES", "data": data}}})
	if err != nil {
		panic(err)
	}
	return b
}

// oipResult is an answer to infer, with JSON data.
type oipResult struct {
	ModelName string `json:"model_name"`
	ID        string `json:"id"`
	Outputs   []struct {
		Name, DataType string
		Shape          []int
		Data           json.RawMessage
	} `json:"outputs"`
}

// infer asks by JSON, and gives the output of a name.
func (f *fixture) infer(task, output string, body []byte) []float32 {
	f.t.Helper()
	w := f.ask("POST", "/v2/models/"+task+"/infer", body)
	var r oipResult
	if w.Code != 200 || json.Unmarshal(w.Body.Bytes(), &r) != nil {
		f.t.Fatalf("%s: %d %s", task, w.Code, w.Body)
	}
	for _, o := range r.Outputs {
		if o.Name == output {
			var v []float32
			if err := json.Unmarshal(o.Data, &v); err != nil {
				f.t.Fatal(err)
			}
			return v
		}
	}
	f.t.Fatalf("%s: no output %s in %s", task, output, w.Body)
	return nil
}

// photo is a JPEG file with something in all of its blocks.
func photo(w, h, n int) []byte {
	img := image.NewRGBA(image.Rect(0, 0, w, h))
	for y := range h {
		for x := range w {
			v := uint32(x*x+n*y) * 2654435761 >> 24
			img.Set(x, y, color.RGBA{uint8(x * 255 / w), uint8(y * 255 / h), uint8(v / 4), 255})
		}
	}
	var b bytes.Buffer
	if err := jpeg.Encode(&b, img, &jpeg.Options{Quality: 90}); err != nil {
		panic(err)
	}
	return b.Bytes()
}

// oipBinary is a request for an image, in binary.
func oipBinary(img []byte) (body []byte, header int) {
	head := fmt.Sprintf(`{"inputs":[{"name":"image","shape":[1],"datatype":"BYTES","parameters":{"binary_data_size":%d}}],"outputs":[{"name":"probabilities","parameters":{"binary_data":true}}]}`, len(img)+4)
	body = append([]byte(head), byte(len(img)), byte(len(img)>>8), byte(len(img)>>16), byte(len(img)>>24))
	return append(body, img...), len(head)
}

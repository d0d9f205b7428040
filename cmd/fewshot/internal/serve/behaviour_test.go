package serve

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"fewshot/datasets"
	"fewshot/optim"
	"fewshot/rmt/clip"
	"fewshot/rmt/method"
	"fewshot/rmt/run"
	"fewshot/tensor"
	"fewshot/vit"
)

// saveProbe writes a linear probe of the model, trained under a mask of that digest; "" for none.
func saveProbe(t testing.TB, dev *tensor.Device, m *clip.Model, path, below string, classes []string) {
	t.Helper()
	row, err := run.Lookup("linear-probe")
	if err != nil {
		t.Fatal(err)
	}
	settings, err := row.Defaults(method.Task{})
	if err != nil {
		t.Fatal(err)
	}
	s := run.Spec{Method: row.Name, Below: below}
	if s.Settings, err = json.Marshal(settings); err != nil {
		t.Fatal(err)
	}
	if s.Model, err = m.Spec(); err != nil {
		t.Fatal(err)
	}
	w := dev.New(tensor.Full, len(classes), m.Image.Sizes().Embed)
	tensor.Normal(w, tensor.NewKey(uint64(len(below))))
	if err := run.SaveTuned(path, s, classes, []optim.Named{{Name: "weight", Tensor: w}, {Name: "bias", Tensor: dev.Zeros(tensor.Full, len(classes))}}); err != nil {
		t.Fatal(err)
	}
}

// index is the repository's, as name and state.
func (f *fixture) index() string {
	var all []string
	for _, i := range f.indexAll() {
		all = append(all, i.Name+" "+i.State)
	}
	return strings.Join(all, ", ")
}

// TestRepository: tasks come and go, by their names and out of a folder; what was trained under a mask finds it; what cannot be loaded says
// why, and disturbs nobody.
func TestRepository(t *testing.T) {
	dir := t.TempDir()
	var notes []string
	f := start(t, func(c *Config, o *Options) {
		c.Folder, o.Control = dir, true
		c.Note = func(format string, a ...any) { notes = append(notes, fmt.Sprintf(format, a...)) }
	})
	f.engine.do(context.Background(), func() error {
		saveProbe(t, f.engine.dev, f.engine.model, filepath.Join(dir, "probe.safetensors"), "", testClasses[:2])
		mask, err := run.OpenTuned(filepath.Join(f.dir, "m.safetensors"))
		if err != nil {
			t.Error(err)
			return nil
		}
		mask.Close()
		saveProbe(t, f.engine.dev, f.engine.model, filepath.Join(dir, "below.safetensors"), mask.Sum, testClasses)
		saveProbe(t, f.engine.dev, f.engine.model, filepath.Join(dir, "lost.safetensors"), strings.Repeat("ab", 32), testClasses)
		if err := os.MkdirAll(filepath.Join(dir, "old"), 0o777); err != nil {
			t.Error(err)
		}
		saveMask(t, f.engine.model, filepath.Join(dir, "old", run.MaskName), 9, nil)
		return nil
	})
	for name, text := range map[string]string{"broken.safetensors": "nothing", "bad name.safetensors": "", "clip.safetensors": "", "readme.txt": "", "m.safetensors": "a name that is taken"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	scan := func() {
		t.Helper()
		if err := f.repository.scan(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
	scan()
	if got, want := f.index(), "below READY, broken UNAVAILABLE, clip READY, lost UNAVAILABLE, m READY, old UNAVAILABLE, other READY, probe READY"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	said := strings.Join(notes, "\n")
	for _, want := range []string{"task broken is not loaded", "lost.safetensors was trained under a mask", "does not name its classes", "bad name", "that is the untouched model"} {
		if !strings.Contains(said, want) {
			t.Errorf("no word of %q in\n%s", want, said)
		}
	}
	// The probe is behind the untouched encoder, and shares its batches; the other is behind that of its mask.
	probe, err := f.repository.use("probe")
	if err != nil {
		t.Fatal(err)
	}
	probe.release()
	below, err := f.repository.use("below")
	if err != nil {
		t.Fatal(err)
	}
	below.release()
	if probe.way.tower != f.engine.plain || below.way.tower == f.engine.plain || below.sparsity == 0 {
		t.Errorf("towers of probes: %v, %v, the untouched %v", probe.way.tower, below.way.tower, f.engine.plain)
	}
	if v := f.infer("probe", "logits", oipJSON(picture(1), picture(2))); len(v) != 4 {
		t.Errorf("two images, two classes: %v", v)
	}
	own := f.ask("POST", "/models/probe", []byte(`{"inputs":"eA==","parameters":{"candidate_labels":["a","b"]}}`))
	if own.Code != 400 || !strings.Contains(own.Body.String(), "own classes") {
		t.Errorf("other classes of a probe: %d %s", own.Code, own.Body)
	}

	// Names are given to the mask without any, the lost one goes, another probe comes in the place of the first.
	if err := os.WriteFile(filepath.Join(dir, "old", "classes.txt"), []byte("x\ny\nz\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	os.Remove(filepath.Join(dir, "lost.safetensors"))
	f.engine.do(context.Background(), func() error {
		saveProbe(t, f.engine.dev, f.engine.model, filepath.Join(dir, "probe.safetensors"), "", testClasses)
		return nil
	})
	scan()
	if got, want := f.index(), "below READY, broken UNAVAILABLE, clip READY, m READY, old READY, other READY, probe READY"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if v := f.infer("probe", "logits", oipJSON(picture(1), picture(2))); len(v) != 6 {
		t.Errorf("two images, three classes: %v", v)
	}

	// By name, from outside.
	want := f.infer("m", "logits", oipJSON(picture(1)))
	if w := f.ask("POST", "/v2/repository/models/m/unload", []byte(`{"parameters":{"unload_dependents":false}}`)); w.Code != 200 {
		t.Errorf("unload: %d %s", w.Code, w.Body)
	}
	if w := f.ask("GET", "/v2/models/m/ready", nil); w.Code != 404 {
		t.Errorf("ready: %d %s", w.Code, w.Body)
	}
	scan() // leaves alone what somebody unloaded
	if w := f.ask("POST", "/v2/models/m/infer", oipJSON(picture(1))); w.Code != 404 || !strings.Contains(w.Body.String(), "not loaded: unloaded") {
		t.Errorf("unloaded: %d %s", w.Code, w.Body)
	}
	for _, name := range []string{"nobody", "%2e%2e", "clip"} {
		if w := f.ask("POST", "/v2/repository/models/"+name+"/load", nil); w.Code != 404 && w.Code != 400 {
			t.Errorf("load %s: %d %s", name, w.Code, w.Body)
		}
	}
	if w := f.ask("POST", "/v2/repository/models/m/load", nil); w.Code != 200 {
		t.Errorf("load: %d %s", w.Code, w.Body)
	}
	if got := f.infer("m", "logits", oipJSON(picture(1))); !slices.Equal(got, want) {
		t.Errorf("loaded again %v, before %v", got, want)
	}

	// Again and again takes no more memory.
	var high int64
	for i := range 6 {
		if w := f.ask("POST", "/v2/repository/models/other/load", nil); w.Code != 200 {
			t.Errorf("load: %d %s", w.Code, w.Body)
		}
		f.infer("other", "logits", oipJSON(picture(1)))
		f.engine.do(context.Background(), func() error {
			if peak := f.engine.dev.PeakBytes(); i == 2 {
				high = peak
			} else if i > 2 && peak > high {
				t.Errorf("loaded %d times: from %d to %d bytes", i+1, high, peak)
			}
			return nil
		})
	}
}

// TestPacked: weights are packed for few images, those of the backbone once for all tasks, those under masks for each, which counts them.
func TestPacked(t *testing.T) {
	f := start(t, nil)
	f.engine.do(context.Background(), func() error {
		w := f.engine.dev.New(tensor.Compute, 64, 64)
		defer w.Release()
		tensor.Pack(w, true)
		packs := w.PackedBytes() > 0 // there are kernels
		task := f.repository.entries["m"].task
		shared := map[*tensor.Tensor]bool{}
		for _, p := range f.engine.model.Image.Params() {
			shared[p.Value] = true
		}
		var own int64
		for _, p := range task.way.tower.encoder.(vit.Image).Params() {
			size := int64(p.Value.Len()) * int64(p.Value.Buf().Size)
			if linear := strings.HasSuffix(p.Name, "weight") && p.Value.Rank() == 2; linear && packs && p.Value.PackedBytes() < size {
				t.Errorf("%s: packed in %d bytes, of %d", p.Name, p.Value.PackedBytes(), size)
			}
			if !shared[p.Value] {
				own += size + p.Value.PackedBytes()
			}
		}
		if own == 0 || task.bytes != own {
			t.Errorf("the task says that it has %d bytes, and has %d", task.bytes, own)
		}
		return nil
	})
}

// TestBatches: requests that come while the device is busy are one batch, tasks of their own encoders apart; when the queue is full others
// are told to come back.
func TestBatches(t *testing.T) {
	f := start(t, func(_ *Config, o *Options) { o.Images, o.Queue = 4, 8 })
	want := map[string][]float32{"m": f.infer("m", "logits", oipJSON(picture(3))), "other": f.infer("other", "logits", oipJSON(picture(3)))}
	counted := func() string {
		var said []string
		for l := range strings.Lines(f.ask("GET", "/metrics", nil).Body.String()) {
			if strings.HasPrefix(l, "fewshot_batch_images_") && !strings.Contains(l, "bucket") || strings.HasPrefix(l, "fewshot_images_total") || strings.HasPrefix(l, "fewshot_refused_total") {
				said = append(said, strings.TrimSpace(l))
			}
		}
		return strings.Join(said, "\n")
	}
	before := counted()
	release := f.block()
	defer release()
	var all sync.WaitGroup
	for i := range 8 {
		name := []string{"m", "other"}[i%2]
		all.Go(func() {
			if got := f.infer(name, "logits", oipJSON(picture(3))); !slices.Equal(got, want[name]) {
				t.Errorf("%s in a batch %v, alone %v", name, got, want[name])
			}
		})
	}
	f.waiting(8)
	w := f.ask("POST", "/models/m", picture(1))
	if w.Code != 429 || w.Header().Get("Retry-After") != "1" || !strings.Contains(w.Body.String(), "-queue") {
		t.Errorf("a ninth: %d %v %s", w.Code, w.Header(), w.Body)
	}
	release()
	all.Wait()
	if got, want := counted(), "fewshot_batch_images_sum 10\nfewshot_batch_images_count 4\nfewshot_images_total{task=\"m\"} 5\nfewshot_images_total{task=\"other\"} 5\nfewshot_refused_total{reason=\"queue\"} 1"; got != want {
		t.Errorf("before\n%s\nafter\n%s\nwant\n%s", before, got, want)
	}

	// A client that goes away while it waits costs the device nothing, and leaves its place.
	release = f.block()
	ctx, cancel := context.WithCancel(context.Background())
	gone := make(chan error, 1)
	task, err := f.repository.use("m")
	if err != nil {
		t.Fatal(err)
	}
	defer task.release()
	go func() {
		_, err := f.engine.classify(ctx, [][]byte{picture(1)}, task.way)
		gone <- err
	}()
	f.waiting(1)
	cancel()
	if err := <-gone; err == nil {
		t.Error("a client that went away has an answer")
	}
	release()
	f.infer("m", "logits", oipJSON(picture(1)))
	if !strings.Contains(counted(), "fewshot_batch_images_sum 11") {
		t.Errorf("computed for nobody:\n%s", counted())
	}
}

// TestDrain: a request that is under way when the server is told to end is answered; new ones are not taken.
func TestDrain(t *testing.T) {
	f := unserved(t, nil)
	address, end, ended := served(t, f)
	release := f.block()
	answer := make(chan string, 1)
	go func() {
		r, err := http.Post(address+"/models/m", "", bytes.NewReader(picture(1)))
		if err != nil {
			answer <- err.Error()
			return
		}
		defer r.Body.Close()
		b, _ := io.ReadAll(r.Body)
		answer <- r.Status + string(b)
	}()
	f.waiting(1)
	end()
	for f.ready.Load() {
		runtime.Gosched()
	}
	if w := f.ask("GET", "/readyz", nil); w.Code != 503 || w.Header().Get("Retry-After") == "" {
		t.Errorf("readyz while draining: %d %v", w.Code, w.Header())
	}
	release()
	if got := <-answer; !strings.HasPrefix(got, `200 OK[{"label"`) {
		t.Errorf("a request under way: %s", got)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if w := f.ask("POST", "/models/m", picture(1)); w.Code != 503 || !strings.Contains(w.Body.String(), "shutting down") {
		t.Errorf("after the end: %d %s", w.Code, w.Body)
	}
	if _, err := http.Get(address + "/healthz"); err == nil {
		t.Error("it still listens")
	}
}

// TestDrainEnds: the bound on draining holds, whatever is under way.
func TestDrainEnds(t *testing.T) {
	f := unserved(t, func(_ *Config, o *Options) { o.Drain = time.Millisecond })
	address, end, ended := served(t, f)
	release := f.block()
	answer := make(chan error, 1)
	go func() {
		_, err := http.Post(address+"/models/m", "", bytes.NewReader(picture(1)))
		answer <- err
	}()
	f.waiting(1)
	end()
	if err := <-answer; err == nil {
		t.Error("a request beyond the bound has an answer")
	}
	release()
	if err := <-ended; !errors.Is(err, ErrCutOff) || !strings.Contains(err.Error(), "-drain-time") {
		t.Errorf("%v", err)
	}
}

// TestBegun: work for a request that goes away meanwhile is done to its end, as a task that is being loaded would have no owner else; what has not
// begun is not.
func TestBegun(t *testing.T) {
	f := start(t, nil)
	ctx, cancel := context.WithCancel(context.Background())
	if err := f.engine.do(ctx, func() error {
		cancel()
		runtime.Gosched()
		return nil
	}); err != nil {
		t.Errorf("begun: %v", err)
	}
	release := f.block()
	if err := f.engine.do(ctx, func() error {
		t.Error("done for nobody")
		return nil
	}); !errors.Is(err, context.Canceled) {
		t.Errorf("not begun: %v", err)
	}
	release()
	f.infer("m", "logits", oipJSON(picture(1)))
}

// TestDecoderFault: a fault of the program in decoding is the request's, of several images too, and takes nothing with it.
func TestDecoderFault(t *testing.T) {
	var said string
	f := start(t, func(c *Config, _ *Options) {
		c.Note = func(format string, a ...any) { said += fmt.Sprintf(format, a...) }
	})
	want := f.infer("m", "logits", oipJSON(picture(1), picture(2)))
	var good []*datasets.Preparer
	for range cap(f.engine.decoders) {
		good = append(good, <-f.engine.decoders)
	}
	f.engine.decoders <- nil
	w := f.ask("POST", "/v2/models/m/infer", oipJSON(picture(1), picture(2)))
	if w.Code != 500 || !strings.Contains(w.Body.String(), "a fault of the program") || !strings.Contains(said, "please report it") {
		t.Errorf("%d %s; said %q", w.Code, w.Body, said)
	}
	<-f.engine.decoders
	for _, p := range good {
		f.engine.decoders <- p
	}
	if got := f.infer("m", "logits", oipJSON(picture(1), picture(2))); !slices.Equal(got, want) || f.engine.places() != 0 {
		t.Errorf("then %v, before %v; %d places are taken", got, want, f.engine.places())
	}
}

// TestEnded: who comes to the queue of an engine that has ended by a fault is told so at once.
func TestEnded(t *testing.T) {
	f := unserved(t, nil)
	_, _, ended := served(t, f)
	decoder := make([]*datasets.Preparer, cap(f.engine.decoders))
	for i := range decoder {
		decoder[i] = <-f.engine.decoders
	}
	task, err := f.repository.use("m")
	if err != nil {
		t.Fatal(err)
	}
	answer := make(chan error, 1)
	go func() {
		_, err := f.engine.classify(context.Background(), [][]byte{picture(1)}, task.way)
		answer <- err
	}()
	for f.engine.places() == 0 {
		runtime.Gosched()
	}
	f.engine.later(func() { panic("a fault") })
	<-ended
	for _, d := range decoder {
		f.engine.decoders <- d
	}
	if err := <-answer; err != errStopped {
		t.Errorf("%v", err)
	}
}

// TestFault: a fault of the program at the device ends the server as such, and does not hang it.
func TestFault(t *testing.T) {
	f := unserved(t, nil)
	_, _, ended := served(t, f)
	f.engine.later(func() { panic("a fault") })
	if err := <-ended; err == nil || !strings.Contains(err.Error(), "panic: a fault") {
		t.Errorf("%v", err)
	}
}

// TestConnections: one too many is told so, and a connection that was closed makes room.
func TestConnections(t *testing.T) {
	f := unserved(t, func(_ *Config, o *Options) { o.Connections = 1 })
	address, end, ended := served(t, f)
	first, err := net.Dial("tcp", strings.TrimPrefix(address, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	for f.connections.Load() != 1 {
		runtime.Gosched()
	}
	second, err := net.Dial("tcp", strings.TrimPrefix(address, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(second)
	if err != nil || string(b) != tooMany {
		t.Errorf("%q, %v", b, err)
	}
	first.Close()
	for f.connections.Load() != 0 {
		runtime.Gosched()
	}
	if r, err := http.Get(address + "/healthz"); err != nil || r.StatusCode != 200 {
		t.Errorf("%v %v", r, err)
	}
	end()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// TestPage: the page's files are there, may load nothing from elsewhere, and name nothing that is not there.
func TestPage(t *testing.T) {
	f := start(t, nil)
	for path, kind := range map[string]string{"/": "text/html", "/page.css": "text/css", "/page.js": "text/javascript", "/icon.svg": "image/svg+xml"} {
		w := f.ask("GET", path, nil)
		if w.Code != 200 || !strings.HasPrefix(w.Header().Get("Content-Type"), kind) || !strings.Contains(w.Header().Get("Content-Security-Policy"), "default-src 'none'") {
			t.Errorf("%s: %d %v", path, w.Code, w.Header())
		}
		if strings.Contains(strings.ReplaceAll(w.Body.String(), "http://www.w3.org/2000/svg", ""), "://") {
			t.Errorf("%s names an address elsewhere", path)
		}
	}
	var all []listed
	if err := json.Unmarshal(f.ask("GET", "/tasks", nil).Body.Bytes(), &all); err != nil || len(all) != 3 || all[0].Name != "m" || all[0].Sparsity == 0 || all[2].Name != Plain {
		t.Errorf("%v %v", all, err)
	}
}

// Classes from a file of names are those that a mask names itself: underscores are spaces, as predict has it.
func TestClassNames(t *testing.T) {
	f := start(t, func(c *Config, _ *Options) {
		dir := t.TempDir()
		mask, names := filepath.Join(dir, "mask.safetensors"), filepath.Join(dir, "names.txt")
		saveMask(t, c.Model, mask, 3, nil) // as that of m
		if err := os.WriteFile(names, []byte("a_red_circle\na blue square\na_green star\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		c.Tasks = append(c.Tasks, Spec{Name: "named", Tuned: mask, Classes: names})
	})
	body := oipJSON(picture(1))
	if got, want := f.infer("named", "probabilities", body), f.infer("m", "probabilities", body); !slices.Equal(got, want) {
		t.Errorf("%v, not %v as with the same names in the mask", got, want)
	}
}

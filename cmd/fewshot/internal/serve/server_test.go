package serve

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"image"
	"image/png"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// direct are the logits of an image alone: of a task on a model of its own, prepared as evaluation does, without a queue.
func direct(t *testing.T, dir, name string, img []byte) []float32 {
	t.Helper()
	dev, m := embedded(t)
	e := newEngine(dev, m, Defaults(), &stopped{}, newMetrics())
	task, err := e.load(context.Background(), Spec{Name: name, Tuned: filepath.Join(dir, name+".safetensors")})
	if err != nil {
		t.Fatal(err)
	}
	var out []float32
	pixels := make([]float32, 3*m.Transform.Size*m.Transform.Size)
	if err := m.Transform.Image(pixels, "", img); err != nil {
		t.Fatal(err)
	}
	if err := e.compute([]*item{{through: task.way, pixels: pixels, done: func(l []float32, err error) { out = l }}}); err != nil {
		t.Fatal(err)
	}
	return out
}

// TestAnswers: an image has the same logits however it came, and alone as among others.
func TestAnswers(t *testing.T) {
	f := start(t, nil)
	for _, task := range []string{"m", "other"} {
		var images [][]byte
		var want []float32
		for i := range 5 {
			images = append(images, picture(i))
			want = append(want, direct(t, f.dir, task, images[i])...)
		}
		if got := f.infer(task, "logits", oipJSON(images...)); !slices.Equal(got, want) {
			t.Errorf("%s: together %v, alone %v", task, got, want)
		}
		if got := f.infer(task, "logits", oipJSON(images[3])); !slices.Equal(got, want[9:12]) {
			t.Errorf("%s: alone %v, want %v", task, got, want[9:12])
		}
		raw := f.ask("POST", "/models/"+task, images[3])
		jsonBody := f.ask("POST", "/models/"+task, []byte(`{"inputs":"data:image/png;base64,`+base64.StdEncoding.EncodeToString(images[3])+`"}`))
		if raw.Code != 200 || raw.Body.String() != jsonBody.Body.String() {
			t.Errorf("%s: as bytes %s, as JSON %s", task, raw.Body, jsonBody.Body)
		}
		var top []scored
		if err := json.Unmarshal(raw.Body.Bytes(), &top); err != nil || len(top) != 3 || top[0].Score != slices.Max(softmax(want[9:12])) {
			t.Errorf("%s: %v of %s", task, err, raw.Body)
		}
		untouched := slices.Replace(oipJSON(images[3]), 0, 1, []byte(`{"outputs":[{"name":"untouched"}],`)...)
		plain := f.infer(task, "untouched", untouched)
		c := f.ask("POST", "/compare/"+task, images[3])
		var both comparison
		if err := json.Unmarshal(c.Body.Bytes(), &both); err != nil || len(both.Tuned) != 3 || !slices.Equal(both.Tuned, top) {
			t.Errorf("%s: %v of %s", task, err, c.Body)
		}
		for _, s := range both.Untouched {
			if s.Score != plain[slices.Index(testClasses, s.Label)] {
				t.Errorf("%s: untouched %v, by the other protocol %v", task, both.Untouched, plain)
			}
		}
	}
	// Both masks, and none, say something else.
	if slices.Equal(f.infer("m", "logits", oipJSON(picture(1))), f.infer("other", "logits", oipJSON(picture(1)))) {
		t.Error("two tasks give the same")
	}
}

// TestLabels: classes that come with a request, on the untouched model and on a mask.
func TestLabels(t *testing.T) {
	f := start(t, nil)
	ask := func(path, labels string) []scored {
		w := f.ask("POST", path, fmt.Appendf(nil, `{"inputs":%q,"parameters":{"candidate_labels":%s,"hypothesis_template":"a photo of a {}."}}`,
			base64.StdEncoding.EncodeToString(picture(2)), labels))
		var all []scored
		if err := json.Unmarshal(w.Body.Bytes(), &all); err != nil {
			t.Fatalf("%s: %v of %s", path, err, w.Body)
		}
		return all
	}
	list := `["a red circle","a blue square","a green star"]`
	plain, text, masked := ask("/models/clip", list), ask("/", `"a red circle, a blue square, a green star"`), ask("/models/m", list)
	if len(plain) != 3 || !slices.Equal(plain, text) || slices.Equal(plain, masked) {
		t.Errorf("%v, by a string %v, under a mask %v", plain, text, masked)
	}
	// The task's own classes are the same question, as it has this template.
	own := f.ask("POST", "/models/m", picture(2))
	var want []scored
	if err := json.Unmarshal(own.Body.Bytes(), &want); err != nil || !slices.Equal(masked, want) {
		t.Errorf("classes of the request %v, of the task %v", masked, want)
	}
	if again := ask("/models/clip", list); !slices.Equal(plain, again) {
		t.Errorf("from the kept texts %v, before %v", again, plain)
	}
}

// TestRefusals: what is wrong is named, and no answer of an error has anything but one.
func TestRefusals(t *testing.T) {
	f := start(t, func(_ *Config, o *Options) {
		o.Body, o.Bodies, o.Images, o.Queue, o.Labels, o.Pixels = 4096, 16384, 2, 4, 3, 2000
	})
	good := base64.StdEncoding.EncodeToString(picture(1))
	hf := func(parameters string) string { return `{"inputs":"` + good + `","parameters":{` + parameters + `}}` }
	oip := func(input string) string { return `{"inputs":[{"name":"image",` + input + `}]}` }
	for _, c := range []struct {
		method, path, body string
		header             []string
		status             int
		want               string
	}{
		{"POST", "/models/m", "", nil, 400, "empty"},
		{"POST", "/models/m", "no image", nil, 400, "unknown format"},
		{"POST", "/models/m", "--x", []string{"Content-Type", "multipart/form-data; boundary=x"}, 415, "--data-binary @FILE"},
		{"POST", "/models/m", hf(`"topk":1`), nil, 400, "there is no parameter \\\"topk\\\"; there are candidate_labels"},
		{"POST", "/models/m", "{", nil, 400, "no JSON"},
		{"POST", "/models/m", "{}", nil, 400, "no inputs"},
		{"POST", "/models/m", `{"inputs":3}`, nil, 400, "is a number"},
		{"POST", "/models/m", `{"inputs":"http://example.com/x.png"}`, nil, 400, "nothing is fetched"},
		{"POST", "/models/m", `{"inputs":"file:///etc/passwd"}`, nil, 400, "nothing is fetched"},
		{"POST", "/models/m", `{"inputs":"/etc/passwd"}`, nil, 400, ""},
		{"POST", "/models/m", hf(`"top_k":"x"`), nil, 400, "parameter \\\"top_k\\\" is a string"},
		{"POST", "/models/m", `{"inputs":"` + good + `","parameters":[1]}`, nil, 400, "an object with candidate_labels"},
		{"POST", "/models/m", hf(`"candidate_labels":[1,2]`), nil, 400, "a list of texts"},
		{"POST", "/models/m", hf(`"top_k":0`), nil, 400, "top_k 0"},
		{"POST", "/models/m", hf(`"function_to_apply":"x"`), nil, 400, "softmax, sigmoid and none"},
		{"POST", "/models/m", hf(`"candidate_labels":["a"]`), nil, 400, "2 to 3"},
		{"POST", "/models/m", hf(`"candidate_labels":["a","b","c","d"]`), nil, 400, "-max-labels"},
		{"POST", "/models/m", hf(`"candidate_labels":["a","a"]`), nil, 400, "twice"},
		{"POST", "/models/m", hf(`"candidate_labels":["a",""]`), nil, 400, "label 2"},
		{"POST", "/models/m", hf(`"candidate_labels":["a","b"],"hypothesis_template":"x"`), nil, 400, "no {}"},
		{"POST", "/models/m", hf(`"hypothesis_template":"x {}"`), nil, 400, "candidate_labels"},
		{"POST", "/models/m", hf(`"candidate_labels":["` + strings.Repeat("a b ", 100) + `","b"]`), nil, 400, "label 1"},
		{"POST", "/models/clip", string(picture(1)), nil, 400, "candidate_labels"},
		{"POST", "/models/nobody", string(picture(1)), nil, 404, "nobody"},
		{"POST", "/", string(picture(1)), nil, 400, "2 tasks"},
		{"POST", "/models/m", strings.Repeat("x", 5000), nil, 413, "-max-body"},
		{"POST", "/models/m", string(wide()), nil, 400, "at most 2000"},
		{"POST", "/models/m", "x", []string{"Content-Encoding", "br"}, 415, "gzip and deflate"},
		{"POST", "/models/m", "x", []string{"Content-Encoding", "gzip"}, 400, "no gzip"},
		{"POST", "/models/m", "x", []string{"Content-Encoding", "deflate"}, 400, "no deflate"},
		{"POST", "/v2/models/m/infer", "", nil, 400, "empty"},
		{"POST", "/v2/models/m/infer", "[]", nil, 400, "array"},
		{"POST", "/v2/models/m/infer", "{}", nil, 400, "no inputs"},
		{"POST", "/v2/models/m/infer", `{"inputs":[{"name":"x"}]}`, nil, 400, `input \"x\"`},
		{"POST", "/v2/models/m/infer", oip(`"datatype":"FP32","shape":[1],"data":[NaN]`), nil, 400, "no JSON"},
		{"POST", "/v2/models/m/infer", oip(`"datatype":"FP32","shape":[1],"data":[1]`), nil, 400, "BYTES"},
		{"POST", "/v2/models/m/infer", oip(`"datatype":"BYTES","shape":[1]`), nil, 400, "neither data"},
		{"POST", "/v2/models/m/infer", oip(`"datatype":"BYTES","shape":[-1],"data":[]`), nil, 400, "shape [-1]"},
		{"POST", "/v2/models/m/infer", oip(`"datatype":"BYTES","shape":[3],"data":["a","b","c"]`), nil, 400, "at most 2"},
		{"POST", "/v2/models/m/infer", oip(`"datatype":"BYTES","shape":[9223372036854775807,2],"data":[]`), nil, 400, "at most 2"},
		{"POST", "/v2/models/m/infer", oip(`"datatype":"BYTES","shape":[0],"data":[]`), nil, 400, "no elements"},
		{"POST", "/v2/models/m/infer", oip(`"datatype":"BYTES","shape":[2],"data":["eA=="]`), nil, 400, "1 elements, the shape 2"},
		{"POST", "/v2/models/m/infer", oip(`"datatype":"BYTES","shape":[1],"data":[[["eA=="]]]`), nil, 400, "nested"},
		{"POST", "/v2/models/m/infer", oip(`"datatype":"BYTES","shape":[1],"data":["%"]`), nil, 400, "base64"},
		{"POST", "/v2/models/m/infer", oip(`"datatype":"BYTES","shape":[1],"data":[1]`), nil, 400, "list of strings"},
		{"POST", "/v2/models/m/infer", oip(`"datatype":"BYTES","shape":[1],"parameters":{"binary_data_size":4}`), nil, 400, "Inference-Header"},
		{"POST", "/v2/models/m/infer", oip(`"datatype":"BYTES","shape":[1],"parameters":{"shared_memory_region":"r"}`), nil, 400, "shared memory"},
		{"POST", "/v2/models/m/infer", "{}", []string{"Inference-Header-Content-Length", "3"}, 400, "body, which has 2"},
		{"POST", "/v2/models/m/infer", "{}", []string{"Inference-Header-Content-Length", "-1"}, 400, "number of bytes"},
		{"POST", "/v2/models/m/infer", `{"parameters":{"triton_x":1},` + oip(`"datatype":"BYTES","shape":[1],"data":["eA=="]`)[1:], nil, 400, "Triton's"},
		{"POST", "/v2/models/m/versions/2/infer", "{}", nil, 404, "version"},
		{"GET", "/v2/models/nobody", "", nil, 404, "nobody"},
		{"GET", "/v2/models/m/infer", "", nil, 405, "takes POST"},
		{"GET", "/etc/passwd", "", nil, 404, "nothing at"},
		{"POST", "/v2/repository/models/m/unload", "{}", nil, 403, "-control"},
		{"GET", "/tasks", "", []string{"Host", "evil.example"}, 421, "none of this server's names"},
		{"GET", "/tasks", "", []string{"Host", "localhost.evil.example:80"}, 421, "none of this server's names"},
		{"POST", "/models/m", "x", []string{"Origin", "http://evil.example"}, 403, "another origin"},
		{"POST", "/models/m", "x", []string{"Sec-Fetch-Site", "cross-site"}, 403, "another origin"},
	} {
		w := f.ask(c.method, c.path, []byte(c.body), c.header...)
		var e map[string]string
		if err := json.Unmarshal(w.Body.Bytes(), &e); err != nil || len(e) != 1 || w.Code != c.status || !strings.Contains(w.Body.String(), c.want) || e["error"] == "" {
			t.Errorf("%s %s %.60q %q: %d %s, want %d %q", c.method, c.path, c.body, c.header, w.Code, w.Body, c.status, c.want)
		}
		if h := w.Header(); h.Get("Content-Type") != "application/json" || h.Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("%s: headers %v", c.path, h)
		}
	}
	if places := f.engine.places(); places != 0 || f.bodies.used.Load() != 0 {
		t.Errorf("%d places and %d bytes are still taken", places, f.bodies.used.Load())
	}
	for _, host := range []string{"localhost", "localhost:8000", "127.0.0.1:1", "[::1]:8000", "LOCALHOST."} {
		if w := f.ask("GET", "/healthz", nil, "Host", host); w.Code != 200 {
			t.Errorf("host %s: %d %s", host, w.Code, w.Body)
		}
	}
}

// wide is a picture of more pixels than a test allows.
func wide() []byte {
	var b bytes.Buffer
	if err := png.Encode(&b, image.NewGray(image.Rect(0, 0, 100, 100))); err != nil {
		panic(err)
	}
	return b.Bytes()
}

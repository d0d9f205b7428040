package serve

import (
	"encoding/base64"
	"encoding/json"
	"os"
	"strings"
	"testing"
)

// TestClients answers what clients were recorded to send, as testdata/clients.py says. Their images of the Open Inference Protocol are no
// images, but to get as far as that all before must have been read; those of Hugging Face's are.
func TestClients(t *testing.T) {
	f := start(t, func(_ *Config, o *Options) { o.Control = true })
	b, err := os.ReadFile("testdata/clients.json")
	if err != nil {
		t.Fatal(err)
	}
	var recorded []struct {
		Client, Case, Method, Path, Body string
		Headers                          map[string]string
	}
	if err := json.Unmarshal(b, &recorded); err != nil {
		t.Fatal(err)
	}
	const noImage = "400 the image: corrupt JPEG image"
	const ok = "200 "
	want := map[string]string{
		"bytes_default": noImage, "gzip": noImage, "deflate": noImage, "sequence_priority_timeout": noImage, "sequence_id_str": noImage,
		"bytes_batch2_named_output": "404 version", "bytes_json_text": "400 input \"labels\"", "mixed_json_first_then_binary": "400 input \"labels\"",
		"classification": "400 output \"p\": there are probabilities", "classification_json": "400 output \"p\"",
		"fp32_binary": "400 input image: datatype \"FP32\"", "fp32_json": "400 input image: datatype \"FP32\"", "fp16": "400 input image: datatype",
		"uint8_nan_bool": "400 input image: datatype", "nan_json": "400 the body is no JSON", "empty_bytes": "400 input image has no elements",
		"zero_len_element": "400 image 1 of 2: corrupt image: file is empty", "shared_memory": "400 input image: datatype",
		"model_name_slash_space": "404 there is nothing", "is_model_ready_v": "404 version", "get_model_metadata_v": "404 version",
		"load_model": ok, "load_model_config": "400 parameter", "unload_model": ok,
		"stats": ok, "stats_m": ok, "trace": "404", "log": "404", "shm": "404", "cuda_shm": "404",
		"bytes_binary": "400 the image: unsupported image: unknown format", "requested_binary_out": "400 input image: datatype", "default_set_data": "400 input \"x\"",
		"zs_bytes": ok, "zs_path_str": ok, "zs_label_string": ok, "fe_text": "400 there are 2 tasks",
		"ic_bytes": "400 there are 2 tasks", "ic_path_png": "400 there are 2 tasks", "ic_topk": "400 there are 2 tasks", "ic_fn": "400 there are 2 tasks", "ic_topk_fn": "400 there are 2 tasks",
	}
	for _, r := range recorded {
		body, err := base64.StdEncoding.DecodeString(r.Body)
		if err != nil {
			t.Fatal(err)
		}
		var header []string
		for k, v := range r.Headers {
			header = append(header, k, v)
		}
		expect := want[r.Case]
		switch {
		case strings.HasPrefix(r.Client, "kserve") && r.Case == "bytes_json_text":
			expect = "400 input image: element 1 of 1: an image in JSON is base64"
		case expect == "": // metadata and health
			expect = ok
		}
		paths := []string{r.Path}
		if strings.HasPrefix(r.Case, "ic_") { // to an address of no task, and to one
			paths = append(paths, "/models/m")
		}
		for i, path := range paths {
			if i == 1 {
				expect = `200 [{"label":"a`
			}
			w := f.ask(r.Method, path, body, header...)
			if status, text, _ := strings.Cut(expect, " "); w.Code != int(status[0]-'0')*100+int(status[1]-'0')*10+int(status[2]-'0') || !strings.Contains(plainText(w.Body.String()), text) {
				t.Errorf("%s, %s: %d %s, want %s", r.Client, r.Case, w.Code, w.Body, expect)
			}
		}
		if r.Case == "unload_model" {
			f.ask("POST", "/v2/repository/models/m/load", nil)
		}
	}
}

// plainText is JSON without the marks before quotation marks.
func plainText(s string) string { return strings.ReplaceAll(s, `\"`, `"`) }

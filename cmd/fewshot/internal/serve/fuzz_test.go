package serve

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"testing"

	"fewshot/nn/quote"
)

// recordedBodies are those of clients.json.
func recordedBodies(f *testing.F) (all [][]byte) {
	b, err := os.ReadFile("testdata/clients.json")
	if err != nil {
		f.Fatal(err)
	}
	var recorded []struct{ Body string }
	if err := json.Unmarshal(b, &recorded); err != nil {
		f.Fatal(err)
	}
	for _, r := range recorded {
		body, err := base64.StdEncoding.DecodeString(r.Body)
		if err != nil {
			f.Fatal(err)
		}
		all = append(all, body)
	}
	return all
}

// FuzzInference: requests of the Open Inference Protocol are read or refused as the client's mistake, within their bounds, and tensors
// in binary are the bytes that came.
func FuzzInference(f *testing.F) {
	for _, b := range recordedBodies(f) {
		f.Add(b, -1)
		f.Add(b, len(b)/2)
	}
	body, header := oipBinary(picture(1))
	f.Add(body, header)
	f.Fuzz(func(t *testing.T, body []byte, header int) {
		if header > len(body) {
			return // headerLength refuses it
		}
		const images, labels = 4, 5
		r, err := parseInference(body, max(header, -1), images, labels)
		if err != nil {
			clientsMistake(t, err)
			return
		}
		total := 0
		for name, in := range r.inputs {
			if n := len(in.elements); n > labels || name == inImage && n > images {
				t.Fatalf("%d elements of %s", n, name)
			}
			var again []byte
			for _, e := range in.elements {
				again = append(binary.LittleEndian.AppendUint32(again, uint32(len(e))), e...)
			}
			if in.binary {
				total += len(again)
			}
		}
		if header >= 0 && total != len(body)-header {
			t.Fatalf("%d bytes of tensors, of %d", total, len(body)-header)
		}
		if _, err := r.images(); err != nil {
			clientsMistake(t, err)
		}
	})
}

// tokenStrings is stringsOf by the tokens of encoding/json.
func tokenStrings(data json.RawMessage, n int) ([][]byte, error) {
	d := json.NewDecoder(bytes.NewReader(data))
	var all [][]byte
	depth := 0
	for {
		tok, err := d.Token()
		if err != nil {
			return nil, fmt.Errorf("data: %s", quote.Text(err.Error()))
		}
		switch tok := tok.(type) {
		case json.Delim:
			switch tok {
			case '[':
				depth++
			case ']':
				depth--
			default:
				return nil, errors.New("data has an object; it is a list of strings")
			}
			if depth > 2 {
				return nil, errors.New("data is nested more deeply than [N, 1]")
			}
		case string:
			if len(all) == n {
				return nil, fmt.Errorf("data has more elements than the shape, %d", n)
			}
			all = append(all, []byte(tok))
		default:
			return nil, fmt.Errorf("data has %s; it is a list of strings", quote.String(fmt.Sprint(tok)))
		}
		if depth == 0 {
			break
		}
	}
	if len(all) != n {
		return nil, fmt.Errorf("data has %d elements, the shape %d", len(all), n)
	}
	return all, nil
}

// FuzzStrings: the strings of a list are those that encoding/json reads, and what it refuses is refused.
func FuzzStrings(f *testing.F) {
	for _, s := range []string{`["a"]`, `[["a"],["b\u0020\"\\"]]`, `"a"`, `[ "\ud83d\ude00" , "\n" ]`, `["a",null]`, `[1e3]`, `[[["a"]]]`, `[{"a":1}]`, `[]`, "[\"\xff\"]", `true`} {
		f.Add([]byte(s), 2)
		f.Add([]byte(s), 1)
	}
	f.Fuzz(func(t *testing.T, b []byte, n int) {
		if !json.Valid(b) || n < 0 || n > 9 {
			return
		}
		got, err := stringsOf(b, n)
		want, wrong := tokenStrings(b, n)
		if (err == nil) != (wrong == nil) || !slices.EqualFunc(got, want, bytes.Equal) {
			t.Fatalf("%q, %v; by tokens %q, %v", got, err, want, wrong)
		}
	})
}

// BenchmarkImages reads a request with an image of 100 kB in each of the forms that images come in.
func BenchmarkImages(b *testing.B) {
	img := make([]byte, 100_000)
	for i := range img {
		img[i] = byte(i * i >> 3)
	}
	read := func(body []byte, header int) {
		r, err := parseInference(body, header, 1, 1)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := r.images(); err != nil {
			b.Fatal(err)
		}
	}
	b.Run("binary", func(b *testing.B) {
		body, header := oipBinary(img)
		for b.Loop() {
			read(body, header)
		}
	})
	b.Run("json", func(b *testing.B) {
		b.ReportAllocs()
		for body := oipJSON(img); b.Loop(); {
			read(body, -1)
		}
	})
	b.Run("hf", func(b *testing.B) {
		b.ReportAllocs()
		for body := []byte(`{"inputs":"` + base64.StdEncoding.EncodeToString(img) + `"}`); b.Loop(); {
			if _, err := parseHF(body); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// FuzzHF: the same of Hugging Face's.
func FuzzHF(f *testing.F) {
	for _, b := range recordedBodies(f) {
		f.Add(b)
	}
	f.Add([]byte(`{"inputs":"data:image/png;base64,eHk-_w","parameters":{"candidate_labels":"a, b","hypothesis_template":"{}","top_k":1,"function_to_apply":"none"}}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		q, err := parseHF(body)
		if err != nil {
			clientsMistake(t, err)
			return
		}
		if len(q.images) != 1 || q.top < 0 || functions[q.function] == nil || q.labels == nil && q.top < 1 {
			t.Fatalf("%+v", q)
		}
	})
}

// FuzzAnswers sends requests through all of a server, images and encoder too: every answer is JSON, and none a fault of the program.
func FuzzAnswers(f *testing.F) {
	s := start(f, func(_ *Config, o *Options) { o.Body, o.Bodies, o.Pixels = 1<<16, 1<<20, 10_000 })
	paths := []string{"/models/m", "/models/clip", "/compare/m", "/v2/models/m/infer", "/v2/models/clip/infer", "/", "/v2/repository/index", "/v2/repository/models/m/load"}
	for i, b := range slices.Concat(recordedBodies(f), [][]byte{picture(1), photo(30, 20, 1), oipJSON(picture(2))}) {
		f.Add(uint8(i), "", b)
		f.Add(uint8(3), "gzip", b)
	}
	f.Fuzz(func(t *testing.T, path uint8, packed string, body []byte) {
		header := []string{"Content-Encoding", packed}
		if path&64 != 0 {
			header = append(header, "Inference-Header-Content-Length", string(body[:min(len(body), 3)]))
		}
		s.t = t
		w := s.ask("POST", paths[int(path)%len(paths)], body, header...)
		if w.Code >= 500 {
			t.Fatalf("%s: %d %s", paths[int(path)%len(paths)], w.Code, w.Body)
		}
		if w.Header().Get("Content-Type") == "application/json" && !json.Valid(w.Body.Bytes()) {
			t.Fatalf("%q", w.Body)
		}
	})
}

// clientsMistake fails unless an error is an answer that says what was wrong with the request.
func clientsMistake(t *testing.T, err error) {
	t.Helper()
	f, ok := err.(*failure)
	if !ok || f.status < 400 || f.status >= 500 || f.text == "" {
		t.Fatalf("%v", err)
	}
}

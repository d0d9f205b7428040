package serve

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// TestChurn asks tasks over the loopback interface while they are unloaded and loaded, and while the file of one becomes another's with other classes: every
// answer is that of the task which was asked, as it was before or after, and tells of no other failure than that it was not there.
//
//	FEWSHOT_CHURN=1000 go test -run Churn -v ./cmd/fewshot/internal/serve
//
// has them come and go as often.
func TestChurn(t *testing.T) {
	rounds, _ := strconv.Atoi(os.Getenv("FEWSHOT_CHURN"))
	if rounds == 0 {
		rounds = 8
	}
	folder := t.TempDir()
	dev, m := embedded(t)
	f := prepare(t, dev, m, wallClock{}, []string{"m", "other"}, func(c *Config, o *Options) { c.Folder, o.Control = folder, true })
	files := [][]byte{readFile(t, f.dir, "m"), nil} // what x is by turns: m, and a probe of two classes
	saveProbe(t, dev, m, filepath.Join(f.dir, "probe.safetensors"), "", testClasses[:2])
	files[1] = readFile(t, f.dir, "probe")
	put := func(i int) {
		path := filepath.Join(folder, "x.safetensors")
		if err := os.WriteFile(path+".new", files[i%2], 0o666); err != nil {
			t.Error(err)
		}
		if err := os.Rename(path+".new", path); err != nil {
			t.Error(err)
		}
		if err := f.repository.scan(context.Background()); err != nil {
			t.Error(err)
		}
	}
	server, end, ended := served(t, f)

	ask := func(path string, body []byte) (int, []byte) {
		r, err := http.Post(server+path, "", bytes.NewReader(body))
		if err != nil {
			t.Error(err)
			return 0, nil
		}
		defer r.Body.Close()
		b, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		return r.StatusCode, b
	}
	logits := func(task string, image int) (int, []float32, string) {
		code, b := ask("/v2/models/"+task+"/infer", slices.Replace(oipJSON(picture(image)), 0, 1, []byte(`{"outputs":[{"name":"logits"}],`)...))
		if code != 200 {
			return code, nil, string(b)
		}
		var r oipResult
		var v []float32
		if err := json.Unmarshal(b, &r); err != nil || r.ModelName != task || len(r.Outputs) != 1 || json.Unmarshal(r.Outputs[0].Data, &v) != nil {
			t.Errorf("%s: %v of %s", task, err, b)
		}
		return code, v, string(b)
	}
	const images = 3
	want := map[string][][]float32{} // by task and image, of each that it may be
	for i := range 2 {
		put(i)
		for _, task := range []string{"m", "other", "x"} {
			for image := range images {
				code, v, text := logits(task, image)
				if code != 200 {
					t.Fatalf("%s: %d %s", task, code, text)
				}
				key := fmt.Sprint(task, image)
				want[key] = append(want[key], v)
			}
		}
	}
	if len(want["x0"][0]) != 3 || len(want["x0"][1]) != 2 || slices.Equal(want["m0"][0], want["other0"][0]) {
		t.Fatalf("tasks that say the same: %v", want)
	}

	var clients sync.WaitGroup
	var mu sync.Mutex
	codes := map[int]int{}
	over := make(chan struct{})
	for c := range 6 {
		clients.Go(func() {
			for i := c; ; i++ {
				select {
				case <-over:
					return
				default:
				}
				task, image := []string{"m", "other", "x"}[i%3], i/3%images
				code, v, text := logits(task, image)
				mu.Lock()
				codes[code]++
				mu.Unlock()
				right := slices.ContainsFunc(want[fmt.Sprint(task, image)], func(w []float32) bool { return slices.Equal(w, v) })
				switch gone := strings.Contains(text, "not loaded") || strings.Contains(text, "there is no task"); {
				case code == 404 && gone && task != "m":
				case code != 200 || !right:
					t.Errorf("%s, image %d: %d %s", task, image, code, text)
				}
			}
		})
	}
	for i := range rounds {
		for _, path := range []string{"other/unload", "other/load", "m/load"} {
			if code, b := ask("/v2/repository/models/"+path, nil); code != 200 {
				t.Errorf("%s: %d %s", path, code, b)
			}
		}
		put(i)
		if i%4 == 3 {
			os.Remove(filepath.Join(folder, "x.safetensors"))
			if err := f.repository.scan(context.Background()); err != nil {
				t.Error(err)
			}
		}
	}
	close(over)
	clients.Wait()
	t.Logf("%d rounds, answers by status %v", rounds, codes)
	end()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func readFile(t *testing.T, dir, task string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, task+".safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

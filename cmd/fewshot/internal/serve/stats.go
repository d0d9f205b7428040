package serve

import (
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// statistics are what a task has been asked since it was loaded, as Triton's extension of statistics has it: of requests, how long each of
// their stages took in all, and of batches by their size. By whichever protocol a request came, it counts.
type statistics struct {
	mu         sync.Mutex
	last       time.Time // of the last request
	images     int       // classified
	executions int       // batches in which there were some of its images
	requests   requestTimes
	batches    map[int]*batchTimes // by size
}

// duration is how often something was done, and for how long in all.
type duration struct {
	Count int   `json:"count"`
	NS    int64 `json:"ns"`
}

func (d *duration) add(t time.Duration) {
	d.Count++
	d.NS += int64(t)
}

// requestTimes are stages of requests: those that failed are in Fail alone.
type requestTimes struct {
	Success   duration `json:"success"`
	Fail      duration `json:"fail"`
	Queue     duration `json:"queue"`
	Input     duration `json:"compute_input"` // decoding
	Infer     duration `json:"compute_infer"`
	Output    duration `json:"compute_output"` // from the device to who asked
	CacheHit  duration `json:"cache_hit"`      // there is no cache of answers
	CacheMiss duration `json:"cache_miss"`
}

// batchTimes are those of batches of a size.
type batchTimes struct {
	Size   int      `json:"batch_size"` // images, of other tasks too
	Input  duration `json:"compute_input"`
	Infer  duration `json:"compute_infer"`
	Output duration `json:"compute_output"`
}

// stages are how long those of one request took.
type stages struct{ queue, input, infer, output time.Duration }

// answered counts a request that has its answer, or an error.
func (s *statistics) answered(now time.Time, took time.Duration, t stages, images int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last = now
	r := &s.requests
	if err != nil {
		r.Fail.add(took)
		return
	}
	s.images += images
	r.Success.add(took)
	r.Queue.add(t.queue)
	r.Input.add(t.input)
	r.Infer.add(t.infer)
	r.Output.add(t.output)
}

// executed counts a batch.
func (s *statistics) executed(size int, input, infer, output time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.executions++
	if s.batches == nil {
		s.batches = map[int]*batchTimes{}
	}
	b := s.batches[size]
	if b == nil {
		b = &batchTimes{Size: size}
		s.batches[size] = b
	}
	b.Input.add(input)
	b.Infer.add(infer)
	b.Output.add(output)
}

// modelStats is a task's part of an answer.
type modelStats struct {
	Name       string         `json:"name"`
	Version    string         `json:"version"`
	Last       int64          `json:"last_inference"` // milliseconds since 1970
	Images     int            `json:"inference_count"`
	Executions int            `json:"execution_count"`
	Requests   requestTimes   `json:"inference_stats"`
	Responses  map[string]any `json:"response_stats"` // of models that answer several times, which none is
	Batches    []batchTimes   `json:"batch_stats"`
	Memory     []memoryUse    `json:"memory_usage"`
}

type memoryUse struct {
	Type  string `json:"type"`
	ID    int    `json:"id"`
	Bytes int64  `json:"byte_size"`
}

func (s *statistics) of(name string) modelStats {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := modelStats{Name: name, Version: version, Images: s.images, Executions: s.executions, Requests: s.requests,
		Responses: map[string]any{}, Batches: []batchTimes{}, Memory: []memoryUse{}}
	if !s.last.IsZero() {
		m.Last = s.last.UnixMilli()
	}
	for _, size := range slices.Sorted(maps.Keys(s.batches)) {
		m.Batches = append(m.Batches, *s.batches[size])
	}
	return m
}

// statsOf are those of a task, or of the untouched model.
func (s *Server) statsOf(name string) (modelStats, error) {
	if name == Plain {
		return s.plain.of(name), nil
	}
	t, err := s.repository.use(name)
	if err != nil {
		return modelStats{}, err
	}
	defer t.release()
	m := t.way.stats.of(name)
	kind := "CPU"
	if strings.HasPrefix(s.engine.dev.Name(), "cuda") {
		kind = "GPU"
	}
	m.Memory = append(m.Memory, memoryUse{Type: kind, Bytes: t.bytes})
	return m, nil
}

func (s *Server) modelStats(w http.ResponseWriter, r *http.Request) {
	m, err := s.statsOf(r.PathValue("task"))
	if err != nil {
		s.fail(w, err)
		return
	}
	writeJSON(w, http.StatusOK, map[string]any{"model_stats": []modelStats{m}})
}

// allStats are those of all tasks that are loaded.
func (s *Server) allStats(w http.ResponseWriter, _ *http.Request) {
	all := []modelStats{}
	for _, name := range append(s.repository.names(), Plain) {
		if m, err := s.statsOf(name); err == nil {
			all = append(all, m)
		}
	}
	slices.SortFunc(all, func(a, b modelStats) int { return strings.Compare(a.Name, b.Name) })
	writeJSON(w, http.StatusOK, map[string]any{"model_stats": all})
}

package serve

import (
	"bytes"
	"net/http"
	"slices"
	"strings"

	"fewshot/nn/quote"
)

// named is a description of a tensor in metadata.
type named struct {
	Name     string `json:"name"`
	DataType string `json:"datatype"`
	Shape    []int  `json:"shape"`
}

// routeOIP adds the addresses of the Open Inference Protocol.
func (s *Server) routeOIP(handle func(pattern string, f http.HandlerFunc)) {
	handle("GET /v2", s.serverMetadata)
	handle("GET /v2/health/live", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, http.StatusOK, map[string]bool{"live": true})
	})
	handle("GET /v2/health/ready", func(w http.ResponseWriter, _ *http.Request) {
		status := http.StatusOK
		if !s.ready.Load() {
			status = http.StatusServiceUnavailable
		}
		writeJSON(w, status, map[string]bool{"ready": s.ready.Load()})
	})
	for _, of := range []string{"/v2/models/{task}", "/v2/models/{task}/versions/{version}"} {
		handle("GET "+of, s.ofVersion(s.modelMetadata))
		handle("GET "+of+"/ready", s.ofVersion(s.modelReady))
		handle("GET "+of+"/config", s.ofVersion(s.modelConfig))
		handle("GET "+of+"/stats", s.ofVersion(s.modelStats))
		handle("POST "+of+"/infer", s.ofVersion(s.infer))
	}
	handle("GET /v2/models/stats", s.allStats)
	handle("POST /v2/repository/index", s.index)
	handle("POST /v2/repository/models/{task}/load", s.control(func(r *http.Request) error {
		return s.repository.load(r.Context(), r.PathValue("task"))
	}))
	handle("POST /v2/repository/models/{task}/unload", s.control(func(r *http.Request) error {
		return s.repository.unload(r.PathValue("task"))
	}))
}

// ofVersion refuses versions that there are not.
func (s *Server) ofVersion(f http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if v := r.PathValue("version"); v != "" && v != version {
			s.fail(w, statusf(http.StatusNotFound, "version %s: every task has version %s alone", quote.String(v), version))
			return
		}
		f(w, r)
	}
}

func (s *Server) serverMetadata(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, map[string]any{"name": "fewshot", "version": s.opt.Version,
		"extensions": []string{"binary_tensor_data", "classification", "model_repository", "model_configuration", "statistics"}})
}

// about is what a task takes and gives.
func (s *Server) about(name string) (inputs, outs []named, classes []string, err error) {
	n := -1
	inputs = []named{{inImage, "BYTES", []int{-1}}}
	if name == Plain {
		inputs = append(inputs, named{inLabels, "BYTES", []int{-1}}) // and optionally a template, which clients of Triton's would take for needed
	} else {
		t, err := s.repository.use(name)
		if err != nil {
			return nil, nil, nil, err
		}
		n, classes = len(t.classes), t.classes
		t.release()
	}
	for _, k := range outputs {
		o := named{k.name, k.datatype, []int{-1, n}}
		if k.datatype == "BYTES" {
			o.Shape = []int{-1}
		}
		outs = append(outs, o)
	}
	return inputs, outs, classes, nil
}

func (s *Server) modelMetadata(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("task")
	inputs, outs, classes, err := s.about(name)
	if err != nil {
		s.fail(w, err)
		return
	}
	a := map[string]any{"name": name, "versions": []string{version}, "platform": "fewshot", "inputs": inputs, "outputs": outs}
	if classes != nil {
		a["parameters"] = map[string]any{"labels": classes}
	}
	writeJSON(w, http.StatusOK, a)
}

func (s *Server) modelReady(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("task")
	if _, _, _, err := s.about(name); err != nil {
		s.fail(w, err)
		return
	}
	writeJSON(w, http.StatusOK, map[string]any{"name": name, "ready": true})
}

// modelConfig is what tools of Triton's read: the same as the metadata in other words.
func (s *Server) modelConfig(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("task")
	inputs, outs, _, err := s.about(name)
	if err != nil {
		s.fail(w, err)
		return
	}
	type tensor struct {
		Name string `json:"name"`
		Type string `json:"data_type"`
		Dims []int  `json:"dims"`
	}
	types := map[string]string{"BYTES": "TYPE_STRING", "FP32": "TYPE_FP32"}
	var in, out []tensor
	for _, n := range inputs {
		in = append(in, tensor{n.Name, types[n.DataType], n.Shape})
	}
	for _, n := range outs {
		out = append(out, tensor{n.Name, types[n.DataType], n.Shape})
	}
	// Batches are made of requests here: a client's own batch is an axis of the tensor, as max_batch_size 0 says.
	writeJSON(w, http.StatusOK, map[string]any{"name": name, "platform": "fewshot", "backend": "fewshot", "max_batch_size": 0, "input": in, "output": out})
}

func (s *Server) infer(w http.ResponseWriter, r *http.Request) {
	body, release, err := s.readBody(r)
	if err != nil {
		s.fail(w, err)
		return
	}
	defer release()
	a, tail, err := s.inference(r, body)
	if err != nil {
		s.fail(w, err)
		return
	}
	a.write(w, tail)
}

func (s *Server) inference(r *http.Request, body []byte) (a oipAnswer, tail []byte, err error) {
	header, err := headerLength(r.Header, len(body))
	if err != nil {
		return a, nil, err
	}
	f, err := parseInference(body, header, s.opt.Images, s.opt.Labels)
	if err != nil {
		return a, nil, err
	}
	q := question{template: hfTemplate}
	if q.images, err = f.images(); err != nil {
		return a, nil, err
	}
	if in, ok := f.inputs[inLabels]; ok {
		for _, e := range in.elements {
			q.labels = append(q.labels, string(e))
		}
		if err := s.checkLabels(q.labels); err != nil {
			return a, nil, err
		}
	}
	if in, ok := f.inputs[inTemplate]; ok {
		if q.labels == nil || len(in.elements) != 1 {
			return a, nil, badf("input %s is one text, beside %s", inTemplate, inLabels)
		}
		q.template = string(bytes.TrimSpace(in.elements[0]))
	}
	for _, o := range f.outputs {
		q.plain = q.plain || o.name == "untouched"
	}
	name := r.PathValue("task")
	p, err := s.predict(r.Context(), name, q)
	if err != nil {
		return a, nil, err
	}
	a, tail = f.answer(name, p)
	return a, tail, nil
}

// indexed is a line of the repository's index.
type indexed struct {
	Name    string `json:"name"`
	Version string `json:"version,omitempty"`
	State   string `json:"state"`
	Reason  string `json:"reason,omitempty"`
}

// index lists tasks. Clients send no body, or one that asks for those alone that are ready.
func (s *Server) index(w http.ResponseWriter, r *http.Request) {
	body, release, err := s.readBody(r)
	if err != nil {
		s.fail(w, err)
		return
	}
	defer release()
	var ask struct {
		Ready bool `json:"ready"`
	}
	if len(bytes.TrimSpace(body)) > 0 {
		if err := unmarshal(body, &ask); err != nil {
			s.fail(w, err)
			return
		}
	}
	all := []indexed{}
	for _, i := range s.indexAll() {
		if !ask.Ready || i.State == "READY" {
			all = append(all, i)
		}
	}
	writeJSON(w, http.StatusOK, all)
}

// indexAll is the repository's index.
func (s *Server) indexAll() (all []indexed) {
	all = append(all, indexed{Plain, version, "READY", ""})
	s.repository.mu.RLock()
	defer s.repository.mu.RUnlock()
	for name, e := range s.repository.entries {
		i := indexed{name, version, "READY", ""}
		if e.task == nil {
			i.State, i.Reason = "UNAVAILABLE", quote.Text(e.reason)
		}
		all = append(all, i)
	}
	slices.SortFunc(all, func(a, b indexed) int { return strings.Compare(a.Name, b.Name) })
	return all
}

// control lets clients load and unload tasks, where the operator does.
func (s *Server) control(f func(r *http.Request) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		body, release, err := s.readBody(r)
		if err != nil {
			s.fail(w, err)
			return
		}
		defer release()
		var ask struct {
			Parameters map[string]any `json:"parameters"`
		}
		switch {
		case !s.opt.Control:
			err = statusf(http.StatusForbidden, "tasks are loaded and unloaded by whoever runs the server; -control lets clients do it")
		case len(bytes.TrimSpace(body)) > 0:
			err = unmarshal(body, &ask)
		}
		for name := range ask.Parameters {
			if err == nil && name != "unload_dependents" {
				err = badf("parameter %s: a task's files are those that the server was started with, and none are taken from requests", quote.String(name))
			}
		}
		if err == nil && r.PathValue("task") == Plain {
			err = badf("%s is the untouched model, which is always there", Plain)
		}
		if err == nil {
			err = f(r)
		}
		if err != nil {
			s.fail(w, err)
			return
		}
		writeJSON(w, http.StatusOK, map[string]any{})
	}
}

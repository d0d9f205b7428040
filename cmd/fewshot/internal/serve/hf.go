package serve

import (
	"bytes"
	"encoding/json"
	"errors"
	"maps"
	"mime"
	"net/http"
	"slices"
	"strings"

	"fewshot/nn/quote"
)

// hfRequest is what Hugging Face's clients send to an endpoint of image classification, with classes of its own or not. An image alone
// comes as it is.
type hfRequest struct {
	Inputs     *string         `json:"inputs"`
	Parameters json.RawMessage `json:"parameters"` // hfParameters; read apart, as inputs are long and one pass over them is enough
}

type hfParameters struct {
	Labels   hfLabels `json:"candidate_labels"`
	Template *string  `json:"hypothesis_template"`
	TopK     *int     `json:"top_k"`
	Function *string  `json:"function_to_apply"`
}

// hfLabels are a list, or a string with commas, as clients send it when they are given one.
type hfLabels []string

func (l *hfLabels) UnmarshalJSON(b []byte) error {
	var one string
	if json.Unmarshal(b, &one) == nil {
		*l = nil
		for s := range strings.SplitSeq(one, ",") {
			*l = append(*l, strings.TrimSpace(s))
		}
		return nil
	}
	if json.Unmarshal(b, (*[]string)(l)) != nil {
		return errors.New("candidate_labels are a list of texts, or one text with commas between them")
	}
	return nil
}

// hfQuestion is a request, read: an image, or JSON if it begins as that does.
type hfQuestion struct {
	question
	top      int
	function string
}

func parseHF(body []byte) (q hfQuestion, err error) {
	start := bytes.TrimLeft(body, " \t\r\n")
	if len(start) == 0 {
		return q, badf("the body is empty; it is an image, or JSON with inputs")
	}
	q.template, q.top, q.function = hfTemplate, 5, "softmax"
	if start[0] != '{' {
		q.images = [][]byte{body}
		return q, nil
	}
	var r hfRequest
	if err := unmarshal(body, &r); err != nil {
		return q, err
	}
	if r.Inputs == nil {
		return q, badf("the request has no inputs, an image in base64")
	}
	image, err := unbase64([]byte(*r.Inputs))
	if err != nil {
		return q, badf("inputs: %s", err.Error())
	}
	q.images = [][]byte{image}
	p, err := readParameters(r.Parameters)
	if err != nil {
		return q, err
	}
	if q.labels = p.Labels; p.Labels != nil {
		q.top = len(q.labels)
	}
	if p.Template != nil {
		if p.Labels == nil {
			return q, badf("hypothesis_template is for candidate_labels, and there are none")
		}
		q.template = *p.Template
	}
	if p.TopK != nil {
		if *p.TopK < 1 {
			return q, badf("top_k %d: at least 1", *p.TopK)
		}
		q.top = *p.TopK
	}
	if p.Function != nil {
		if q.function = *p.Function; functions[q.function] == nil {
			return q, badf("function_to_apply %s: there are softmax, sigmoid and none", quote.String(q.function))
		}
	}
	return q, nil
}

// hfKnown are the parameters that there are.
var hfKnown = []string{"candidate_labels", "function_to_apply", "hypothesis_template", "top_k"}

// readParameters refuses one that would have no effect, as a misspelled one.
func readParameters(text json.RawMessage) (p hfParameters, err error) {
	if text == nil {
		return p, nil
	}
	var names map[string]json.RawMessage
	if err := json.Unmarshal(text, &names); err != nil {
		return p, badf("parameters %s: an object with %s", quote.String(string(text[:min(len(text), 40)])), strings.Join(hfKnown, ", "))
	}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		if !slices.Contains(hfKnown, name) {
			return p, badf("there is no parameter %s; there are %s", quote.String(name), strings.Join(hfKnown, ", "))
		}
	}
	var kind *json.UnmarshalTypeError
	switch err := json.Unmarshal(text, &p); {
	case errors.As(err, &kind):
		return p, badf("parameter %s is a %s, which does not belong there", quote.String(kind.Field), quote.Text(kind.Value))
	case err != nil:
		return p, badf("parameters: %s", quote.Text(err.Error()))
	}
	return p, nil
}

// noForm refuses a body that is not the image but a form with the image in it, as browsers and curl -F send it.
func noForm(r *http.Request) error {
	if kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); !strings.HasPrefix(kind, "multipart/") {
		return nil
	}
	return statusf(http.StatusUnsupportedMediaType, "the body is a form (multipart); send the image itself, as curl --data-binary @FILE does")
}

// routeHF adds the addresses for Hugging Face's clients, and those of the page.
func (s *Server) routeHF(handle func(pattern string, f http.HandlerFunc)) {
	handle("POST /{$}", func(w http.ResponseWriter, r *http.Request) { s.classify(w, r, "") })
	handle("POST /models/{task}", func(w http.ResponseWriter, r *http.Request) { s.classify(w, r, r.PathValue("task")) })
	handle("POST /compare/{task}", s.compare)
	handle("GET /tasks", func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, http.StatusOK, s.tasks()) })
}

// hf reads a request and asks a task.
func (s *Server) hf(r *http.Request, task string, compare bool) (q hfQuestion, p *prediction, err error) {
	if err := noForm(r); err != nil {
		return q, nil, err
	}
	body, release, err := s.readBody(r)
	if err != nil {
		return q, nil, err
	}
	defer release()
	if q, err = parseHF(body); err != nil {
		return q, nil, err
	}
	if q.labels != nil {
		if err := s.checkLabels(q.labels); err != nil {
			return q, nil, err
		}
	}
	if task == "" {
		if task, err = s.only(q.labels != nil); err != nil {
			return q, nil, err
		}
	}
	q.plain = compare
	p, err = s.predict(r.Context(), task, q.question)
	return q, p, err
}

// only is the task that a request means which names none: the untouched model for classes of its own, or the only one there is.
func (s *Server) only(labels bool) (string, error) {
	names := s.repository.names()
	switch {
	case labels:
		return Plain, nil
	case len(names) == 1:
		return names[0], nil
	}
	return "", badf("there are %d tasks; give the address of one, as /models/NAME, or candidate_labels", len(names))
}

func (s *Server) classify(w http.ResponseWriter, r *http.Request, task string) {
	q, p, err := s.hf(r, task, false)
	if err != nil {
		s.fail(w, err)
		return
	}
	writeJSON(w, http.StatusOK, p.top(functions[q.function](p.logits[0]), q.top))
}

// comparison is a task's answer beside that of the untouched model, for the page.
type comparison struct {
	Task      string   `json:"task"`
	Tuned     []scored `json:"tuned"`
	Untouched []scored `json:"untouched"` // the same classes, in the order of tuned
}

func (s *Server) compare(w http.ResponseWriter, r *http.Request) {
	task := r.PathValue("task")
	q, p, err := s.hf(r, task, true)
	if err != nil {
		s.fail(w, err)
		return
	}
	tuned, plain := softmax(p.logits[0]), softmax(p.plain[0])
	c := comparison{Task: task}
	for _, i := range best(tuned, q.top) {
		c.Tuned = append(c.Tuned, scored{p.classes[i], tuned[i]})
		c.Untouched = append(c.Untouched, scored{p.classes[i], plain[i]})
	}
	// What the untouched model would say must not be missing among them.
	if i := largest(plain); !slices.ContainsFunc(c.Untouched, func(s scored) bool { return s.Label == p.classes[i] }) {
		c.Tuned = append(c.Tuned, scored{p.classes[i], tuned[i]})
		c.Untouched = append(c.Untouched, scored{p.classes[i], plain[i]})
	}
	writeJSON(w, http.StatusOK, c)
}

// listed is a task as the page shows it.
type listed struct {
	Name     string   `json:"name"`
	Method   string   `json:"method"`
	Title    string   `json:"title,omitempty"`
	Classes  []string `json:"classes"`
	Template string   `json:"template,omitempty"`
	Sparsity float64  `json:"sparsity_percent,omitempty"`
	Bytes    int64    `json:"bytes"` // of memory for itself
	Open     bool     `json:"open"`  // it takes classes from requests
}

// tasks are those that are loaded, and the untouched model.
func (s *Server) tasks() (all []listed) {
	for _, name := range s.repository.names() {
		t, err := s.repository.use(name)
		if err != nil {
			continue
		}
		all = append(all, listed{t.name, t.method, t.title, t.classes, t.template, t.sparsity, t.bytes, t.open})
		t.release()
	}
	return append(all, listed{Name: Plain, Method: "zero-shot", Classes: []string{}, Template: hfTemplate, Open: true})
}

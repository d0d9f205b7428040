package serve

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"

	"fewshot/nn/quote"
)

// prediction is what a task says of images.
type prediction struct {
	classes []string
	logits  [][]float32 // by image
	plain   [][]float32 // of the untouched model; nil where nobody asked
}

// question is what is asked of a task.
type question struct {
	images   [][]byte
	labels   []string // classes of the request's own; nil for the task's
	template string   // for these
	plain    bool     // the untouched model is asked, too
}

// hfTemplate is what Hugging Face's zero-shot pipelines put labels into.
const hfTemplate = "This is a photo of {}."

// predict asks a task by name.
func (s *Server) predict(ctx context.Context, name string, q question) (*prediction, error) {
	if name == Plain {
		if q.labels == nil {
			return nil, badf("%s is the untouched model, and has no classes of its own: give %s", Plain, inLabels)
		}
		h, err := s.texts.head(ctx, q.labels, q.template)
		if err != nil {
			return nil, err
		}
		return s.ask(ctx, name, q, q.labels, through{s.engine.plain, h, &s.plain}, through{s.engine.plain, h, nil})
	}
	t, err := s.repository.use(name)
	if err != nil {
		return nil, err
	}
	defer t.release()
	if q.labels == nil {
		return s.ask(ctx, name, q, t.classes, t.way, t.plain)
	}
	if !t.open {
		return nil, badf("task %s is %s, which was learned for its own classes; %s are for masks and for %s", name, t.method, inLabels, Plain)
	}
	h, err := s.texts.head(ctx, q.labels, q.template)
	if err != nil {
		return nil, err
	}
	return s.ask(ctx, name, q, q.labels, through{t.way.tower, h, t.way.stats}, through{s.engine.plain, h, nil})
}

// ask has the images classified.
func (s *Server) ask(ctx context.Context, name string, q question, classes []string, way, plain through) (*prediction, error) {
	ways := []through{way}
	if q.plain {
		ways = append(ways, plain)
	}
	out, err := s.engine.classify(ctx, q.images, ways...)
	if err != nil {
		return nil, err
	}
	s.metrics.images.WithLabelValues(name).Add(float64(len(q.images)))
	p := &prediction{classes: classes, logits: out[0]}
	if q.plain {
		p.plain = out[1]
	}
	return p, nil
}

// checkLabels refuses what cannot be classes.
func (s *Server) checkLabels(labels []string) error {
	if len(labels) < 2 || len(labels) > s.opt.Labels {
		return badf("%d labels: 2 to %d are taken (-max-labels)", len(labels), s.opt.Labels)
	}
	seen := map[string]bool{}
	for _, l := range labels {
		if seen[l] {
			return badf("label %s is there twice", quote.String(l))
		}
		seen[l] = true
	}
	return nil
}

// imageName is what an error calls an image of a request.
func imageName(i, n int) string {
	if n == 1 {
		return "the image"
	}
	return fmt.Sprintf("image %d of %d", i+1, n)
}

// softmax are probabilities.
func softmax(logits []float32) []float32 {
	most := slices.Max(logits)
	sum := 0.0
	e := make([]float64, len(logits))
	for i, v := range logits {
		e[i] = math.Exp(float64(v) - float64(most))
		sum += e[i]
	}
	p := make([]float32, len(logits))
	for i, v := range e {
		p[i] = float32(v / sum)
	}
	return p
}

func softmaxAll(logits [][]float32) (all [][]float32) {
	for _, row := range logits {
		all = append(all, softmax(row))
	}
	return all
}

func flat(rows [][]float32) []float32 { return slices.Concat(rows...) }

// largest is the index of the largest; ties go to the lowest.
func largest(row []float32) (at int) {
	for i, v := range row {
		if v > row[at] {
			at = i
		}
	}
	return at
}

// best are the indices of the k largest, in their order; ties go to the lowest.
func best(row []float32, k int) []int {
	at := make([]int, len(row))
	for i := range at {
		at[i] = i
	}
	slices.SortStableFunc(at, func(a, b int) int { return cmp.Compare(row[b], row[a]) })
	return at[:min(k, len(at))]
}

// scored is a class with its score, as Hugging Face's clients read it.
type scored struct {
	Label string  `json:"label"`
	Score float32 `json:"score"`
}

// functions make scores of logits.
var functions = map[string]func([]float32) []float32{
	"softmax": softmax,
	"none":    func(logits []float32) []float32 { return logits },
	"sigmoid": func(logits []float32) (score []float32) {
		for _, v := range logits {
			score = append(score, float32(1/(1+math.Exp(-float64(v)))))
		}
		return score
	},
}

// top are the k best classes by their scores.
func (p *prediction) top(score []float32, k int) (all []scored) {
	for _, i := range best(score, k) {
		all = append(all, scored{p.classes[i], score[i]})
	}
	return all
}

package serve

import (
	"container/list"
	"context"
	"net/http"
	"strings"
	"sync"

	"fewshot/nn/quote"
)

// keptTexts is how many features of prompts are kept for requests to come, a megabyte for each 512 of ViT-B's.
const keptTexts = 4096

// textsAtOnce is how many prompts are encoded before images have their turn again.
const textsAtOnce = 16

// texts are features of prompts, those kept that were used last.
type texts struct {
	engine *engine

	mu   sync.Mutex
	by   map[string]*list.Element
	used *list.List // of *feature, the latest first
}

// feature is that of a prompt, [D], of length 1.
type feature struct {
	prompt string
	row    []float32
}

func newTexts(e *engine) *texts {
	return &texts{engine: e, by: map[string]*list.Element{}, used: list.New()}
}

// get is the feature of a prompt, if it is kept.
func (t *texts) get(prompt string) []float32 {
	t.mu.Lock()
	defer t.mu.Unlock()
	el := t.by[prompt]
	if el == nil {
		return nil
	}
	t.used.MoveToFront(el)
	return el.Value.(*feature).row
}

func (t *texts) put(prompt string, row []float32) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.by[prompt] != nil {
		return
	}
	t.by[prompt] = t.used.PushFront(&feature{prompt, row})
	if t.used.Len() > keptTexts {
		last := t.used.Back()
		t.used.Remove(last)
		delete(t.by, last.Value.(*feature).prompt)
	}
}

// maxText bounds a label, and a template.
const maxText = 500

// head is the zero-shot classifier of labels that came with a request, by a template, on the untouched text encoder.
func (t *texts) head(ctx context.Context, labels []string, template string) (*head, error) {
	e := t.engine
	if err := e.model.NeedText(); err != nil {
		return nil, badf("%s", err.Error())
	}
	if len(template) > maxText || !strings.Contains(template, "{}") {
		return nil, badf("template %s: has no {} for the label, or is longer than %d bytes", quote.String(template), maxText)
	}
	prompts := make([]string, len(labels))
	var missing []string
	for i, l := range labels {
		if l == "" || len(l) > maxText {
			return nil, badf("label %d, %s: is empty or longer than %d bytes", i+1, quote.String(l), maxText)
		}
		prompts[i] = strings.ReplaceAll(template, "{}", l)
		if t.get(prompts[i]) != nil {
			continue
		}
		// The tokenizer is for any number of goroutines, and what it refuses costs nobody a turn.
		if _, err := e.model.Tokenizer.Tokenize(prompts[i], e.model.Text.Context, false); err != nil {
			return nil, badf("label %d: %s", i+1, err.Error())
		}
		missing = append(missing, prompts[i])
	}
	d := e.model.Image.Sizes().Embed
	fresh := map[string][]float32{}
	for len(missing) > 0 {
		some := missing[:min(textsAtOnce, len(missing))]
		missing = missing[len(some):]
		var one [][]string
		for _, p := range some {
			one = append(one, []string{p})
		}
		err := e.do(ctx, func() error {
			features, err := e.model.PromptClassifier(ctx, e.dev, one)
			if err != nil {
				return err
			}
			defer features.Release()
			all := features.Floats()
			for i, p := range some {
				fresh[p] = all[i*d : (i+1)*d : (i+1)*d]
			}
			return e.dev.Sync()
		})
		if err != nil {
			return nil, err
		}
		for _, p := range some {
			t.put(p, fresh[p])
		}
	}
	h := &head{}
	for _, p := range prompts {
		row := fresh[p]
		if row == nil {
			row = t.get(p)
		}
		if row == nil { // pushed out by others meanwhile
			return nil, overf(http.StatusServiceUnavailable, "texts", 0, "too many labels of other requests came between; try again")
		}
		h.rows = append(h.rows, row...)
	}
	return h, nil
}

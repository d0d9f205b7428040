package tests

import (
	"cmp"
	"strings"

	"fewshot/rmt/prompt"
)

// The cases of PLOT and PLOT++, as those of other prompts.
var (
	_ = onGolden("method plot", goldenPLOT)
	_ = onGolden("method plotpp", goldenPLOT)
)

// transported are what their cases say besides.
type transported struct {
	N         int
	AddPooled bool `json:"add_pooled"`
	Backbone  string
	Eps       float64
	MaxIter   int     `json:"max_iter"`
	Threshold float64 `json:"thresh"`
	Update    string
	M         int
	NVision   int         `json:"n_vision"`
	Single    [][]float64 `json:"eval_before_single"`
	Sinkhorn  any
	Tokens0   string `json:"image_tokens_batch0"`
	Transport string `json:"transport_eval_before"`
	FrozenCtx string `json:"frozen_ctx"`
	Stop      string // ours alone
	ModelFile string `json:"model_file"`
	Inputs    string `json:"inputs_file"`
}

func goldenPLOT(g *goldenCase) {
	var c struct {
		promptCase
		transported
	}
	g.Decode(&c)
	r := newPromptRig(g, cmp.Or(c.ModelFile, "model.safetensors"), cmp.Or(c.Inputs, "inputs.safetensors"))
	if c.Masked {
		r.mask()
	}
	recipe := r.recipe(&c.promptCase)
	transport := prompt.TransportConfig{Eps: c.Eps, Most: c.MaxIter, Threshold: c.Threshold, Stop: cmp.Or(c.Stop, "batch")}
	var l prompt.Learner
	var err error
	switch c.Method {
	case "plot":
		if c.Words != "" || c.CSC {
			r.Refuse("contexts %q, class-specific %v", c.Words, c.CSC)
		}
		l, err = prompt.NewPLOT(r.clip, r.classes, prompt.PLOTConfig{Contexts: c.N, Pooled: c.AddPooled, TransportConfig: transport,
			ContextConfig: prompt.ContextConfig{Context: c.Context, Position: c.Position, Recipe: recipe}})
	case "plotpp":
		if c.AddPooled != (c.Update == "vision") {
			r.Refuse("the pooled term %v in the stage %s", c.AddPooled, c.Update)
		}
		var plus *prompt.PLOTPlus
		plus, err = prompt.NewPLOTPlus(r.clip, r.classes, prompt.PLOTPlusConfig{Stage: c.Update, Templates: r.templates(c.promptCase, c.N),
			Sets: c.M, Prompts: c.NVision, TransportConfig: transport, Recipe: recipe})
		if err == nil && c.FrozenCtx != "" {
			r.near("frozen_ctx", plus.Contexts().Float64s(), r.Tensor("golden.safetensors", c.FrozenCtx).Float64s(), 0, 0)
		}
		l = plus
	}
	if err != nil {
		g.Fatal(err)
	}
	c.promptCase.single = c.Single
	r.steps(&c.promptCase, l, recipe)
}

// templates are the words before the first class's name, in each context's tokens.
func (r *promptRig) templates(c promptCase, n int) (all []string) {
	for j := range n {
		ids := c.Tokens[j*len(r.classes)]
		words := r.clip.Tokenizer.Decode(ids[1 : len(ids)-2-c.Names[0]])
		all = append(all, strings.TrimSpace(words))
	}
	return all
}

package rmt

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"fewshot/optim"
)

// Config are all hyper-parameters of a tuning run. Together with the backbone, the data and the program they
// determine the result to the bit.
type Config struct {
	Method    string   `json:"method"`    // one of [Methods]
	Recipe    string   `json:"recipe"`    // one of [Recipes]
	Patterns  []string `json:"patterns"`  // names of the masked parameters
	Init      float64  `json:"init"`      // initial score
	Threshold float64  `json:"threshold"` // α: a weight is kept where its score is greater
	Leak      float64  `json:"leak"`      // l of gradient dropout; 0 without
	Eps       float64  `json:"purity_eps"`
	Penalty   float64  `json:"mask_penalty"` // factor of Σ‖M‖₂
	Epochs    int      `json:"epochs"`
	// AutoEpochs asks for as many as it takes for scores to cross the threshold; whoever knows the data sets Epochs then.
	AutoEpochs bool    `json:"-"`
	LR         float64 `json:"lr"`
	Batch      int     `json:"batch"`
	// MicroBatch, if not 0, is how many images of a batch are computed at a time, at most: parts are as equal as can
	// be. Their gradients add up to those of the batch, but for rounding, and activations take the memory of a part.
	MicroBatch int     `json:"micro_batch,omitempty"`
	CropMin    float64 `json:"rrc_scale_min"` // RandomResizedCrop takes at least this share of the area
	Flip       float64 `json:"flip"`          // probability of mirroring a training image
	Seed       uint64  `json:"seed"`

	// What follows is not in files of runs that do not use it.
	UpdateRule  string  `json:"rule,omitempty"`        // what becomes of two gradients, one of Rules; empty is by the method
	Temperature float64 `json:"temperature,omitempty"` // of the distillation; 0 is 1
	Granularity string  `json:"granularity,omitempty"` // one of Granularities; empty is weight
	Encoder     string  `json:"encoder,omitempty"`     // whose weights are masked: image, text or both; empty is image
}

// Methods are the names Config.Method may have. Of dmt and r-dmt [ChooseLayers] says which weights they mask.
func Methods() []string {
	return []string{"amt", "r-amt", "mmt", "r-mmt", "pmt", "r-pmt", "dmt", "r-dmt"}
}

// Rules are the names Config.UpdateRule may have: gradient dropout, the task's gradient alone, the sum of both,
// AgreeGrad, ProGrad, PCGrad of all masks as one vector and mask by mask, gradient sign dropout.
func Rules() []string {
	return []string{"dropout", "ce", "sum", "agree", "prograd", "pcgrad", "pcgrad-by-tensor", "signdrop"}
}

// Granularities are the names Config.Granularity may have: a score for each weight, for each output (a row, or a filter
// of a convolution), or for each input (a column, or a plane).
func Granularities() []string { return []string{"weight", "filter", "channel"} }

// Encoders are the names Config.Encoder may have.
func Encoders() []string { return []string{"image", "text", "both"} }

// Recipes are the names Config.Recipe may have. "paper" is what the paper's text says; "released" what the
// authors' released code does beyond it: the patch embedding is masked too, 1e-4·Σ‖M‖₂ is part of the task's
// loss, and the purity's denominator has 1e-8.
func Recipes() []string { return []string{"paper", "released"} }

// Defaults are the settings published for a method, a data set and a number of shots (R-AMT §4.1): 30 epochs at
// 8e-5, for ImageNet 10 at 3e-5; leak 0.3 at 16 shots except on ImageNet, SUN397 and Food101, 1 otherwise and
// from base to new classes.
func Defaults(method, recipe, dataset string, shots int, baseToNew bool) (Config, error) {
	kind, dropout := strings.CutPrefix(method, "r-")
	c := Config{Method: method, Recipe: recipe, Init: 0.01, Threshold: 0.005, Epochs: 30, LR: 8e-5, Batch: 32, CropMin: 0.5, Flip: 0.5, Seed: 1}
	if !slices.Contains(Recipes(), recipe) {
		return c, fmt.Errorf("recipe %q is not known; there are %s", recipe, strings.Join(Recipes(), " and "))
	}
	released := recipe == "released"
	switch kind {
	case "amt":
		c.Patterns = slices.Clone(attention)
		if released {
			c.Patterns = slices.Concat(stem, attention)
		}
	case "mmt":
		c.Patterns = slices.Clone(mlp)
	case "pmt", "dmt":
		c.Patterns = slices.Concat(stem, attention, mlp)
	default:
		return c, fmt.Errorf("method %q is not known; there are %s", method, strings.Join(Methods(), ", "))
	}
	if released {
		c.Eps, c.Penalty = 1e-8, 1e-4
	}
	if dropout {
		c.Leak = 1
		large := []string{"imagenet", "sun397", "food101"}
		if shots == 16 && !baseToNew && !slices.Contains(large, dataset) {
			c.Leak = 0.3
		}
	}
	if dataset == "imagenet" {
		c.Epochs, c.LR = 10, 3e-5
	}
	return c, nil
}

// The most of what a run may be asked for. A checkpoint has a line for every epoch; a batch of more images than there
// are in a large few-shot sample has nothing more to say; and scores start a hundredth above nought, so that larger
// numbers are mistakes.
const (
	MaxEpochs = 100_000
	MaxBatch  = 1 << 16
	maxScore  = 1000
)

// Validate reports the first setting that makes no sense.
func (c Config) Validate() error {
	type test struct {
		ok   bool
		what string
	}
	most := func(what string, x, bound float64) test {
		return test{math.Abs(x) <= bound, fmt.Sprintf("%s %g: at most %g", what, x, bound)}
	}
	for _, t := range []test{
		{slices.Contains(Methods(), c.Method), fmt.Sprintf("method %q: there are %s", c.Method, strings.Join(Methods(), ", "))},
		{len(c.Patterns) > 0, "no parameter is masked"},
		{finite(c.Init, c.Threshold, c.Leak, c.Eps, c.Penalty, c.LR, c.CropMin, c.Flip), "a setting is not a finite number"},
		{c.Init > c.Threshold, fmt.Sprintf("init %g must be above the threshold %g, or every weight starts switched off", c.Init, c.Threshold)},
		{c.Leak >= 0 && c.Leak <= 1, fmt.Sprintf("leak %g must lie in [0, 1]", c.Leak)},
		{c.Eps >= 0 && c.Penalty >= 0, "purity eps and mask penalty must not be negative"},
		most("init", c.Init, maxScore), most("threshold", c.Threshold, maxScore), most("purity eps", c.Eps, maxScore),
		most("mask penalty", c.Penalty, maxScore), most("learning rate", c.LR, maxScore),
		{c.Epochs >= 1 && c.Epochs <= MaxEpochs, fmt.Sprintf("epochs %d: 1 to %d", c.Epochs, MaxEpochs)},
		{c.LR > 0, fmt.Sprintf("learning rate %g must be positive", c.LR)},
		{c.Batch >= 1 && c.Batch <= MaxBatch, fmt.Sprintf("batch %d: 1 to %d images", c.Batch, MaxBatch)},
		{c.MicroBatch >= 0 && c.MicroBatch <= MaxBatch, fmt.Sprintf("micro-batch %d: 0, for all of a batch, or the images of a part", c.MicroBatch)},
		{c.Flip >= 0 && c.Flip <= 1, fmt.Sprintf("flip %g: a probability lies in [0, 1]", c.Flip)},
		{c.UpdateRule == "" || slices.Contains(Rules(), c.UpdateRule), fmt.Sprintf("rule %q: there are %s", c.UpdateRule, strings.Join(Rules(), ", "))},
		{!strings.HasPrefix(c.Method, "r-") || c.UpdateRule == "" || c.UpdateRule == "dropout",
			fmt.Sprintf("rule %s with method %s, which is gradient dropout: with another rule the method is %s", c.UpdateRule, c.Method, strings.TrimPrefix(c.Method, "r-"))},
		{strings.HasPrefix(c.Method, "r-") || c.UpdateRule != "dropout", fmt.Sprintf("rule dropout with method %s, which is without: with it the method is r-%[1]s", c.Method)},
		{c.Leak == 0 || c.UpdateRule != "" || strings.HasPrefix(c.Method, "r-"),
			fmt.Sprintf("leak %g is a setting of gradient dropout, which method %s is without: with it the method is r-%[2]s", c.Leak, c.Method)},
		{c.Leak == 0 || c.UpdateRule == "" || c.UpdateRule == "dropout", fmt.Sprintf("leak %g is a setting of gradient dropout; rule %s has none", c.Leak, c.UpdateRule)},
		{finite(c.Temperature) && c.Temperature >= 0, fmt.Sprintf("temperature %g must be positive", c.Temperature)},
		{c.Temperature == 0 || c.Rule().NeedsTeacher(), fmt.Sprintf("temperature %g: nothing is distilled by method %s with these settings", c.Temperature, c.Method)},
		{c.Granularity == "" || slices.Contains(Granularities(), c.Granularity), fmt.Sprintf("granularity %q: there are %s", c.Granularity, strings.Join(Granularities(), ", "))},
		{c.Encoder == "" || slices.Contains(Encoders(), c.Encoder), fmt.Sprintf("encoder %q: there are %s", c.Encoder, strings.Join(Encoders(), ", "))},
		{!c.ChoosesLayers() || c.Encoder == "" || c.Encoder == "image",
			fmt.Sprintf("encoder %s with method %s, which chooses layers of the image encoder; other methods mask the text encoder", c.Encoder, c.Method)},
		{c.CropMin > 0 && c.CropMin <= 1, fmt.Sprintf("smallest crop %g must lie in (0, 1]", c.CropMin)},
	} {
		if !t.ok {
			return fmt.Errorf("%s", t.what)
		}
	}
	return nil
}

func finite(all ...float64) bool {
	return !slices.ContainsFunc(all, func(x float64) bool { return math.IsNaN(x) || math.IsInf(x, 0) })
}

// Rule is the update rule that the settings ask for.
func (c Config) Rule() optim.Rule {
	p := optim.Penalty(c.Penalty)
	switch c.UpdateRule {
	case "sum":
		return optim.Sum{Weight: 1, Penalty: p}
	case "agree":
		return optim.AgreeGrad{Penalty: p}
	case "prograd":
		return optim.ProGrad{Lambda: 1, Penalty: p}
	case "pcgrad":
		return optim.PCGrad{Whole: true, Penalty: p}
	case "pcgrad-by-tensor":
		return optim.PCGrad{Penalty: p}
	case "signdrop":
		return optim.SignDrop{Penalty: p}
	}
	return optim.GradDrop{Leak: c.Leak, Eps: c.Eps, Penalty: p} // ce has no leak
}

// Schedule is the learning rate by epoch.
func (c Config) Schedule() optim.Schedule { return optim.Cosine(c.LR, c.Epochs) }

// TravelRatio compares how far Adam can move a score in the run, about Σ lr over all steps, with the way from
// Init to Threshold. Below 1 hardly any mask bit can change whatever the gradients are, and the result is
// zero-shot CLIP; with few images the published settings are below 1.
func (c Config) TravelRatio(batchesPerEpoch int) float64 {
	return float64(batchesPerEpoch) * c.LR * float64(c.Epochs+1) / 2 / (c.Init - c.Threshold) // by the sum in EnoughEpochs
}

// EnoughEpochs is the number of epochs, at least the one given, at which the travel ratio reaches 3.
func (c Config) EnoughEpochs(batchesPerEpoch int) (int, error) {
	const enough = 3
	// Σ over E epochs of the cosine schedule is lr·(E+1)/2.
	e := 2*enough*(c.Init-c.Threshold)/(c.LR*float64(batchesPerEpoch)) - 1
	if e > MaxEpochs {
		return 0, fmt.Errorf("at a learning rate of %g scores need %.3g epochs of %d steps to cross the threshold; %d is the most", c.LR, e, batchesPerEpoch, MaxEpochs)
	}
	return max(c.Epochs, int(math.Ceil(e))), nil
}

// LeastTokens is how many rows a part of a batch has, at least, by AutoMicroBatch. What a part costs beside its
// products, as bringing weights into the order in which they are read, does not depend on their rows, and is about a
// hundredth of so many.
const LeastTokens = 3072

// AutoMicroBatch is the MicroBatch that takes least memory in parts of about LeastTokens or more, for a batch of
// images of so many tokens: 0 where it makes no parts. It depends on nothing else, so that equal runs are equal on
// all machines.
func AutoMicroBatch(batch, tokens int) int {
	parts := batch * tokens / LeastTokens
	if parts < 2 {
		return 0
	}
	return (batch + parts - 1) / parts
}

// LRForTravel is the learning rate at which the travel ratio of the run is the given one.
func (c Config) LRForTravel(batchesPerEpoch int, ratio float64) float64 {
	return c.LR * ratio / c.TravelRatio(batchesPerEpoch)
}

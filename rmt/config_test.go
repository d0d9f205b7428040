package rmt

import (
	"math"
	"slices"
	"strings"
	"testing"

	"fewshot/optim"
)

// The published settings: R-AMT §4.1, and what the released code does beyond it.
func TestDefaults(t *testing.T) {
	amt := []string{"visual.*.attn.in_proj_weight", "visual.*.attn.out_proj.weight"}
	mmt := []string{"visual.*.mlp.c_fc.weight", "visual.*.mlp.c_proj.weight"}
	conv := []string{"visual.conv1.weight"}
	for _, c := range []struct {
		method, recipe, dataset string
		shots                   int
		baseToNew               bool
		patterns                []string
		leak, lr                float64
		epochs                  int
	}{
		{"r-amt", "paper", "caltech101", 16, false, amt, 0.3, 8e-5, 30},
		{"r-amt", "paper", "caltech101", 8, false, amt, 1, 8e-5, 30},
		{"r-amt", "paper", "caltech101", 1, false, amt, 1, 8e-5, 30},
		{"r-amt", "paper", "caltech101", 16, true, amt, 1, 8e-5, 30},
		{"r-amt", "paper", "food101", 16, false, amt, 1, 8e-5, 30},
		{"r-amt", "paper", "sun397", 16, false, amt, 1, 8e-5, 30},
		{"r-amt", "paper", "imagenet", 16, false, amt, 1, 3e-5, 10},
		{"r-amt", "paper", "imagenet", 1, false, amt, 1, 3e-5, 10},
		{"amt", "paper", "eurosat", 16, false, amt, 0, 8e-5, 30},
		{"amt", "paper", "imagenet", 16, true, amt, 0, 3e-5, 10},
		{"r-mmt", "paper", "eurosat", 16, false, mmt, 0.3, 8e-5, 30},
		{"mmt", "released", "eurosat", 16, false, mmt, 0, 8e-5, 30},
		{"r-pmt", "paper", "eurosat", 16, false, slices.Concat(conv, amt, mmt), 0.3, 8e-5, 30},
		{"pmt", "paper", "eurosat", 16, false, slices.Concat(conv, amt, mmt), 0, 8e-5, 30},
		{"r-amt", "released", "eurosat", 16, false, slices.Concat(conv, amt), 0.3, 8e-5, 30},
	} {
		want := Config{Method: c.method, Recipe: c.recipe, Patterns: c.patterns, Init: 0.01, Threshold: 0.005, Leak: c.leak, Epochs: c.epochs, LR: c.lr,
			Batch: 32, CropMin: 0.5, Flip: 0.5, Seed: 1}
		if c.recipe == "released" {
			want.Eps, want.Penalty = 1e-8, 1e-4
		}
		got, err := Defaults(c.method, c.recipe, c.dataset, c.shots, c.baseToNew)
		if err != nil {
			t.Error(err)
		}
		if !slices.Equal(got.Patterns, want.Patterns) {
			t.Errorf("%+v: patterns %v", c, got.Patterns)
		}
		got.Patterns, want.Patterns = nil, nil
		if !equalConfig(got, want) {
			t.Errorf("%+v:\ngot  %+v\nwant %+v", c, got, want)
		}
	}
	for _, c := range []struct{ method, recipe, want string }{
		{"emt", "paper", "amt, r-amt, mmt"}, {"", "paper", "amt, r-amt"}, {"r-", "paper", "r-amt"}, {"r-r-amt", "paper", "r-amt"}, {"amt", "", "paper and released"},
	} {
		if _, err := Defaults(c.method, c.recipe, "", 16, false); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("method %q, recipe %q: %v", c.method, c.recipe, err)
		}
	}
}

func equalConfig(a, b Config) bool {
	return a.Method == b.Method && a.Recipe == b.Recipe && a.Init == b.Init && a.Threshold == b.Threshold && a.Leak == b.Leak && a.Eps == b.Eps &&
		a.Penalty == b.Penalty && a.Epochs == b.Epochs && a.LR == b.LR && a.Batch == b.Batch && a.CropMin == b.CropMin && a.Flip == b.Flip && a.Seed == b.Seed
}

func TestValidate(t *testing.T) {
	good, err := Defaults("r-amt", "released", "caltech101", 16, false)
	if err != nil {
		t.Fatal(err)
	}
	if err := good.Validate(); err != nil {
		t.Error(err)
	}
	inf, nan := math.Inf(1), math.NaN()
	for name, spoil := range map[string]func(*Config){
		"method":      func(c *Config) { c.Method = "emt" },
		`rule "both"`: func(c *Config) { c.UpdateRule = "both" },
		"rule sum with method r-amt, which is gradient dropout: with another rule the method is amt":          func(c *Config) { c.UpdateRule = "sum" },
		"rule dropout with method amt, which is without: with it the method is r-amt":                         func(c *Config) { c.Method, c.UpdateRule, c.Leak = "amt", "dropout", 0 },
		"leak 0.3 is a setting of gradient dropout; rule prograd has none":                                    func(c *Config) { c.Method, c.UpdateRule, c.Leak = "amt", "prograd", 0.3 },
		"leak 0.3 is a setting of gradient dropout, which method amt is without: with it the method is r-amt": func(c *Config) { c.Method, c.Leak = "amt", 0.3 },
		"temperature -1": func(c *Config) { c.Temperature = -1 },
		"temperature 2: nothing is distilled by method amt":                         func(c *Config) { c.Method, c.Leak, c.Temperature = "amt", 0, 2 },
		`granularity "row": there are weight, filter, channel`:                      func(c *Config) { c.Granularity = "row" },
		"encoder both with method r-dmt, which chooses layers of the image encoder": func(c *Config) { c.Method, c.Encoder = "r-dmt", "both" },
		`encoder "vision": there are image, text, both`:                             func(c *Config) { c.Encoder = "vision" },
		"masked":       func(c *Config) { c.Patterns = nil },
		"init":         func(c *Config) { c.Init = c.Threshold },
		"leak":         func(c *Config) { c.Leak = -0.1 },
		"leak 2":       func(c *Config) { c.Leak = 2 },
		"eps":          func(c *Config) { c.Eps = -1 },
		"penalty":      func(c *Config) { c.Penalty = -1 },
		"epochs":       func(c *Config) { c.Epochs = 0 },
		"rate":         func(c *Config) { c.LR = 0 },
		"batch":        func(c *Config) { c.Batch = 0 },
		"flip":         func(c *Config) { c.Flip = 1.5 },
		"crop":         func(c *Config) { c.CropMin = 0 },
		"finite":       func(c *Config) { c.Init = inf },
		"finite ":      func(c *Config) { c.Threshold = -inf },
		"finite  ":     func(c *Config) { c.LR = inf },
		"finite   ":    func(c *Config) { c.Penalty = inf },
		"finite    ":   func(c *Config) { c.Leak = nan },
		"finite     ":  func(c *Config) { c.LR = nan },
		"finite      ": func(c *Config) { c.Flip = nan },
	} {
		c := good
		spoil(&c)
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), strings.TrimSpace(name)) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestRule(t *testing.T) {
	c, err := Defaults("r-amt", "released", "caltech101", 16, false)
	if err != nil {
		t.Fatal(err)
	}
	if got := c.Rule(); got != (optim.GradDrop{Leak: 0.3, Eps: 1e-8, Penalty: 1e-4}) {
		t.Errorf("%+v", got)
	}
}

// The learning rates of method 2.5: cosine annealing, a step an epoch.
func TestSchedule(t *testing.T) {
	for _, c := range []struct {
		lr     float64
		epochs int
		want   map[int]float64
	}{
		{8e-5, 30, map[int]float64{0: 8e-5, 1: 7.978088e-5, 2: 7.912590e-5, 3: 7.804226e-5, 4: 7.654182e-5, 5: 7.464102e-5, 15: 4e-5, 28: 8.740960e-7, 29: 2.191242e-7}},
		{3e-5, 10, map[int]float64{0: 3e-5, 1: 2.926585e-5, 4: 1.963525e-5, 5: 1.5e-5, 9: 7.341523e-7}},
	} {
		s := Config{LR: c.lr, Epochs: c.epochs}.Schedule()
		for e, want := range c.want {
			if got := s(e); math.Abs(got-want) > 5e-7*want { // half a unit of the seventh digit
				t.Errorf("epoch %d of %d: %g, want %g", e, c.epochs, got, want)
			}
		}
	}
}

// Travel ratios of the published settings: by data set at 1, 2, 4, 8, 16 shots, and at 16 from base to new. Below 1 the
// result is the untouched CLIP.
func TestTravelRatio(t *testing.T) {
	for _, c := range []struct {
		dataset string
		classes int
		want    [6]float64
	}{
		{"imagenet", 1000, [6]float64{1.02, 2.05, 4.12, 8.25, 16.5, 8.25}},
		{"caltech101", 100, [6]float64{0.74, 1.49, 2.98, 6.20, 12.4, 6.20}},
		{"food101", 101, [6]float64{0.74, 1.49, 2.98, 6.20, 12.4, 6.20}},
		{"oxford_flowers", 102, [6]float64{0.74, 1.49, 2.98, 6.20, 12.6, 6.20}},
		{"stanford_cars", 196, [6]float64{1.49, 2.98, 5.95, 12.2, 24.3, 12.2}},
		{"sun397", 397, [6]float64{2.98, 5.95, 12.2, 24.6, 49.1, 24.6}},
		{"oxford_pets", 37, [6]float64{0.25, 0.50, 0.99, 2.23, 4.46, 2.23}},
		{"dtd", 47, [6]float64{0.25, 0.50, 1.24, 2.73, 5.70, 2.98}},
		{"eurosat", 10, [6]float64{0.25, 0.25, 0.25, 0.50, 1.24, 0.50}},
	} {
		for i, want := range c.want {
			shots, classes, baseToNew := 1<<min(i, 4), c.classes, i == 5
			if baseToNew {
				classes = (classes + 1) / 2
			}
			cfg, err := Defaults("r-amt", "paper", c.dataset, shots, baseToNew)
			if err != nil {
				t.Fatal(err)
			}
			got := cfg.TravelRatio(max(1, classes*shots/cfg.Batch))
			// Three digits are published.
			if unit := math.Pow(10, math.Floor(math.Log10(want))-2); math.Abs(got-want) > max(0.5*unit, 0.005)*1.001 {
				t.Errorf("%s, %d shots, base to new %v: %.4f, want %g", c.dataset, shots, baseToNew, got, want)
			}
		}
	}
}

// EnoughEpochs is the least number of epochs with a ratio of 3, or what is published if that is more.
func TestEnoughEpochs(t *testing.T) {
	for _, lr := range []float64{8e-5, 3e-5, 1e-3, 0.1} {
		for _, batches := range []int{1, 2, 3, 7, 50, 500} {
			c := Config{Init: 0.01, Threshold: 0.005, LR: lr, Epochs: 30}
			e, err := c.EnoughEpochs(batches)
			if err != nil {
				t.Fatal(err)
			}
			at := func(n int) float64 {
				c.Epochs = n
				return c.TravelRatio(batches)
			}
			const rounding = 1e-9
			if e < 30 || at(e) < 3-rounding || e > 30 && at(e-1) >= 3+rounding {
				t.Errorf("lr %g, %d batches: %d epochs have ratio %g, one less %g", lr, batches, e, at(e), at(e-1))
			}
		}
	}
}

// A rate at which no run of any length would do is refused, in no time.
func TestTooManyEpochs(t *testing.T) {
	for _, lr := range []float64{1e-12, 5e-324} {
		c := Config{Init: 0.01, Threshold: 0.005, LR: lr, Epochs: 30}
		if e, err := c.EnoughEpochs(1); err == nil {
			t.Errorf("lr %g: %d epochs", lr, e)
		}
	}
	c := Config{Init: 0.01, Threshold: 0.005, LR: 1e-3, Epochs: math.MaxInt}
	if ratio := c.TravelRatio(1); math.IsNaN(ratio) { // what Validate refuses is no loop here
		t.Error(ratio)
	}
}

// A batch is computed in parts where each still has many rows: at ViT-B/16 16 images, of 197 tokens each.
func TestAutoMicroBatch(t *testing.T) {
	for _, c := range []struct{ batch, tokens, want int }{
		{1, 197, 0}, {16, 197, 0}, {31, 197, 0}, {32, 197, 16}, {33, 197, 17}, {64, 197, 16}, {1024, 197, 16},
		{32, 50, 0}, {128, 50, 64}, // ViT-B/32
		{32, 257, 16}, {32, 577, 6}, // ViT-L/14, at 336 pixels
		{2, 10 * LeastTokens, 1}, {1, 10 * LeastTokens, 1},
	} {
		got := AutoMicroBatch(c.batch, c.tokens)
		if got != c.want {
			t.Errorf("%d images of %d tokens: parts of %d, want %d", c.batch, c.tokens, got, c.want)
		}
		if got > 0 {
			parts := (c.batch + got - 1) / got
			if least := c.batch / parts * c.tokens; least < LeastTokens-c.tokens {
				t.Errorf("%d images of %d tokens: a part has %d", c.batch, c.tokens, least)
			}
		}
	}
}

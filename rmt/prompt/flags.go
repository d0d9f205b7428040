package prompt

import (
	"flag"
	"fmt"
	"strings"
)

// Declare declares a flag for each setting, with its value as default; so do the other configurations' methods of this name.
func (r *Recipe) Declare(fs *flag.FlagSet) {
	fs.IntVar(&r.Epochs, "epochs", r.Epochs, "epochs")
	fs.Float64Var(&r.LR, "lr", r.LR, "learning rate of stochastic gradient descent")
	fs.IntVar(&r.Batch, "batch-size", r.Batch, "images a step")
	fs.IntVar(&r.Warmup, "warmup-epochs", r.Warmup, "epochs at the warm-up's rate")
	fs.Float64Var(&r.WarmupLR, "warmup-lr", r.WarmupLR, "learning rate of the warm-up")
	fs.Float64Var(&r.Momentum, "momentum", r.Momentum, "momentum")
	fs.Float64Var(&r.Decay, "weight-decay", r.Decay, "weight decay of all that is trained")
	r.Augment.Declare(fs)
}

// declareContext declares how many vectors a context has, and words in their place, one a vector, that they start from.
func declareContext(fs *flag.FlagSet, n *int, words *string) {
	start, given, said := *words, 0, "" // and what the flags say
	fit := func() error {
		if of := len(strings.Fields(said)); given > 0 && of > 0 && of != given {
			return fmt.Errorf("the words %q make a context of %d vectors, not of %d: leave one of -words and -context out", said, of, given)
		}
		return nil
	}
	usage := "`number` of context vectors"
	if start != "" {
		usage += fmt.Sprintf(", which then start from random numbers (default those of -words, %d)", *n)
	} else {
		usage += fmt.Sprintf(" (default %d)", *n)
	}
	fs.Func("context", usage, func(s string) error {
		var v int
		if _, err := fmt.Sscanf(s, "%d", &v); err != nil || fmt.Sprint(v) != s {
			return fmt.Errorf("want a number")
		}
		given = v
		if *n = v; *words == start { // unless words were given
			*words = ""
		}
		return fit()
	})
	fs.Func("words", fmt.Sprintf("`words` that the context starts from, a vector each (default %q)", start), func(s string) error {
		*words = strings.Join(strings.Fields(strings.ReplaceAll(s, "_", " ")), " ")
		if *words != "" {
			*n = len(strings.Fields(*words))
		}
		said = *words
		return fit()
	})
}

// Declare declares them.
func (c *ContextConfig) Declare(fs *flag.FlagSet) {
	declareContext(fs, &c.Context, &c.Words)
	fs.StringVar(&c.Position, "position", c.Position, "where the class name stands: "+strings.Join(Positions(), ", "))
	fs.BoolVar(&c.Specific, "class-specific", c.Specific, "a context for each class")
	c.Recipe.Declare(fs)
}

// Declare declares them.
func (c *ProGradConfig) Declare(fs *flag.FlagSet) {
	fs.StringVar(&c.Template, "prograd-template", c.Template, "template of the teacher and, unless -from-template=false, of the context's start, {} for the class name")
	fs.Float64Var(&c.Lambda, "lambda", c.Lambda, "how much of what points against the teacher's gradient is taken off")
	fs.Float64Var(&c.Temperature, "temperature", c.Temperature, "temperature of the teacher's softmax")
	fs.BoolVar(&c.FromWords, "from-template", c.FromWords, "start from zeros and then the template's words, not from random numbers")
	fs.IntVar(&c.Context, "context", c.Context, "context vectors")
	fs.StringVar(&c.Position, "position", c.Position, "where the class name stands: "+strings.Join(Positions(), ", "))
	fs.BoolVar(&c.Specific, "class-specific", c.Specific, "a context for each class")
	c.Recipe.Declare(fs)
}

// Declare declares them.
func (c *KgCoOpConfig) Declare(fs *flag.FlagSet) {
	fs.Float64Var(&c.Weight, "kg-weight", c.Weight, "weight of the distance between learned and template features in the loss")
	fs.StringVar(&c.Template, "kg-template", c.Template, "template that class features are held to, {} for the class name")
	c.ContextConfig.Declare(fs)
}

// Declare declares them.
func (c *CoCoOpConfig) Declare(fs *flag.FlagSet) {
	declareContext(fs, &c.Context, &c.Words)
	c.Recipe.Declare(fs)
}

// Declare declares them.
func (c *VPTConfig) Declare(fs *flag.FlagSet) {
	c.declare(fs, true)
	fs.IntVar(&c.Depth, "depth", c.Depth, "layers with tokens of their own; 0 is all")
}

// Presets are the flags that others' defaults depend on.
func (c *VPTConfig) Presets() []string { return []string{"convention"} }

func (c *VPTConfig) declare(fs *flag.FlagSet, deep bool) {
	fs.Func("convention", fmt.Sprintf("`program` whose settings are defaults: %s; further flags change them (default upt)", strings.Join(VPTConventions(), ", ")), func(s string) error {
		d, err := DefaultVPT(s, deep, "", c.Template, 16)
		if err == nil {
			if s != "maple" { // of which epochs do not depend on data set and shots
				d.Recipe = c.Recipe
			}
			*c = d
		}
		return err
	})
	fs.IntVar(&c.Prompts, "prompts", c.Prompts, "tokens a layer")
	fs.StringVar(&c.First, "first", c.First, "the first layer's tokens join before it, ln_pre, or raw, behind it")
	fs.StringVar(&c.Init, "init", c.Init, "first tokens: normal, or uniform as the original VPT's")
	fs.StringVar(&c.Template, "vpt-template", c.Template, "template of the frozen text classifier, {} for the class name")
	c.Recipe.Declare(fs)
}

// Declare declares them.
func (c *UPTConfig) Declare(fs *flag.FlagSet) {
	fs.IntVar(&c.Prompts, "prompts", c.Prompts, "prompts of each encoder")
	fs.BoolVar(&c.Mix, "mix", c.Mix, "attention between prompts, as the paper says; as released each sees itself alone")
	fs.Float64Var(&c.Dropout, "dropout", c.Dropout, "dropout in the layer between prompts and encoders")
	c.Recipe.Declare(fs)
}

// Declare declares them.
func (c *MVLPTConfig) Declare(fs *flag.FlagSet) {
	fs.IntVar(&c.Context, "context", c.Context, "context vectors of class prompts")
	fs.StringVar(&c.Position, "position", c.Position, "where the class name stands: "+strings.Join(Positions(), ", "))
	fs.IntVar(&c.Prompts, "prompts", c.Prompts, "tokens of images, a layer")
	fs.BoolVar(&c.Deep, "deep", c.Deep, "each layer has tokens of its own")
	fs.IntVar(&c.Project, "project", c.Project, "width of the block between prompts and encoders")
	fs.BoolVar(&c.Mix, "mix", c.Mix, "attention between prompts; as released each sees itself alone")
	c.Recipe.Declare(fs)
}

// Declare declares them.
func (c *MaPLeConfig) Declare(fs *flag.FlagSet) {
	fs.IntVar(&c.Context, "context", c.Context, "vectors of class prompts, and tokens of images, of each layer")
	fs.StringVar(&c.Words, "words", c.Words, "words whose first tokens the context starts from; none: random numbers")
	fs.IntVar(&c.Depth, "depth", c.Depth, "layers with prompts of their own")
	c.Recipe.Declare(fs)
}

// Declare declares them.
func (c *TransportConfig) Declare(fs *flag.FlagSet) {
	fs.Float64Var(&c.Eps, "eps", c.Eps, "entropy of transport plans")
	fs.IntVar(&c.Most, "iterations", c.Most, "iterations of a plan, at most")
	fs.Float64Var(&c.Threshold, "threshold", c.Threshold, "a plan is done when its rows' factors move by less in the mean")
	fs.StringVar(&c.Stop, "sinkhorn-stop", c.Stop, "mean over each pair of an image and a class, or, as released, over the batch")
}

// Declare declares them.
func (c *PLOTConfig) Declare(fs *flag.FlagSet) {
	fs.IntVar(&c.Contexts, "contexts", c.Contexts, "contexts of each class")
	fs.BoolVar(&c.Pooled, "pooled", c.Pooled, "add the global feature's cosine, as released on ImageNet alone")
	c.TransportConfig.Declare(fs)
	c.ContextConfig.Declare(fs)
}

// Declare declares them.
func (c *PLOTPlusConfig) Declare(fs *flag.FlagSet) {
	fs.StringVar(&c.Stage, "stage", c.Stage, "vision, joint, or both, one after the other")
	fs.Func("templates", fmt.Sprintf("comma-separated `words`, a context each (default %q)", c.Templates), func(s string) error {
		c.Templates = nil
		for _, t := range strings.Split(s, ",") {
			c.Templates = append(c.Templates, strings.TrimSpace(t))
		}
		return nil
	})
	fs.IntVar(&c.Sets, "sets", c.Sets, "sets of tokens of images: as often an image is encoded")
	fs.IntVar(&c.Prompts, "prompts", c.Prompts, "tokens of a set")
	c.TransportConfig.Declare(fs)
	c.Recipe.Declare(fs)
}

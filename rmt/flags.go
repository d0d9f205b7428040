package rmt

import (
	"flag"
	"fmt"
	"strconv"
	"strings"
)

// Declare declares a flag for each setting, with its value as default.
func (c *Config) Declare(fs *flag.FlagSet) {
	fs.StringVar(&c.Recipe, "recipe", c.Recipe, "paper, or released: what the authors' code does beyond the paper")
	fs.Func("patterns", fmt.Sprintf("comma-separated `names` of the weights to mask, * for any characters (default %s)", strings.Join(c.Patterns, ",")), func(s string) error {
		c.Patterns = strings.Split(s, ",")
		return nil
	})
	fs.Func("epochs", fmt.Sprintf("`number` of epochs, or auto: enough for masks to move (default %d for a published data set; ImageNet 10; else auto)", c.Epochs), func(s string) error {
		if c.AutoEpochs = s == "auto"; c.AutoEpochs {
			return nil
		}
		n, err := strconv.Atoi(s)
		if err != nil {
			return fmt.Errorf("want a number, or auto")
		}
		c.Epochs = n
		return nil
	})
	fs.Float64Var(&c.LR, "lr", c.LR, "learning rate of Adam (ImageNet 3e-5)")
	fs.IntVar(&c.Batch, "batch-size", c.Batch, "images a step")
	fs.Float64Var(&c.Leak, "leak", c.Leak, "l of gradient dropout, 0 to 1 (by the paper's rule 0.3 at 16 shots but for the largest data sets, else 1)")
	fs.Float64Var(&c.Init, "init", c.Init, "initial score of every weight")
	fs.Float64Var(&c.Threshold, "threshold", c.Threshold, "score above which a weight is kept")
	fs.Float64Var(&c.Penalty, "mask-penalty", c.Penalty, "factor of the masks' norms in the loss (released 1e-4)")
	fs.StringVar(&c.UpdateRule, "rule", c.UpdateRule, strings.Join(Rules(), ", ")+": what becomes of the two gradients (default dropout with r-, ce without)")
	fs.Float64Var(&c.Temperature, "temperature", c.Temperature, "of the distillation; 0 is 1")
	fs.StringVar(&c.Granularity, "granularity", c.Granularity, strings.Join(Granularities(), ", ")+": what has a score of its own (default weight)")
	fs.Func("encoder", strings.Join(Encoders(), ", ")+": whose weights are masked (default image)", func(s string) error {
		*c = c.WithEncoder(s)
		return nil
	})
	fs.Float64Var(&c.CropMin, "rrc-scale", c.CropMin, "smallest share of the area that a random crop takes")
	fs.Float64Var(&c.Flip, "flip", c.Flip, "probability of mirroring a training image")
}

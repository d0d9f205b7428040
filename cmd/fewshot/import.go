package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"

	"fewshot/nn"
	"fewshot/nn/words"
	"fewshot/rmt"
	"fewshot/tensor"
)

var importMaskCommand = command{
	example: "fewshot import -model ViT-B/16 -out pets.safetensors output/shared/model.pth.tar-30",
	name:    "import", args: "model.pth.tar-EPOCHS", summary: "read a mask that R-AMT's released code saved",
	about: `Reads a mask file of the code that the authors of R-AMT released, for the model given with -model, and writes it as a mask file
of this program. Nothing in the file is run. The masks say nothing of the model that they were learned on but the shapes of its
weights: name the right one, as ViT-B/16.`,
	setup: setupImport,
}

func setupImport(fs *flag.FlagSet, _ []string) func(context.Context, *ui, []string) error {
	var m modelFlags
	var out string
	m.declare(fs)
	fs.StringVar(&out, "out", "", "mask `file` to write, which must not exist yet")
	return func(ctx context.Context, u *ui, args []string) error {
		switch {
		case len(args) != 1:
			return usagef("give one file, not %d", len(args))
		case out == "":
			return usagef("-out is missing: which mask file shall be written?")
		}
		return importMask(ctx, u, &m, args[0], out)
	}
}

// importResult is the last line of -json.
type importResult struct {
	Kind     string       `json:"kind"`
	Mask     string       `json:"mask"`
	Backbone string       `json:"backbone"` // digest of the model's weights
	Epochs   int          `json:"epochs"`
	Sparsity rmt.Sparsity `json:"sparsity"`
}

// epochsKey is the key of metadata under which an imported mask keeps for how many epochs it was learned.
const epochsKey = "epochs"

func importMask(ctx context.Context, u *ui, f *modelFlags, path, out string) error {
	if _, err := os.Stat(out); !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s exists; give a new file", out)
	}
	dev, err := tensor.Open("cpu", tensor.Options{})
	if err != nil {
		return err
	}
	defer dev.Close()
	m, err := f.open(ctx, dev, u)
	if err != nil {
		return err
	}
	params := map[string]*nn.Param{}
	for _, p := range m.Image.Params() {
		params[p.Name] = p
	}
	got, epochs, err := readOfficial(path, func(name string) ([]int, bool) {
		if params[name] == nil {
			return nil, false
		}
		return params[name].Value.Shape(), true
	})
	if err != nil {
		return err
	}
	var masks []*rmt.Mask
	for _, k := range got {
		masks = append(masks, rmt.Fixed(params[k.Name], k.Keep))
	}
	if err := rmt.SaveMasks(out, masks, m.Digest, map[string]string{"imported": "R-AMT's released code", epochsKey: strconv.Itoa(epochs)}); err != nil {
		return err
	}
	r := &importResult{Kind: "result", Mask: out, Backbone: m.Digest, Epochs: epochs, Sparsity: rmt.SparsityOf(masks)}
	return u.result(r, func(w io.Writer) {
		fmt.Fprintf(w, "%s: masks on %s of %s, sparsity %v\n", out, words.Count(len(masks), "weight"), m.Name, r.Sparsity)
	})
}

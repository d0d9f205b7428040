package export

import (
	"archive/zip"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"fewshot/nn"
	"fewshot/nn/quote"
)

// A Mask says which elements of a weight are kept, in row-major order. Name is the weight's, as OpenAI has it.
type Mask struct {
	Name  string
	Shape []int
	Keep  []bool
}

// The released code of R-AMT (github.com/wuw2019/R-AMT, trainers/masktuning.py) saves a dictionary with torch.save:
// state_dict maps the names of masks, relative to the image encoder, to Python bytes, eight elements a byte, the first one
// most significant. It reads a mask for each layer that its model has one for, and fails where one is missing.
const officialSuffix = ".mask_real"

func officialName(weight string) (string, error) {
	name, ok := strings.CutPrefix(weight, "visual.")
	if !ok {
		return "", fmt.Errorf("export to official-mask: %s is not of the image encoder, and the released code masks nothing else", weight)
	}
	if base, ok := strings.CutSuffix(name, ".in_proj_weight"); ok {
		return base + officialSuffix, nil
	}
	if base, ok := strings.CutSuffix(name, ".weight"); ok {
		return base + officialSuffix, nil
	}
	return "", fmt.Errorf("export to official-mask: the released code masks no %s", weight)
}

// ourName is the weight that a mask of the released code belongs to.
func ourName(name string) (string, bool) {
	base, ok := strings.CutSuffix(name, officialSuffix)
	if strings.HasSuffix(base, ".attn") {
		return "visual." + base + ".in_proj_weight", ok
	}
	return "visual." + base + ".weight", ok
}

// CompleteOfficial adds the masks that the released code's model has and ours do not, keeping everything: that of the patch
// convolution, those of blocks that were left out, and if any MLP has one, those of all. Masks on anything else are an
// error.
func CompleteOfficial(masks []Mask, model nn.Shapes) ([]Mask, error) {
	layers, _ := nn.Blocks(model, "visual.transformer.")
	if layers == 0 {
		return nil, errors.New("export to official-mask: only vision transformers' masks can be written")
	}
	parts := []string{"attn.in_proj_weight", "attn.out_proj.weight"}
	if slices.ContainsFunc(masks, func(m Mask) bool { return strings.Contains(m.Name, ".mlp.") }) {
		parts = append(parts, "mlp.c_fc.weight", "mlp.c_proj.weight")
	}
	names := []string{"visual.conv1.weight"}
	for i := range layers {
		for _, p := range parts {
			names = append(names, fmt.Sprintf("visual.transformer.resblocks.%d.%s", i, p))
		}
	}
	var out []Mask
	for _, name := range names {
		if i := slices.IndexFunc(masks, func(m Mask) bool { return m.Name == name }); i >= 0 {
			out = append(out, masks[i])
			continue
		}
		shape, ok := model.Shape(name)
		if !ok {
			return nil, fmt.Errorf("export to official-mask: the model has no %s", name)
		}
		keep := make([]bool, product(shape))
		for i := range keep {
			keep[i] = true
		}
		out = append(out, Mask{name, shape, keep})
	}
	for _, m := range masks {
		if !slices.Contains(names, m.Name) {
			return nil, fmt.Errorf("export to official-mask: the released code has no mask for %s", m.Name)
		}
	}
	return out, nil
}

func product(shape []int) int {
	n := 1
	for _, d := range shape {
		n *= d
	}
	return n
}

// WriteOfficialMask writes model.pth.tar-EPOCH of the released code. What it also saves and does not read, the
// optimizer's state, is None.
func WriteOfficialMask(w io.Writer, masks []Mask, epoch int) error {
	var p pickle
	p.op(0x80, 2, '}', '(')
	p.str("state_dict")
	p.op('}', '(')
	for _, m := range masks {
		name, err := officialName(m.Name)
		if err != nil {
			return err
		}
		p.str(name)
		packed := make([]byte, (len(m.Keep)+7)/8)
		for i, keep := range m.Keep {
			if keep {
				packed[i/8] |= 0x80 >> (i % 8)
			}
		}
		p.bytesOf(packed)
	}
	p.op('u')
	p.str("epoch")
	p.int(epoch)
	for _, key := range []string{"optimizer", "scheduler", "val_result"} {
		p.str(key)
		p.op('N')
	}
	p.op('u')
	a := newTorchArchive(w, "archive")
	if err := a.head(&p); err != nil {
		return err
	}
	return a.close()
}

// maxPickle bounds the pickle of a mask file: ViT-L's masks of every weight take 77 MB of it.
const maxPickle = 256 << 20

// ReadOfficialMask reads a mask file of the released code, for a model whose weights have these shapes. Nothing in it is
// run: its pickle can make dictionaries, numbers and bytes, and whatever else it describes is passed over.
func ReadOfficialMask(r io.ReaderAt, size int64, shape func(name string) ([]int, bool)) (masks []Mask, epoch int, err error) {
	all, epoch, err := PackedOfficialMask(r, size)
	for _, p := range all {
		s, ok := shape(p.Name)
		if !ok {
			return nil, 0, fmt.Errorf("%s: the model has no weight %s; the mask is for another", quote.String(p.Key), quote.String(p.Name))
		}
		n := product(s)
		if len(p.Bits) != (n+7)/8 {
			return nil, 0, fmt.Errorf("%s: %d bytes for a weight of shape %v, which takes %d; the mask is for another model", quote.String(p.Key), len(p.Bits), s, (n+7)/8)
		}
		keep := make([]bool, n)
		for j := range keep {
			keep[j] = p.Bits[j/8]&(0x80>>(j%8)) != 0
		}
		masks = append(masks, Mask{p.Name, s, keep})
	}
	return masks, epoch, err
}

// Packed is a mask as the released code saves it. Only the model knows how many elements it has, as the last byte may have some more.
type Packed struct {
	Key, Name string // in the file, and in the model
	Bits      []byte // eight elements a byte, the first one highest
}

// PackedOfficialMask reads a mask file of the released code without the model.
func PackedOfficialMask(r io.ReaderAt, size int64) (masks []Packed, epoch int, err error) {
	z, err := zip.NewReader(r, size)
	if err != nil {
		return nil, 0, fmt.Errorf("not an archive of torch.save: %w", err)
	}
	var code []byte
	for _, f := range z.File {
		if !strings.HasSuffix(f.Name, "/data.pkl") {
			continue
		}
		if code != nil || f.Method != zip.Store || f.UncompressedSize64 > maxPickle || f.UncompressedSize64 > uint64(size) {
			return nil, 0, fmt.Errorf("data.pkl: want one, stored, of at most %d bytes", maxPickle)
		}
		in, err := f.Open()
		if err != nil {
			return nil, 0, err
		}
		if code, err = io.ReadAll(io.LimitReader(in, maxPickle)); err != nil {
			return nil, 0, fmt.Errorf("data.pkl: %w", err)
		}
	}
	if code == nil {
		return nil, 0, errors.New("no data.pkl in it: not an archive of torch.save")
	}
	top, err := unpickle(code)
	if err != nil {
		return nil, 0, fmt.Errorf("data.pkl: %w", err)
	}
	all, ok := top.(*dict)
	state, ok2 := (*dict)(nil), false
	if ok {
		state, ok2 = all.get("state_dict").(*dict)
	}
	if !ok2 || len(state.keys) == 0 {
		return nil, 0, errors.New("no state_dict with masks: want model.pth.tar-EPOCH as the released code of R-AMT saves it")
	}
	if n, ok := all.get("epoch").(int64); ok && n >= 0 && n < 1<<31 {
		epoch = int(n)
	}
	for i, key := range state.keys {
		name, ok := ourName(key)
		packed, isBytes := state.values[i].([]byte)
		if !ok || !isBytes {
			return nil, 0, fmt.Errorf("%s: want masks as bytes, with names that end in %s", quote.String(key), officialSuffix)
		}
		masks = append(masks, Packed{key, name, packed})
	}
	return masks, epoch, nil
}

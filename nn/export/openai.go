package export

import (
	"fmt"
	"hash/crc32"
	"io"
	"strconv"

	"fewshot/nn/checkpoint"
)

func crcOf(b []byte) uint32 { return crc32.ChecksumIEEE(b) }

// OpenAI is a file, as torch.save writes a state dict: what clip.load, open_clip's load_openai_model and its
// create_model(NAME, pretrained=FILE) open. These take the number of heads from the width and QuickGELU for granted, and have their
// vocabulary built in; this program finds it beside the file.
func (m *Model) OpenAI(name string) ([]File, error) {
	if err := m.prepare(); err != nil {
		return nil, err
	}
	if m.Relative != nil {
		return nil, fmt.Errorf("export to openai: that layout is of CLIP's own architecture: use -to %s, or onnx", formOf(m.Relative.Stored))
	}
	if n := m.net; n != nil && n.heads*64 != n.pool() {
		return nil, fmt.Errorf("export to openai: the attention pool has %d heads for a width of %d, and readers of that layout take width/64: use -to open_clip", n.heads, n.pool())
	}
	for _, t := range m.towers() {
		if t.heads*64 != t.width {
			return nil, fmt.Errorf("export to openai: %s has %d heads for a width of %d, and readers of that layout take width/64: use -to open_clip", t.prefix, t.heads, t.width)
		}
		if t.inner != 4*t.width || t.eps != 1e-5 {
			return nil, fmt.Errorf("export to openai: %s has MLPs of %d for a width of %d and epsilon %g, which that layout cannot say: use -to open_clip",
				t.prefix, t.inner, t.width, t.eps)
		}
	}
	if m.Activation != "quickgelu" {
		return nil, fmt.Errorf("export to openai: the model has %s, and readers of that layout take quickgelu: use -to open_clip", m.Activation)
	}
	if m.Preprocessing.Mode != checkpoint.ResizeShortest || m.Preprocessing.Interpolation != checkpoint.Bicubic || m.Preprocessing.Resize != m.side ||
		m.Preprocessing.Mean != checkpoint.OpenAIPreprocessing.Mean || m.Preprocessing.Std != checkpoint.OpenAIPreprocessing.Std {
		return nil, fmt.Errorf("export to openai: the model wants its images otherwise than OpenAI's, which that layout cannot say: use -to open_clip")
	}
	files := []File{{name, m.writeStateDict}}
	if m.Merges != nil && m.Vocab != nil {
		files = append(files, m.merges())
		if !m.OpenAIVocabulary {
			files = append(files, text("vocab.json", m.Vocab))
		}
	}
	return files, nil
}

// writeStateDict writes the tensors under OpenAI's names. The three integers of OpenAI's own archives are left out: no
// reader needs them, and open_clip's strict one refuses them.
func (m *Model) writeStateDict(w io.Writer) error {
	names := m.Weights.Names()
	var p pickle
	p.op(0x80, 2)
	p.global("collections", "OrderedDict")
	p.op(')', 'R', '(')
	for i, name := range names {
		shape, _ := m.Weights.Shape(name)
		p.str(name)
		p.tensor(strconv.Itoa(i), shape)
	}
	p.op('u')
	a := newTorchArchive(w, "archive")
	if err := a.head(&p); err != nil {
		return err
	}
	for i, name := range names {
		e := m.entry(name, name, 0, 1, false)
		sum := crc32.NewIEEE()
		c := &countingWriter{w: sum}
		if err := e.Data(c); err != nil {
			return err
		}
		if err := a.record("data/"+strconv.Itoa(i), c.n, sum.Sum32(), e.Data); err != nil {
			return err
		}
	}
	return a.close()
}
